//! The nightly job: one file per stage, each can run again and then finds nothing to do.
//!
//! pull -> normalize -> match -> accrue -> reconcile -> propose -> push -> statements. A stage reads
//! what the one before committed and commits its own work; nothing is handed over in memory, so a
//! process killed anywhere goes on from the last commit.

pub mod accept;
pub mod accrue;
pub mod approve;
pub mod baselines;
pub mod calendar;
pub mod catalog;
pub mod causes;
pub mod compare;
pub mod contest;
pub mod contradictions;
pub mod counted;
pub mod decide;
pub mod doubts;
pub mod exceptions;
pub mod explain;
pub mod figures;
pub mod import;
pub mod intake;
pub mod load;
pub mod mail_rows;
pub mod matching;
pub mod named_table;
pub mod normalize;
pub mod propose;
pub mod pull;
pub mod push;
pub mod reconcile;
pub mod replay;
pub mod run;
pub mod settled;
pub mod snapshot;
pub mod stages;
pub mod statements;
#[cfg(test)]
mod stop_tests;

use crate::clock::Clock;
use crate::config::Workspace;
use crate::config::rebated_file::Company;
use crate::core::money::Currency;
use crate::core::period::FiscalCalendar;
use crate::core::problem::Problems;
use crate::store::{Store, StoreError};
use chrono::TimeDelta;
use chrono_tz::Tz;
use std::sync::Arc;

/// What every stage needs to know of the company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Company code of documents that name none.
    pub company: String,
    /// Currency of documents that name none.
    pub currency: Currency,
    /// Zone that turns instants into business days.
    pub timezone: Tz,
    /// Fiscal calendar.
    pub calendar: FiscalCalendar,
}

impl Settings {
    /// What the workspace says of the company.
    pub fn of(company: &Company) -> Self {
        Self { company: company.code.clone(), currency: company.currency, timezone: company.timezone, calendar: company.calendar }
    }
}

/// Failures of a stage.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user's files or data are wrong, with places.
    #[error("{0}")]
    Problems(Problems),
    /// Reading or writing files failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The failure.
        source: std::io::Error,
    },
    /// Another process took over this run.
    #[error("the lease of this run was lost; another process works on it")]
    LeaseLost,
    /// The process was asked to stop between two steps.
    #[error("stopped as asked; the run goes on from here when it is started again")]
    Stopped,
    /// A state that cannot be.
    #[error("internal: {0}")]
    Internal(String),
}

/// Result of a stage.
pub type PipelineResult<T> = Result<T, PipelineError>;

impl From<Problems> for PipelineError {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}
impl From<crate::core::problem::Problem> for PipelineError {
    fn from(problem: crate::core::problem::Problem) -> Self {
        Self::Problems(problem.into())
    }
}

/// Everything a stage works with.
#[derive(Clone)]
pub struct Runtime {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// The workspace as loaded.
    pub workspace: Arc<Workspace>,
    /// What stages know of the company.
    pub settings: Settings,
    /// How often a run renews its sign of life.
    pub heartbeat: TimeDelta,
    /// How long without one until it counts as dead.
    pub abandon_after: TimeDelta,
    /// Who is told how far it is.
    pub progress: Arc<dyn Progress>,
}

/// Told how far a run is: bars on a terminal, one log line per stage otherwise.
pub trait Progress: Send + Sync {
    /// A stage begins.
    fn stage_started(&self, stage: &str);
    /// So much of a stage is done; `total` where it is known.
    fn advanced(&self, done: i64, total: Option<i64>);
    /// A stage ended with these counts.
    fn stage_finished(&self, row: &crate::store::StageRow);
    /// A stage failed.
    fn stage_failed(&self, stage: &str, error: &str);
}

/// One log line per stage.
pub struct LogProgress;

impl Progress for LogProgress {
    fn stage_started(&self, _: &str) {}
    fn advanced(&self, _: i64, _: Option<i64>) {}
    fn stage_finished(&self, row: &crate::store::StageRow) {
        tracing::info!(stage = %row.stage, count_in = row.count_in, count_out = row.count_out, exceptions = row.exceptions, "{}", row.detail);
    }
    fn stage_failed(&self, stage: &str, error: &str) {
        tracing::error!(stage, "{error}");
    }
}
