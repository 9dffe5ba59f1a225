//! Asked to stop while a server or an ERP was answering: the outcome is written down all the same, and
//! nothing new is begun.

#![allow(clippy::unwrap_used)]

use super::mail_rows;
use super::push;
use super::run::Lease;
use super::{LogProgress, Runtime, Settings};
use crate::clock::Clock;
use crate::config::Workspace;
use crate::delivery::erp_push::{MemoChange, MemoRows, PushState};
use crate::delivery::outbox::{MailChange, MailRows, MailState};
use crate::store::{MailRow, MemoOutboxRow, SettlementRow, Store};
use chrono::TimeDelta;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn at(text: &str) -> chrono::DateTime<chrono::Utc> {
    text.parse().unwrap()
}
fn day(text: &str) -> chrono::NaiveDate {
    text.parse().unwrap()
}

/// A store with a claimed run, a mail in flight and a memo that was just handed to the ERP.
struct Rig {
    runtime: Runtime,
    lease: Lease,
    stop: Arc<AtomicBool>,
    settlement: i64,
    mail: i64,
    _dir: tempfile::TempDir,
}

async fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let text = "[company]\nname = \"Test\"\ncurrency = \"EUR\"\ntimezone = \"UTC\"\n[mail]\nfrom = \"r@example.org\"\n\
                transport = { type = \"folder\", path = \"outbox\" }\n";
    std::fs::write(dir.path().join("rebated.toml"), text).unwrap();
    let workspace = Workspace::load(dir.path(), &[]).unwrap();
    let store = Store::open(&format!("sqlite://{}", dir.path().join("test.db").display())).await.unwrap();
    let now = at("2026-04-01T02:00:00Z");
    let mut tx = store.begin().await.unwrap();
    let run = tx.request_run("nightly", "2026-03-31", day("2026-03-31"), false, now).await.unwrap();
    let token = tx.claim_run(run.id, "test", at("2026-04-01T03:00:00Z"), now).await.unwrap().unwrap();
    let settlement = SettlementRow {
        id: 0,
        agreement: "A".into(),
        payee: "C1".into(),
        period_from: day("2026-01-01"),
        period_to: day("2026-03-31"),
        currency: "EUR".into(),
        number: 1,
        reference: "RBT-AAAAAAAAAAAA".into(),
        amount_u: 5_000_000,
        carried_forward_u: 0,
        state: "sending".into(),
        revision: 1,
        fingerprint: "f".into(),
        method: "credit-memo".into(),
        connector: None,
        maker: "daemon".into(),
        erp_document: None,
        business_day: day("2026-03-31"),
        reason: None,
    };
    let settlement = tx.add_settlement(&settlement, &[], "{}", now).await.unwrap();
    let memo = MemoOutboxRow {
        settlement_id: settlement,
        reference: "RBT-AAAAAAAAAAAA".into(),
        connector: "erp".into(),
        request: "{}".into(),
        state: "planned".into(),
        remote_id: None,
        erp_document: None,
        attempts: 0,
        not_before: None,
        last_answer: None,
    };
    tx.plan_memo(&memo, now).await.unwrap();
    tx.save_memo(&MemoOutboxRow { state: "sent".into(), attempts: 1, ..memo }, now).await.unwrap();
    let mail = MailRow {
        id: 0,
        kind: "statement".into(),
        statement_id: None,
        partner_code: "C1".into(),
        period_from: day("2026-03-01"),
        period_to: day("2026-03-31"),
        revision: 1,
        contact: "c1@example.test".into(),
        message_id: "<1@example.test>".into(),
        state: "planned".into(),
        attempts: 0,
        next_attempt_at: None,
        last_answer: None,
    };
    tx.plan_mail(&mail, now).await.unwrap();
    let mail = tx.mails_in("planned").await.unwrap()[0].id;
    tx.move_mail(mail, "planned", "sending", 1, None, None, now).await.unwrap();
    tx.commit().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let lease = Lease::new(run.id, 1, token, stop.clone());
    let settings = Settings::of(&workspace.config.company);
    let runtime = Runtime {
        store,
        clock: Clock::manual_at(now),
        workspace: Arc::new(workspace),
        settings,
        heartbeat: TimeDelta::minutes(1),
        abandon_after: TimeDelta::minutes(10),
        progress: Arc::new(LogProgress),
    };
    Rig { runtime, lease, stop, settlement, mail, _dir: dir }
}

#[tokio::test]
async fn a_mail_that_the_server_took_is_written_down_as_sent() {
    let rig = rig().await;
    let rows = mail_rows::Rows { store: &rig.runtime.store, clock: &rig.runtime.clock, lease: Some(&rig.lease) };
    assert!(!rows.stopping());
    rig.stop.store(true, Ordering::Release);
    assert!(rows.stopping(), "no further mail is begun");
    let taken = MailChange { state: MailState::Sent, attempts: 1, next_attempt_at: None, last_answer: Some("250".into()) };
    assert!(rows.change(rig.mail, MailState::Sending, &taken).await.unwrap());
    assert_eq!(rig.runtime.store.read().await.unwrap().mails().await.unwrap()[0].state, "sent");
}

#[tokio::test]
async fn a_memo_that_the_erp_created_is_noted() {
    let rig = rig().await;
    let rows = push::Rows { runtime: &rig.runtime, lease: &rig.lease, business_day: day("2026-03-31") };
    rig.stop.store(true, Ordering::Release);
    assert!(rows.stopping(), "no further memo is begun");
    let created = MemoChange {
        state: PushState::Sent,
        remote_id: Some("17".into()),
        document: None,
        attempts: 1,
        not_before: None,
        last_answer: None,
    };
    assert!(rows.change(rig.settlement, PushState::Sent, &created).await.unwrap());
    let noted = rig.runtime.store.read().await.unwrap().memo(rig.settlement).await.unwrap().unwrap();
    assert_eq!(noted.remote_id.as_deref(), Some("17"));
}

#[tokio::test]
async fn who_lost_the_run_writes_nothing() {
    let rig = rig().await;
    let mut tx = rig.runtime.store.begin().await.unwrap();
    assert!(tx.abandon_run(rig.lease.run_id, rig.lease.token, "test", rig.runtime.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    let rows = mail_rows::Rows { store: &rig.runtime.store, clock: &rig.runtime.clock, lease: Some(&rig.lease) };
    let taken = MailChange { state: MailState::Sent, attempts: 1, next_attempt_at: None, last_answer: None };
    assert!(matches!(rows.change(rig.mail, MailState::Sending, &taken).await, Err(mail_rows::RowsError::LeaseLost)));
}
