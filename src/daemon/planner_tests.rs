//! Tests of single rounds: retries, notices, two daemons, a board out of reach, clocks set back.
#![allow(clippy::unwrap_used)]

use super::alert::NoticeKind;
use super::board::{RunBoard, RunState};
use super::memory_board::MemoryBoard;
use super::planner::{Job, Planner, Settings};
use super::work::Ending;
use crate::clock::Clock;
use crate::core::schedule::{BusinessDayRule, Missed, Overlap, Schedule, Step, parse_zone};
use crate::owner::Owner;
use chrono::{DateTime, Duration, Utc};
use std::sync::Arc;

const ELSEWHERE: &str = "elsewhere/1.1/4711/99";

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(&format!("2026-06-{text}:00Z")).unwrap().to_utc()
}
fn nightly() -> Job {
    let zone = parse_zone("UTC").unwrap();
    let schedule =
        Schedule::new("nightly", "0 0 2 * * *", zone, BusinessDayRule::Previous, &Step::ALL, Missed::CatchUp, Overlap::Queue)
            .unwrap();
    Job { schedule, late_after: Duration::hours(2) }
}
fn planner(board: &Arc<MemoryBoard>, clock: &Clock, owner: &str) -> Planner<MemoryBoard> {
    Planner::new(board.clone(), vec![nightly()], Settings::default(), clock.clone(), owner.to_owned())
}
/// A planner that has planned up to 2026-06-10 01:00.
async fn ready() -> (Arc<MemoryBoard>, Clock, Planner<MemoryBoard>) {
    let (board, clock) = (Arc::<MemoryBoard>::default(), Clock::manual_at(at("10T01:00")));
    let mut planner = planner(&board, &clock, ELSEWHERE);
    planner.round().await.unwrap();
    (board, clock, planner)
}

#[tokio::test]
async fn the_very_first_start_catches_nothing_up_but_remembers_that_it_was_there() {
    let (board, clock, _) = ready().await;
    assert_eq!(board.rows(), []);
    clock.set(at("12T09:00"));
    planner(&board, &clock, ELSEWHERE).round().await.unwrap();
    assert_eq!(board.rows().len(), 3, "a process that died before its first run is caught up");
}

#[tokio::test]
async fn a_failed_run_is_told_and_tried_again_after_its_wait() {
    let (board, clock, mut planner) = ready().await;
    clock.set(at("10T02:00"));
    planner.round().await.unwrap();
    let order = planner.start_next().await.unwrap().unwrap();
    let told = planner.close(&order, &Ending::Failed("the ERP answered 503".into())).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].kind, NoticeKind::Failed);
    assert!(told[0].summary.contains("503") && told[0].details[0].contains("02:05"), "{told:?}");
    clock.set(at("10T02:04"));
    assert_eq!(planner.start_next().await.unwrap(), None);
    clock.set(at("10T02:05"));
    let again = planner.start_next().await.unwrap().unwrap();
    assert_eq!((again.key, again.lease.attempt), (order.key, 2));
    assert!(again.steps.contains(&Step::Pull));
    assert_eq!(planner.close(&again, &Ending::Done { exceptions: 0 }).await.unwrap(), []);
    assert_eq!(board.rows()[0].state, RunState::Finished);
}

#[tokio::test]
async fn a_run_handed_back_starts_again_at_once_and_nobody_is_told() {
    let (_, clock, mut planner) = ready().await;
    clock.set(at("10T02:00"));
    planner.round().await.unwrap();
    let order = planner.start_next().await.unwrap().unwrap();
    assert_eq!(planner.close(&order, &Ending::HandedBack).await.unwrap(), []);
    assert_eq!(planner.start_next().await.unwrap().unwrap().key, order.key);
}

#[tokio::test]
async fn a_late_run_is_told_once_and_so_is_an_outage() {
    let (board, clock, mut planner) = ready().await;
    clock.set(at("10T02:00"));
    assert_eq!(planner.round().await.unwrap(), []);
    let order = planner.start_next().await.unwrap().unwrap();
    for (now, told) in [("10T03:59", 0), ("10T04:00", 1), ("10T05:00", 0)] {
        clock.set(at(now));
        board.renew(&order.lease, at(now), at(now)).await.unwrap();
        let notices = planner.round().await.unwrap();
        assert_eq!(notices.iter().filter(|notice| notice.kind == NoticeKind::Late).count(), told, "{now}");
    }
    planner.close(&order, &Ending::Done { exceptions: 0 }).await.unwrap();
    clock.set(at("13T01:00"));
    let notices = planner.round().await.unwrap();
    assert_eq!(notices.len(), 1, "one notice for the whole outage: {notices:?}");
    assert_eq!(notices[0].details.len(), 2);
    assert!(notices[0].summary.contains("missed"));
}

#[tokio::test]
async fn exceptions_of_a_finished_run_are_told() {
    let (_, clock, mut planner) = ready().await;
    clock.set(at("10T02:00"));
    planner.round().await.unwrap();
    let order = planner.start_next().await.unwrap().unwrap();
    let told = planner.close(&order, &Ending::Done { exceptions: 3 }).await.unwrap();
    assert_eq!((told[0].kind, told[0].summary.contains('3')), (NoticeKind::Exceptions, true));
}

#[tokio::test]
async fn two_daemons_on_one_board_run_a_key_once() {
    let (board, clock, mut one) = ready().await;
    let mut two = planner(&board, &clock, "third/1.1/1/1");
    clock.set(at("10T02:00"));
    one.round().await.unwrap();
    two.round().await.unwrap();
    let order = one.start_next().await.unwrap().unwrap();
    assert_eq!(two.start_next().await.unwrap(), None);
    one.close(&order, &Ending::Done { exceptions: 0 }).await.unwrap();
    assert_eq!(two.start_next().await.unwrap(), None);
    assert_eq!(board.rows().len(), 1);
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_cannot_end_the_run() {
    let (board, clock, mut one) = ready().await;
    clock.set(at("10T02:00"));
    one.round().await.unwrap();
    let stale = one.start_next().await.unwrap().unwrap();
    clock.set(at("10T02:10"));
    let mut two = planner(&board, &clock, "third/1.1/1/1");
    assert_eq!(two.round().await.unwrap()[0].kind, NoticeKind::Failed);
    let fresh = two.start_next().await.unwrap().unwrap();
    assert_eq!(fresh.lease.attempt, 2);
    assert!(!board.renew(&stale.lease, clock.now(), clock.now()).await.unwrap());
    one.close(&stale, &Ending::Done { exceptions: 0 }).await.unwrap();
    assert_eq!(board.rows()[0].state, RunState::Running, "still in the hands of the other");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_whose_process_on_this_host_is_dead_is_free_at_once() {
    let (board, clock, _) = ready().await;
    let me = Owner::this_process().to_string();
    let dead = format!("{}/1", me.rsplit_once('/').unwrap().0);
    let mut killed = planner(&board, &clock, &dead);
    clock.set(at("10T02:00"));
    killed.round().await.unwrap();
    killed.start_next().await.unwrap().unwrap();
    drop(killed);
    let mut restarted = planner(&board, &clock, &me);
    clock.set(at("10T02:01"));
    restarted.round().await.unwrap();
    assert_eq!(restarted.start_next().await.unwrap().unwrap().lease.attempt, 2);
    clock.set(at("10T02:09"));
    restarted.round().await.unwrap();
    assert_eq!(board.rows()[0].state, RunState::Running, "its own process is alive");
}

#[tokio::test]
async fn a_sign_of_life_from_the_future_does_not_block_for_ever() {
    let (board, clock, mut silent) = ready().await;
    clock.set(at("10T02:00"));
    silent.round().await.unwrap();
    silent.start_next().await.unwrap().unwrap();
    let mut other = planner(&board, &clock, "elsewhere/2");
    clock.set(at("09T02:00"));
    other.round().await.unwrap();
    clock.set(at("09T02:09"));
    other.round().await.unwrap();
    assert_eq!(board.rows()[0].state, RunState::Running);
    clock.set(at("09T02:10"));
    silent.round().await.unwrap();
    assert_eq!(board.rows()[0].state, RunState::Running, "nobody takes over from himself");
    other.round().await.unwrap();
    assert_eq!(board.rows()[0].state, RunState::Abandoned);
}

#[tokio::test]
async fn a_clock_ahead_by_a_day_and_corrected_does_not_stop_the_nights() {
    let (board, clock, mut planner) = ready().await;
    for (now, keys) in [("11T02:30", 2), ("10T02:30", 2), ("11T02:00", 2), ("12T02:00", 3)] {
        clock.set(at(now));
        planner.round().await.unwrap();
        assert_eq!(board.rows().len(), keys, "{now}");
    }
}

#[tokio::test]
async fn a_board_out_of_reach_costs_nothing_but_time() {
    let (board, clock, mut planner) = ready().await;
    board.set_out_of_reach(true);
    clock.set(at("10T02:00"));
    assert!(planner.round().await.is_err());
    board.set_out_of_reach(false);
    clock.set(at("10T02:03"));
    planner.round().await.unwrap();
    assert_eq!(board.rows().len(), 1);
    assert!(!board.rows()[0].caught_up, "three minutes are not an outage");
}

#[tokio::test]
async fn idle_rounds_hardly_write() {
    let (board, clock, mut planner) = ready().await;
    let before = board.writes();
    for second in 0..600 {
        clock.set(at("10T01:10") + Duration::seconds(second));
        planner.round().await.unwrap();
    }
    assert_eq!(board.writes() - before, 1);
}
