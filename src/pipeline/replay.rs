//! Replay: archived documents are read again by a mended mapping. Nothing is pulled, nothing is lost.

use super::intake::refused::{source_key, whole_key};
use super::intake::{Delivery, Intake};
use super::normalize::Reader;
use super::{PipelineError, PipelineResult, Runtime, catalog};
use crate::core::problem::Problem;
use crate::formats::FormatError;
use crate::mapping::Mapped;
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// One document that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Identity.
    pub document: String,
    /// new, changed.
    pub what: String,
    /// Net sum before.
    pub before: String,
    /// Net sum after.
    pub after: String,
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Archived documents read again.
    pub archives: i64,
    /// Rows that the mapping still refuses.
    pub refused: i64,
    /// The first of them, with their places.
    pub problems: Vec<Problem>,
    /// Documents that change.
    pub changes: Vec<Change>,
    /// Documents that are new.
    pub new_documents: i64,
    /// Whether it was written.
    pub applied: bool,
}

/// Problems shown at most: a mapping that fits nothing refuses every row alike.
const MOST_SHOWN: usize = 20;

impl Report {
    fn show(&mut self, problems: impl IntoIterator<Item = Problem>) {
        let room = MOST_SHOWN.saturating_sub(self.problems.len());
        self.problems.extend(problems.into_iter().take(room));
    }
}

/// Reads again; writes only with `apply`.
pub async fn replay(
    runtime: &Runtime,
    mapping: Option<&str>,
    since: Option<NaiveDate>,
    apply: bool,
    actor: &str,
    today: NaiveDate,
) -> PipelineResult<Report> {
    let now = runtime.clock.now();
    if let Some(name) = mapping.filter(|name| runtime.workspace.mapping(name).is_none()) {
        let problem = Problem::new("unknown-mapping", format!("there is no mapping `{name}`"));
        let known: Vec<&str> = runtime.workspace.mappings.iter().map(|m| m.name.as_str()).collect();
        return Err(problem.help(format!("there are {}", known.join(", "))).into());
    }
    let names: Vec<String> = match mapping {
        Some(name) => vec![name.to_owned()],
        None => runtime.workspace.mappings.iter().map(|m| m.name.clone()).collect(),
    };
    let mut report = Report { applied: apply, ..Report::default() };
    let mut readers: BTreeMap<String, Reader> = BTreeMap::new();
    let mut tx = runtime.store.begin().await?;
    for name in names {
        for archive in tx.archives_of_mapping(&name).await? {
            if since.is_some_and(|since| archive.received_at.with_timezone(&runtime.settings.timezone).date_naive() < since) {
                continue;
            }
            if !readers.contains_key(&name) {
                readers.insert(name.clone(), Reader::open(runtime, &archive)?);
            }
            let Some(reader) = readers.get(&name) else { continue };
            report.archives += 1;
            let bytes = tx.archived_bytes(archive.id).await?;
            let rows = match reader.rows(runtime, &archive, &bytes) {
                Ok(rows) => rows,
                Err(FormatError::Refused(problems)) => {
                    report.refused += 1;
                    report.show(problems.0);
                    continue;
                }
                Err(FormatError::Io(source)) => {
                    return Err(PipelineError::Io { what: format!("reading {}", archive.name), source });
                }
            };
            for row in &rows {
                if let Mapped::Problem(row) = row {
                    report.refused += 1;
                    report.show(row.problems.iter().map(|p| p.problem.clone()));
                }
            }
            let delivery = Delivery {
                archive_id: archive.id,
                source: Some(source_key(&archive)),
                imported: false,
                replay: true,
                compared: false,
                source_rank: catalog::source_rank(&runtime.workspace, &archive.connector, &archive.feed),
                business_day: today,
                now,
            };
            let mut intake = Intake::start(&mut tx, &runtime.settings, delivery).await?;
            intake.take_all(rows).await?;
            let (counts, documents) = intake.settle().await?;
            intake.tx.clear_exception(&whole_key(&archive), "it was read again and could be read", now).await?;
            report.new_documents += documents.new;
            for (identity, before, after) in std::mem::take(&mut intake.changes) {
                report.changes.push(Change {
                    document: identity.to_string(),
                    what: "changed".into(),
                    before: before.to_text(2),
                    after: after.to_text(2),
                });
            }
            if documents.new > 0 {
                report.changes.push(Change {
                    document: archive.name.clone(),
                    what: format!("{} new documents", documents.new),
                    before: String::new(),
                    after: String::new(),
                });
            }
            tx.finish_archive(archive.id, "normalized", counts, now).await?;
        }
    }
    if apply {
        let detail = serde_json::json!({ "mapping": mapping, "since": since, "changed": report.changes.len() });
        tx.audit(now, actor, "replay", mapping.unwrap_or("all mappings"), "done", &detail).await?;
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(report)
}
