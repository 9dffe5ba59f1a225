//! One run in hand: the work in one task, the signs of life in another, so that neither long
//! computing nor a slow call silences the run.
//!
//! Invariant: work goes on only while the lease is known to be held; when it is lost, or could be
//! neither renewed nor read for as long as others wait before they take over, the work is dropped.

use super::board::{Lease, RunBoard, RunRow, RunState};
use super::planner::Settings;
use super::work::{Ending, Order, StopFlag, Work};
use crate::clock::Clock;
use std::sync::Arc;
use tokio::task::AbortHandle;

/// Drops the work when its keeper is dropped: a task would otherwise outlive it.
pub(super) struct Leash(pub(super) AbortHandle);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Carries out an order under its lease. `None` when the lease was lost.
pub async fn hold<B: RunBoard, W: Work>(
    board: Arc<B>,
    work: Arc<W>,
    order: Order,
    settings: Settings,
    clock: Clock,
    stop: StopFlag,
) -> Option<Ending> {
    let lease = order.lease.clone();
    let mut held_at = clock.now();
    let mut task = tokio::spawn(async move { work.carry_out(order, stop).await });
    let _leash = Leash(task.abort_handle());
    // Try again well before anybody may take over, whatever the beat.
    let beat = settings.heartbeat.to_std().unwrap_or(std::time::Duration::from_secs(60));
    let limit = settings.abandon_after.to_std().unwrap_or(beat * 10);
    let mut beats = tokio::time::interval(beat.min(limit / 4).max(std::time::Duration::from_millis(10)));
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beats.tick().await;
    loop {
        tokio::select! {
            ended = &mut task => {
                return Some(ended.unwrap_or_else(|error| Ending::Failed(panic_text(error))));
            }
            _ = beats.tick() => {}
        }
        let now = clock.now();
        match tokio::time::timeout(limit / 4, board.renew(&lease, now, now + settings.abandon_after)).await {
            Ok(Ok(true)) => held_at = now,
            Ok(Ok(false)) => {
                tracing::error!(run = lease.run_id, "the lease was lost; the work is dropped");
                return None;
            }
            Ok(Err(error)) => tracing::warn!(run = lease.run_id, %error, "no sign of life could be given"),
            Err(_) => tracing::warn!(run = lease.run_id, "no sign of life could be given in time"),
        }
        // While the work itself, or anybody else, is writing to an embedded store for long, nobody can take over
        // either: what counts is that the lease is still there to be read.
        if now != held_at && still_held(&*board, &lease, limit / 4).await {
            held_at = now;
        }
        if now - held_at >= settings.abandon_after {
            tracing::error!(run = lease.run_id, "the lease could not be renewed; the work is dropped");
            return None;
        }
    }
}

/// Whether the board shows the run as ours.
async fn still_held<B: RunBoard>(board: &B, lease: &Lease, patience: std::time::Duration) -> bool {
    let ours = |row: &RunRow| row.id == lease.run_id && row.lease_token == lease.token && row.state == RunState::Running;
    match tokio::time::timeout(patience, board.open()).await {
        Ok(Ok(rows)) => rows.iter().any(ours),
        Ok(Err(_)) | Err(_) => false,
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            format!("a bug in the program: {text}")
        }
        Err(_) => "the work was dropped".to_owned(),
    }
}
