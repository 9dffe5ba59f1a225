//! Case 32, step 11: a sum that is split into several settlements needs as many approvals as the whole.
//!
//! The program itself opens a further settlement only after the one before is sent. Two that are open
//! together are written into its store here, as a correction by hand would leave them.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use crate::support::source;
use rebated::core::number::Micros;
use rebated::store::{SettlementPart, SettlementRow, Store};
use serde_json::Value;

pub(crate) struct Office {
    pub(crate) workspace: Workspace,
    pub(crate) store: String,
    pub(crate) fin1: String,
    pub(crate) fin3: String,
    _database: Option<Database>,
}

impl Office {
    /// The company of the scenario of case 32, with its accruals booked and nothing proposed.
    pub(crate) fn open(database: Option<Database>) -> Self {
        let mut workspace = Workspace::empty();
        workspace.copy_from(&source::root().join("tests/scenarios/case-32-approval-binds-to-content"));
        let file = format!("sqlite://{}", workspace.path().join("rebated.db").display());
        let store = database.as_ref().map_or(file, |d| d.url.clone());
        workspace.write(
            "rebated.toml",
            "[company]\nname = \"Example Trading\"\ncurrency = \"EUR\"\ntimezone = \"UTC\"\n\
             [mail]\nfrom = \"Rebates <rebates@example.test>\"\ntransport = { type = \"folder\", path = \"mail\" }\n\
             [approval]\nagreement_files = \"trusted\"\nfile_author = \"fin2\"\ntwo_approvers_from = \"10000.00\"\n",
        );
        workspace.set_env("REBATED_STORE_URL", &store);
        workspace.run(["db", "migrate"]).ok();
        for table in ["partners", "items", "lines"] {
            workspace.run(["import", table, &format!("input/{table}.csv")]).ok();
        }
        let person = |name: &str| {
            workspace.run(["user", "add", name, "--role", "finance-approver"]).ok();
            workspace.run(["user", "token", name]).ok().last_word()
        };
        let (fin1, fin3) = (person("fin1"), person("fin3"));
        workspace.run(["run", "nightly", "--business-day", "2026-03-31", "--steps", "normalize,match,accrue"]).ok();
        Self { workspace, store, fin1, fin3, _database: database }
    }

    /// Puts a settlement of A's first quarter beside those that are there.
    pub(crate) fn put(&self, number: i64, amount: &str) {
        let amount = Micros::parse(amount).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::connect(&self.store).await.unwrap();
            let mut tx = store.begin().await.unwrap();
            let day = |text: &str| text.parse().unwrap();
            let row = SettlementRow {
                id: 0,
                agreement: "DEAL".into(),
                payee: "A".into(),
                period_from: day("2026-01-01"),
                period_to: day("2026-03-31"),
                currency: "EUR".into(),
                number,
                reference: format!("RBT-PART-{number}"),
                amount_u: amount.0,
                carried_forward_u: 0,
                state: "proposed".into(),
                revision: 1,
                fingerprint: format!("content of part {number}"),
                method: "folder".into(),
                connector: Some("payout".into()),
                maker: "prep".into(),
                erp_document: None,
                business_day: day("2026-03-31"),
                reason: None,
            };
            let part = SettlementPart {
                partner_id: tx.partner_ids().await.unwrap()["A"],
                term: "volume".into(),
                period_from: row.period_from,
                period_to: row.period_to,
                part: 0,
                amount_u: amount.0,
            };
            tx.add_settlement(&row, &[part], "{\"parts\":[],\"lines\":[]}", "2026-04-01T03:00:00Z".parse().unwrap())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            store.close().await;
        });
    }

    /// Of every settlement: amount, state, approvals given and needed.
    pub(crate) fn standing(&self) -> Vec<(String, String, i64, i64)> {
        let rows = self.workspace.run(["settlement", "list", "--json"]).ok().json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let number = |value: &Value| value.as_i64().unwrap();
        let list = rows.as_array().unwrap().iter();
        list.map(|s| (text(&s["amount"]), text(&s["state"]), number(&s["approvals_given"]), number(&s["approvals_needed"])))
            .collect()
    }

    pub(crate) fn approve(&self, token: &str, id: &str, code: i32) {
        self.workspace.run_as(token, ["settlement", "approve", id]).expect_code(code);
    }

    /// A run of the push alone; 1 while something waits for a person.
    pub(crate) fn push(&self, code: i32) {
        let night = ["run", "nightly", "--business-day", "2026-03-31", "--steps", "push"];
        self.workspace.run(night).expect_code(code);
    }

    pub(crate) fn memos(&self) -> usize {
        let Ok(folder) = std::fs::read_dir(self.workspace.path().join("payout")) else { return 0 };
        folder.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "json")).count()
    }
}

fn rows(list: &[(&str, &str, i64, i64)]) -> Vec<(String, String, i64, i64)> {
    list.iter().map(|(amount, state, given, needed)| ((*amount).into(), (*state).into(), *given, *needed)).collect()
}

fn two_parts_need_two_approvals_each(database: Option<Database>) {
    let office = Office::open(database);
    office.put(1, "6000.00");
    office.put(2, "5000.00");
    assert_eq!(office.standing(), rows(&[("6000.00", "proposed", 0, 2), ("5000.00", "proposed", 0, 2)]));
    office.approve(&office.fin1, "1", 1);
    office.approve(&office.fin1, "2", 1);
    office.push(1);
    assert_eq!(office.standing(), rows(&[("6000.00", "proposed", 1, 2), ("5000.00", "proposed", 1, 2)]));
    assert_eq!(office.memos(), 0, "neither passes with one approval");
    office.approve(&office.fin3, "1", 0);
    office.push(1);
    assert_eq!(office.standing(), rows(&[("6000.00", "confirmed", 2, 2), ("5000.00", "proposed", 1, 2)]));
    assert_eq!(office.memos(), 1);
    office.approve(&office.fin3, "2", 0);
    office.push(0);
    assert_eq!(office.standing(), rows(&[("6000.00", "confirmed", 2, 2), ("5000.00", "confirmed", 2, 2)]));
    assert_eq!(office.memos(), 2);
}

#[test]
fn case_32_two_open_settlements_of_one_period_need_two_approvals_each() {
    two_parts_need_two_approvals_each(None);
}

#[test]
fn case_32_two_open_settlements_of_one_period_on_postgres() {
    let Some(database) = Database::fresh() else { return };
    two_parts_need_two_approvals_each(Some(database));
}

#[test]
fn an_approval_that_was_enough_for_the_first_part_is_not_when_a_second_one_is_opened_before_the_push() {
    let office = Office::open(None);
    office.put(1, "6000.00");
    office.approve(&office.fin1, "1", 0);
    office.put(2, "5000.00");
    office.push(1);
    assert_eq!(office.standing(), rows(&[("6000.00", "proposed", 1, 2), ("5000.00", "proposed", 0, 2)]));
    assert_eq!(office.memos(), 0);
    office.approve(&office.fin3, "1", 0);
    office.push(1);
    assert_eq!(office.standing(), rows(&[("6000.00", "confirmed", 2, 2), ("5000.00", "proposed", 0, 2)]));
}

/// Settlement 1 as it stands after the other system said no.
fn refuse(office: &Office) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::connect(&office.store).await.unwrap();
        let now = "2026-04-01T03:00:00Z".parse().unwrap();
        let mut tx = store.begin().await.unwrap();
        let row = tx.lock_settlement(1).await.unwrap().unwrap();
        tx.move_settlement(&row, "sending", None, None, now).await.unwrap();
        let mut memo = rebated::store::MemoOutboxRow {
            settlement_id: 1,
            reference: row.reference.clone(),
            connector: "payout".into(),
            request: "{}".into(),
            state: "planned".into(),
            remote_id: None,
            erp_document: None,
            attempts: 0,
            not_before: None,
            last_answer: None,
        };
        tx.plan_memo(&memo, now).await.unwrap();
        memo.state = "refused".into();
        memo.attempts = 1;
        memo.last_answer = Some("no such account".into());
        tx.save_memo(&memo, now).await.unwrap();
        let row = tx.lock_settlement(1).await.unwrap().unwrap();
        tx.move_settlement(&row, "refused", None, Some("no such account"), now).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
    });
}

#[test]
fn what_the_other_system_refused_can_be_rejected_and_is_proposed_anew_under_its_reference() {
    let office = Office::open(None);
    office.put(1, "6000.00");
    office.approve(&office.fin1, "1", 0);
    refuse(&office);
    // Nobody pushes it again without a name.
    office.workspace.run(["settlement", "push", "1"]).expect_code(2);
    office.workspace.run_as(&office.fin1, ["settlement", "reject", "1", "--reason", "wrong sum"]).ok();
    let night = ["run", "nightly", "--business-day", "2026-03-31", "--steps", "propose"];
    office.workspace.run(night).expect_code(1);
    let reference = |office: &Office| office.workspace.run(["settlement", "list", "--json"]).ok().json()[0]["reference"].clone();
    // 98,000.00 x 10 %; B and C of the scenario come with it.
    assert_eq!(office.standing()[0], ("9800.00".into(), "proposed".into(), 0, 1));
    assert_eq!(reference(&office), "RBT-PART-1");
    office.approve(&office.fin1, "1", 0);
    office.push(1);
    assert_eq!(office.standing()[0], ("9800.00".into(), "confirmed".into(), 1, 1));
    assert_eq!(office.memos(), 1);
}

#[test]
fn what_the_other_system_refused_is_pushed_again_by_a_person_only() {
    let office = Office::open(None);
    office.put(1, "6000.00");
    office.approve(&office.fin1, "1", 0);
    refuse(&office);
    office.workspace.run(["user", "add", "look", "--role", "auditor"]).ok();
    let look = office.workspace.run(["user", "token", "look"]).ok().last_word();
    office.workspace.run_as(&look, ["settlement", "push", "1"]).expect_code(2);
    assert_eq!(office.standing(), rows(&[("6000.00", "refused", 1, 1)]));
}
