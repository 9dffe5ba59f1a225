//! Normalize: archived documents become canonical lines and master data, each document in one transaction.
//!
//! Every row ends in exactly one bucket: taken, skipped with a reason, or an exception. A document
//! that is refused as a whole stores nothing but its exception; the others go on.

use super::intake::refused::{source_key, whole_key};
use super::intake::{Delivery, DocumentCounts, Intake};
use super::run::{Lease, RunRequest, fault_point};
use super::stages::StageOutcome;
use super::{PipelineError, PipelineResult, Runtime, catalog, contradictions, pull};
use crate::core::master::Table;
use crate::core::problem::Problems;
use crate::formats::{Format, FormatError};
use crate::mapping::canonical::read_rows;
use crate::mapping::{Context, Mapped, Mapping};
use crate::store::{ArchiveMeta, ExceptionFilter, ExceptionRow, NewException, WorkCounts};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Normalizes everything that is archived and not normalized yet, then tries waiting lines again.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    let mut tx = runtime.store.read().await?;
    let mut waiting = tx.new_archives().await?;
    drop(tx);
    let mut outcome = StageOutcome::default();
    let mut readers: BTreeMap<String, Reader> = BTreeMap::new();
    let mut unreadable: BTreeSet<String> = BTreeSet::new();
    for archive in &waiting {
        let name = archive.mapping.clone().unwrap_or_default();
        if readers.contains_key(&name) || unreadable.contains(&name) {
            continue;
        }
        match Reader::open(runtime, archive) {
            Ok(reader) => {
                readers.insert(name, reader);
            }
            // What waits for this mapping goes on waiting, and holds settlements; the others are read.
            Err(PipelineError::Problems(problems)) => {
                outcome.exceptions += unread(runtime, request, archive, &problems).await?;
                unreadable.insert(name);
            }
            Err(error) => return Err(error),
        }
    }
    let left = waiting.len();
    waiting.retain(|a| !unreadable.contains(a.mapping.as_deref().unwrap_or_default()));
    let left = left - waiting.len();
    readable(runtime, &unreadable).await?;
    // A line of tonight must not wait for a partner of tonight, whatever the order of the feeds. Stable:
    // states of one thing stay in the order in which they came.
    waiting.sort_by_key(|a| readers.get(a.mapping.as_deref().unwrap_or_default()).map_or(Turn::Rest, Reader::turn));
    let mut total = DocumentCounts::default();
    let mut rows = WorkCounts::default();
    for (done, archive) in waiting.iter().enumerate() {
        lease.check()?;
        let Some(reader) = readers.get(archive.mapping.as_deref().unwrap_or_default()) else { continue };
        let (counts, documents) = one(runtime, request, lease, archive, reader).await?;
        rows.rows_in += counts.rows_in;
        rows.rows_skipped += counts.rows_skipped;
        rows.rows_refused += counts.rows_refused;
        total.new += documents.new;
        total.changed += documents.changed;
        total.unchanged += documents.unchanged;
        total.pending += documents.pending;
        outcome.exceptions += documents.exceptions;
        runtime.progress.advanced(i64::try_from(done + 1).unwrap_or(0), i64::try_from(waiting.len()).ok());
        fault_point(&format!("archive:{}", done + 1));
    }
    let through = retry(runtime, request).await?;
    outcome.exceptions += super::doubts::note(runtime, request.business_day).await?;
    if !request.dry_run {
        pull::acknowledge(runtime).await?;
    }
    outcome.count_in = rows.rows_in;
    outcome.count_out = total.new + total.changed;
    outcome.detail = format!(
        "{} documents new, {} changed, {} known; {} rows skipped, {} refused; {} lines wait for master data, {through} came through",
        total.new, total.changed, total.unchanged, rows.rows_skipped, rows.rows_refused, total.pending
    );
    if left > 0 {
        outcome.detail.push_str(&format!("; {left} archived documents wait for their mapping"));
    }
    Ok(outcome)
}

const UNREAD: &str = "mapping:";

/// Archived documents whose mapping is not there, or has mistakes.
async fn unread(runtime: &Runtime, request: &RunRequest, archive: &ArchiveMeta, problems: &Problems) -> PipelineResult<i64> {
    let name = archive.mapping.as_deref().unwrap_or_default();
    let first = problems.0.first();
    let new = NewException {
        code: first.map_or_else(|| "feed-without-mapping".to_owned(), |p| p.code.clone()),
        blocking: true,
        subject: format!("{} {}", archive.connector, archive.feed),
        message: format!("documents are archived and not read: {problems}"),
        help: first.and_then(|p| p.help.clone()),
        dedupe_key: format!("{UNREAD}{name}"),
        ..NewException::default()
    };
    let mut tx = runtime.store.begin().await?;
    let opened = tx.open_exception(&new, request.business_day, runtime.clock.now()).await?;
    tx.commit().await?;
    Ok(i64::from(opened))
}

/// Clears what was told of mappings that can be used again.
async fn readable(runtime: &Runtime, unreadable: &BTreeSet<String>) -> PipelineResult<()> {
    let mut tx = runtime.store.read().await?;
    let open = tx.exceptions(&ExceptionFilter::default()).await?;
    tx.rollback().await?;
    let gone = |e: &&ExceptionRow| e.dedupe_key.strip_prefix(UNREAD).is_some_and(|name| !unreadable.contains(name));
    for exception in open.iter().filter(gone) {
        let mut tx = runtime.store.begin().await?;
        tx.clear_exception(&exception.dedupe_key, "the mapping is there", runtime.clock.now()).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// What is read before what: each kind names things of the kinds before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Partners and items.
    Identities,
    /// Unit conversions of items, and rates.
    Measures,
    /// Everything that is resolved against them.
    Rest,
}

/// How archived documents of one mapping are read.
pub(super) enum Reader {
    Canonical(Table),
    Mapped(Box<Mapping>),
}

impl Reader {
    pub(super) fn open(runtime: &Runtime, archive: &ArchiveMeta) -> PipelineResult<Self> {
        let name = archive.mapping.as_deref().unwrap_or_default();
        if let Some(table) = name.strip_prefix("canonical-").and_then(Table::from_word) {
            return Ok(Self::Canonical(table));
        }
        match catalog::mapping(&runtime.workspace, name)? {
            Some(mapping) => Ok(Self::Mapped(Box::new(mapping))),
            None => Err(pull::no_mapping(&archive.connector, &archive.feed).into()),
        }
    }

    fn table(&self) -> Table {
        match self {
            Self::Canonical(table) => *table,
            Self::Mapped(mapping) => mapping.table(),
        }
    }

    fn turn(&self) -> Turn {
        match self.table() {
            Table::Partners | Table::Items => Turn::Identities,
            Table::Units | Table::Rates => Turn::Measures,
            _ => Turn::Rest,
        }
    }

    fn format(&self, runtime: &Runtime, archive: &ArchiveMeta) -> Format {
        let mut format = match self {
            Self::Mapped(mapping) => mapping.format_for(&archive.name),
            Self::Canonical(_) => Format::from_name(&archive.name.to_ascii_lowercase())
                .unwrap_or(Format::Csv(crate::formats::CsvOptions::default())),
        };
        if let Format::Csv(options) = &mut format {
            options.line_end_required = catalog::line_end_required(&runtime.workspace, &archive.connector, &archive.feed);
        }
        format
    }

    /// Maps a whole document; rows come in source order.
    pub(super) fn rows(&self, runtime: &Runtime, archive: &ArchiveMeta, bytes: &[u8]) -> Result<Vec<Mapped>, FormatError> {
        let mut rows = Vec::new();
        let mut input = bytes;
        let context = Context {
            company: Some(runtime.settings.company.clone()),
            currency: runtime.settings.currency,
            timezone: runtime.settings.timezone,
        };
        match self {
            Self::Mapped(mapping) => {
                mapping.read(&self.format(runtime, archive), &mut input, &archive.name, &context, &mut |row| {
                    rows.push(row);
                    ControlFlow::Continue(())
                })?;
            }
            Self::Canonical(table) => {
                read_rows(*table, &self.format(runtime, archive), &mut input, &archive.name, &mut |row| {
                    rows.push(match row {
                        Ok(draft) => Mapped::Row(draft),
                        Err(problem) => Mapped::Problem(problem),
                    });
                    ControlFlow::Continue(())
                })?;
            }
        }
        contradictions::refuse(&mut rows);
        Ok(rows)
    }
}

async fn one(
    runtime: &Runtime,
    request: &RunRequest,
    lease: &Lease,
    archive: &ArchiveMeta,
    reader: &Reader,
) -> PipelineResult<(WorkCounts, DocumentCounts)> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let bytes = tx.archived_bytes(archive.id).await?;
    let whole_key = whole_key(archive);
    match reader.rows(runtime, archive, &bytes) {
        Err(FormatError::Io(source)) => Err(PipelineError::Io { what: format!("reading {}", archive.name), source }),
        Err(FormatError::Refused(problems)) => {
            let first = problems.0.first().cloned();
            let new = NewException {
                code: "file-refused".into(),
                blocking: true,
                subject: format!("{} {} {}", archive.connector, archive.feed, archive.name),
                message: problems.0.iter().take(5).map(|p| p.message.clone()).collect::<Vec<_>>().join("; "),
                help: first.as_ref().and_then(|p| p.help.clone()),
                place: first.as_ref().and_then(|p| p.place.as_ref()).map(ToString::to_string),
                dedupe_key: whole_key,
                ..NewException::default()
            };
            let opened = tx.open_exception(&new, request.business_day, now).await?;
            tx.finish_archive(archive.id, "refused", WorkCounts::default(), now).await?;
            lease.commit(tx).await?;
            Ok((WorkCounts::default(), DocumentCounts { exceptions: i64::from(opened), ..DocumentCounts::default() }))
        }
        Ok(rows) => {
            let delivery = Delivery {
                archive_id: archive.id,
                source: Some(source_key(archive)),
                imported: false,
                replay: false,
                compared: false,
                source_rank: catalog::source_rank(&runtime.workspace, &archive.connector, &archive.feed),
                business_day: request.business_day,
                now,
            };
            let mut intake = Intake::start(&mut tx, &runtime.settings, delivery).await?;
            intake.take_all(rows).await?;
            let (counts, documents) = intake.finish().await?;
            tx.clear_exception(&whole_key, "the file was read", now).await?;
            tx.finish_archive(archive.id, "normalized", counts, now).await?;
            lease.commit(tx).await?;
            Ok((counts, documents))
        }
    }
}

/// Lines that wait for master data are tried again every night.
async fn retry(runtime: &Runtime, request: &RunRequest) -> PipelineResult<i64> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let delivery = Delivery {
        archive_id: 0,
        source: None,
        imported: false,
        replay: false,
        compared: false,
        source_rank: 0,
        business_day: request.business_day,
        now,
    };
    let mut intake = Intake::start(&mut tx, &runtime.settings, delivery).await?;
    let through = intake.retry_pending().await?;
    tx.commit().await?;
    Ok(through)
}
