//! The daemon on the real store, SQLite and PostgreSQL: one row per key, one run at a time, leases
//! that fence, marks that outlive the process.

mod process;

use crate::support::postgres::Database;
use chrono::{DateTime, Duration, Utc};
use rebated::clock::Clock;
use rebated::config::Workspace;
use rebated::core::schedule::{BusinessDayRule, Missed, Overlap, RunKey, Schedule, Step, parse_zone};
use rebated::daemon::board::{End, NewRun, RunBoard, RunState};
use rebated::daemon::planner::{Job, Planner, Settings};
use rebated::daemon::work::Ending;
use rebated::pipeline;
use rebated::store::Store;
use std::sync::Arc;

/// The same test on both databases, each fresh.
async fn on_both<F: Future<Output = ()>>(test: impl Fn(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}", folder.path().join("t.db").display())).await.unwrap();
    test(store.clone()).await;
    store.close().await;
    if let Some(database) = Database::fresh() {
        let store = Store::open(&database.url).await.unwrap();
        test(store.clone()).await;
        store.close().await;
    }
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(&format!("2026-06-{text}:00Z")).unwrap().to_utc()
}
fn run(day: &str, now: DateTime<Utc>) -> NewRun {
    let key: RunKey = day.parse().unwrap();
    NewRun { job: "nightly".into(), key, business_day: day.parse().unwrap(), caught_up: false, requested_at: now }
}
fn planner(store: &Store, clock: &Clock, owner: &str) -> Planner<Store> {
    let zone = parse_zone("UTC").unwrap();
    let schedule =
        Schedule::new("nightly", "0 0 2 * * *", zone, BusinessDayRule::Previous, &Step::ALL, Missed::CatchUp, Overlap::Queue)
            .unwrap();
    let jobs = vec![Job { schedule, late_after: Duration::hours(2) }];
    Planner::new(Arc::new(store.clone()), jobs, Settings::default(), clock.clone(), owner.to_owned())
}

#[tokio::test]
async fn the_board_keeps_one_row_for_each_key_and_the_mark_of_the_schedule() {
    on_both(|store| async move {
        let now = at("10T02:00");
        assert_eq!(store.planned_until("nightly").await.unwrap(), None);
        assert_eq!(store.request("nightly", &[run("2026-06-09", now)], now).await.unwrap(), 1);
        let later = at("10T02:05");
        assert_eq!(store.request("nightly", &[run("2026-06-09", later), run("2026-06-08", later)], later).await.unwrap(), 1);
        assert_eq!(store.planned_until("nightly").await.unwrap(), Some(later));
        let keys: Vec<RunKey> = ["2026-06-08", "2026-06-09", "2026-06-10"].map(|key| key.parse().unwrap()).into();
        assert_eq!(store.known("nightly", &keys).await.unwrap().into_iter().collect::<Vec<_>>(), keys[..2]);
        assert!(store.known("intraday", &keys).await.unwrap().is_empty());
        let open = store.open().await.unwrap();
        assert_eq!(open.len(), 2);
        assert_eq!((open[0].key, open[0].requested_at, open[0].state), (keys[1], now, RunState::Requested));
        store.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_lease_fences_off_whoever_lost_it() {
    on_both(|store| async move {
        let now = at("10T02:00");
        store.request("nightly", &[run("2026-06-09", now), run("2026-06-10", now)], now).await.unwrap();
        let rows = store.open().await.unwrap();
        let first = store.claim(&rows[0], "one", now, now).await.unwrap().unwrap();
        assert_eq!(store.claim(&rows[1], "two", now, now).await.unwrap(), None, "one run at a time");
        assert!(store.renew(&first, at("10T02:01"), at("10T02:11")).await.unwrap());
        assert_eq!(store.open().await.unwrap()[0].heartbeat_at, Some(at("10T02:01")));
        assert!(store.abandon(first.run_id, first.token, at("10T02:12")).await.unwrap());
        assert!(!store.renew(&first, at("10T02:13"), at("10T02:23")).await.unwrap());
        assert!(!store.end(&first, &End::Finished, at("10T02:13")).await.unwrap());
        assert_eq!(store.claim(&rows[0], "two", now, now).await.unwrap(), None, "read before it was claimed and abandoned");
        let rows = store.open().await.unwrap();
        assert_eq!((rows[0].state, rows[0].attempt), (RunState::Abandoned, 1));
        let second = store.claim(&rows[0], "two", at("10T02:14"), now).await.unwrap().unwrap();
        assert_eq!(second.attempt, 2);
        assert!(!store.abandon(first.run_id, first.token, at("10T02:15")).await.unwrap());
        assert!(store.end(&second, &End::HandedBack, at("10T02:15")).await.unwrap());
        let rows = store.open().await.unwrap();
        assert_eq!(rows[0].state, RunState::Requested);
        let third = store.claim(&rows[0], "one", at("10T02:16"), now).await.unwrap().unwrap();
        assert!(store.end(&third, &End::Finished, at("10T02:17")).await.unwrap());
        assert_eq!(store.claim(&rows[0], "two", now, now).await.unwrap(), None, "a finished key never runs again");
        assert_eq!(store.open().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_at_the_same_instant_run_every_night_once() {
    on_both(|store| async move {
        let clock = Clock::manual_at(at("01T12:00"));
        let mut daemons = [planner(&store, &clock, "elsewhere/1.1/1/1"), planner(&store, &clock, "third/1.1/1/1")];
        for daemon in &mut daemons {
            daemon.round().await.unwrap();
        }
        let mut closed = Vec::new();
        for night in 2..22 {
            clock.set(at(&format!("{night:02}T02:00")));
            let [one, two] = &mut daemons;
            let (a, b) = tokio::join!(async { (one.round().await.unwrap(), one.start_next().await.unwrap()).1 }, async {
                (two.round().await.unwrap(), two.start_next().await.unwrap()).1
            });
            let orders: Vec<_> = [(0, a), (1, b)].into_iter().filter_map(|(who, order)| Some((who, order?))).collect();
            assert_eq!(orders.len(), 1, "night {night}");
            let (who, order) = &orders[0];
            daemons[*who].close(order, &Ending::Done { exceptions: 0 }).await.unwrap();
            for daemon in &mut daemons {
                daemon.round().await.unwrap();
                assert_eq!(daemon.start_next().await.unwrap(), None);
            }
            closed.push(order.key.to_string());
        }
        let nights: Vec<String> = (1..21).map(|day| format!("2026-06-{day:02}")).collect();
        assert_eq!(closed, nights);
    })
    .await;
}

#[tokio::test]
async fn case_26_an_outage_is_caught_up_from_what_the_store_remembers() {
    on_both(|store| async move {
        let clock = Clock::manual_at(at("10T01:50"));
        planner(&store, &clock, "elsewhere/1.1/1/1").round().await.unwrap();
        clock.set(at("12T09:00"));
        let mut daemon = planner(&store, &clock, "elsewhere/1.1/2/2");
        let mut closed = Vec::new();
        loop {
            daemon.round().await.unwrap();
            let Some(order) = daemon.start_next().await.unwrap() else { break };
            closed.push((order.key.to_string(), order.caught_up, order.steps.contains(&Step::Pull)));
            daemon.close(&order, &Ending::Done { exceptions: 0 }).await.unwrap();
        }
        let expected = [("2026-06-09", true, true), ("2026-06-10", true, false), ("2026-06-11", true, false)];
        assert_eq!(closed, expected.map(|(key, caught_up, reads)| (key.to_owned(), caught_up, reads)));
    })
    .await;
}

#[tokio::test]
async fn a_dead_run_is_found_although_the_clock_was_set_back_behind_its_last_sign() {
    on_both(|store| async move {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rebated.toml"), "[company]\nname = \"T\"\ncurrency = \"USD\"\ntimezone = \"UTC\"\n")
            .unwrap();
        let workspace = Workspace::load(folder.path(), &[]).unwrap();
        let settings = pipeline::Settings::of(&workspace.config.company);
        let clock = Clock::manual_at(at("10T02:00"));
        let runtime = pipeline::Runtime {
            store: store.clone(),
            clock: clock.clone(),
            workspace: Arc::new(workspace),
            settings,
            heartbeat: Duration::minutes(1),
            abandon_after: Duration::minutes(10),
            progress: Arc::new(pipeline::LogProgress),
        };
        store.request("nightly", &[run("2026-06-09", at("10T02:00"))], at("10T02:00")).await.unwrap();
        let row = store.open().await.unwrap().remove(0);
        // Held on another host, whose last sign is of half past five; then all clocks go back.
        let lease = store.claim(&row, "elsewhere/1.1/1/1", at("10T05:30"), at("10T05:40")).await.unwrap().unwrap();
        for now in ["10T02:00", "10T02:09"] {
            clock.set(at(now));
            assert!(pipeline::run::release_dead_runs(&runtime).await.unwrap().is_empty(), "{now}: it may be alive");
        }
        clock.set(at("10T02:10"));
        let released = pipeline::run::release_dead_runs(&runtime).await.unwrap();
        assert_eq!(released.len(), 1, "no sign for ten minutes");
        assert!(!store.renew(&lease, at("10T02:11"), at("10T02:21")).await.unwrap());

        // Who is alive gives a sign by the new clock and is left alone.
        let row = store.open().await.unwrap().remove(0);
        let lease = store.claim(&row, "elsewhere/1.1/2/2", at("10T05:30"), at("10T05:40")).await.unwrap().unwrap();
        assert!(pipeline::run::release_dead_runs(&runtime).await.unwrap().is_empty());
        assert!(store.renew(&lease, at("10T02:15"), at("10T02:25")).await.unwrap());
        clock.set(at("10T02:21"));
        assert!(pipeline::run::release_dead_runs(&runtime).await.unwrap().is_empty());
    })
    .await;
}
