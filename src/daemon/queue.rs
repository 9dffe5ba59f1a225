//! Which run starts next: order, retries, and what waits for what. Pure.
//!
//! Invariants: nothing starts while a run is under way; business days of one job start oldest
//! first; a day that keeps failing is tried again but never makes everything stand still.

use super::board::{RunRow, RunState};
use crate::core::schedule::RunKey;
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeMap;

/// How failed runs are tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Wait after the first failure; it doubles with each further one.
    pub first: Duration,
    /// The longest wait.
    pub at_most: Duration,
    /// After so many attempts a run waits until its job is due again.
    pub attempts: i64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::minutes(5), at_most: Duration::hours(1), attempts: 5 }
    }
}

impl Retry {
    /// The wait after a number of attempts.
    pub fn wait(&self, attempts: i64) -> Duration {
        let doublings = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
        self.at_most.min(self.first * 2_i32.pow(doublings))
    }
}

/// How often a run whose holder vanished starts again at once, before it waits like a failed one:
/// a run that kills its own process must not do so in a circle.
const PROMPT_RESTARTS: i64 = 2;

enum Turn {
    Now,
    Later,
    Passed,
}

fn turn(row: &RunRow, of_job: &[&RunRow], now: DateTime<Utc>, retry: &Retry) -> Turn {
    match row.state {
        RunState::Requested => return Turn::Now,
        RunState::Finished | RunState::Running => return Turn::Passed,
        RunState::Abandoned if row.attempt <= PROMPT_RESTARTS => return Turn::Now,
        RunState::Abandoned | RunState::Failed => {}
    }
    let Some(ended_at) = row.ended_at else { return Turn::Now };
    if row.attempt >= retry.attempts {
        // Its job was due again since: one more attempt before the newer day.
        return if of_job.iter().any(|other| other.requested_at > ended_at) { Turn::Now } else { Turn::Passed };
    }
    // An end in the future is the mark of a clock that was set back: no reason to wait for it.
    let waited = now - ended_at;
    if waited >= retry.wait(row.attempt) || waited < Duration::zero() { Turn::Now } else { Turn::Later }
}

/// The run that starts next, if any may start now.
pub fn next<'a>(open: &'a [RunRow], now: DateTime<Utc>, retry: &Retry) -> Option<&'a RunRow> {
    if open.iter().any(|row| row.state == RunState::Running) {
        return None;
    }
    let mut jobs: BTreeMap<&str, Vec<&RunRow>> = BTreeMap::new();
    for row in open {
        jobs.entry(&row.job).or_default().push(row);
    }
    let mut candidates: Vec<&RunRow> = Vec::new();
    for rows in jobs.values_mut() {
        rows.sort_by_key(|row| row.key);
        // A later run of a job keyed by due time does all that an earlier one left undone.
        let newest_due = rows.iter().rev().find(|row| matches!(row.key, RunKey::Due(_))).map(|row| row.key);
        rows.retain(|row| matches!(row.key, RunKey::Day(_)) || Some(row.key) == newest_due);
        let first = rows.iter().map(|row| (row, turn(row, rows, now, retry))).find(|(_, turn)| !matches!(turn, Turn::Passed));
        if let Some((row, Turn::Now)) = first {
            candidates.push(row);
        }
    }
    candidates.into_iter().min_by_key(|row| (row.requested_at, row.key, row.id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        "2026-06-10T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + Duration::minutes(minutes)
    }
    fn row(id: i64, job: &str, key: &str, state: RunState, attempt: i64) -> RunRow {
        let key: RunKey = key.parse().unwrap();
        RunRow {
            id,
            job: job.to_owned(),
            key,
            business_day: "2026-06-09".parse().unwrap(),
            state,
            attempt,
            lease_owner: None,
            lease_token: attempt,
            heartbeat_at: None,
            caught_up: false,
            requested_at: at(0),
            ended_at: matches!(state, RunState::Failed | RunState::Abandoned).then(|| at(10)),
        }
    }
    fn next_id(open: &[RunRow], minutes: i64) -> Option<i64> {
        next(open, at(minutes), &Retry::default()).map(|row| row.id)
    }

    #[test]
    fn business_days_start_oldest_first_and_never_beside_a_running_one() {
        let mut open = vec![
            row(1, "nightly", "2026-06-11", RunState::Requested, 0),
            row(2, "nightly", "2026-06-09", RunState::Requested, 0),
        ];
        assert_eq!(next_id(&open, 11), Some(2));
        open.push(row(3, "intraday", "2026-06-09T08:00:00Z", RunState::Running, 1));
        assert_eq!(next_id(&open, 11), None);
    }

    #[test]
    fn a_failed_day_is_tried_again_after_its_wait_and_newer_days_wait_for_it() {
        let open =
            [row(1, "nightly", "2026-06-09", RunState::Failed, 1), row(2, "nightly", "2026-06-10", RunState::Requested, 0)];
        assert_eq!(next_id(&open, 14), None);
        assert_eq!(next_id(&open, 15), Some(1));
        assert_eq!(next_id(&open, 5), Some(1), "the clock was set back behind the failure");
    }

    #[test]
    fn a_failing_day_does_not_hold_up_another_job() {
        let open = [
            row(1, "nightly", "2026-06-09", RunState::Failed, 1),
            row(2, "intraday", "2026-06-10T08:00:00Z", RunState::Requested, 0),
        ];
        assert_eq!(next_id(&open, 11), Some(2));
    }

    #[test]
    fn a_day_that_keeps_failing_lets_newer_days_pass_and_is_tried_once_before_each_later_night() {
        let mut open =
            [row(1, "nightly", "2026-06-09", RunState::Failed, 5), row(2, "nightly", "2026-06-10", RunState::Requested, 0)];
        assert_eq!(next_id(&open, 11), Some(2), "requested before the last failure");
        open[1].requested_at = at(20);
        assert_eq!(next_id(&open, 21), Some(1), "requested after it");
        open[0].attempt = 6;
        open[0].ended_at = Some(at(22));
        assert_eq!(next_id(&open, 23), Some(2));
    }

    #[test]
    fn an_abandoned_run_starts_again_at_once_but_not_for_ever() {
        assert_eq!(next_id(&[row(1, "nightly", "2026-06-09", RunState::Abandoned, 1)], 10), Some(1));
        assert_eq!(next_id(&[row(1, "nightly", "2026-06-09", RunState::Abandoned, 3)], 11), None);
        assert_eq!(next_id(&[row(1, "nightly", "2026-06-09", RunState::Abandoned, 3)], 30), Some(1));
    }

    #[test]
    fn only_the_newest_run_of_a_job_keyed_by_due_time_counts() {
        let open = [
            row(1, "intraday", "2026-06-10T08:00:00Z", RunState::Failed, 1),
            row(2, "intraday", "2026-06-10T08:30:00Z", RunState::Requested, 0),
        ];
        assert_eq!(next_id(&open, 60), Some(2));
        assert_eq!(next_id(&open[..1], 60), Some(1));
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = Retry::default();
        let waits: Vec<_> = (1..=6).map(|n| retry.wait(n).num_minutes()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    }
}
