//! The unattended part: plans runs from schedules, carries them out one at a time, tells people.
//!
//! A timer only wakes the planner (`heartbeat`); what has to be done is decided by the run keys on
//! the board (`board`, `planner`, `queue`). What a run does lives in `pipeline`, which is reached
//! through [`work::Work`]. Invariant: a key that is finished is never started again from here, and
//! only the process that holds a run's lease ends it.

pub mod alert;
pub mod board;
pub mod health;
pub mod heartbeat;
pub mod hold;
pub mod planner;
pub mod queue;
pub mod serve;
pub mod store_board;
pub mod systemd;
pub mod work;

#[cfg(test)]
mod case_26;
#[cfg(test)]
mod memory_board;
#[cfg(test)]
mod planner_tests;

/// What stops the daemon or one of its rounds.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The run table could not be read or written; the next round tries again.
    #[error("the run table cannot be used: {0}")]
    Board(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The health address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// `host:port` of `web.listen`.
        address: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The signal handlers or the health server failed.
    #[error("the daemon cannot run: {0}")]
    Io(#[from] std::io::Error),
    /// The timer could not be started.
    #[error("the timer cannot be started: {0}")]
    Timer(#[from] tokio_cron_scheduler::JobSchedulerError),
}

impl DaemonError {
    /// An error of whatever keeps the runs.
    pub fn board(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Board(error.into())
    }
}
