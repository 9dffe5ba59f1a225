//! Tests of the loop with real tasks, real time and scripted work.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::Clock;
use crate::core::schedule::{BusinessDayRule, Missed, Overlap, Schedule, Step, parse_zone};
use crate::daemon::board::RunState;
use crate::daemon::memory_board::MemoryBoard;
use crate::daemon::planner::{Job, Settings};
use chrono::{DateTime, Utc};
use std::sync::Mutex;
use tokio::sync::Notify;

#[derive(Default)]
struct Ears(Mutex<Vec<Notice>>);
impl Tell for Ears {
    async fn tell(&self, notice: Notice) {
        self.0.lock().unwrap().push(notice);
    }
}

/// Starts, says so, and ends as scripted.
struct Scripted {
    script: Script,
    started: Notify,
    dropped: Arc<Notify>,
    between: std::sync::atomic::AtomicUsize,
    /// Whether something was in hand when it was asked what to do between runs.
    in_hand: std::sync::atomic::AtomicBool,
    disturbed: std::sync::atomic::AtomicBool,
}
enum Script {
    Finish,
    Panic,
    UntilStopped,
    Deaf,
}
struct Dropped(Arc<Notify>);
impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
impl Work for Scripted {
    async fn carry_out(&self, _: Order, mut stop: StopFlag) -> Ending {
        let _dropped = Dropped(self.dropped.clone());
        self.in_hand.store(true, std::sync::atomic::Ordering::SeqCst);
        self.started.notify_one();
        match self.script {
            Script::Finish => {
                tokio::time::sleep(Duration::from_secs(6)).await;
                self.in_hand.store(false, std::sync::atomic::Ordering::SeqCst);
                Ending::Done { exceptions: 2 }
            }
            Script::Panic => panic!("index out of bounds"),
            Script::UntilStopped => {
                stop.raised().await;
                Ending::HandedBack
            }
            Script::Deaf => std::future::pending().await,
        }
    }

    async fn between(&self, _: StopFlag) {
        use std::sync::atomic::Ordering::SeqCst;
        self.between.fetch_add(1, SeqCst);
        self.disturbed.fetch_or(self.in_hand.load(SeqCst), SeqCst);
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

struct Rig {
    board: Arc<MemoryBoard>,
    clock: Clock,
    work: Arc<Scripted>,
    ears: Arc<Ears>,
    switch: StopSwitch,
    served: tokio::task::JoinHandle<Result<(), DaemonError>>,
}

/// A daemon with one missed night to do, its clock standing still.
async fn rig(script: Script, listen: Option<String>) -> Rig {
    let (board, clock) = (Arc::<MemoryBoard>::default(), Clock::manual_at(at("2026-06-10T01:59:00Z")));
    let zone = parse_zone("UTC").unwrap();
    let schedule =
        Schedule::new("nightly", "0 0 2 * * *", zone, BusinessDayRule::Previous, &Step::ALL, Missed::CatchUp, Overlap::Queue)
            .unwrap();
    let jobs = vec![Job { schedule, late_after: chrono::Duration::hours(2) }];
    let settings = Settings { heartbeat: chrono::Duration::milliseconds(20), ..Settings::default() };
    let mut planner = Planner::new(board.clone(), jobs, settings, clock.clone(), "elsewhere/1.1/1/1".into());
    planner.round().await.unwrap();
    clock.set(at("2026-06-10T02:00:00Z"));
    let work = Arc::new(Scripted {
        script,
        started: Notify::new(),
        dropped: Arc::default(),
        between: Default::default(),
        in_hand: Default::default(),
        disturbed: Default::default(),
    });
    let ears = Arc::<Ears>::default();
    let (switch, stop) = StopSwitch::new();
    let serving = Serving { listen, stop_grace: Duration::from_millis(300) };
    let served = tokio::spawn(serve(planner, work.clone(), ears.clone(), serving, axum::Router::new(), stop));
    Rig { board, clock, work, ears, switch, served }
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..1000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within ten seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_due_run_is_carried_out_and_its_exceptions_are_told() {
    let rig = rig(Script::Finish, None).await;
    until(|| rig.board.rows().iter().any(|row| row.state == RunState::Finished)).await;
    until(|| rig.ears.0.lock().unwrap().len() == 1).await;
    // Small things have their turn once nothing is in hand, and not while it is.
    until(|| rig.work.between.load(std::sync::atomic::Ordering::SeqCst) > 0).await;
    assert!(!rig.work.disturbed.load(std::sync::atomic::Ordering::SeqCst));
    rig.switch.raise();
    rig.served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_panics_is_failed_and_the_daemon_lives_on() {
    let rig = rig(Script::Panic, None).await;
    until(|| rig.board.rows().iter().any(|row| row.state == RunState::Failed)).await;
    until(|| rig.ears.0.lock().unwrap().iter().any(|notice| notice.summary.contains("index out of bounds"))).await;
    assert!(!rig.served.is_finished());
    rig.switch.raise();
    rig.served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_the_step_end_and_hands_the_run_back() {
    let rig = rig(Script::UntilStopped, None).await;
    rig.work.started.notified().await;
    rig.switch.raise();
    rig.served.await.unwrap().unwrap();
    assert_eq!(rig.board.rows()[0].state, RunState::Requested);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_drops_a_step_that_does_not_end_in_time_and_hands_the_run_back() {
    let rig = rig(Script::Deaf, None).await;
    rig.work.started.notified().await;
    rig.switch.raise();
    rig.served.await.unwrap().unwrap();
    assert_eq!(rig.board.rows()[0].state, RunState::Requested);
    rig.work.dropped.notified().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_under_a_lost_lease_is_dropped() {
    let rig = rig(Script::Deaf, None).await;
    rig.work.started.notified().await;
    let row = rig.board.rows()[0].clone();
    assert!(rig.board.abandon(row.id, row.lease_token, at("2026-06-10T02:00:00Z")).await.unwrap());
    rig.work.dropped.notified().await;
    rig.switch.raise();
    rig.served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_writes_for_longer_than_others_wait_goes_on_while_its_lease_can_be_read() {
    let rig = rig(Script::Deaf, None).await;
    rig.work.started.notified().await;
    rig.board.set_busy(true);
    for minutes in [6, 12, 30] {
        rig.clock.set(at("2026-06-10T02:00:00Z") + chrono::Duration::minutes(minutes));
        assert!(tokio::time::timeout(Duration::from_millis(200), rig.work.dropped.notified()).await.is_err(), "{minutes}");
    }
    assert_eq!(rig.board.rows()[0].state, RunState::Running);
    // Out of reach altogether it cannot be known, and the work is dropped.
    rig.board.set_out_of_reach(true);
    rig.clock.set(at("2026-06-10T02:45:00Z"));
    rig.work.dropped.notified().await;
    rig.board.set_out_of_reach(false);
    rig.switch.raise();
    rig.served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_while_the_loop_turns_and_readiness_follows_the_board() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let rig = rig(Script::UntilStopped, Some(free.clone())).await;
    rig.work.started.notified().await;
    let get = |path: &'static str| {
        let free = free.clone();
        async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(&free).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        }
    };
    let health = get("/healthz").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"ok\"") && health.contains("nightly"), "{health}");
    assert!(get("/readyz").await.starts_with("HTTP/1.1 200"));
    rig.board.set_out_of_reach(true);
    assert!(get("/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get("/healthz").await.starts_with("HTTP/1.1 200"), "the loop still turns");
    rig.board.set_out_of_reach(false);
    rig.switch.raise();
    rig.served.await.unwrap().unwrap();
}
