//! Reading feeds by calls: a settled window, pages by key, and a cursor that keeps its promise.
//!
//! The window starts at the cursor less an overlap and has no upper end; inside it, pages follow
//! the record key (`id > last`), which needs no order of change times and survives equal ones. The
//! cursor becomes the highest change time seen, but never passes the start of the run less the lag:
//! whatever is committed while the run reads is read again by the next (case 21). Known records are
//! recognised by the store, not here.

use super::config::duration;
use super::json_rpc::{JsonRpcDriver, Reply};
use super::template::{render, scalar_text, walk};
use super::{DriverError, PageSink, PullEnd, RawPage};
use crate::core::problem::Problem;
use chrono::{DateTime, Duration as Span, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// `[feeds.NAME]` of this driver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedTable {
    /// Name of the mapping; the driver does not look at it.
    #[serde(default)]
    #[allow(dead_code)]
    mapping: Option<String>,
    /// The pipeline's business.
    #[serde(default)]
    #[allow(dead_code)]
    authority: Option<String>,
    method: String,
    /// Holes: `{filter}`, `{changed}`, `{after}`, `{limit}`, `{fields}` and the constants.
    params: Value,
    #[serde(default)]
    fields: Vec<String>,
    /// Always asked for.
    #[serde(default)]
    filter: Value,
    /// Asked for when there is a cursor; hole `{since}`.
    changed: Option<Value>,
    /// Asked for from the second page on; hole `{last}`.
    after: Value,
    #[serde(default = "page_size")]
    page_size: u32,
    cursor: Option<CursorTable>,
    /// Path to the records in the result; empty = the result itself.
    #[serde(default)]
    records: Option<String>,
    /// Path to a record's key.
    #[serde(default = "id_path")]
    id: String,
}

fn page_size() -> u32 {
    200
}
fn id_path() -> String {
    "id".into()
}

/// `cursor = { ... }` of a feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorTable {
    /// Path to a record's change time.
    field: String,
    /// Path to use where that is empty.
    fallback: Option<String>,
    #[serde(deserialize_with = "duration", default = "lag")]
    lag: Duration,
    #[serde(deserialize_with = "duration", default = "overlap")]
    overlap: Duration,
    #[serde(default)]
    precision: Precision,
    /// Key that orders records of equal change time; pages always follow it.
    #[serde(default)]
    #[allow(dead_code)]
    tie_break: Option<String>,
}

fn lag() -> Duration {
    Duration::from_secs(30)
}
fn overlap() -> Duration {
    Duration::from_secs(900)
}

/// How exactly the source knows a change time.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Precision {
    Second,
    Millisecond,
    #[default]
    Microsecond,
}

impl Precision {
    fn cut(self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.trunc_subsecs(match self {
            Self::Second => 0,
            Self::Millisecond => 3,
            Self::Microsecond => 6,
        })
    }
}

/// The stored cursor.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    changed_at: DateTime<Utc>,
}

/// A feed, ready to be read.
pub(super) struct Feed {
    table: FeedTable,
}

impl Feed {
    pub(super) fn new(table: FeedTable) -> Self {
        Self { table }
    }
    pub(super) fn fields(&self) -> &[String] {
        &self.table.fields
    }
}

struct Page {
    reply: Reply,
    count: u64,
    last: Value,
    newest: Option<DateTime<Utc>>,
}

impl JsonRpcDriver {
    fn feed(&self, name: &str) -> Result<&Feed, DriverError> {
        let problem = || Problem::new("unknown-feed", format!("connector `{}` has no feed `{name}`", self.name));
        self.feeds.get(name).ok_or_else(|| DriverError::Config(problem()))
    }

    fn malformed(&self, message: impl Into<String>) -> DriverError {
        DriverError::Malformed { connector: self.name.clone(), message: message.into() }
    }

    pub(super) async fn pull_feed(
        &self,
        name: &str,
        cursor: Option<&str>,
        now: DateTime<Utc>,
        sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        let feed = self.feed(name)?;
        let Some(spec) = &feed.table.cursor else { return Ok(self.read_pages(name, feed, None, sink).await?.0) };
        let old = cursor.map(|text| serde_json::from_str::<Cursor>(text).map(|c| c.changed_at)).transpose();
        let old = old.map_err(|e| self.malformed(format!("stored cursor of feed `{name}`: {e}")))?;
        let since = old.map(|at| spec.precision.cut(at) - span(spec.overlap));
        let (mut end, newest, clock) = self.read_pages(name, feed, since, sink).await?;
        let settled = clock.map_or(now, |server| server.min(now)) - span(spec.lag);
        let reached = newest.map(|at| spec.precision.cut(at.min(settled)));
        end.cursor = match old.max(reached) {
            Some(changed_at) => Some(serde_json::to_string(&Cursor { changed_at }).map_err(|e| self.malformed(e.to_string()))?),
            None => None,
        };
        Ok(end)
    }

    pub(super) async fn sweep_feed(
        &self,
        name: &str,
        since: DateTime<Utc>,
        _now: DateTime<Utc>,
        sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        let feed = self.feed(name)?;
        let since = feed.table.cursor.as_ref().map(|_| since);
        Ok(self.read_pages(name, feed, since, sink).await?.0)
    }

    async fn read_pages(
        &self,
        name: &str,
        feed: &Feed,
        since: Option<DateTime<Utc>>,
        sink: &mut dyn PageSink,
    ) -> Result<(PullEnd, Option<DateTime<Utc>>, Option<DateTime<Utc>>), DriverError> {
        let (mut end, mut newest, mut clock) = (PullEnd::default(), None, None);
        let mut last: Option<Value> = None;
        // A short page may be the server's own limit; only an empty one is the end.
        loop {
            let page = self.read_page(name, feed, since, last.as_ref(), feed.table.page_size).await?;
            if end.pages == 0 {
                clock = page.reply.date;
            }
            if page.count == 0 {
                return Ok((end, newest, clock));
            }
            if end.pages >= self.max_pages {
                return Err(self.malformed(format!("feed `{name}` has more than {} pages", self.max_pages)));
            }
            newest = newest.max(page.newest);
            last = Some(page.last);
            end.pages += 1;
            end.records += page.count;
            let media_type = if page.reply.media_type.is_empty() { "application/json".into() } else { page.reply.media_type };
            let raw = RawPage {
                name: format!("{name}/page-{:05}", end.pages),
                media_type,
                bytes: page.reply.bytes,
                records: Some(page.count),
                acknowledge_key: None,
            };
            sink.page(raw).await.map_err(DriverError::Sink)?;
        }
    }

    async fn read_page(
        &self,
        name: &str,
        feed: &Feed,
        since: Option<DateTime<Utc>>,
        last: Option<&Value>,
        limit: u32,
    ) -> Result<Page, DriverError> {
        let table = &feed.table;
        let config = |message: String| {
            DriverError::Config(Problem::new("connector-file", format!("connector `{}`: feed `{name}`: {message}", self.name)))
        };
        let filter = render(&table.filter, &self.holes()).map_err(config)?;
        let mut holes = self.holes().with("filter", filter).with("limit", limit).with("fields", table.fields.clone());
        holes.leave_out("changed");
        holes.leave_out("after");
        if let (Some(at), Some(changed)) = (since, &table.changed) {
            let value = self.values().write_instant(at).map_err(config)?;
            holes.set("changed", render(changed, &self.holes().with("since", value)).map_err(config)?);
        }
        if let Some(last) = last {
            holes.set("after", render(&table.after, &self.holes().with("last", last.clone())).map_err(config)?);
        }
        let params = render(&table.params, &holes).map_err(config)?;
        let reply = self.read(&table.method, &params).await.map_err(|e| e.into_driver_error(&self.name))?;
        let records = table.records.as_ref().map_or(Some(&reply.result), |path| walk(&reply.result, path));
        let records = records
            .and_then(Value::as_array)
            .ok_or_else(|| self.malformed(format!("feed `{name}`: the result is not a list of records")))?;
        let (mut newest, mut key) = (None, last.cloned());
        for record in records {
            let id = walk(record, &table.id)
                .ok_or_else(|| self.malformed(format!("feed `{name}`: a record has no `{}`", table.id)))?;
            if key.as_ref().is_some_and(|before| !follows(before, id)) {
                return Err(
                    self.malformed(format!("feed `{name}`: page does not advance: {id} comes after {}", key.unwrap_or_default()))
                );
            }
            key = Some(id.clone());
            if let Some(spec) = &table.cursor {
                let stamp = |path: &str| walk(record, path).filter(|v| !v.is_null());
                let value = stamp(&spec.field).or_else(|| spec.fallback.as_deref().and_then(stamp));
                let value = value.ok_or_else(|| self.malformed(format!("feed `{name}`: record {id} has no change time")))?;
                let at = self
                    .values()
                    .read_instant(value)
                    .ok_or_else(|| self.malformed(format!("feed `{name}`: record {id}: {value} is not an instant")))?;
                newest = newest.max(Some(at));
            }
        }
        let count = records.len() as u64;
        Ok(Page { count, last: key.unwrap_or_default(), newest, reply })
    }

    /// One record of a feed, for `connector test`.
    pub(super) async fn probe_feed(&self, name: &str) -> Result<(u64, Vec<u8>), DriverError> {
        let page = self.read_page(name, self.feed(name)?, None, None, 1).await?;
        Ok((page.count, page.reply.bytes))
    }
}

fn span(duration: Duration) -> Span {
    Span::from_std(duration).unwrap_or(Span::MAX)
}

/// Whether `id` comes after `before`: as numbers where both are, else as text.
fn follows(before: &Value, id: &Value) -> bool {
    match (before.as_i64(), id.as_i64()) {
        (Some(a), Some(b)) => b > a,
        _ => scalar_text(id) > scalar_text(before),
    }
}
