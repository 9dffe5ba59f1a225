//! The loop: wakes the planner, carries out one run at a time, ends on SIGTERM.
//!
//! Invariant: a round that fails or hangs is only a round; nothing but a stop ends the loop.

use super::DaemonError;
use super::alert::{Notice, Tell};
use super::board::RunBoard;
use super::health::{self, Pulse};
use super::heartbeat::Heartbeat;
use super::hold::{Leash, hold};
use super::planner::Planner;
use super::systemd;
use super::work::{Ending, Order, StopFlag, StopSwitch, Work};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The longest a call of the board may take before it counts as failed.
const BOARD_PATIENCE: Duration = Duration::from_secs(60);
/// The longest a notice may take.
const TELL_PATIENCE: Duration = Duration::from_secs(120);

/// How the loop is set up beside the planner.
#[derive(Clone, Debug)]
pub struct Serving {
    /// `web.listen`; nothing listens when it is empty.
    pub listen: Option<String>,
    /// After a stop the step in hand may take this long before it is dropped and handed back.
    pub stop_grace: Duration,
}

type Held = Pin<Box<dyn Future<Output = Option<Ending>> + Send>>;

struct InHand {
    order: Order,
    held: Held,
}

/// What the loop keeps.
struct Loop<B, W, T> {
    planner: Planner<B>,
    work: Arc<W>,
    tell: Arc<T>,
    pulse: Pulse,
    stop: StopFlag,
    telling: tokio::task::JoinSet<()>,
    /// What is done between runs, at most one at a time.
    between: tokio::task::JoinSet<()>,
    /// A run that ended while the board was out of reach.
    unclosed: Option<(Order, Ending)>,
}

impl<B: RunBoard, W: Work, T: Tell> Loop<B, W, T> {
    fn tell(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            let tell = self.tell.clone();
            self.telling.spawn(async move {
                let job = notice.job.clone();
                if tokio::time::timeout(TELL_PATIENCE, tell.tell(notice)).await.is_err() {
                    tracing::error!(job, "a notice did not get out in time");
                }
            });
        }
        while self.telling.try_join_next().is_some() {}
    }

    /// Closes what could not be closed, plans, and starts what is next.
    async fn round(&mut self, busy: bool) -> Result<Option<Order>, DaemonError> {
        self.close_what_ended().await?;
        let notices = self.planner.round().await?;
        self.tell(notices);
        while self.between.try_join_next().is_some() {}
        if busy || self.unclosed.is_some() || self.stop.is_raised() || !self.between.is_empty() {
            return Ok(None);
        }
        let next = self.planner.start_next().await?;
        if next.is_none() {
            let (work, stop) = (self.work.clone(), self.stop.clone());
            self.between.spawn(async move { work.between(stop).await });
        }
        Ok(next)
    }

    async fn close_what_ended(&mut self) -> Result<(), DaemonError> {
        if let Some((order, ending)) = &self.unclosed {
            let notices = self.planner.close(order, ending).await?;
            self.unclosed = None;
            self.pulse.running(None);
            self.tell(notices);
        }
        Ok(())
    }

    async fn patient_round(&mut self, busy: bool) -> Option<InHand> {
        let round = tokio::time::timeout(BOARD_PATIENCE, self.round(busy)).await;
        let board = matches!(&round, Ok(Ok(_)));
        self.pulse.round(self.planner.clock().now(), board);
        systemd::tell("WATCHDOG=1");
        match round {
            Ok(Ok(order)) => order.map(|order| self.take(order)),
            Ok(Err(error)) => {
                tracing::error!(%error, "round failed; the next one tries again");
                None
            }
            Err(_) => {
                tracing::error!("round took too long; the next one tries again");
                None
            }
        }
    }

    fn take(&self, order: Order) -> InHand {
        self.pulse.running(Some(&order.job));
        let (board, work) = (self.planner.board().clone(), self.work.clone());
        let (settings, clock, stop) = (*self.planner.settings(), self.planner.clock().clone(), self.stop.clone());
        let held = Box::pin(hold(board, work, order.clone(), settings, clock, stop));
        // In a task of its own: signs of life go on while a round waits for the board.
        let task = tokio::spawn(held);
        let leash = Leash(task.abort_handle());
        let held: Held = Box::pin(async move {
            let _leash = leash;
            task.await.unwrap_or(None)
        });
        InHand { order, held }
    }

    /// Ends the run in hand: waits for the step, else drops it; then hands it back.
    async fn wind_up(&mut self, in_hand: Option<InHand>, grace: Duration) {
        if let Some(mut hand) = in_hand {
            let ending = match tokio::time::timeout(grace, &mut hand.held).await {
                Ok(ending) => ending,
                Err(_) => {
                    tracing::warn!(job = %hand.order.job, key = %hand.order.key, "the step in hand takes too long; it is dropped and done again later");
                    Some(Ending::HandedBack)
                }
            };
            drop(hand.held);
            self.unclosed = ending.map(|ending| (hand.order, ending));
        }
        let _ = tokio::time::timeout(grace, async { while self.between.join_next().await.is_some() {} }).await;
        self.between.shutdown().await;
        for _ in 0..3 {
            match tokio::time::timeout(Duration::from_secs(5), self.close_what_ended()).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => tracing::error!(%error, "the end of the run could not be recorded"),
                Err(_) => tracing::error!("the end of the run could not be recorded in time"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let _ = tokio::time::timeout(Duration::from_secs(10), async { while self.telling.join_next().await.is_some() {} }).await;
    }
}

/// Runs until the flag is raised; then finishes or hands back the step in hand.
///
/// `routes` is served on `serving.listen` beside `/healthz` and `/readyz`.
///
/// # Errors
/// The address cannot be bound or the timer cannot be started. Nothing later ends the loop.
pub async fn serve<B: RunBoard, W: Work, T: Tell>(
    planner: Planner<B>,
    work: Arc<W>,
    tell: Arc<T>,
    serving: Serving,
    routes: axum::Router,
    stop: StopFlag,
) -> Result<(), DaemonError> {
    let pulse = Pulse::default();
    let site = match &serving.listen {
        Some(address) => {
            let listener = health::listen(address).await?;
            let at = listener.local_addr()?;
            tracing::info!(%at, "listening");
            let routes = routes.merge(health::routes(pulse.clone(), planner.board().clone(), planner.clock().clone()));
            let mut stop = stop.clone();
            let server = axum::serve(listener, routes).with_graceful_shutdown(async move { stop.raised().await });
            Some(tokio::spawn(async move { server.await }))
        }
        None => None,
    };
    let mut heartbeat = Heartbeat::start().await?;
    for job in planner.jobs() {
        let next = job.schedule.next_due(planner.clock().now()).map(|due| due.due_at.to_string()).unwrap_or_default();
        tracing::info!(job = %job.schedule.job, zone = %job.schedule.zone, next, "schedule loaded");
    }
    let mut state = Loop {
        planner,
        work,
        tell,
        pulse,
        stop,
        telling: tokio::task::JoinSet::new(),
        between: tokio::task::JoinSet::new(),
        unclosed: None,
    };
    let mut in_hand: Option<InHand> = state.patient_round(false).await;
    systemd::tell("READY=1");
    let mut stopped = state.stop.clone();
    loop {
        tokio::select! {
            () = stopped.raised() => break,
            () = heartbeat.beat() => {}
            ending = async { match &mut in_hand { Some(hand) => (&mut hand.held).await, None => std::future::pending().await } } => {
                if let Some(hand) = in_hand.take() {
                    match ending {
                        Some(ending) => state.unclosed = Some((hand.order, ending)),
                        None => {
                            state.pulse.running(None);
                            state.planner.let_go();
                        }
                    }
                }
            }
        }
        if let Some(hand) = state.patient_round(in_hand.is_some()).await {
            in_hand = Some(hand);
        }
    }
    tracing::info!("stopping");
    systemd::tell("STOPPING=1");
    state.pulse.stopping();
    heartbeat.stop().await;
    state.wind_up(in_hand, serving.stop_grace).await;
    if let Some(mut site) = site
        && tokio::time::timeout(Duration::from_secs(2), &mut site).await.is_err()
    {
        site.abort();
    }
    Ok(())
}

/// A flag that SIGTERM and SIGINT raise.
///
/// # Errors
/// The handlers cannot be installed.
pub fn stop_on_signals() -> Result<StopFlag, DaemonError> {
    use tokio::signal::unix::{SignalKind, signal};
    let (switch, flag) = StopSwitch::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        switch.raise();
        // Kept alive: a flag whose switch is gone would never be waited for.
        std::future::pending::<()>().await;
        drop(switch);
    });
    Ok(flag)
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
