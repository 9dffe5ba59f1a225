//! What two hands do at the same moment: a decision never lands on content that is just being
//! replaced, and a run that lost its lease leaves no trace.
//!
//! One hand is a transaction of the test that is kept open, the other is the built program.

use crate::approval::Office;
use crate::support::binary::Outcome;
use crate::support::postgres::Database;
use chrono::{DateTime, Utc};
use rebated::pipeline::PipelineError;
use rebated::pipeline::run::Lease;
use rebated::store::{ExceptionFilter, NewEntry, NewException, SettlementRow, Store, StoreError, Tx};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn now() -> DateTime<Utc> {
    "2026-04-01T03:00:00Z".parse().unwrap()
}

/// An office on each database.
fn offices() -> Vec<Office> {
    let mut offices = vec![Office::open(None)];
    offices.extend(Database::fresh().map(|database| Office::open(Some(database))));
    offices
}

/// Settlement 1 as it is, locked as every change locks it.
async fn locked(tx: &mut Tx) -> SettlementRow {
    tx.lock_settlement(1).await.unwrap().unwrap()
}

async fn begin(office: &Office) -> Tx {
    Store::connect(&office.store).await.unwrap().begin().await.unwrap()
}

/// Commits what `tx` did only after the program was asked, which must wait for it.
async fn then(office: &Office, tx: Tx, token: Option<&str>, words: &[&str]) -> Outcome {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| match token {
            Some(token) => office.workspace.run_as(token, words),
            None => office.workspace.run(words),
        });
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(!asked.is_finished(), "`rebated {}` did not wait for who was first", words.join(" "));
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| handle.block_on(tx.commit())).unwrap();
        asked.join().unwrap()
    })
}

fn states(office: &Office) -> Vec<(String, String)> {
    office.standing().into_iter().map(|(amount, state, _, _)| (amount, state)).collect()
}

fn is(amount: &str, state: &str) -> (String, String) {
    (amount.to_owned(), state.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_does_not_count_for_a_revision_that_was_written_at_the_same_moment() {
    for office in tokio::task::block_in_place(offices) {
        tokio::task::block_in_place(|| office.put(1, "8000.00"));
        let mut tx = begin(&office).await;
        let before = locked(&mut tx).await;
        let after = SettlementRow { amount_u: 9_500_000_000, revision: 2, fingerprint: "other content".into(), ..before.clone() };
        tx.revise_settlement(&before, &after, &[], "{\"parts\":[],\"lines\":[]}", now()).await.unwrap();
        let words = ["settlement", "approve", "1", "--fingerprint", before.fingerprint.as_str()];
        let told = then(&office, tx, Some(&office.fin1), &words).await;
        assert_eq!(told.code, 2, "{}", told.stderr);
        assert!(told.stderr.contains("stale-content"), "{}", told.stderr);
        tokio::task::block_in_place(|| {
            assert_eq!(office.standing(), [("9500.00".into(), "proposed".into(), 0, 1)]);
            office.push(1);
            assert_eq!(office.memos(), 0);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_while_a_push_begins_does_not_leave_the_house() {
    for office in tokio::task::block_in_place(offices) {
        tokio::task::block_in_place(|| {
            office.put(1, "6000.00");
            office.approve(&office.fin1, "1", 0);
        });
        let mut tx = begin(&office).await;
        let row = locked(&mut tx).await;
        tx.move_settlement(&row, "rejected", None, Some("wrong customer"), now()).await.unwrap();
        let words = ["run", "nightly", "--business-day", "2026-03-31", "--steps", "push"];
        let told = then(&office, tx, None, &words).await;
        assert!(told.code < 2, "{}", told.stderr);
        tokio::task::block_in_place(|| {
            assert_eq!(states(&office), [is("6000.00", "rejected")]);
            assert_eq!(office.memos(), 0);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_sent_can_be_neither_rejected_nor_revised() {
    for office in tokio::task::block_in_place(offices) {
        tokio::task::block_in_place(|| {
            office.put(1, "6000.00");
            office.approve(&office.fin1, "1", 0);
            office.workspace.run(["user", "add", "prep", "--role", "finance-preparer"]).ok();
        });
        let prep = tokio::task::block_in_place(|| office.workspace.run(["user", "token", "prep"]).ok().last_word());
        let mut tx = begin(&office).await;
        let row = locked(&mut tx).await;
        tx.move_settlement(&row, "sending", None, None, now()).await.unwrap();
        let told = then(&office, tx, Some(&office.fin1), &["settlement", "reject", "1", "--reason", "too late"]).await;
        assert_eq!(told.code, 2, "{}", told.stdout);
        assert!(told.stderr.contains("is sending"), "{}", told.stderr);

        // And the other way: the proposal waits for the push, and finds that it is out.
        tokio::task::block_in_place(|| office.put(2, "1000.00"));
        let mut tx = begin(&office).await;
        let row = tx.lock_settlement(2).await.unwrap().unwrap();
        tx.move_settlement(&row, "sending", None, None, now()).await.unwrap();
        let words = ["settlement", "propose", "--business-day", "2026-03-31", "--agreement", "DEAL"];
        let told = then(&office, tx, Some(&prep), &words).await;
        assert!(told.code < 2, "{}", told.stderr);
        let store = Store::connect(&office.store).await.unwrap();
        let mut tx = store.read().await.unwrap();
        for (id, amount) in [(1, 6_000_000_000), (2, 1_000_000_000)] {
            let sent = tx.settlement(id).await.unwrap().unwrap();
            assert_eq!((sent.state.as_str(), sent.revision, sent.amount_u), ("sending", 1, amount));
            let parts = tx.settlement_parts(id).await.unwrap();
            assert_eq!(parts.iter().map(|p| p.amount_u).sum::<i64>(), amount, "the parts are those that were sent");
        }
        // 98,000.00 x 10 % less 6,000.00 and 1,000.00 on their way.
        let next = tx.settlements().await.unwrap().into_iter().find(|s| s.payee == "A" && s.number == 3).expect("a third one");
        assert_eq!((next.state.as_str(), next.amount_u), ("proposed", 2_800_000_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_on_what_is_no_longer_so_is_an_error_and_changes_nothing() {
    for office in tokio::task::block_in_place(offices) {
        tokio::task::block_in_place(|| office.put(1, "6000.00"));
        let mut tx = begin(&office).await;
        let read = locked(&mut tx).await;
        let revised = SettlementRow { revision: 2, fingerprint: "other content".into(), ..read.clone() };
        tx.revise_settlement(&read, &revised, &[], "{}", now()).await.unwrap();
        for stale in [
            tx.move_settlement(&read, "approved", None, None, now()).await,
            tx.revise_settlement(&read, &SettlementRow { revision: 3, ..read.clone() }, &[], "{}", now()).await,
        ] {
            assert!(matches!(stale, Err(StoreError::Changed(_))), "{stale:?}");
        }
        assert_eq!(tx.settlement(1).await.unwrap().unwrap(), revised);
        tx.rollback().await.unwrap();
    }
}

/// An entry that a run books.
fn entry(reason: &str) -> NewEntry {
    NewEntry {
        partner_id: 1,
        agreement: "DEAL".into(),
        version: 1,
        term: "volume".into(),
        period_from: "2026-01-01".parse().unwrap(),
        period_to: "2026-12-31".parse().unwrap(),
        part: 0,
        accounting_month: "2026-03-01".parse().unwrap(),
        for_month: "2026-03-01".parse().unwrap(),
        kind: "base".into(),
        amount: rebated::core::number::Micros(1_000_000),
        currency: "EUR".into(),
        settlement_id: None,
        seq: 1,
        reason: reason.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_paused_past_its_lease_books_nothing() {
    let mut urls: Vec<(String, Option<Database>, Option<tempfile::TempDir>)> = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    urls.push((format!("sqlite://{}", dir.path().join("test.db").display()), None, Some(dir)));
    urls.extend(Database::fresh().map(|database| (database.url.clone(), Some(database), None)));
    for (url, _database, _dir) in urls {
        let store = Store::open(&url).await.unwrap();
        let day = "2026-03-31".parse().unwrap();
        let mut tx = store.begin().await.unwrap();
        let run = tx.request_run("nightly", "2026-03-31", day, false, now()).await.unwrap();
        let token = tx.claim_run(run.id, "here:1", now(), now()).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let paused = Lease::new(run.id, 1, token, Arc::new(AtomicBool::new(false)));

        // On PostgreSQL the paused run has its transaction open all the while; SQLite has one writer.
        let takeover = async {
            let mut tx = store.begin().await.unwrap();
            assert!(tx.abandon_run(run.id, token, "no sign of life", now()).await.unwrap());
            let next = tx.claim_run(run.id, "there:2", now(), now()).await.unwrap().expect("its successor");
            tx.append_entries(&[entry("by the successor")], day, Some(run.id), now()).await.unwrap();
            Lease::new(run.id, 2, next, Arc::new(AtomicBool::new(false))).commit(tx).await.unwrap();
        };
        let late = if store.dialect() == "sqlite" {
            takeover.await;
            store.begin().await.unwrap()
        } else {
            let mut late = store.begin().await.unwrap();
            assert!(late.all_entries().await.unwrap().is_empty());
            takeover.await;
            late
        };
        let mut late = late;
        // Reckoned from a state without the successor's entry, it is its twin: the database takes one of them.
        let twin = late.append_entries(&[entry("by the one that was paused")], day, Some(run.id), now()).await;
        assert!(matches!(twin, Err(StoreError::Database(_))), "{twin:?}");
        late.rollback().await.unwrap();
        // And whatever it writes, it cannot commit.
        let mut late = store.begin().await.unwrap();
        let next = NewEntry { seq: 2, ..entry("by the one that was paused") };
        late.append_entries(&[next], day, Some(run.id), now()).await.unwrap();
        let lost = paused.commit(late).await;
        assert!(matches!(lost, Err(PipelineError::LeaseLost)), "{lost:?}");
        let entries = store.read().await.unwrap().all_entries().await.unwrap();
        let reasons: Vec<&str> = entries.iter().map(|e| e.entry.reason.as_str()).collect();
        assert_eq!(reasons, ["by the successor"], "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_run_over_while_it_commits() {
    let Some(database) = Database::fresh() else { return };
    let store = Store::open(&database.url).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let run = tx.request_run("nightly", "2026-03-31", "2026-03-31".parse().unwrap(), false, now()).await.unwrap();
    let token = tx.claim_run(run.id, "here:1", now(), now()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let mut committing = store.begin().await.unwrap();
    assert!(committing.holds_lease(run.id, token).await.unwrap());
    let other = store.clone();
    let takeover = tokio::spawn(async move {
        let mut tx = other.begin().await.unwrap();
        let abandoned = tx.abandon_run(run.id, token, "no sign of life", now()).await.unwrap();
        tx.commit().await.unwrap();
        abandoned
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!takeover.is_finished(), "it was taken over between the check and the commit");
    committing.commit().await.unwrap();
    assert!(takeover.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_goes_into_a_month_that_is_closed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut urls = vec![(format!("sqlite://{}", dir.path().join("test.db").display()), None)];
    urls.extend(Database::fresh().map(|database| (database.url.clone(), Some(database))));
    for (url, _database) in urls {
        let store = Store::open(&url).await.unwrap();
        let day = "2026-03-31".parse().unwrap();
        let march = rebated::core::period::Period { from: "2026-03-01".parse().unwrap(), to: day };
        if store.dialect() == "postgres" {
            // Who books first is waited for: the entry stands, and the month is closed after it.
            let mut booking = store.begin().await.unwrap();
            booking.append_entries(&[entry("in time")], day, None, now()).await.unwrap();
            let other = store.clone();
            let close = tokio::spawn(async move {
                let mut tx = other.begin().await.unwrap();
                tx.set_period_state(march, "closed", "fin1", None, now()).await.unwrap();
                tx.commit().await.unwrap();
            });
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(!close.is_finished(), "the month was closed over an entry under way");
            booking.commit().await.unwrap();
            close.await.unwrap();
        } else {
            let mut tx = store.begin().await.unwrap();
            tx.append_entries(&[entry("in time")], day, None, now()).await.unwrap();
            tx.set_period_state(march, "closed", "fin1", None, now()).await.unwrap();
            tx.commit().await.unwrap();
        }
        let mut late = store.begin().await.unwrap();
        let refused = late.append_entries(&[NewEntry { seq: 2, ..entry("too late") }], day, None, now()).await;
        assert!(matches!(refused, Err(StoreError::Changed(_))), "{refused:?}");
        late.rollback().await.unwrap();
        assert_eq!(store.read().await.unwrap().all_entries().await.unwrap().len(), 1, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_that_wait_for_each_other_one_is_told_to_try_again() {
    let Some(database) = Database::fresh() else { return };
    let store = Store::open(&database.url).await.unwrap();
    let day = "2026-03-31".parse().unwrap();
    let finding = |key: &str| NewException { code: "test".into(), dedupe_key: key.into(), ..NewException::default() };
    let detail = serde_json::json!({});
    let (mut one, mut two) = (store.begin().await.unwrap(), store.begin().await.unwrap());
    one.audit(now(), "a", "x", "s", "done", &detail).await.unwrap();
    two.open_exception(&finding("two"), day, now()).await.unwrap();
    let other = tokio::spawn(async move {
        let result = two.audit(now(), "b", "x", "s", "done", &serde_json::json!({})).await;
        (result, two)
    });
    let mine = one.open_exception(&finding("one"), day, now()).await.map(|_| ());
    // Before the other one can be waited for, the one that was stopped has to let go.
    let (theirs, survivor) = if mine.is_ok() {
        one.commit().await.unwrap();
        let (theirs, two) = other.await.unwrap();
        (theirs, two)
    } else {
        drop(one);
        other.await.unwrap()
    };
    let busy = |result: &Result<(), StoreError>| matches!(result, Err(StoreError::Busy));
    assert!(busy(&mine) ^ busy(&theirs), "{mine:?} {theirs:?}");
    if theirs.is_ok() {
        survivor.commit().await.unwrap();
    }
    assert_eq!(store.read().await.unwrap().exceptions(&ExceptionFilter::default()).await.unwrap().len(), 1);
}
