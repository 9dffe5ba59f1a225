//! `/healthz` and `/readyz`: whether the loop turns, and whether it can do its work.
//!
//! No business figures: anybody who reaches the address may read these.

use super::DaemonError;
use super::board::RunBoard;
use crate::clock::Clock;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// Without a completed round for this long the loop does not turn any more.
pub const SILENT_AFTER: Duration = Duration::minutes(3);

/// What the loop tells about itself.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<Beat>>);

#[derive(Clone, Debug, Default)]
struct Beat {
    last_round_at: Option<DateTime<Utc>>,
    board: Option<bool>,
    running: Option<String>,
    stopping: bool,
}

impl Pulse {
    fn set(&self, change: impl FnOnce(&mut Beat)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
    fn get(&self) -> Beat {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// A round was completed; `board` says whether the board could be used.
    pub fn round(&self, at: DateTime<Utc>, board: bool) {
        self.set(|beat| (beat.last_round_at, beat.board) = (Some(at), Some(board)));
    }
    /// The job in hand, if any.
    pub fn running(&self, job: Option<&str>) {
        self.set(|beat| beat.running = job.map(str::to_owned));
    }
    /// The process wants to end.
    pub fn stopping(&self) {
        self.set(|beat| beat.stopping = true);
    }
}

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_round_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<String>,
}

struct Site<B> {
    pulse: Pulse,
    board: Arc<B>,
    clock: Clock,
}

fn answer(beat: Beat, status: &'static str, fine: bool) -> impl IntoResponse {
    let code = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Answer { status, version: env!("CARGO_PKG_VERSION"), last_round_at: beat.last_round_at, running: beat.running };
    (code, [(header::CACHE_CONTROL, "no-store")], Json(body))
}

async fn healthz<B: RunBoard>(State(site): State<Arc<Site<B>>>) -> impl IntoResponse {
    let beat = site.pulse.get();
    // A clock that was set back is no silence.
    let turns = beat.last_round_at.is_some_and(|at| site.clock.now() - at < SILENT_AFTER);
    answer(beat, if turns { "ok" } else { "silent" }, turns)
}

async fn readyz<B: RunBoard>(State(site): State<Arc<Site<B>>>) -> impl IntoResponse {
    let beat = site.pulse.get();
    let reached = tokio::time::timeout(std::time::Duration::from_secs(5), site.board.ping()).await;
    let (status, fine) = match (&beat, reached) {
        (Beat { stopping: true, .. }, _) => ("stopping", false),
        (_, Err(_) | Ok(Err(_))) | (Beat { board: Some(false), .. }, _) => ("store out of reach", false),
        (Beat { board: None, .. }, _) => ("starting", false),
        _ => ("ready", true),
    };
    answer(beat, status, fine)
}

/// The routes, to be served alone or merged into the web part.
pub fn routes<B: RunBoard>(pulse: Pulse, board: Arc<B>, clock: Clock) -> Router {
    let site = Arc::new(Site { pulse, board, clock });
    Router::new().route("/healthz", get(healthz::<B>)).route("/readyz", get(readyz::<B>)).with_state(site)
}

/// Binds the address of `web.listen`.
///
/// # Errors
/// [`DaemonError::Listen`]: in use, not allowed, or not an address.
pub async fn listen(address: &str) -> Result<tokio::net::TcpListener, DaemonError> {
    tokio::net::TcpListener::bind(address).await.map_err(|source| DaemonError::Listen { address: address.to_owned(), source })
}
