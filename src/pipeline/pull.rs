//! Pull: every feed of every connector, page by page into the archive.
//!
//! A page is committed as it comes; the cursor moves in one transaction with the last page, since it
//! promises that everything before it is stored (case 21). A feed that fails leaves its cursor, opens
//! an exception that holds settlements, and does not stop the others.

use super::run::{Lease, RunRequest, fault_point};
use super::stages::StageOutcome;
use super::{PipelineResult, Runtime};
use crate::core::problem::Problem;
use crate::drivers::{ConnectorConfig, Driver, DriverError, PageSink, RawPage, SinkError, Taken};
use crate::store::{ExceptionFilter, NewArchive, NewException, Store, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::BoxFuture;

/// Pulls everything that is new.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    let mut outcome = StageOutcome::default();
    let (mut pages, mut known) = (0, 0);
    if !request.dry_run {
        acknowledge(runtime).await?;
    }
    forget_feeds(runtime).await?;
    // A connector that only takes memos keeps nothing from being read; push tells what is wrong with it.
    for connector in runtime.workspace.connectors.iter().filter(|c| !c.feeds.is_empty()) {
        let driver = match Driver::open(connector, &runtime.workspace.dir) {
            Ok(driver) => driver,
            Err(problem) => {
                outcome.exceptions +=
                    i64::from(fail(runtime, request.business_day, &connector.name, EVERY, &problem.to_string()).await?);
                continue;
            }
        };
        read_again(runtime, &connector.name, EVERY).await?;
        let feeds: Vec<String> = driver.feeds().into_iter().map(str::to_owned).collect();
        for feed in feeds {
            lease.check()?;
            outcome.count_in += 1;
            match pull_feed(runtime, connector, &driver, &feed, lease).await {
                Ok(stored) => {
                    pages += stored.pages;
                    known += stored.known;
                    read_again(runtime, &connector.name, &feed).await?;
                }
                Err(error) => {
                    tracing::error!(connector = %connector.name, feed, "{error}");
                    outcome.exceptions +=
                        i64::from(fail(runtime, request.business_day, &connector.name, &feed, &error.to_string()).await?);
                }
            }
        }
    }
    outcome.count_out = pages;
    outcome.detail = format!("{} feeds read, {pages} pages archived, {known} known already", outcome.count_in);
    Ok(outcome)
}

/// Stands for the feeds of a connector that cannot be opened.
const EVERY: &str = "*";

async fn read_again(runtime: &Runtime, connector: &str, feed: &str) -> PipelineResult<()> {
    let mut tx = runtime.store.begin().await?;
    tx.clear_exception(&feed_key(connector, feed), "the feed was read", runtime.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn feed_key(connector: &str, feed: &str) -> String {
    format!("feed:{connector}:{feed}")
}

const FAILED: &str = "feed-failed";

/// Feeds whose last reading failed, as people call them.
pub async fn failed_feeds(tx: &mut Tx) -> PipelineResult<Vec<String>> {
    let open = tx.exceptions(&ExceptionFilter::default()).await?;
    Ok(open.into_iter().filter(|e| e.code == FAILED).map(|e| e.subject).collect())
}

/// A feed that is no longer in the workspace cannot be read any more, and nothing waits for it.
async fn forget_feeds(runtime: &Runtime) -> PipelineResult<()> {
    let mut known: Vec<String> = Vec::new();
    for connector in &runtime.workspace.connectors {
        known.push(feed_key(&connector.name, EVERY));
        known.extend(connector.feeds.keys().map(|feed| feed_key(&connector.name, feed)));
    }
    let mut tx = runtime.store.begin().await?;
    for open in tx.exceptions(&ExceptionFilter::default()).await? {
        if open.code == FAILED && !known.contains(&open.dedupe_key) {
            tx.clear_exception(&open.dedupe_key, "the feed is no longer in the workspace", runtime.clock.now()).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn fail(runtime: &Runtime, business_day: NaiveDate, connector: &str, feed: &str, message: &str) -> PipelineResult<bool> {
    let new = NewException {
        code: FAILED.into(),
        blocking: true,
        subject: format!("{connector} {feed}"),
        message: message.to_owned(),
        help: Some(format!("run `rebated connector test {connector}`; settlements wait until the feed is read")),
        dedupe_key: feed_key(connector, feed),
        ..NewException::default()
    };
    let mut tx = runtime.store.begin().await?;
    let opened = tx.open_exception(&new, business_day, runtime.clock.now()).await?;
    tx.commit().await?;
    Ok(opened)
}

#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    pages: i64,
    known: i64,
}

/// Which mapping reads a feed.
pub fn mapping_of(connector: &ConnectorConfig, feed: &str) -> Option<String> {
    connector.feeds.get(feed)?.get("mapping")?.as_str().map(str::to_owned)
}

async fn pull_feed(
    runtime: &Runtime,
    connector: &ConnectorConfig,
    driver: &Driver,
    feed: &str,
    lease: &Lease,
) -> Result<Stored, DriverError> {
    let fault = |error: crate::store::StoreError| DriverError::Sink(Box::new(error));
    let mut tx = runtime.store.read().await.map_err(fault)?;
    let cursor = tx.cursor(&connector.name, feed).await.map_err(fault)?;
    drop(tx);
    let now = runtime.clock.now();
    let mut sink = Archiver {
        store: &runtime.store,
        connector: &connector.name,
        feed,
        mapping: mapping_of(connector, feed),
        run_id: lease.run_id,
        now,
        held: None,
        stored: Stored::default(),
    };
    let end = match driver.pull(feed, cursor.as_deref(), now, &mut sink).await {
        Ok(end) => end,
        Err(error) => {
            // What came before the failure is kept; only the cursor stays where it was.
            sink.finish(None).await.map_err(DriverError::Sink)?;
            return Err(error);
        }
    };
    sink.finish(end.cursor.as_deref()).await.map_err(DriverError::Sink)?;
    Ok(sink.stored)
}

/// Archives pages; holds one back so that the last one can commit together with the cursor.
struct Archiver<'a> {
    store: &'a Store,
    connector: &'a str,
    feed: &'a str,
    mapping: Option<String>,
    run_id: i64,
    now: DateTime<Utc>,
    held: Option<RawPage>,
    stored: Stored,
}

impl Archiver<'_> {
    async fn store_page(&mut self, cursor: Option<&str>) -> Result<(), SinkError> {
        let mut tx = self.store.begin().await?;
        if let Some(page) = self.held.take() {
            let new = NewArchive {
                connector: self.connector,
                feed: self.feed,
                name: &page.name,
                media_type: &page.media_type,
                mapping: self.mapping.as_deref(),
                run_id: Some(self.run_id),
                acknowledge_key: page.acknowledge_key.as_deref(),
            };
            match tx.archive(&new, &mut page.bytes.as_slice(), self.now).await? {
                Ok(_) => self.stored.pages += 1,
                Err(known) => {
                    self.stored.known += 1;
                    if let Some(key) = &page.acknowledge_key {
                        tx.note_replay(known, key).await?;
                    }
                }
            }
        }
        if let Some(cursor) = cursor {
            tx.set_cursor(self.connector, self.feed, cursor, self.now).await?;
        }
        tx.commit().await?;
        fault_point(&format!("page:{}", self.stored.pages));
        Ok(())
    }

    async fn finish(&mut self, cursor: Option<&str>) -> Result<(), SinkError> {
        self.store_page(cursor).await
    }
}

impl PageSink for Archiver<'_> {
    fn page<'a>(&'a mut self, page: RawPage) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.store_page(None).await?;
            self.held = Some(page);
            Ok(())
        })
    }
}

/// Tells sources what became of their documents; what cannot be told now is told next time.
pub async fn acknowledge(runtime: &Runtime) -> PipelineResult<()> {
    let mut tx = runtime.store.read().await?;
    let open = tx.unacknowledged().await?;
    drop(tx);
    for (id, connector, feed, key, state) in open {
        let Some(config) = runtime.workspace.connectors.iter().find(|c| c.name == connector) else { continue };
        let taken = if state == "refused" { Taken::Failed } else { Taken::Done };
        let told = async {
            let driver = Driver::open(config, &runtime.workspace.dir).map_err(DriverError::Config)?;
            driver.after_stored(&feed, &key, taken).await
        };
        match told.await {
            Ok(()) => {
                let mut tx = runtime.store.begin().await?;
                tx.set_acknowledged(id).await?;
                tx.commit().await?;
            }
            Err(error) => tracing::warn!(connector, feed, "source not told yet: {error}"),
        }
    }
    Ok(())
}

/// The problem of a feed that names no mapping.
pub fn no_mapping(connector: &str, feed: &str) -> Problem {
    Problem::new("feed-without-mapping", format!("feed `{feed}` of connector `{connector}` names no mapping that exists"))
        .help("set `mapping = \"NAME\"` to a file under mappings/, or to canonical-lines")
}
