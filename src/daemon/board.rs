//! The board on which runs are requested, claimed and ended: what the daemon needs of the store.
//!
//! No SQL here and no decisions. Invariant of every implementation: one row for each job and key,
//! at most one row `running` on the whole board, and a row changes only for the holder of its
//! current lease token.

use super::DaemonError;
use crate::core::schedule::RunKey;
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::BTreeSet;
use std::future::Future;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Waiting to be claimed.
    Requested,
    /// Somebody holds its lease.
    Running,
    /// Done; its key never runs again by itself.
    Finished,
    /// Ended with an error.
    Failed,
    /// Its holder gave no sign of life.
    Abandoned,
}

/// A run to be requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Name of the job.
    pub job: String,
    /// What makes it the same run.
    pub key: RunKey,
    /// The business day it closes or works on.
    pub business_day: NaiveDate,
    /// Whether its due time had been missed.
    pub caught_up: bool,
    /// The instant of the planning round; all runs of one catch-up share it.
    pub requested_at: DateTime<Utc>,
}

/// A row of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// Name of the job.
    pub job: String,
    /// What makes it the same run.
    pub key: RunKey,
    /// The business day it closes or works on.
    pub business_day: NaiveDate,
    /// Where it stands.
    pub state: RunState,
    /// How often it was claimed.
    pub attempt: i64,
    /// Who holds or held the lease: the text of an [`crate::owner::Owner`].
    pub lease_owner: Option<String>,
    /// Counts the claims; fences off a holder that lost its lease.
    pub lease_token: i64,
    /// The last sign of life.
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// Whether its due time had been missed.
    pub caught_up: bool,
    /// When it was requested.
    pub requested_at: DateTime<Utc>,
    /// When its last attempt ended or was given up.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What a holder shows to change its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run_id: i64,
    /// The claim's token.
    pub token: i64,
    /// How often the run was claimed, this claim included.
    pub attempt: i64,
}

/// How a held run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Done.
    Finished,
    /// Failed, safe to run again.
    Failed(String),
    /// Given back unfinished, to be claimed again at once.
    HandedBack,
}

/// The board. Every method is one transaction.
pub trait RunBoard: Send + Sync + 'static {
    /// The instant up to which the job's schedule was planned; `None` before the first time.
    fn planned_until(&self, job: &str) -> impl Future<Output = Result<Option<DateTime<Utc>>, DaemonError>> + Send;

    /// Requests the runs whose keys are new and moves the mark, in one transaction. Gives the
    /// number of new rows.
    fn request(
        &self,
        job: &str,
        runs: &[NewRun],
        planned_until: DateTime<Utc>,
    ) -> impl Future<Output = Result<usize, DaemonError>> + Send;

    /// Which of the keys have a row, in any state.
    fn known(&self, job: &str, keys: &[RunKey]) -> impl Future<Output = Result<BTreeSet<RunKey>, DaemonError>> + Send;

    /// Every row that is not finished.
    fn open(&self) -> impl Future<Output = Result<Vec<RunRow>, DaemonError>> + Send;

    /// Claims the run if nobody claimed it since the row was read and no run is running.
    fn claim(
        &self,
        row: &RunRow,
        owner: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> impl Future<Output = Result<Option<Lease>, DaemonError>> + Send;

    /// Gives a sign of life; `false` when the lease is no longer held.
    fn renew(
        &self,
        lease: &Lease,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> impl Future<Output = Result<bool, DaemonError>> + Send;

    /// Ends a held run; `false` when the lease is no longer held.
    fn end(&self, lease: &Lease, end: &End, now: DateTime<Utc>) -> impl Future<Output = Result<bool, DaemonError>> + Send;

    /// Marks a running row abandoned if its token is still this one.
    fn abandon(&self, run_id: i64, token: i64, now: DateTime<Utc>) -> impl Future<Output = Result<bool, DaemonError>> + Send;

    /// Whether the board can be reached.
    fn ping(&self) -> impl Future<Output = Result<(), DaemonError>> + Send;
}
