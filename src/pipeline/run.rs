//! One execution of a job under its key: claim, lease with heartbeat, stages, outcome (cases 25, 26).
//!
//! Cron, command line and web only request a run; whoever executes it claims it first. A finished
//! key is never started again by the scheduler; a person's `run` is a further attempt at the same
//! key and finds only what is new to do.

use super::stages::{Stage, StageOutcome};
use super::{PipelineError, PipelineResult, Runtime};
use crate::core::money::Currency;
use crate::owner::{Life, Owner};
use crate::store::{ExceptionFilter, ExceptionRow, RunRow, SettlementRow, StageRow, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRequest {
    /// Job name.
    pub job: String,
    /// Key: the business day, or the due instant for jobs keyed by time.
    pub key: String,
    /// Business day to close.
    pub business_day: NaiveDate,
    /// Stages in order.
    pub stages: Vec<Stage>,
    /// Whether it makes good a missed night.
    pub caught_up: bool,
    /// Tell nobody outside: sources keep their documents, nothing is pushed, no mail is sent. Set by
    /// [`rehearse`], which gives the run a store without consequences.
    pub dry_run: bool,
    /// Whether statements are due on this business day.
    pub statements_due: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RunOutcome {
    /// The run as recorded.
    pub run: RunRow,
    /// Its stages.
    pub stages: Vec<StageRow>,
    /// Exceptions open at the end.
    pub open_exceptions: i64,
    /// Settlements waiting for approval.
    pub waiting_settlements: i64,
    /// Agreement versions waiting for approval: until then they earn nothing.
    pub waiting_agreements: i64,
}

/// What became of the stages of a claimed run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The stages.
    pub stages: Vec<StageRow>,
    /// What was missing, although every stage went through: such a run is not finished, and is worth
    /// another attempt.
    pub incomplete: Option<String>,
}

/// A claimed run. Money moves only while [`Lease::check`] says that it is still ours.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Run id.
    pub run_id: i64,
    /// Attempt number.
    pub attempt: i64,
    /// Fencing token.
    pub token: i64,
    lost: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    /// Whether nobody else can take the run over: it is done on a store of its own.
    rehearsed: bool,
}

impl Lease {
    /// A lease just claimed. `stop` asks for an end between two steps.
    pub fn new(run_id: i64, attempt: i64, token: i64, stop: Arc<AtomicBool>) -> Self {
        Self { run_id, attempt, token, lost: Arc::new(AtomicBool::new(false)), stop, rehearsed: false }
    }
    /// For a run on a store that is thrown away afterwards.
    fn of_rehearsal(run_id: i64, stop: Arc<AtomicBool>) -> Self {
        Self { rehearsed: true, ..Self::new(run_id, 1, 0, stop) }
    }
    /// Whether another process took over. What was sent has to be noted even when the process is to stop.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
    /// Fails when another process took over, or when the process was asked to stop.
    pub fn check(&self) -> PipelineResult<()> {
        if self.lost.load(Ordering::Acquire) {
            return Err(PipelineError::LeaseLost);
        }
        if self.stop.load(Ordering::Acquire) {
            return Err(PipelineError::Stopped);
        }
        Ok(())
    }
    /// Commits what was done in the name of the run, if the run is still ours. A process that was
    /// paused past its lease leaves no trace: its successor does the work.
    pub async fn commit(&self, mut tx: Tx) -> PipelineResult<()> {
        if self.rehearsed || tx.holds_lease(self.run_id, self.token).await? {
            return Ok(tx.commit().await?);
        }
        tx.rollback().await?;
        Err(PipelineError::LeaseLost)
    }
}

/// Whether the process that holds a lease is known to be gone.
fn owner_is_dead(owner: &str) -> bool {
    Owner::parse(owner).is_some_and(|owner| owner.life() == Life::Dead)
}

/// Marks runs without a sign of life as abandoned; returns them.
///
/// A clock that was set back makes a last sign lie ahead. It is dated back to now: who is alive gives
/// the next one soon, who is not is found out after the usual time.
pub async fn release_dead_runs(runtime: &Runtime) -> PipelineResult<Vec<RunRow>> {
    let now = runtime.clock.now();
    let mut released = Vec::new();
    let mut tx = runtime.store.begin().await?;
    for run in tx.running_runs().await? {
        if run.heartbeat_at.is_some_and(|at| at > now) {
            tx.date_back_heartbeat(run.id, run.lease_token, now).await?;
        }
        let silent = run.heartbeat_at.is_none_or(|at| now - at >= runtime.abandon_after);
        let dead = run.lease_owner.as_deref().is_some_and(owner_is_dead);
        let why = if dead {
            "its process on this host is dead"
        } else if silent {
            "no sign of life"
        } else {
            continue;
        };
        if tx.abandon_run(run.id, run.lease_token, why, now).await? {
            tx.audit(
                now,
                "daemon",
                "run abandoned",
                &format!("run {} {}", run.job, run.run_key),
                "done",
                &serde_json::json!({ "why": why }),
            )
            .await?;
            tracing::warn!(run = run.id, job = %run.job, key = %run.run_key, why, "run abandoned");
            released.push(run);
        }
    }
    tx.commit().await?;
    Ok(released)
}

/// What a night would do.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Rehearsed {
    /// Its stages.
    pub stages: Vec<StageRow>,
    /// Settlements that it would propose or revise, as they would stand.
    pub settlements: Vec<WouldStand>,
    /// Exceptions that it would open.
    pub exceptions: Vec<ExceptionRow>,
}

/// A settlement as it would stand.
#[derive(Clone, Debug, serde::Serialize)]
pub struct WouldStand {
    /// Agreement id.
    pub agreement: String,
    /// Payee code.
    pub payee: String,
    /// First day of the settlement period.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// Amount to pay, with the currency's decimals.
    pub amount: String,
    /// Currency code.
    pub currency: String,
    /// State word.
    pub state: String,
    /// Revision.
    pub revision: i64,
}

impl From<SettlementRow> for WouldStand {
    fn from(s: SettlementRow) -> Self {
        let amount = Currency::parse(&s.currency).map_or_else(|| s.amount().to_string(), |c| c.amount_text(s.amount()));
        let SettlementRow { agreement, payee, period_from, period_to, currency, state, revision, .. } = s;
        Self { agreement, payee, period_from, period_to, amount, currency, state, revision }
    }
}

/// Carries out a run on a store whose changes are taken back, and tells nobody outside. No run is
/// recorded and no lease is taken: nothing that anybody else does waits for its key.
pub async fn rehearse(runtime: &Runtime, request: &RunRequest, stop: Arc<AtomicBool>) -> PipelineResult<Rehearsed> {
    let rehearsal = runtime.store.rehearse().await?;
    let trial = Runtime { store: rehearsal.store().clone(), ..runtime.clone() };
    let request = RunRequest { dry_run: true, ..request.clone() };
    let result = rehearsed(&trial, &request, stop).await;
    drop(trial);
    rehearsal.end().await?;
    result
}

async fn rehearsed(trial: &Runtime, request: &RunRequest, stop: Arc<AtomicBool>) -> PipelineResult<Rehearsed> {
    let mut tx = trial.store.begin().await?;
    let settlements: Vec<(i64, i64)> = tx.settlements().await?.iter().map(|s| (s.id, s.revision)).collect();
    let known: Vec<i64> = tx.exceptions(&ExceptionFilter::default()).await?.iter().map(|e| e.id).collect();
    let run = tx.request_run(&request.job, &request.key, request.business_day, false, trial.clock.now()).await?;
    tx.commit().await?;
    super::load::agreements(trial, request.business_day).await?;
    let lease = Lease::of_rehearsal(run.id, stop);
    let mut stages = Vec::new();
    for stage in &request.stages {
        lease.check()?;
        trial.progress.stage_started(stage.word());
        let outcome = stage.run(trial, request, &lease).await?;
        let row = outcome.row(*stage);
        trial.progress.stage_finished(&row);
        stages.push(row);
    }
    let mut tx = trial.store.read().await?;
    let mut after = tx.settlements().await?;
    after.retain(|s| !settlements.contains(&(s.id, s.revision)));
    let mut exceptions = tx.exceptions(&ExceptionFilter::default()).await?;
    exceptions.retain(|e| !known.contains(&e.id));
    Ok(Rehearsed { stages, settlements: after.into_iter().map(WouldStand::from).collect(), exceptions })
}

/// Executes a run. `Ok(None)` when another run is being executed: the caller queues or gives up.
pub async fn execute(runtime: &Runtime, request: &RunRequest, stop: Arc<AtomicBool>) -> PipelineResult<Option<RunOutcome>> {
    if request.dry_run {
        return Err(PipelineError::Internal("a dry run is rehearsed, not executed".into()));
    }
    release_dead_runs(runtime).await?;
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let run = tx.request_run(&request.job, &request.key, request.business_day, request.caught_up, now).await?;
    let Some(token) = tx.claim_run(run.id, &Owner::this_process().to_string(), now + runtime.abandon_after, now).await? else {
        tx.commit().await?;
        return Ok(None);
    };
    tx.commit().await?;
    let lease = Lease::new(run.id, run.attempt + 1, token, stop);
    let beat = tokio::spawn(heartbeat(runtime.clone(), lease.clone()));
    let result = carry_out(runtime, request, &lease).await;
    beat.abort();
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let (state, error) = match &result {
        Ok(Carried { incomplete: None, .. }) => ("finished", None),
        Ok(Carried { incomplete: Some(why), .. }) => ("failed", Some(why.clone())),
        Err(error) => ("failed", Some(error.to_string())),
    };
    let ended = tx.end_run(run.id, token, state, error.as_deref(), now).await?;
    tx.commit().await?;
    if !ended && result.is_ok() {
        return Err(PipelineError::LeaseLost);
    }
    let Carried { stages, .. } = result?;
    let mut tx = runtime.store.read().await?;
    let run = tx.run_by_key(&request.job, &request.key).await?.ok_or_else(|| PipelineError::Internal("run vanished".into()))?;
    let open_exceptions = tx.open_exception_count().await?;
    let waiting_agreements = tx.agreements().await?.iter().filter(|a| a.state == "submitted").count();
    let waiting_settlements = tx.settlements().await?.iter().filter(|s| s.state == "proposed").count();
    Ok(Some(RunOutcome {
        run,
        stages,
        open_exceptions,
        waiting_settlements: i64::try_from(waiting_settlements).unwrap_or(0),
        waiting_agreements: i64::try_from(waiting_agreements).unwrap_or(0),
    }))
}

/// Carries out the stages of a claimed run; renewing the sign of life and ending the run is the caller's.
pub async fn carry_out(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<Carried> {
    let mut rows = Vec::new();
    let mut incomplete = None;
    for stage in &request.stages {
        lease.check()?;
        fault_point(&format!("before:{}", stage.word()));
        let started = runtime.clock.now();
        runtime.progress.stage_started(stage.word());
        let outcome = match stage.run(runtime, request, lease).await {
            Ok(outcome) => outcome,
            Err(error) => {
                runtime.progress.stage_failed(stage.word(), &error.to_string());
                return Err(error);
            }
        };
        let row = record(runtime, lease, *stage, &outcome, started).await?;
        runtime.progress.stage_finished(&row);
        if *stage == Stage::Pull && !request.dry_run {
            let failed = super::pull::failed_feeds(&mut runtime.store.read().await?).await?;
            if !failed.is_empty() {
                incomplete = Some(format!("could not be read: {}; everything else was done", failed.join(", ")));
            }
        }
        fault_point(&format!("after:{}", stage.word()));
        rows.push(row);
    }
    Ok(Carried { stages: rows, incomplete })
}

async fn record(
    runtime: &Runtime,
    lease: &Lease,
    stage: Stage,
    outcome: &StageOutcome,
    started: DateTime<Utc>,
) -> PipelineResult<StageRow> {
    let row = outcome.row(stage);
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    if !tx.heartbeat_run(lease.run_id, lease.token, now + runtime.abandon_after, now).await? {
        return Err(PipelineError::LeaseLost);
    }
    tx.record_stage(lease.run_id, lease.attempt, &row, started, now).await?;
    tx.commit().await?;
    Ok(row)
}

/// Renews the sign of life until the run ends. A failed renewal is tried again; a lost lease stops the run.
async fn heartbeat(runtime: Runtime, lease: Lease) {
    let pause = Duration::from_millis(u64::try_from(runtime.heartbeat.num_milliseconds()).unwrap_or(60_000).max(100));
    loop {
        tokio::time::sleep(pause).await;
        let now = runtime.clock.now();
        let beat = async {
            let mut tx = runtime.store.begin().await?;
            let ours = tx.heartbeat_run(lease.run_id, lease.token, now + runtime.abandon_after, now).await?;
            tx.commit().await?;
            Ok::<bool, crate::store::StoreError>(ours)
        };
        match beat.await {
            Ok(true) => {}
            Ok(false) => {
                lease.lost.store(true, Ordering::Release);
                return;
            }
            Err(error) => tracing::debug!(%error, "sign of life not written this time"),
        }
    }
}

/// A named place where the kill tests end the process, as an outage would: `REBATED_KILL_AT=name`.
///
/// It is in every build on purpose: the tests kill the very binary that ships, and ending the process
/// is something that whoever sets the variable could do anyway.
pub fn fault_point(name: &str) {
    if std::env::var_os("REBATED_KILL_AT").is_some_and(|wanted| wanted == *name) {
        tracing::error!(name, "killed here, as asked");
        std::process::abort();
    }
}
