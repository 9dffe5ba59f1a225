//! Case 26: missed nights, overlapping nights and a run that died, minute by minute with a manual
//! clock. The table is one story; nothing but the daemon's process ends and starts in it.
#![allow(clippy::unwrap_used)]

use super::board::RunState;
use super::memory_board::MemoryBoard;
use super::planner::{Job, Planner, Settings};
use super::work::{Ending, Order};
use crate::clock::Clock;
use crate::core::schedule::{BusinessDayRule, Missed, Overlap, Schedule, Step, parse_zone};
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() == 16 { format!("{text}:00") } else { text.to_owned() };
    DateTime::parse_from_rfc3339(&format!("{}Z", text.replace(' ', "T"))).unwrap().to_utc()
}

/// A host: its process may be gone, its clock goes on.
struct Host {
    board: Arc<MemoryBoard>,
    clock: Clock,
    process: Option<Planner<MemoryBoard>>,
    in_hand: Option<(Order, DateTime<Utc>)>,
    /// How long the run of a key takes; ten minutes otherwise.
    minutes: BTreeMap<String, i64>,
    /// Keys whose run read the connectors, in order.
    read_by: Vec<String>,
}

impl Host {
    fn new(start: &str) -> Self {
        Self {
            board: Arc::default(),
            clock: Clock::manual_at(at(start)),
            process: None,
            in_hand: None,
            minutes: BTreeMap::new(),
            read_by: Vec::new(),
        }
    }
    fn start(&mut self) {
        let schedule = Schedule::new(
            "nightly",
            "0 0 2 * * *",
            parse_zone("UTC").unwrap(),
            BusinessDayRule::Previous,
            &Step::ALL,
            Missed::CatchUp,
            Overlap::Queue,
        )
        .unwrap();
        let jobs = vec![Job { schedule, late_after: Duration::hours(2) }];
        // Another host's process: nobody can see whether it lives.
        let owner = "elsewhere/1.1/4711/99".to_owned();
        self.process = Some(Planner::new(self.board.clone(), jobs, Settings::default(), self.clock.clone(), owner));
    }
    fn stop(&mut self) {
        self.process = None;
        self.in_hand = None;
    }
    /// What the loop does at this instant: sign of life, end of the run in hand, round, start.
    async fn wake(&mut self) {
        let Some(planner) = &mut self.process else { return };
        let now = self.clock.now();
        if let Some((order, ends_at)) = self.in_hand.take() {
            if now >= ends_at {
                planner.close(&order, &Ending::Done { exceptions: 0 }).await.unwrap();
            } else {
                let board = planner.board().clone();
                use super::board::RunBoard;
                assert!(board.renew(&order.lease, now, now).await.unwrap());
                self.in_hand = Some((order, ends_at));
            }
        }
        planner.round().await.unwrap();
        if let (None, Some(order)) = (&self.in_hand, planner.start_next().await.unwrap()) {
            if order.steps.contains(&Step::Pull) {
                self.read_by.push(order.key.to_string());
            }
            let minutes = self.minutes.get(&order.key.to_string()).copied().unwrap_or(10);
            self.in_hand = Some((order, now + Duration::minutes(minutes)));
        } else if self.in_hand.is_some() {
            assert_eq!(planner.start_next().await.unwrap(), None, "one run at a time");
        }
    }
    /// Lets the clock run, waking every minute, and gives what happened.
    async fn until(&mut self, end: &str) -> Vec<String> {
        loop {
            self.wake().await;
            let next = self.clock.now() + Duration::minutes(1);
            if next > at(end) {
                self.clock.set(at(end));
                self.wake().await;
                return self.board.take_history();
            }
            self.clock.set(next);
        }
    }
}

#[tokio::test]
async fn case_26_the_whole_table() {
    let mut host = Host::new("2026-06-08 12:00");
    host.minutes.insert("2026-06-13".into(), 25 * 60);
    host.minutes.insert("2026-06-15".into(), 60);
    host.minutes.insert("2026-06-16".into(), 40);
    host.start();
    assert_eq!(
        host.until("2026-06-10 01:50").await,
        [
            "06-09 02:00 requested nightly 2026-06-08",
            "06-09 02:00 claimed nightly 2026-06-08",
            "06-09 02:10 finished nightly 2026-06-08"
        ]
    );

    // 2026-06-10 01:50 the process stops; 2026-06-12 09:00 it starts.
    host.stop();
    assert_eq!(host.until("2026-06-12 09:00").await, [""; 0]);
    host.read_by.clear();
    host.start();
    assert_eq!(
        host.until("2026-06-12 10:00").await,
        [
            "06-12 09:00 requested (caught up) nightly 2026-06-09",
            "06-12 09:00 requested (caught up) nightly 2026-06-10",
            "06-12 09:00 requested (caught up) nightly 2026-06-11",
            "06-12 09:00 claimed nightly 2026-06-09",
            "06-12 09:10 finished nightly 2026-06-09",
            "06-12 09:10 claimed nightly 2026-06-10",
            "06-12 09:20 finished nightly 2026-06-10",
            "06-12 09:20 claimed nightly 2026-06-11",
            "06-12 09:30 finished nightly 2026-06-11",
        ]
    );
    assert_eq!(host.read_by, ["2026-06-09"], "the connectors are read once");

    // 2026-06-13 01:59:52 the timer fires eight seconds early.
    assert_eq!(host.until("2026-06-13 01:59:52").await, [""; 0]);
    assert_eq!(
        host.until("2026-06-13 12:00").await,
        [
            "06-13 02:00 requested nightly 2026-06-12",
            "06-13 02:00 claimed nightly 2026-06-12",
            "06-13 02:10 finished nightly 2026-06-12"
        ]
    );

    // 2026-06-14 02:00 a run of 25 hours; the next trigger is noted; it starts when the long one ends.
    assert_eq!(
        host.until("2026-06-15 12:00").await,
        [
            "06-14 02:00 requested nightly 2026-06-13",
            "06-14 02:00 claimed nightly 2026-06-13",
            "06-15 02:00 requested nightly 2026-06-14",
            "06-15 03:00 finished nightly 2026-06-13",
            "06-15 03:00 claimed nightly 2026-06-14",
            "06-15 03:10 finished nightly 2026-06-14",
        ]
    );

    // 2026-06-16 02:20 the process is killed, back at 02:25; abandoned and started again at 02:30.
    assert_eq!(
        host.until("2026-06-16 02:20").await,
        ["06-16 02:00 requested nightly 2026-06-15", "06-16 02:00 claimed nightly 2026-06-15"]
    );
    host.stop();
    assert_eq!(host.until("2026-06-16 02:25").await, [""; 0]);
    host.start();
    assert_eq!(
        host.until("2026-06-16 12:00").await,
        [
            "06-16 02:30 abandoned nightly 2026-06-15",
            "06-16 02:30 claimed nightly 2026-06-15",
            "06-16 03:30 finished nightly 2026-06-15"
        ]
    );

    // 2026-06-17 03:00 the clock is set back to 01:30, after a run that finished at 02:40.
    assert_eq!(
        host.until("2026-06-17 03:00").await,
        [
            "06-17 02:00 requested nightly 2026-06-16",
            "06-17 02:00 claimed nightly 2026-06-16",
            "06-17 02:40 finished nightly 2026-06-16"
        ]
    );
    host.clock.set(at("2026-06-17 01:30"));
    assert_eq!(host.until("2026-06-17 23:00").await, [""; 0], "key 2026-06-16 is finished");

    let rows = host.board.rows();
    let closed: Vec<_> = rows.iter().map(|row| (row.key.to_string(), row.state, row.caught_up, row.attempt)).collect();
    let finished = |key: &str, caught_up, attempt| (key.to_owned(), RunState::Finished, caught_up, attempt);
    assert_eq!(
        closed,
        [
            finished("2026-06-08", false, 1),
            finished("2026-06-09", true, 1),
            finished("2026-06-10", true, 1),
            finished("2026-06-11", true, 1),
            finished("2026-06-12", false, 1),
            finished("2026-06-13", false, 1),
            finished("2026-06-14", false, 1),
            finished("2026-06-15", false, 2),
            finished("2026-06-16", false, 1),
        ]
    );
    assert_eq!(
        host.read_by,
        ["2026-06-09", "2026-06-12", "2026-06-13", "2026-06-14", "2026-06-15", "2026-06-15", "2026-06-16"],
        "every other run reads for itself"
    );
}
