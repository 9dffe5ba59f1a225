//! A board in memory for tests, with the history of what happened on it.
#![allow(clippy::unwrap_used)]

use super::DaemonError;
use super::board::{End, Lease, NewRun, RunBoard, RunRow, RunState};
use crate::core::schedule::RunKey;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Rows, marks and history.
#[derive(Debug, Default)]
pub struct MemoryBoard(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    rows: Vec<RunRow>,
    marks: BTreeMap<String, DateTime<Utc>>,
    history: Vec<String>,
    out_of_reach: bool,
    busy: bool,
    writes: usize,
}

impl Inside {
    fn note(&mut self, now: DateTime<Utc>, what: &str, id: i64) {
        let row = &self.rows[usize::try_from(id).unwrap()];
        self.history.push(format!("{} {what} {} {}", now.format("%m-%d %H:%M"), row.job, row.key));
    }
    fn held(&mut self, lease: &Lease) -> Option<&mut RunRow> {
        self.rows
            .iter_mut()
            .find(|row| row.id == lease.run_id && row.lease_token == lease.token && row.state == RunState::Running)
    }
}

impl MemoryBoard {
    fn inside(&self) -> Result<std::sync::MutexGuard<'_, Inside>, DaemonError> {
        let inside = self.0.lock().unwrap();
        if inside.out_of_reach { Err(DaemonError::board("out of reach")) } else { Ok(inside) }
    }
    /// What happened since the last call: `06-12 09:00 claimed nightly 2026-06-09`.
    pub fn take_history(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().history)
    }
    /// All rows by key.
    pub fn rows(&self) -> Vec<RunRow> {
        let mut rows = self.0.lock().unwrap().rows.clone();
        rows.sort_by_key(|row| (row.job.clone(), row.key));
        rows
    }
    /// Makes every call fail, or work again.
    pub fn set_out_of_reach(&self, out: bool) {
        self.0.lock().unwrap().out_of_reach = out;
    }
    /// Makes signs of life fail as while somebody writes for long, or work again.
    pub fn set_busy(&self, busy: bool) {
        self.0.lock().unwrap().busy = busy;
    }
    /// How often `request` wrote.
    pub fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }
}

impl RunBoard for MemoryBoard {
    async fn planned_until(&self, job: &str) -> Result<Option<DateTime<Utc>>, DaemonError> {
        Ok(self.inside()?.marks.get(job).copied())
    }
    async fn request(&self, job: &str, runs: &[NewRun], planned_until: DateTime<Utc>) -> Result<usize, DaemonError> {
        let mut inside = self.inside()?;
        let mut new = 0;
        for run in runs {
            if inside.rows.iter().any(|row| row.job == run.job && row.key == run.key) {
                continue;
            }
            let id = i64::try_from(inside.rows.len()).unwrap();
            inside.rows.push(RunRow {
                id,
                job: run.job.clone(),
                key: run.key,
                business_day: run.business_day,
                state: RunState::Requested,
                attempt: 0,
                lease_owner: None,
                lease_token: 0,
                heartbeat_at: None,
                caught_up: run.caught_up,
                requested_at: run.requested_at,
                ended_at: None,
            });
            inside.note(run.requested_at, if run.caught_up { "requested (caught up)" } else { "requested" }, id);
            new += 1;
        }
        inside.marks.insert(job.to_owned(), planned_until);
        inside.writes += 1;
        Ok(new)
    }
    async fn known(&self, job: &str, keys: &[RunKey]) -> Result<BTreeSet<RunKey>, DaemonError> {
        let inside = self.inside()?;
        Ok(inside.rows.iter().filter(|row| row.job == job && keys.contains(&row.key)).map(|row| row.key).collect())
    }
    async fn open(&self) -> Result<Vec<RunRow>, DaemonError> {
        Ok(self.inside()?.rows.iter().filter(|row| row.state != RunState::Finished).cloned().collect())
    }
    async fn claim(&self, row: &RunRow, owner: &str, now: DateTime<Utc>, _: DateTime<Utc>) -> Result<Option<Lease>, DaemonError> {
        let mut inside = self.inside()?;
        if inside.rows.iter().any(|row| row.state == RunState::Running) {
            return Ok(None);
        }
        let found = inside.rows.iter_mut().find(|found| found.id == row.id && found.lease_token == row.lease_token).unwrap();
        assert_ne!(found.state, RunState::Finished, "a finished key never runs again");
        found.state = RunState::Running;
        found.attempt += 1;
        found.lease_token += 1;
        found.lease_owner = Some(owner.to_owned());
        found.heartbeat_at = Some(now);
        found.ended_at = None;
        let lease = Lease { run_id: found.id, token: found.lease_token, attempt: found.attempt };
        inside.note(now, "claimed", lease.run_id);
        Ok(Some(lease))
    }
    async fn renew(&self, lease: &Lease, now: DateTime<Utc>, _: DateTime<Utc>) -> Result<bool, DaemonError> {
        let mut inside = self.inside()?;
        if inside.busy {
            return Err(DaemonError::board("somebody else is writing"));
        }
        Ok(inside.held(lease).map(|row| row.heartbeat_at = Some(now)).is_some())
    }
    async fn end(&self, lease: &Lease, end: &End, now: DateTime<Utc>) -> Result<bool, DaemonError> {
        let mut inside = self.inside()?;
        let Some(row) = inside.held(lease) else { return Ok(false) };
        let (state, word) = match end {
            End::Finished => (RunState::Finished, "finished"),
            End::Failed(_) => (RunState::Failed, "failed"),
            End::HandedBack => (RunState::Requested, "handed back"),
        };
        row.state = state;
        row.ended_at = Some(now);
        inside.note(now, word, lease.run_id);
        Ok(true)
    }
    async fn abandon(&self, run_id: i64, token: i64, now: DateTime<Utc>) -> Result<bool, DaemonError> {
        let mut inside = self.inside()?;
        let Some(row) = inside.held(&Lease { run_id, token, attempt: 0 }) else { return Ok(false) };
        row.state = RunState::Abandoned;
        row.ended_at = Some(now);
        inside.note(now, "abandoned", run_id);
        Ok(true)
    }
    async fn ping(&self) -> Result<(), DaemonError> {
        self.inside().map(|_| ())
    }
}
