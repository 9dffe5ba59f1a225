//! Comparison with a source's full list (cases 21 and 22): what the cursor missed comes in with an
//! exception, what vanished from the source is an exception and never a deletion.

use super::intake::{Delivery, Intake};
use super::normalize::Reader;
use super::pull::mapping_of;
use super::{PipelineError, PipelineResult, Runtime, catalog};
use crate::drivers::{Driver, DriverError, PageSink, RawPage, SinkError};
use crate::formats::FormatError;
use crate::mapping::Mapped;
use crate::store::{NewArchive, NewException};
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::BoxFuture;
use serde::Serialize;
use std::collections::BTreeSet;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Documents in the source's list.
    pub listed: i64,
    /// Documents that no pull had brought.
    pub found_late: Vec<String>,
    /// Documents that changed without a pull noticing.
    pub changed: i64,
    /// Documents that are no longer there.
    pub gone: Vec<String>,
}

#[derive(Default)]
struct Pages(Vec<RawPage>);

impl PageSink for Pages {
    fn page<'a>(&'a mut self, page: RawPage) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.0.push(page);
            Ok(())
        })
    }
}

/// Compares one feed with everything that its source lists since an instant.
pub async fn feed(
    runtime: &Runtime,
    connector_name: &str,
    feed: &str,
    since: DateTime<Utc>,
    business_day: NaiveDate,
) -> PipelineResult<Comparison> {
    let failed = |error: DriverError| PipelineError::Io {
        what: format!("comparing {connector_name} {feed}"),
        source: std::io::Error::other(error.to_string()),
    };
    let Some(connector) = runtime.workspace.connector(connector_name) else {
        return Err(
            crate::core::problem::Problem::new("no-connector", format!("there is no connectors/{connector_name}.toml")).into()
        );
    };
    let now = runtime.clock.now();
    let driver = Driver::open(connector, &runtime.workspace.dir)?;
    let mut pages = Pages::default();
    driver.sweep(feed, since, now, &mut pages).await.map_err(failed)?;
    let mut found = Comparison::default();
    let mut tx = runtime.store.begin().await?;
    let mut listed = std::collections::HashSet::new();
    let mut refused: BTreeSet<String> = BTreeSet::new();
    for page in pages.0 {
        let mapping = mapping_of(connector, feed);
        let new = NewArchive {
            connector: connector_name,
            feed,
            name: &page.name,
            media_type: &page.media_type,
            mapping: mapping.as_deref(),
            run_id: None,
            acknowledge_key: None,
        };
        let (Ok(id) | Err(id)) = tx.archive_compared(&new, &mut page.bytes.as_slice(), now).await?;
        let Some(meta) = tx.archive_meta(id).await? else { continue };
        let rows = match Reader::open(runtime, &meta)?.rows(runtime, &meta, &page.bytes) {
            Ok(rows) => rows,
            Err(FormatError::Refused(problems)) => return Err(problems.into()),
            Err(FormatError::Io(source)) => return Err(PipelineError::Io { what: format!("reading {}", page.name), source }),
        };
        // A row that cannot be read says nothing of its document but that it is there.
        refused.extend(rows.iter().filter_map(|row| match row {
            Mapped::Problem(problem) => problem.identity.document_number.clone(),
            _ => None,
        }));
        let delivery = Delivery {
            archive_id: id,
            source: None,
            imported: false,
            replay: false,
            compared: true,
            source_rank: catalog::source_rank(&runtime.workspace, connector_name, feed),
            business_day,
            now,
        };
        let mut intake = Intake::start(&mut tx, &runtime.settings, delivery).await?;
        intake.take_all(rows).await?;
        let (counts, documents) = intake.settle().await?;
        found.changed += documents.changed;
        listed.extend(std::mem::take(&mut intake.seen));
        for late in std::mem::take(&mut intake.found_late) {
            found.found_late.push(late.identity.to_string());
            let new = NewException {
                code: "found-late".into(),
                subject: late.identity.to_string(),
                message:
                    "was missing and found by comparing with the source's full list: its change time lies outside the overlap"
                        .into(),
                help: Some("raise the feed's overlap if this happens again".into()),
                partner: Some(late.head.partner_code.clone()),
                document_id: Some(late.id),
                on_date: Some(late.head.document_date),
                dedupe_key: format!("late:{}", late.identity),
                ..NewException::default()
            };
            intake.open(new).await?;
        }
        tx.finish_archive(id, "normalized", counts, now).await?;
    }
    found.listed = i64::try_from(listed.len()).unwrap_or(0);
    for document in tx.documents_of_feed(connector_name, feed, since).await? {
        let key = format!("gone:{}", document.identity);
        if listed.contains(&document.identity) {
            tx.clear_exception(&key, "it is back in the source", now).await?;
            continue;
        }
        if refused.contains(&document.identity.number) {
            continue;
        }
        // What a person decided once is not asked again, unless the document came back in between.
        let decided = tx.exception_decided(&key).await?;
        if document.head.status == "cancelled" || decided.is_some_and(|(action, _)| action != "confirm-deletion") {
            continue;
        }
        found.gone.push(document.identity.to_string());
        tx.set_document_gone(document.id, business_day).await?;
        let new = NewException {
            code: "gone-from-source".into(),
            blocking: true,
            subject: document.identity.to_string(),
            message: format!("{connector_name} no longer lists it; it still counts until somebody decides"),
            help: Some("resolve with --action confirm-deletion (it counts no more) or --action keep".into()),
            partner: Some(document.head.partner_code.clone()),
            document_id: Some(document.id),
            on_date: Some(document.head.document_date),
            dedupe_key: key,
            ..NewException::default()
        };
        tx.open_exception(&new, business_day, now).await?;
    }
    let detail =
        serde_json::json!({ "since": since, "listed": found.listed, "late": found.found_late.len(), "gone": found.gone.len() });
    tx.audit(now, "daemon", "compare", &format!("{connector_name} {feed}"), "done", &detail).await?;
    tx.commit().await?;
    Ok(found)
}
