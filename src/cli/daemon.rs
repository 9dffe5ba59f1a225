//! `daemon`: schedules unattended until SIGTERM. Only wiring; the loop lives in `daemon`, the work in `pipeline`.

use super::app::{self, App, Failure, load_workspace_for_run};
use super::{Done, Global};
use crate::clock::Clock;
use crate::config::schedule_file::StatementsOn;
use crate::core::schedule::Step;
use crate::daemon::alert::{Notice, NoticeKind, Tell};
use crate::daemon::planner::{Job, Planner, Settings};
use crate::daemon::queue::Retry;
use crate::daemon::serve::{Serving, serve, stop_on_signals};
use crate::daemon::work::{Ending, Order, StopFlag, Work};
use crate::delivery::notify::{Alert, AlertKind, Notifier};
use crate::owner::Owner;
use crate::pipeline::run::{Carried, Lease, RunRequest, carry_out};
use crate::pipeline::stages::Stage;
use crate::pipeline::{LogProgress, PipelineError, Runtime, load, statements};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Daemon {
    /// Address of the health pages instead of `web.listen`; `none` for no address
    #[arg(long)]
    listen: Option<String>,
}

pub async fn run(command: Daemon, global: &Global) -> Result<Done, Failure> {
    let workspace = load_workspace_for_run(global)?;
    let app = App::with(workspace, Clock::System, Arc::new(LogProgress), global.json).await?;
    let runtime = app.runtime;
    let config = &runtime.workspace.config;
    let late_after = TimeDelta::from_std(config.run.late_after).unwrap_or(TimeDelta::hours(2));
    let jobs: Vec<Job> = runtime
        .workspace
        .schedules
        .iter()
        .filter(|s| !s.shipped)
        .map(|s| Job { schedule: s.schedule.clone(), late_after })
        .collect();
    if jobs.is_empty() {
        return Err(Failure::Use("there is no schedule under schedules/; `rebated init` writes schedules/nightly.toml".into()));
    }
    let settings = Settings { heartbeat: runtime.heartbeat, abandon_after: runtime.abandon_after, ..Settings::default() };
    let owner = Owner::this_process().to_string();
    let planner = Planner::new(Arc::new(runtime.store.clone()), jobs, settings, runtime.clock.clone(), owner);
    let listen = command.listen.unwrap_or_else(|| config.web.listen.clone());
    let serving = Serving { listen: (listen != "none").then_some(listen), stop_grace: config.run.stop_grace };
    let current = Arc::new(Current { global: global.clone(), last: Mutex::new(runtime.clone()) });
    let work = Arc::new(Nightly { current: current.clone(), mails: Mutex::default() });
    let tell = Arc::new(Alerts { current });
    let stop = stop_on_signals().map_err(|e| Failure::Failed(e.into()))?;
    serve(planner, work, tell, serving, axum::Router::new(), stop).await.map_err(|e| Failure::Failed(e.into()))?;
    runtime.store.close().await;
    Ok(Done::Clean)
}

/// The workspace as it is now: files may have changed since they were last read. Store and clock stay.
struct Current {
    global: Global,
    last: Mutex<Runtime>,
}

impl Current {
    /// What could be read last.
    fn last(&self) -> Runtime {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the workspace again.
    fn fresh(&self) -> Result<Runtime, String> {
        let workspace = load_workspace_for_run(&self.global).map_err(|failure| match failure {
            Failure::Problems(problems) => format!("the workspace has problems: {problems}"),
            Failure::Use(text) => text,
            Failure::Failed(error) => error.to_string(),
        })?;
        let last = self.last();
        let runtime = app::runtime(workspace, last.store, last.clock, last.progress);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = runtime.clone();
        Ok(runtime)
    }
}

/// Carries out orders by the pipeline.
struct Nightly {
    current: Arc<Current>,
    mails: Mutex<MailTurn>,
}

/// When mails that were put off have their next turn after one that failed.
#[derive(Default)]
struct MailTurn {
    failures: i64,
    not_before: Option<DateTime<Utc>>,
}

fn stage(step: Step) -> Option<Stage> {
    Stage::from_word(step.word())
}

impl Work for Nightly {
    async fn carry_out(&self, order: Order, stop: StopFlag) -> Ending {
        let flag = Arc::new(AtomicBool::new(stop.is_raised()));
        let raised = flag.clone();
        let mut watched = stop;
        let watcher = tokio::spawn(async move {
            watched.raised().await;
            raised.store(true, Ordering::Release);
        });
        let ending = self.order(&order, flag).await;
        watcher.abort();
        ending
    }

    async fn between(&self, stop: StopFlag) {
        let turn = || self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.current.last().clock.now();
        if turn().not_before.is_some_and(|at| now < at) {
            return;
        }
        match self.mails_again(stop).await {
            Ok(()) => *turn() = MailTurn::default(),
            Err(why) => {
                let mut turn = turn();
                turn.failures += 1;
                let pause = Retry::default().wait(turn.failures);
                turn.not_before = Some(now + pause);
                tracing::warn!(minutes = pause.num_minutes(), "mails that were put off could not be tried again: {why}");
            }
        }
    }
}

impl Nightly {
    /// Tries mails again whose time has come (case 27: growing pauses, not growing nights).
    async fn mails_again(&self, stop: StopFlag) -> Result<(), String> {
        if !statements::mails_are_due(&self.current.last()).await.map_err(|e| e.to_string())? {
            return Ok(());
        }
        let runtime = self.current.fresh()?;
        let flag = Arc::new(AtomicBool::new(stop.is_raised()));
        let raised = flag.clone();
        let mut stop = stop;
        let watcher = tokio::spawn(async move {
            stop.raised().await;
            raised.store(true, Ordering::Release);
        });
        let done = statements::send_again(&runtime, flag).await;
        watcher.abort();
        match done {
            Ok(()) | Err(PipelineError::Stopped) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn order(&self, order: &Order, stop: Arc<AtomicBool>) -> Ending {
        let runtime = match self.current.fresh() {
            Ok(runtime) => runtime,
            Err(why) => return Ending::Failed(why),
        };
        let schedule = runtime.workspace.schedule(&order.job);
        let statements_due = schedule.is_some_and(|s| match s.statements {
            Some(StatementsOn::MonthEnd) => statements::month_ends(&runtime, order.business_day),
            None => false,
        });
        let request = RunRequest {
            job: order.job.clone(),
            key: order.key.to_string(),
            business_day: order.business_day,
            stages: order.steps.iter().filter_map(|s| stage(*s)).collect(),
            caught_up: order.caught_up,
            dry_run: false,
            statements_due,
        };
        let loaded = match load::agreements(&runtime, order.business_day).await {
            Ok(loaded) => loaded,
            Err(error) => return Ending::Failed(error.to_string()),
        };
        let lease = Lease::new(order.lease.run_id, order.lease.attempt, order.lease.token, stop);
        match carry_out(&runtime, &request, &lease).await {
            Ok(Carried { incomplete: Some(why), .. }) => Ending::Failed(why),
            Ok(Carried { stages, incomplete: None }) => {
                let exceptions = loaded.exceptions + stages.iter().map(|s| s.exceptions).sum::<i64>();
                Ending::Done { exceptions: u64::try_from(exceptions).unwrap_or(0) }
            }
            Err(PipelineError::Stopped) => Ending::HandedBack,
            Err(error) => Ending::Failed(error.to_string()),
        }
    }
}

/// Tells whom the job's schedule names.
struct Alerts {
    current: Arc<Current>,
}

impl Tell for Alerts {
    async fn tell(&self, notice: Notice) {
        // Whom to tell is read anew; a workspace that cannot be read may be just what is to be told.
        let runtime = self.current.fresh().unwrap_or_else(|_| self.current.last());
        let Some(schedule) = runtime.workspace.schedule(&notice.job) else { return };
        let notify = &schedule.notify;
        let (wanted, kind) = match notice.kind {
            NoticeKind::Failed => (notify.failed, AlertKind::Failed),
            NoticeKind::Late => (notify.late, AlertKind::Late),
            NoticeKind::Exceptions => (notify.exceptions, AlertKind::Exceptions),
        };
        if !wanted {
            return;
        }
        let config = &runtime.workspace.config;
        let transport = match statements::transport(&runtime) {
            Ok(transport) => transport,
            Err(error) => {
                tracing::error!("an alert has no way out by mail: {error}");
                None
            }
        };
        let notifier = Notifier {
            mail: transport.as_ref().map(|t| (t, config.mail.from.clone())),
            recipients: notify.mail.clone(),
            webhook: notify.webhook.clone(),
            webhook_timeout: Duration::from_secs(30),
        };
        let alert = Alert {
            kind,
            company: config.company.name.clone(),
            job: notice.job.clone(),
            run_key: notice.key.to_string(),
            business_day: notice.business_day,
            attempt: u32::try_from(notice.attempt).unwrap_or(0),
            summary: notice.summary.clone(),
            details: notice.details.clone(),
            at: notice.at,
        };
        for failed in notifier.notify(&alert).await {
            tracing::error!(to = %failed.to, "an alert did not get out: {}", failed.reason);
        }
        if let Some(transport) = &transport {
            transport.close().await;
        }
    }
}
