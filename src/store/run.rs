//! Runs: keys, leases, stages. What has been done is decided here, never by a timer (case 26).

use super::{StoreResult, Tx, on, shown_if};
use chrono::{DateTime, NaiveDate, Utc};

/// One run: a job under its key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RunRow {
    /// Id.
    pub id: i64,
    /// Job name.
    pub job: String,
    /// Key: the business day, or the due instant for intraday jobs.
    pub run_key: String,
    /// Business day it closes.
    pub business_day: NaiveDate,
    /// requested, running, finished, failed, abandoned.
    pub state: String,
    /// Attempts so far.
    pub attempt: i64,
    /// `host:pid` of the lease holder.
    pub lease_owner: Option<String>,
    /// Fencing token: raised with every claim.
    pub lease_token: i64,
    /// Last sign of life.
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// Whether it made good a missed night.
    pub caught_up: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the last attempt started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Counts of one stage of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StageRow {
    /// Stage name.
    pub stage: String,
    /// Things looked at.
    pub count_in: i64,
    /// Things changed.
    pub count_out: i64,
    /// Exceptions raised.
    pub exceptions: i64,
    /// One line for people.
    pub detail: String,
}

type Columns = (
    i64,
    String,
    String,
    NaiveDate,
    String,
    i64,
    Option<String>,
    i64,
    Option<DateTime<Utc>>,
    i64,
    Option<String>,
    DateTime<Utc>,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
);

fn row(c: Columns) -> RunRow {
    RunRow {
        id: c.0,
        job: c.1,
        run_key: c.2,
        business_day: c.3,
        state: c.4,
        attempt: c.5,
        lease_owner: c.6,
        lease_token: c.7,
        heartbeat_at: c.8,
        caught_up: c.9 != 0,
        error: c.10,
        requested_at: c.11,
        started_at: c.12,
        finished_at: c.13,
    }
}

impl Tx {
    /// Asks for a run; the one already under the key is returned as it is.
    pub async fn request_run(
        &mut self,
        job: &str,
        key: &str,
        business_day: NaiveDate,
        caught_up: bool,
        now: DateTime<Utc>,
    ) -> StoreResult<RunRow> {
        if let Some(found) = self.run_by_key(job, key).await? {
            return Ok(found);
        }
        let id = self.take_id("run").await?;
        on!(self, c => sqlx::query(
            "INSERT INTO run (id, job, run_key, business_day, state, caught_up, requested_at) VALUES ($1, $2, $3, $4, 'requested', $5, $6)
             ON CONFLICT (job, run_key) DO NOTHING")
            .bind(id).bind(job).bind(key).bind(business_day).bind(i64::from(caught_up)).bind(now).execute(c).await?.rows_affected());
        self.run_by_key(job, key).await?.ok_or_else(|| super::corrupt("run", "vanished after insert"))
    }

    /// The run under a key.
    pub async fn run_by_key(&mut self, job: &str, key: &str) -> StoreResult<Option<RunRow>> {
        let found: Option<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, job, run_key, business_day, state, attempt, lease_owner, lease_token, heartbeat_at, caught_up, error, requested_at, started_at, finished_at
             FROM run WHERE job = $1 AND run_key = $2").bind(job).bind(key).fetch_optional(c).await?);
        Ok(found.map(row))
    }

    /// All runs, newest first.
    pub async fn runs(&mut self, limit: i64) -> StoreResult<Vec<RunRow>> {
        let found: Vec<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, job, run_key, business_day, state, attempt, lease_owner, lease_token, heartbeat_at, caught_up, error, requested_at, started_at, finished_at
             FROM run ORDER BY id DESC LIMIT $1").bind(limit).fetch_all(c).await?);
        Ok(found.into_iter().map(row).collect())
    }

    /// Every run that is not finished, oldest first.
    pub async fn open_runs(&mut self) -> StoreResult<Vec<RunRow>> {
        let found: Vec<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, job, run_key, business_day, state, attempt, lease_owner, lease_token, heartbeat_at, caught_up, error, requested_at, started_at, finished_at
             FROM run WHERE state <> 'finished' ORDER BY id").fetch_all(c).await?);
        Ok(found.into_iter().map(row).collect())
    }

    /// Runs that somebody claims to be executing.
    pub async fn running_runs(&mut self) -> StoreResult<Vec<RunRow>> {
        let found: Vec<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, job, run_key, business_day, state, attempt, lease_owner, lease_token, heartbeat_at, caught_up, error, requested_at, started_at, finished_at
             FROM run WHERE state = 'running' ORDER BY id").fetch_all(c).await?);
        Ok(found.into_iter().map(row).collect())
    }

    /// Claims a run: raises attempt and fencing token. `None` when somebody else is executing any run.
    ///
    /// One run at a time: the check and the claim are one statement under the writer's lock
    /// (SQLite) or the table lock (PostgreSQL).
    pub async fn claim_run(
        &mut self,
        id: i64,
        owner: &str,
        lease_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<i64>> {
        if let Tx::Postgres(c) = self {
            sqlx::query("LOCK TABLE run IN SHARE ROW EXCLUSIVE MODE").execute(&mut **c).await?;
        }
        let token: Option<i64> = on!(self, c => sqlx::query_scalar(
            "UPDATE run SET state = 'running', attempt = attempt + 1, lease_token = lease_token + 1, lease_owner = $2, lease_until = $3,
                    heartbeat_at = $4, started_at = $4, finished_at = NULL, error = NULL, program_version = $5
             WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM run r WHERE r.state = 'running') RETURNING lease_token")
            .bind(id).bind(owner).bind(lease_until).bind(now).bind(env!("CARGO_PKG_VERSION")).fetch_optional(c).await?);
        Ok(token)
    }

    /// Renews the sign of life. `false` when the lease was lost: the caller must stop.
    pub async fn heartbeat_run(
        &mut self,
        id: i64,
        token: i64,
        lease_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "UPDATE run SET heartbeat_at = $4, lease_until = $3 WHERE id = $1 AND lease_token = $2 AND state = 'running'")
            .bind(id).bind(token).bind(lease_until).bind(now).execute(c).await?.rows_affected());
        Ok(done == 1)
    }

    /// Whether the lease is still ours. Until this transaction ends nobody can take the run over: a
    /// takeover waits for it, so that what is committed here was done by the holder.
    pub async fn holds_lease(&mut self, id: i64, token: i64) -> StoreResult<bool> {
        let found: Option<i64> = match self {
            Tx::Sqlite(c) => {
                sqlx::query_scalar("SELECT id FROM run WHERE id = $1 AND lease_token = $2 AND state = 'running'")
                    .bind(id)
                    .bind(token)
                    .fetch_optional(&mut **c)
                    .await?
            }
            Tx::Postgres(c) => {
                sqlx::query_scalar("SELECT id FROM run WHERE id = $1 AND lease_token = $2 AND state = 'running' FOR SHARE")
                    .bind(id)
                    .bind(token)
                    .fetch_optional(&mut **c)
                    .await?
            }
        };
        Ok(found.is_some())
    }

    /// Ends an attempt as `finished` or `failed`.
    pub async fn end_run(
        &mut self,
        id: i64,
        token: i64,
        state: &str,
        error: Option<&str>,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "UPDATE run SET state = $3, error = $4, finished_at = $5, lease_owner = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND state = 'running'")
            .bind(id).bind(token).bind(state).bind(shown_if(error).as_deref()).bind(now).execute(c).await?.rows_affected());
        Ok(done == 1)
    }

    /// Dates a sign of life that lies ahead back to `now`, unless a newer claim or sign came meanwhile.
    pub async fn date_back_heartbeat(&mut self, id: i64, token: i64, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "UPDATE run SET heartbeat_at = $3 WHERE id = $1 AND lease_token = $2 AND state = 'running' AND heartbeat_at > $3")
            .bind(id).bind(token).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Marks a run without a sign of life as abandoned; its key is free again.
    pub async fn abandon_run(&mut self, id: i64, token: i64, why: &str, now: DateTime<Utc>) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "UPDATE run SET state = 'abandoned', error = $3, finished_at = $4, lease_owner = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND state = 'running'")
            .bind(id).bind(token).bind(why).bind(now).execute(c).await?.rows_affected());
        Ok(done == 1)
    }

    /// Records the counts of a stage.
    pub async fn record_stage(
        &mut self,
        run_id: i64,
        attempt: i64,
        stage: &StageRow,
        started_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO run_stage (run_id, attempt, stage, count_in, count_out, exceptions, detail, started_at, finished_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (run_id, attempt, stage) DO UPDATE SET count_in = EXCLUDED.count_in, count_out = EXCLUDED.count_out,
                 exceptions = EXCLUDED.exceptions, detail = EXCLUDED.detail, finished_at = EXCLUDED.finished_at")
            .bind(run_id).bind(attempt).bind(&stage.stage).bind(stage.count_in).bind(stage.count_out).bind(stage.exceptions)
            .bind(&stage.detail).bind(started_at).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Stages of an attempt in the order they ran.
    pub async fn run_stages(&mut self, run_id: i64, attempt: i64) -> StoreResult<Vec<StageRow>> {
        let rows: Vec<(String, i64, i64, i64, String)> = on!(self, c => sqlx::query_as(
            "SELECT stage, count_in, count_out, exceptions, detail FROM run_stage WHERE run_id = $1 AND attempt = $2 ORDER BY started_at, stage")
            .bind(run_id).bind(attempt).fetch_all(c).await?);
        Ok(rows
            .into_iter()
            .map(|(stage, count_in, count_out, exceptions, detail)| StageRow { stage, count_in, count_out, exceptions, detail })
            .collect())
    }

    /// Last planned key of a schedule.
    pub async fn last_planned(&mut self, job: &str) -> StoreResult<Option<String>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT last_planned_key FROM schedule_plan WHERE job = $1").bind(job).fetch_optional(c).await?),
        )
    }

    /// Remembers the last planned key of a schedule.
    pub async fn set_last_planned(&mut self, job: &str, key: &str, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO schedule_plan (job, last_planned_key, updated_at) VALUES ($1, $2, $3)
             ON CONFLICT (job) DO UPDATE SET last_planned_key = EXCLUDED.last_planned_key, updated_at = EXCLUDED.updated_at")
            .bind(job).bind(key).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }
}
