//! One round of the daemon: free what was abandoned, request what is due, notice what is late;
//! and the start, the sign of life and the end of a run.
//!
//! No timer and no tasks: the loop in `serve` calls these, and so do the tests with a manual clock.
//! Invariant: nothing kept in memory decides whether a key runs; losing all of it costs at most one
//! more reading of the connectors and one repeated notice.

use super::DaemonError;
use super::alert::{Notice, NoticeKind};
use super::board::{End, NewRun, RunBoard, RunRow, RunState};
use super::queue::{self, Retry};
use super::work::{Ending, Order};
use crate::clock::Clock;
use crate::core::schedule::{RunKey, Schedule, Step};
use crate::owner::{Life, Owner};
use chrono::{DateTime, Days, Duration, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One job of the daemon.
#[derive(Clone, Debug)]
pub struct Job {
    /// When and what.
    pub schedule: Schedule,
    /// A run that is not finished this long after its due time is late.
    pub late_after: Duration,
}

/// The daemon's own settings.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A run in hand gives a sign of life this often.
    pub heartbeat: Duration,
    /// A run without a sign of life for this long is abandoned.
    pub abandon_after: Duration,
    /// How failed runs are tried again.
    pub retry: Retry,
}

impl Default for Settings {
    fn default() -> Self {
        Self { heartbeat: Duration::minutes(1), abandon_after: Duration::minutes(10), retry: Retry::default() }
    }
}

/// How old the stored mark may get while nothing is due.
const MARK_EVERY: Duration = Duration::minutes(10);

/// Plans, claims and ends runs on a board.
#[derive(Debug)]
pub struct Planner<B> {
    board: Arc<B>,
    jobs: Vec<Job>,
    settings: Settings,
    clock: Clock,
    owner: String,
    /// Up to when each job was planned: in memory, and as stored.
    marks: BTreeMap<String, (DateTime<Utc>, DateTime<Utc>)>,
    /// When the connectors were last read to the end by this process.
    read_at: BTreeMap<String, DateTime<Utc>>,
    told_late: BTreeSet<(String, RunKey)>,
    /// The run that this process carries out, with its token: whether it goes on is not a question of signs of
    /// life, which cannot be given while the work itself writes for long.
    in_hand: Option<(i64, i64)>,
    /// Signs of life from the future, and when each was first seen.
    ahead: BTreeMap<i64, (DateTime<Utc>, DateTime<Utc>)>,
}

impl<B: RunBoard> Planner<B> {
    /// A planner of these jobs; `owner` is the text of the lease holder it claims for.
    pub fn new(board: Arc<B>, jobs: Vec<Job>, settings: Settings, clock: Clock, owner: String) -> Self {
        Self {
            board,
            jobs,
            settings,
            clock,
            owner,
            marks: BTreeMap::new(),
            read_at: BTreeMap::new(),
            told_late: BTreeSet::new(),
            in_hand: None,
            ahead: BTreeMap::new(),
        }
    }

    /// The board.
    pub fn board(&self) -> &Arc<B> {
        &self.board
    }
    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// The jobs.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.schedule.job == name)
    }

    /// Frees abandoned runs, requests what is due and notices what is late.
    ///
    /// # Errors
    /// The board cannot be used; nothing is lost, the next round does the same again.
    pub async fn round(&mut self) -> Result<Vec<Notice>, DaemonError> {
        let now = self.clock.now();
        let mut notices = self.free_abandoned(now).await?;
        self.request_due(now).await?;
        notices.extend(self.notice_late(now).await?);
        Ok(notices)
    }

    /// Marks runs abandoned whose holder gave no sign of life, or is known to be dead.
    async fn free_abandoned(&mut self, now: DateTime<Utc>) -> Result<Vec<Notice>, DaemonError> {
        let mut notices = Vec::new();
        let running: Vec<RunRow> = self.board.open().await?.into_iter().filter(|row| row.state == RunState::Running).collect();
        self.ahead.retain(|id, _| running.iter().any(|row| row.id == *id));
        for row in running {
            let Some(why) = self.why_abandoned(&row, now) else { continue };
            if !self.board.abandon(row.id, row.lease_token, now).await? {
                continue;
            }
            tracing::warn!(job = %row.job, key = %row.key, attempt = row.attempt, why, "run abandoned, its key is free again");
            notices.push(Notice {
                kind: NoticeKind::Failed,
                job: row.job.clone(),
                key: row.key,
                business_day: row.business_day,
                attempt: row.attempt,
                summary: format!("the run was abandoned: {why}; it is started again"),
                details: row.lease_owner.iter().map(|owner| format!("held by {owner}")).collect(),
                at: now,
            });
        }
        Ok(notices)
    }

    fn why_abandoned(&mut self, row: &RunRow, now: DateTime<Utc>) -> Option<&'static str> {
        if self.in_hand == Some((row.id, row.lease_token)) {
            return None;
        }
        let owner = row.lease_owner.as_deref();
        if owner.and_then(Owner::parse).is_some_and(|owner| owner.life() == Life::Dead) {
            return Some("its process has ended");
        }
        let sign = row.heartbeat_at.unwrap_or(row.requested_at);
        // A clock that was set back makes the last sign lie ahead: then count from when it was seen.
        let since = if sign > now {
            let seen = self.ahead.entry(row.id).or_insert((sign, now));
            if seen.0 != sign || seen.1 > now {
                *seen = (sign, now);
            }
            seen.1
        } else {
            sign
        };
        (now - since >= self.settings.abandon_after).then_some("no sign of life")
    }

    async fn request_due(&mut self, now: DateTime<Utc>) -> Result<(), DaemonError> {
        let open = self.board.open().await?;
        for job in self.jobs.clone() {
            let name = job.schedule.job.clone();
            let (mut mark, mut stored) = match self.marks.get(&name) {
                Some(known) => *known,
                // The very first time there is nothing to catch up.
                None => match self.board.planned_until(&name).await? {
                    Some(stored) => (stored, stored),
                    None => (now, DateTime::<Utc>::MIN_UTC),
                },
            };
            if mark > now {
                tracing::warn!(job = %name, planned_until = %mark, %now, "the clock was set back; finished keys stay finished");
                (mark, stored) = (now, DateTime::<Utc>::MIN_UTC);
            }
            let of_job = || open.iter().filter(|row| row.job == name);
            let running = of_job().any(|row| row.state == RunState::Running);
            let queued = of_job().any(|row| row.state == RunState::Requested);
            let keys: Vec<RunKey> = job.schedule.due(mark, now).iter().map(|due| due.key).collect();
            let known = if keys.is_empty() { BTreeSet::new() } else { self.board.known(&name, &keys).await? };
            let plan = job.schedule.plan(mark, now, |key| known.contains(key), running, queued);
            for due in &plan.left_out {
                tracing::warn!(job = %name, key = %due.key, due_at = %due.due_at, caught_up = due.caught_up, running, queued, "due time left out");
            }
            let runs: Vec<NewRun> = plan
                .wanted
                .iter()
                .map(|due| NewRun {
                    job: name.clone(),
                    key: due.key,
                    business_day: due.business_day,
                    caught_up: due.caught_up,
                    requested_at: now,
                })
                .collect();
            if !keys.is_empty() || stored.checked_add_signed(MARK_EVERY).is_none_or(|next| next <= now) {
                self.board.request(&name, &runs, now).await?;
                stored = now;
            }
            for run in &runs {
                tracing::info!(job = %name, key = %run.key, caught_up = run.caught_up, waits = running, "run requested");
            }
            self.marks.insert(name, (now, stored));
        }
        Ok(())
    }

    async fn notice_late(&mut self, now: DateTime<Utc>) -> Result<Vec<Notice>, DaemonError> {
        let open = self.board.open().await?;
        let mut notices = Vec::new();
        for job in &self.jobs {
            let mut rows: Vec<&RunRow> = open.iter().filter(|row| row.job == job.schedule.job).collect();
            rows.sort_by_key(|row| row.key);
            if !job.schedule.closes_days() {
                // Only the newest of a job keyed by due time is still of interest.
                rows = rows.pop().into_iter().collect();
            }
            let mut late: Vec<(&RunRow, DateTime<Utc>)> = Vec::new();
            for row in rows {
                let Some(due_at) = due_at(&job.schedule, row.key) else { continue };
                if now - due_at >= job.late_after && self.told_late.insert((row.job.clone(), row.key)) {
                    late.push((row, due_at));
                }
            }
            if let Some((oldest, due)) = late.first() {
                let caught_up = if oldest.caught_up { "; it was missed and is being caught up" } else { "" };
                notices.push(Notice {
                    kind: NoticeKind::Late,
                    job: oldest.job.clone(),
                    key: oldest.key,
                    business_day: oldest.business_day,
                    attempt: oldest.attempt,
                    summary: format!("the run of {} was due at {due} and is not finished{caught_up}", oldest.key),
                    details: late
                        .iter()
                        .map(|(row, due)| format!("{}: due at {due}, {}", row.key, state_word(row.state)))
                        .collect(),
                    at: now,
                });
            }
        }
        Ok(notices)
    }

    /// Claims the run that is next, if any may start now.
    ///
    /// # Errors
    /// The board cannot be used.
    pub async fn start_next(&mut self) -> Result<Option<Order>, DaemonError> {
        let now = self.clock.now();
        let mut open = self.board.open().await?;
        // A run of a job that no schedule knows blocks while it runs, but is not ours to start.
        open.retain(|row| row.state == RunState::Running || self.job(&row.job).is_some());
        let Some(row) = queue::next(&open, now, &self.settings.retry) else { return Ok(None) };
        let Some(lease) = self.board.claim(row, &self.owner, now, now + self.settings.abandon_after).await? else {
            return Ok(None);
        };
        let mut steps = self.job(&row.job).map(|job| job.schedule.steps.clone()).unwrap_or_default();
        if row.caught_up && self.read_at.get(&row.job).is_some_and(|at| *at >= row.requested_at) {
            // An earlier day of the same catch-up has read everything there is.
            steps.retain(|step| *step != Step::Pull);
        }
        tracing::info!(job = %row.job, key = %row.key, attempt = lease.attempt, caught_up = row.caught_up, "run starts");
        self.in_hand = Some((lease.run_id, lease.token));
        Ok(Some(Order {
            lease,
            job: row.job.clone(),
            key: row.key,
            business_day: row.business_day,
            steps,
            caught_up: row.caught_up,
            started_at: now,
        }))
    }

    /// Nothing is in hand any more: the lease was lost, and the work dropped.
    pub fn let_go(&mut self) {
        self.in_hand = None;
    }

    /// Ends a run in hand on the board, and says what people should hear about it.
    ///
    /// # Errors
    /// The board cannot be used: call again, or leave it to be abandoned.
    pub async fn close(&mut self, order: &Order, ending: &Ending) -> Result<Vec<Notice>, DaemonError> {
        let now = self.clock.now();
        let end = match ending {
            Ending::Done { .. } => End::Finished,
            Ending::HandedBack => End::HandedBack,
            Ending::Failed(why) => End::Failed(why.clone()),
        };
        let ended = self.board.end(&order.lease, &end, now).await?;
        self.let_go();
        if !ended {
            tracing::error!(job = %order.job, key = %order.key, attempt = order.lease.attempt, "the lease was lost; the end is not recorded");
            return Ok(Vec::new());
        }
        let notice = |kind, summary: String, details: Vec<String>| Notice {
            kind,
            job: order.job.clone(),
            key: order.key,
            business_day: order.business_day,
            attempt: order.lease.attempt,
            summary,
            details,
            at: now,
        };
        let seconds = (now - order.started_at).num_seconds();
        match ending {
            Ending::Done { exceptions } => {
                if order.steps.contains(&Step::Pull) {
                    self.read_at.insert(order.job.clone(), order.started_at);
                }
                tracing::info!(job = %order.job, key = %order.key, seconds, exceptions, "run finished");
                let open = (*exceptions > 0).then(|| {
                    notice(
                        NoticeKind::Exceptions,
                        format!("the run of {} is finished and left {exceptions} exceptions that wait for a person", order.key),
                        vec!["`rebated exception list` shows them".to_owned()],
                    )
                });
                Ok(open.into_iter().collect())
            }
            Ending::HandedBack => {
                tracing::info!(job = %order.job, key = %order.key, seconds, "run handed back");
                Ok(Vec::new())
            }
            Ending::Failed(why) => {
                tracing::error!(job = %order.job, key = %order.key, attempt = order.lease.attempt, seconds, why, "run failed");
                let next = if order.lease.attempt >= self.settings.retry.attempts {
                    "it is tried again when the job is due next".to_owned()
                } else {
                    format!("it is tried again at {}", now + self.settings.retry.wait(order.lease.attempt))
                };
                Ok(vec![notice(NoticeKind::Failed, format!("the run of {} failed: {why}", order.key), vec![next])])
            }
        }
    }
}

fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Requested => "waiting",
        RunState::Running => "running",
        RunState::Finished => "finished",
        RunState::Failed => "failed",
        RunState::Abandoned => "abandoned",
    }
}

/// When a run of this key was due.
fn due_at(schedule: &Schedule, key: RunKey) -> Option<DateTime<Utc>> {
    match key {
        RunKey::Due(at) => Some(at),
        RunKey::Day(day) => {
            let midnight = day.and_time(chrono::NaiveTime::MIN).and_utc();
            let window = schedule.due(midnight - Days::new(2), midnight + Days::new(4));
            window.iter().find(|due| due.key == key).map(|due| due.due_at)
        }
    }
}
