//! Folders as sources and targets. (First version: the shape only.)

use super::{Check, ConnectorConfig, DriverError, MemoRequest, PageSink, PullEnd, PushError, RemoteMemo, StepOutcome, Taken};
use crate::core::problem::Problem;
use std::path::Path;

/// A folder that is read from or written to.
pub struct FilesDriver {
    feeds: Vec<String>,
}

fn later() -> Problem {
    Problem::new("not-yet-supported", "the files driver comes with the next change")
}

impl FilesDriver {
    /// Opens the driver.
    pub fn open(connector: &ConnectorConfig, _workspace: &Path) -> Result<Self, Problem> {
        Ok(Self { feeds: connector.feeds.keys().cloned().collect() })
    }
    /// Names of the feeds.
    pub fn feeds(&self) -> Vec<&str> {
        self.feeds.iter().map(String::as_str).collect()
    }
    /// Hands over complete files.
    pub async fn pull(&self, _feed: &str, _sink: &mut dyn PageSink) -> Result<PullEnd, DriverError> {
        Err(DriverError::Config(later()))
    }
    /// Moves a taken file.
    pub fn after_stored(&self, _feed: &str, _acknowledge_key: &str, _taken: Taken) -> Result<(), DriverError> {
        Err(DriverError::Config(later()))
    }
    /// Reads written memos back.
    pub fn lookup(&self, _push: &str, _reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        Err(DriverError::Config(later()))
    }
    /// Writes a memo.
    pub fn run_step(&self, _push: &str, _step: usize, _memo: &MemoRequest) -> Result<StepOutcome, PushError> {
        Err(PushError::Refused(later()))
    }
    /// Names of the steps.
    pub fn steps(&self, _push: &str) -> Option<Vec<&str>> {
        None
    }
    /// Looks at the folders.
    pub fn test(&self) -> Vec<Check> {
        Vec::new()
    }
}
