//! What people are told about: failed, late, and exceptions that wait.
//!
//! Only what is worth a mail is decided here; how it goes out is `delivery`'s. Invariant: telling
//! never fails a run and never holds up the next one.

use crate::core::schedule::RunKey;
use chrono::{DateTime, NaiveDate, Utc};
use std::future::Future;

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKind {
    /// A run failed or vanished.
    Failed,
    /// A run is not finished although it was due long ago, or its due time was missed.
    Late,
    /// A run left exceptions that wait for a person.
    Exceptions,
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Why.
    pub kind: NoticeKind,
    /// Name of the job.
    pub job: String,
    /// The run.
    pub key: RunKey,
    /// Its business day.
    pub business_day: NaiveDate,
    /// Its attempt so far.
    pub attempt: i64,
    /// One sentence.
    pub summary: String,
    /// Further lines.
    pub details: Vec<String>,
    /// When it was noticed.
    pub at: DateTime<Utc>,
}

/// Tells people.
pub trait Tell: Send + Sync + 'static {
    /// Tells whoever the job's schedule names for this kind, and logs what did not get out.
    fn tell(&self, notice: Notice) -> impl Future<Output = ()> + Send;
}
