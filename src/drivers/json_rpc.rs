//! JSON calls over HTTP. (First version: the shape only.)

use super::{Check, ConnectorConfig, DriverError, MemoRequest, PageSink, PullEnd, PushError, RemoteMemo, StepOutcome};
use crate::core::problem::Problem;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A system that answers JSON calls.
pub struct JsonRpcDriver {
    feeds: Vec<String>,
}

fn later() -> Problem {
    Problem::new("not-yet-supported", "the json-rpc driver comes with the next change")
}

impl JsonRpcDriver {
    /// Opens the driver.
    pub fn open(connector: &ConnectorConfig) -> Result<Self, Problem> {
        Ok(Self { feeds: connector.feeds.keys().cloned().collect() })
    }
    /// Names of the feeds.
    pub fn feeds(&self) -> Vec<&str> {
        self.feeds.iter().map(String::as_str).collect()
    }
    /// Reads what changed since the cursor.
    pub async fn pull(
        &self,
        _feed: &str,
        _cursor: Option<&str>,
        _now: DateTime<Utc>,
        _sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        Err(DriverError::Config(later()))
    }
    /// Reads what changed since an instant, without a cursor.
    pub async fn sweep(
        &self,
        _feed: &str,
        _since: DateTime<Utc>,
        _now: DateTime<Utc>,
        _sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        Err(DriverError::Config(later()))
    }
    /// Finds memos by reference.
    pub async fn lookup(&self, _push: &str, _reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        Err(DriverError::Config(later()))
    }
    /// Runs one step.
    pub async fn run_step(
        &self,
        _push: &str,
        _step: usize,
        _memo: &MemoRequest,
        _remote_id: Option<&str>,
    ) -> Result<StepOutcome, PushError> {
        Err(PushError::Refused(later()))
    }
    /// Names of the steps.
    pub fn steps(&self, _push: &str) -> Option<Vec<&str>> {
        None
    }
    /// Wait before a lookup may be believed.
    pub fn lookup_delay(&self, _push: &str) -> Duration {
        Duration::from_secs(30)
    }
    /// Tries what can be tried without changing anything.
    pub async fn test(&self, _now: DateTime<Utc>) -> Vec<Check> {
        Vec::new()
    }
}
