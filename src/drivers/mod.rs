//! How to reach another system: one file per protocol, one `enum` over them.
//!
//! A driver moves bytes and calls; what a record means is the mapping's business, what is known
//! already is the store's. No vendor is named here: whatever is particular to a product stands in
//! its connector file. Invariants: a pull hands over every page before it returns a cursor; a push
//! step whose outcome is not certain is [`PushError::Unknown`], never a failure.

pub mod auth;
pub mod config;
pub mod files;
pub mod files_push;
pub mod http;
pub mod json_rpc;
pub mod json_rpc_feed;
pub mod json_rpc_push;
pub mod json_rpc_test;
pub mod template;

pub use crate::core::memo::{MemoLine, MemoRequest, RemoteMemo, StepOutcome};
use crate::core::problem::Problem;
use chrono::{DateTime, Utc};
pub use config::ConnectorConfig;
pub use files::FilesDriver;
use futures::future::BoxFuture;
pub use json_rpc::JsonRpcDriver;
use std::path::Path;
use std::time::Duration;

/// One page as it came, before anybody has looked inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPage {
    /// Name for people: the file's name, or feed and page number.
    pub name: String,
    /// `application/json`, `text/csv`, ...
    pub media_type: String,
    /// The bytes, unchanged.
    pub bytes: Vec<u8>,
    /// Number of records, where the driver has counted them.
    pub records: Option<u64>,
    /// Handed back to [`Driver::after_stored`] once the page is committed and normalized.
    pub acknowledge_key: Option<String>,
}

/// Takes pages as they come.
pub trait PageSink: Send {
    /// Stores one page; the driver asks for the next only after this is done. An error stops the
    /// pull, and no cursor is returned.
    fn page<'a>(&'a mut self, page: RawPage) -> BoxFuture<'a, Result<(), SinkError>>;
}

/// What a sink may fail with.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Where a pull ended: everything it read has been handed to the sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullEnd {
    /// JSON text to store with the last page and to give to the next pull; `None` for drivers
    /// that need none.
    pub cursor: Option<String>,
    /// Pages handed over.
    pub pages: u64,
    /// Records in them, as far as counted.
    pub records: u64,
}

/// What became of a stored page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Committed and normalized.
    Done,
    /// Committed to the archive, but refused as a whole.
    Failed,
}

/// One finding of `connector test`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was tried: `address`, `log-in`, `feed invoices`, ...
    pub name: String,
    /// Whether it went well.
    pub ok: bool,
    /// What was seen, or what to do.
    pub detail: String,
}

/// Why a driver could not do its work. Nothing here carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The connector file is wrong; the same again will fail again.
    #[error("{0}")]
    Config(Problem),
    /// The other system answered and said no.
    #[error("{connector}: refused: {message}")]
    Refused {
        /// Connector name.
        connector: String,
        /// Its words.
        message: String,
    },
    /// Log-in is not accepted.
    #[error("{connector}: log-in refused: {message}")]
    Auth {
        /// Connector name.
        connector: String,
        /// Why.
        message: String,
    },
    /// Not reachable, too slow or too busy, also after the allowed retries.
    #[error("{connector}: not available: {message}")]
    Unavailable {
        /// Connector name.
        connector: String,
        /// Why.
        message: String,
    },
    /// An answer that breaks the protocol or a limit.
    #[error("{connector}: unusable answer: {message}")]
    Malformed {
        /// Connector name.
        connector: String,
        /// Why.
        message: String,
    },
    /// File system trouble.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The sink did not take a page.
    #[error("a page could not be stored: {0}")]
    Sink(SinkError),
}

impl DriverError {
    /// Whether trying again later may help without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Io { .. })
    }
}

/// Why a push step did not succeed, by what is known of the other system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Certainly not done, and the same again will be refused again: a person has to act.
    #[error("refused: {0}")]
    Refused(Problem),
    /// Certainly not done, and worth another try later (row lock, 429, connection refused).
    #[error("busy: {0}")]
    Busy(String),
    /// The other system may or may not have acted: look up by reference before anything else.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// A connection to one other system.
pub enum Driver {
    /// A folder.
    Files(FilesDriver),
    /// JSON calls over HTTP.
    JsonRpc(Box<JsonRpcDriver>),
}

impl Driver {
    /// Opens a driver; relative folders start at `workspace`. Contacts nobody.
    pub fn open(connector: &ConnectorConfig, workspace: &Path) -> Result<Self, Problem> {
        match connector.driver.as_str() {
            "files" => Ok(Self::Files(FilesDriver::open(connector, workspace)?)),
            "json-rpc" => Ok(Self::JsonRpc(Box::new(JsonRpcDriver::open(connector)?))),
            other => Err(Problem::new("unknown-driver", format!("connector `{}` names driver `{other}`", connector.name))
                .help("drivers are files and json-rpc")),
        }
    }

    /// Names of the feeds, sorted.
    pub fn feeds(&self) -> Vec<&str> {
        match self {
            Self::Files(driver) => driver.feeds(),
            Self::JsonRpc(driver) => driver.feeds(),
        }
    }

    /// Reads what is new or changed since `cursor`, page by page into `sink`. The cursor returned
    /// is a promise that everything before it was handed over; store it with the last page in one
    /// transaction. `now` is the run's instant: the cursor never passes `now` less the feed's lag.
    pub async fn pull(
        &self,
        feed: &str,
        cursor: Option<&str>,
        now: DateTime<Utc>,
        sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        match self {
            Self::Files(driver) => driver.pull(feed, sink).await,
            Self::JsonRpc(driver) => driver.pull(feed, cursor, now, sink).await,
        }
    }

    /// Reads everything that changed at or after `since`, without moving a cursor: the comparison
    /// that finds what appeared late, outside the overlap (case 21). Feeds without a change time
    /// are read whole; folders have nothing to compare.
    pub async fn sweep(
        &self,
        feed: &str,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
        sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        match self {
            Self::Files(_) => Ok(PullEnd::default()),
            Self::JsonRpc(driver) => driver.sweep(feed, since, now, sink).await,
        }
    }

    /// Tells the source that a page is committed: a taken file moves to its done or failed folder.
    /// Safe to repeat, and safe when the file has been replaced or removed meanwhile.
    pub async fn after_stored(&self, feed: &str, acknowledge_key: &str, taken: Taken) -> Result<(), DriverError> {
        match self {
            Self::Files(driver) => driver.after_stored(feed, acknowledge_key, taken),
            Self::JsonRpc(_) => Ok(()),
        }
    }

    /// Memos in the other system that carry the reference. Reads only, so it may be repeated.
    pub async fn lookup(&self, push: &str, reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        match self {
            Self::Files(driver) => driver.lookup(push, reference),
            Self::JsonRpc(driver) => driver.lookup(push, reference).await,
        }
    }

    /// Runs one step for the memo. `remote_id` is what an earlier step or a lookup gave.
    pub async fn run_step(
        &self,
        push: &str,
        step: usize,
        memo: &MemoRequest,
        remote_id: Option<&str>,
    ) -> Result<StepOutcome, PushError> {
        match self {
            Self::Files(driver) => driver.run_step(push, step, memo),
            Self::JsonRpc(driver) => driver.run_step(push, step, memo, remote_id).await,
        }
    }

    /// Names of the steps of a push, in order; `None` when the connector has no such push.
    pub fn steps(&self, push: &str) -> Option<Vec<&str>> {
        match self {
            Self::Files(driver) => driver.steps(push),
            Self::JsonRpc(driver) => driver.steps(push),
        }
    }

    /// How long to wait after an uncertain attempt before a lookup that finds nothing may be
    /// believed: longer than the other system's slowest request.
    pub fn lookup_delay(&self, push: &str) -> Duration {
        match self {
            Self::Files(_) => Duration::ZERO,
            Self::JsonRpc(driver) => driver.lookup_delay(push),
        }
    }

    /// Tries everything that can be tried without changing anything.
    pub async fn test(&self, now: DateTime<Utc>) -> Vec<Check> {
        match self {
            Self::Files(driver) => driver.test(),
            Self::JsonRpc(driver) => driver.test(now).await,
        }
    }
}
