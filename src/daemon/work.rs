//! The seam to the pipeline: an order to carry out, a flag to stop, and how it ended.

use super::board::Lease;
use crate::core::schedule::{RunKey, Step};
use chrono::{DateTime, NaiveDate, Utc};
use std::future::Future;
use tokio::sync::watch;

/// One attempt at a run, with the lease that allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The lease; its token fences what the attempt writes.
    pub lease: Lease,
    /// Name of the job.
    pub job: String,
    /// What makes it the same run.
    pub key: RunKey,
    /// The business day it closes or works on.
    pub business_day: NaiveDate,
    /// What to do, in this order; without `pull` when the same catch-up has read the connectors.
    pub steps: Vec<Step>,
    /// Whether its due time had been missed.
    pub caught_up: bool,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps done.
    Done {
        /// Exceptions that this run opened and that wait for a person.
        exceptions: u64,
    },
    /// Stopped between steps because the flag was raised.
    HandedBack,
    /// Failed, safe to run again: what went wrong, for people.
    Failed(String),
}

/// Carries out orders.
pub trait Work: Send + Sync + 'static {
    /// Carries out one order. Looks at the flag between steps and pages, and returns
    /// [`Ending::HandedBack`] soon after it is raised. It may be dropped at any await.
    fn carry_out(&self, order: Order, stop: StopFlag) -> impl Future<Output = Ending> + Send;

    /// Small things that have a time of their own, such as mails that a server put off. Called when
    /// nothing is in hand and nothing is due, never twice at once; a run that comes due waits for it.
    fn between(&self, stop: StopFlag) -> impl Future<Output = ()> + Send {
        let _ = stop;
        std::future::ready(())
    }
}

/// Tells that the process wants to end or that the lease is lost.
#[derive(Clone, Debug)]
pub struct StopFlag(watch::Receiver<bool>);

/// Raises a [`StopFlag`].
#[derive(Debug)]
pub struct StopSwitch(watch::Sender<bool>);

impl StopSwitch {
    /// A switch and the flag it raises.
    pub fn new() -> (Self, StopFlag) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), StopFlag(receiver))
    }
    /// Raises the flag; it stays up.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }
}

impl StopFlag {
    /// Whether it is up.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }
    /// Waits until it is up. Never returns if the switch is gone.
    pub async fn raised(&mut self) {
        if self.0.wait_for(|up| *up).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
