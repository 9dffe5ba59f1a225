//! The board of the real store: the `run` and `schedule_plan` tables.
//!
//! No decisions here, and no SQL: it turns rows into [`RunRow`]s and wraps each call in a
//! transaction.

use super::DaemonError;
use super::board::{End, Lease, NewRun, RunBoard, RunRow, RunState};
use crate::core::schedule::RunKey;
use crate::store::{self, Store, StoreError};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeSet;

impl From<StoreError> for DaemonError {
    fn from(error: StoreError) -> Self {
        DaemonError::board(error)
    }
}

fn state(word: &str) -> Result<RunState, DaemonError> {
    Ok(match word {
        "requested" => RunState::Requested,
        "running" => RunState::Running,
        "finished" => RunState::Finished,
        "failed" => RunState::Failed,
        "abandoned" => RunState::Abandoned,
        other => return Err(DaemonError::board(format!("unknown run state `{other}`"))),
    })
}

fn row(stored: store::RunRow) -> Result<RunRow, DaemonError> {
    Ok(RunRow {
        id: stored.id,
        key: stored.run_key.parse().map_err(DaemonError::board)?,
        state: state(&stored.state)?,
        job: stored.job,
        business_day: stored.business_day,
        attempt: stored.attempt,
        lease_owner: stored.lease_owner,
        lease_token: stored.lease_token,
        heartbeat_at: stored.heartbeat_at,
        caught_up: stored.caught_up,
        requested_at: stored.requested_at,
        ended_at: stored.finished_at,
    })
}

impl RunBoard for Store {
    async fn planned_until(&self, job: &str) -> Result<Option<DateTime<Utc>>, DaemonError> {
        let stored = self.read().await?.last_planned(job).await?;
        let read = |text: String| DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc()).map_err(DaemonError::board);
        stored.map(read).transpose()
    }

    async fn request(&self, job: &str, runs: &[NewRun], planned_until: DateTime<Utc>) -> Result<usize, DaemonError> {
        let mut tx = self.begin().await?;
        let mut new = 0;
        for run in runs {
            let key = run.key.to_string();
            if tx.run_by_key(&run.job, &key).await?.is_none() {
                tx.request_run(&run.job, &key, run.business_day, run.caught_up, run.requested_at).await?;
                new += 1;
            }
        }
        let mark = planned_until.to_rfc3339_opts(SecondsFormat::Micros, true);
        tx.set_last_planned(job, &mark, planned_until).await?;
        tx.commit().await?;
        Ok(new)
    }

    async fn known(&self, job: &str, keys: &[RunKey]) -> Result<BTreeSet<RunKey>, DaemonError> {
        let mut tx = self.read().await?;
        let mut known = BTreeSet::new();
        for key in keys {
            if tx.run_by_key(job, &key.to_string()).await?.is_some() {
                known.insert(*key);
            }
        }
        Ok(known)
    }

    async fn open(&self) -> Result<Vec<RunRow>, DaemonError> {
        let stored = self.read().await?.open_runs().await?;
        // One row that cannot be read must not make everything stand still.
        let rows =
            stored.into_iter().map(row).filter_map(|row| row.inspect_err(|error| tracing::error!(%error, "run left out")).ok());
        Ok(rows.collect())
    }

    async fn claim(
        &self,
        row: &RunRow,
        owner: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<Lease>, DaemonError> {
        let mut tx = self.begin().await?;
        match tx.claim_run(row.id, owner, lease_until, now).await? {
            // Another claim in between, which may have finished the key: take ours back.
            Some(token) if token != row.lease_token + 1 => {
                tx.rollback().await?;
                Ok(None)
            }
            Some(token) => {
                tx.commit().await?;
                Ok(Some(Lease { run_id: row.id, token, attempt: row.attempt + 1 }))
            }
            None => Ok(None),
        }
    }

    async fn renew(&self, lease: &Lease, now: DateTime<Utc>, lease_until: DateTime<Utc>) -> Result<bool, DaemonError> {
        let mut tx = self.begin().await?;
        let held = tx.heartbeat_run(lease.run_id, lease.token, lease_until, now).await?;
        tx.commit().await?;
        Ok(held)
    }

    async fn end(&self, lease: &Lease, end: &End, now: DateTime<Utc>) -> Result<bool, DaemonError> {
        let (state, error) = match end {
            End::Finished => ("finished", None),
            End::Failed(why) => ("failed", Some(why.as_str())),
            End::HandedBack => ("requested", None),
        };
        let mut tx = self.begin().await?;
        let held = tx.end_run(lease.run_id, lease.token, state, error, now).await?;
        tx.commit().await?;
        Ok(held)
    }

    async fn abandon(&self, run_id: i64, token: i64, now: DateTime<Utc>) -> Result<bool, DaemonError> {
        let mut tx = self.begin().await?;
        let was_held = tx.abandon_run(run_id, token, "no sign of life", now).await?;
        tx.commit().await?;
        Ok(was_held)
    }

    async fn ping(&self) -> Result<(), DaemonError> {
        self.read().await?.open_runs().await?;
        Ok(())
    }
}
