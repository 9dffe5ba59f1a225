//! The main job by the built program on a real ERP and a real mail server: posted invoices in, accruals, a
//! settlement approved by a second person, exactly one posted credit memo out, whatever goes wrong on the way.
//!
//! Expected figures are computed here, from the seed and from what a client of the tests' own reads.
//! What the ERP holds at the end is read by that client as well.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use crate::support::proxy::{Act, Proxy};
use crate::support::smtp::{SmtpServer, attachment};
use crate::support::tryton::{Rpc, TrytonServer};
use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::time::Duration;

const CREATE: &str = "model.account.invoice.create";
const POST: &str = "model.account.invoice.post";

/// A company with the shipped connector: three agreements, each settled every quarter.
struct Company {
    workspace: Workspace,
    approvers: [String; 2],
}

/// Agreement, partner, currency.
const AGREEMENTS: [(&str, &str, &str); 3] =
    [("ACME-2026", "C-10010", "USD"), ("HARBOR-2026", "C-10020", "USD"), ("MUELLER-2026", "C-10030", "EUR")];

impl Company {
    /// `url` is the ERP's, or that of a proxy before it.
    fn new(server: &TrytonServer, url: &str, transport: &str, store: Option<&str>) -> Self {
        let mut workspace = Workspace::empty();
        workspace.run(["init", ".", "--connector", "tryton"]).ok();
        workspace.write(
            "rebated.toml",
            format!(
                r#"
[company]
name = "Northwind Pumps Inc."
currency = "USD"
timezone = "America/Chicago"

[mail]
from = "Northwind Rebates <rebates@northwind.example>"
transport = {transport}

[approval]
agreement_files = "trusted"
file_author = "erp-admin"
"#
            ),
        );
        if let Some(store) = store {
            workspace.set_env("REBATED_STORE_URL", store);
        }
        let (user, password) = server.user("rebates");
        for (name, value) in
            [("TRYTON_URL", url), ("TRYTON_DATABASE", &server.database), ("TRYTON_USER", &user), ("TRYTON_PASSWORD", &password)]
        {
            workspace.set_env(name, value);
        }
        // The shipped file, with less patience.
        let shipped = std::fs::read_to_string(workspace.path().join("connectors/tryton.toml")).unwrap();
        let quick =
            [("lookup_delay = \"60s\"", "lookup_delay = \"3s\""), ("requests_per_minute = 600", "requests_per_minute = 60000")];
        let quicker = quick.iter().fold(shipped, |text, (from, to)| {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            text.replace(from, to)
        });
        workspace.write("connectors/tryton.toml", quicker);
        for (agreement, partner, currency) in AGREEMENTS {
            workspace.write(&format!("agreements/{agreement}.toml"), agreement_file(agreement, partner, currency));
        }
        let approvers = ["fiona", "gina"].map(|name| person(&workspace, name, "finance-approver"));
        Self { workspace, approvers }
    }

    /// With a folder as mail's way out.
    fn without_mail(server: &TrytonServer, url: &str, store: Option<&str>) -> Self {
        Self::new(server, url, r#"{ type = "folder", path = "outbox" }"#, store)
    }

    /// The night that closes the quarter, and the approval of everything that it proposes.
    fn quarter_approved(&self) -> Vec<Value> {
        self.workspace.run(night("2026-03-31")).expect_code(1);
        assert_eq!(self.exceptions(), Vec::<String>::new());
        let proposed = self.settlements();
        assert_eq!(proposed.len(), AGREEMENTS.len());
        self.approve_all();
        proposed
    }

    /// Dollars need one person. The ERP's rate of euros is more than a year old: what that sum comes to
    /// is not known, and two persons look at it.
    fn approve_all(&self) {
        let approve = |person: usize, id: &str| self.workspace.run_as(&self.approvers[person], ["settlement", "approve", id]);
        for id in ["1", "2"] {
            approve(0, id).ok();
        }
        approve(0, "3").expect_code(1);
        approve(1, "3").ok();
        assert_eq!(self.states(), ["approved"; 3]);
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        self.workspace.run(args).ok().json().as_array().unwrap().clone()
    }
    fn settlements(&self) -> Vec<Value> {
        self.json(&["settlement", "list", "--json"])
    }
    fn states(&self) -> Vec<String> {
        self.settlements().iter().map(|s| text(s, "state")).collect()
    }
    /// Code and subject of what waits for a person.
    fn exceptions(&self) -> Vec<String> {
        let list = self.json(&["exception", "list", "--json"]);
        list.iter().map(|e| format!("{} {}: {}", text(e, "code"), text(e, "subject"), text(e, "message"))).collect()
    }
    /// Exception codes alone.
    fn codes(&self) -> Vec<String> {
        self.json(&["exception", "list", "--json"]).iter().map(|e| text(e, "code")).collect()
    }
    /// Qualifier, base, earned, booked and settled by agreement and term.
    fn accruals(&self) -> BTreeMap<(String, String), [String; 5]> {
        let rows = self.json(&["accruals", "--json"]);
        let figures = ["qualifier", "base", "earned", "booked", "settled"];
        rows.iter().map(|r| ((text(r, "agreement"), text(r, "term")), figures.map(|key| text(r, key)))).collect()
    }

    /// Every settlement is confirmed, and the ERP holds one posted memo for each, as approved.
    async fn assert_paid_once(&self, rpc: &Rpc, approved: &[Value]) {
        let now = self.settlements();
        assert_eq!(now.len(), approved.len(), "{now:#?}");
        for (before, after) in approved.iter().zip(&now) {
            assert_eq!(after["state"], "confirmed", "{after:#}\n{:#?}", self.exceptions());
            for key in ["reference", "amount", "currency", "payee", "fingerprint"] {
                assert_eq!(before[key], after[key]);
            }
            let found = rpc.memos(&text(after, "reference")).await;
            assert_eq!(found.len(), 1, "{found:#?}");
            let memo = &found[0];
            assert_eq!(memo["state"], "posted");
            assert!(memo["move"].is_number(), "{memo}");
            assert_eq!(memo["number"], after["erp_document"]);
            assert!(text(memo, "number").starts_with("CM-"), "a credit memo, not an invoice: {memo}");
            assert_eq!(memo["total_amount"]["decimal"], format!("-{}", text(after, "amount")));
            assert_eq!((&memo["currency."]["code"], &memo["party."]["code"]), (&after["currency"], &after["payee"]));
        }
    }
}

fn agreement_file(agreement: &str, partner: &str, currency: &str) -> String {
    format!(
        r#"
id = "{agreement}"
title = "Volume rebate 2026"
partners = ["{partner}"]
currency = "{currency}"
valid = {{ from = "2026-01-01", to = "2026-12-31" }}
settlement = {{ every = "quarter", method = "credit-memo" }}

# The tier reached in the year pays on every pump of the year.
[[terms]]
id = "pumps"
type = "volume"
where = {{ category = ["PUMPS"] }}
accumulate = "year"
qualifier = "net-amount"
base = "net-amount"
method = "retrospective"
tiers = [{{ from = "0", rate = "1%" }}, {{ from = "100000", rate = "2%" }}]

# Half a percent of every invoice, freight included.
[[terms]]
id = "everything"
type = "volume"
where = {{ line_kind = ["goods", "freight"] }}
accumulate = "year"
qualifier = "net-amount"
base = "net-amount"
method = "retrospective"
tiers = [{{ from = "0", rate = "0.5%" }}]
"#
    )
}

fn night(day: &str) -> [&str; 4] {
    ["run", "nightly", "--business-day", day]
}

fn person(workspace: &Workspace, name: &str, role: &str) -> String {
    workspace.run(["user", "add", name, "--role", role]).ok();
    workspace.run(["user", "token", name]).ok().last_word()
}

#[track_caller]
fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {value:#}")).to_owned()
}

fn cents(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: i64 = format!("{}{fraction:0<2}", whole.trim_start_matches('-')).parse().unwrap();
    assert!(fraction.len() <= 2, "{text} has more than cents");
    if text.starts_with('-') { -digits } else { digits }
}

fn amount(cents: i64) -> String {
    assert!(cents >= 0);
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Half away from zero, of a base that is not negative.
fn per_mille(base: i64, rate: i64) -> i64 {
    assert!(base >= 0);
    (base * rate * 2 + 1000) / 2000
}

/// Sales of a partner by two roads: whole documents from the seed, pumps line by line from the ERP.
async fn sales(server: &TrytonServer, rpc: &Rpc, partner: &str) -> (i64, i64) {
    let documents = server.seed["invoices"].as_array().unwrap();
    let everything = documents.iter().filter(|d| d["party"] == *partner).map(|d| cents(&text(d, "untaxed"))).sum();
    let domain = json!([
        ["invoice.party.code", "=", partner],
        ["invoice.state", "in", ["posted", "paid"]],
        ["product.code", "like", "P-%"]
    ]);
    let context = json!({"company": 1, "language": "en"});
    let lines = rpc
        .call("model.account.invoice.line.search_read", json!([domain, 0, null, [["id", "ASC"]], ["amount"], context]))
        .await
        .unwrap();
    let pumps = lines.as_array().unwrap().iter().map(|l| cents(l["amount"]["decimal"].as_str().unwrap())).sum();
    (everything, pumps)
}

/// Figures by agreement and term, before anything is paid: qualifier, base, earned, booked, settled.
async fn expected_accruals(server: &TrytonServer, rpc: &Rpc) -> BTreeMap<(String, String), [String; 5]> {
    let mut expected = BTreeMap::new();
    for (agreement, partner, _) in AGREEMENTS {
        let (everything, pumps) = sales(server, rpc, partner).await;
        let earned = [
            ("everything", everything, per_mille(everything, 5)),
            ("pumps", pumps, per_mille(pumps, if pumps >= 10_000_000 { 20 } else { 10 })),
        ];
        for (term, base, earned) in earned {
            let figures = [amount(base), amount(base), amount(earned), amount(earned), amount(0)];
            expected.insert((agreement.to_owned(), term.to_owned()), figures);
        }
    }
    expected
}

fn earned(accruals: &BTreeMap<(String, String), [String; 5]>, agreement: &str) -> String {
    amount(accruals.iter().filter(|(key, _)| key.0 == agreement).map(|(_, figures)| cents(&figures[2])).sum())
}

/// Every cell of a sheet's pages, as text.
fn cells(bytes: &[u8]) -> Vec<String> {
    let mut book: Xlsx<_> = open_workbook_from_rs(Cursor::new(bytes)).unwrap();
    let names = book.sheet_names();
    let mut cells = Vec::new();
    for name in names {
        for row in book.worksheet_range(&name).unwrap().rows() {
            cells.extend(row.iter().filter(|c| !matches!(c, Data::Empty)).map(ToString::to_string));
        }
    }
    cells
}

#[tokio::test]
async fn a_quarter_goes_from_posted_invoices_to_one_posted_memo_and_a_mailed_statement() {
    let Some(server) = TrytonServer::start() else { return };
    let (rpc, smtp) = (server.rpc("admin").await, SmtpServer::start());
    let transport = format!(r#"{{ type = "smtp", url = "smtps://localhost:{}", ca_file = "mail-ca.pem" }}"#, smtp.port());
    let company = Company::new(&server, &server.url, &transport, None);
    let workspace = &company.workspace;
    workspace.write("mail-ca.pem", std::fs::read(smtp.ca()).unwrap());
    workspace.run(["check", "--online"]).ok();

    // The night that ends the quarter: three settlements wait for a person, nothing else does.
    workspace.run(night("2026-03-31")).expect_code(1);
    assert_eq!(company.exceptions(), Vec::<String>::new());
    let expected = expected_accruals(&server, &rpc).await;
    assert_eq!(company.accruals(), expected);
    let proposed = company.settlements();
    for ((agreement, partner, currency), settlement) in AGREEMENTS.iter().zip(&proposed) {
        let shown = ["agreement", "payee", "currency", "amount", "state"].map(|key| text(settlement, key));
        assert_eq!(shown, [*agreement, *partner, *currency, &earned(&expected, agreement), "proposed"]);
    }
    assert_eq!(proposed.len(), 3);

    // Nobody approves without a name, and who stands for the agreement file does not either.
    workspace.run(["settlement", "approve", "1"]).expect_code(2);
    let author = person(workspace, "erp-admin", "finance-approver");
    let refused = workspace.run_as(&author, ["settlement", "approve", "1"]).expect_code(2);
    assert!(refused.stderr.contains("erp-admin may not approve settlement 1"), "{}", refused.stderr);
    workspace.run(night("2026-03-31")).expect_code(1);
    assert_eq!(company.states(), ["proposed"; 3]);
    company.approve_all();

    // The next night pays, a further run of it finds nothing to do.
    workspace.run(night("2026-04-01")).ok();
    company.assert_paid_once(&rpc, &proposed).await;
    let lines = &rpc.memos(&text(&proposed[0], "reference")).await[0]["lines."];
    let amounts: BTreeSet<&str> = lines.as_array().unwrap().iter().map(|l| l["amount"]["decimal"].as_str().unwrap()).collect();
    let terms = ["everything", "pumps"].map(|term| format!("-{}", expected[&("ACME-2026".to_owned(), term.to_owned())][2]));
    assert_eq!(lines.as_array().unwrap().len(), 2);
    assert_eq!(amounts, terms.iter().map(String::as_str).collect(), "one line for each term");
    assert!(lines.as_array().unwrap().iter().all(|l| l["account."]["code"] == "4900"));
    let paid: BTreeMap<_, _> =
        expected.iter().map(|(key, f)| (key.clone(), [&f[0], &f[1], &f[2], &f[3], &f[2]].map(Clone::clone))).collect();
    assert_eq!(company.accruals(), paid);
    workspace.run(night("2026-04-01")).ok();
    workspace.run(["settlement", "push"]).ok();
    company.assert_paid_once(&rpc, &proposed).await;

    // The night after reads our memos back, and knows them for what they are.
    workspace.run(night("2026-04-02")).ok();
    assert_eq!(company.accruals(), paid, "a memo of ours is no return");
    company.assert_paid_once(&rpc, &proposed).await;
    let reconciled = workspace.run(["reconcile", "--against", "memos", "--json"]).ok().json();
    assert_eq!((&reconciled["agreeing"], &reconciled["exceptions"]), (&json!(3), &json!(0)), "{reconciled:#}");
    for settlement in company.settlements() {
        let row = reconciled["rows"].as_array().unwrap().iter().find(|r| r["reference"] == settlement["reference"]).unwrap();
        assert_eq!(
            (&row["document"], &row["theirs"], &row["their_currency"]),
            (&settlement["erp_document"], &settlement["amount"], &settlement["currency"])
        );
        let journey = company.json(&["explain", "--document", &text(&settlement, "erp_document"), "--json"]);
        let verdicts: Vec<&Value> = journey.iter().flat_map(|line| line["verdicts"].as_array().unwrap()).collect();
        assert!(!verdicts.is_empty(), "{journey:#?}");
        assert!(verdicts.iter().all(|v| v["counted"] == false && v["code"] == "own-reference"), "{verdicts:#?}");
    }

    // One statement each went out when the month ended, and one more is sent on request.
    let sent: Vec<Value> = smtp.messages();
    assert_eq!(
        sent.iter().map(|m| m["to"].as_str().unwrap()).collect::<Vec<_>>(),
        ["c-10010@partner.example", "c-10020@partner.example", "c-10030@partner.example"]
    );
    workspace.run(["statement", "send", "--partner", "C-10010", "--period", "2026-03"]).ok();
    let (files, messages) = (smtp.files(), smtp.messages());
    assert_eq!(messages.len(), 4);
    let number = text(&company.settlements()[0], "erp_document");
    for (index, shows_memo) in [(0, false), (3, true)] {
        let message = &messages[index];
        assert_eq!(message["envelope_to"], json!(["c-10010@partner.example"]));
        assert_eq!((message["defects"].clone(), message["attachments"].as_array().unwrap().len()), (json!([]), 1));
        let sheet = cells(&attachment(&files[index], &text(&message["attachments"][0], "name")));
        for term in ["everything", "pumps"] {
            let figure = &expected[&("ACME-2026".to_owned(), term.to_owned())][2];
            assert!(sheet.contains(figure), "{figure} is no cell of {sheet:?}");
        }
        assert!(sheet.contains(&"INV-2026-000001".to_owned()), "{sheet:?}");
        assert!(!sheet.iter().any(|c| c.contains("C-10020") || c.contains("INV-2026-000002")), "another partner's figures");
        assert_eq!(sheet.contains(&number), shows_memo, "memo {number} in {sheet:?}");
    }
    workspace.run(["audit", "verify"]).ok();
    workspace.run(["db", "verify"]).ok();
}

#[tokio::test]
async fn lost_answers_and_lost_requests_between_create_and_its_answer_leave_one_posted_memo_each() {
    let Some(server) = TrytonServer::start() else { return };
    let rpc = server.rpc("admin").await;
    let proxy = Proxy::before(&server.url);
    let company = Company::without_mail(&server, &proxy.url, None);
    let approved = company.quarter_approved();
    // The first memo is made and the answer lost, and the same once more when it is posted. The second
    // one is made after we were cut off; the third one is not made at all.
    proxy.on(CREATE, 1, Act::LoseAnswer);
    proxy.on(POST, 1, Act::LoseAnswer);
    proxy.on(CREATE, 1, Act::CutAndForwardLater(Duration::from_secs(1)));
    proxy.on(CREATE, 1, Act::LoseRequest);
    company.workspace.run(night("2026-04-01")).ok();
    company.assert_paid_once(&rpc, &approved).await;
    assert_eq!(proxy.count(CREATE), 4, "three memos, one of them asked for twice");
    assert_eq!(company.exceptions(), Vec::<String>::new());

    for _ in 0..2 {
        company.workspace.run(night("2026-04-01")).ok();
    }
    company.workspace.run(["settlement", "push"]).ok();
    company.assert_paid_once(&rpc, &approved).await;
    assert_eq!((proxy.count(CREATE), proxy.count(POST)), (4, 3), "a second run writes nothing");
}

#[tokio::test]
async fn an_erp_that_never_answers_a_posting_is_not_hammered_and_the_next_night_finds_the_drafts() {
    let Some(server) = TrytonServer::start() else { return };
    let rpc = server.rpc("admin").await;
    let proxy = Proxy::before(&server.url);
    let mut company = Company::without_mail(&server, &proxy.url, None);
    let approved = company.quarter_approved();
    proxy.on(POST, 1_000_000, Act::LoseRequest);
    let mut run = company.workspace.spawn(night("2026-04-01"));
    // Three tries each at once, then a pause.
    while proxy.count(POST) < 9 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(run.try_wait().unwrap().is_none(), "the night ended before it tried");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((proxy.count(POST), proxy.count(CREATE)), (9, 3));
    run.kill().unwrap();
    run.wait().unwrap();
    for settlement in &approved {
        let found = rpc.memos(&text(settlement, "reference")).await;
        assert_eq!(found.iter().map(|m| m["state"].clone()).collect::<Vec<_>>(), ["draft"]);
    }
    assert_eq!(company.states(), ["unknown"; 3]);

    // The line works again: another way to the same server.
    company.workspace.set_env("TRYTON_URL", server.url.clone());
    company.workspace.run(night("2026-04-02")).ok();
    company.assert_paid_once(&rpc, &approved).await;
}

/// Kills between `create` and `post`, before and after the record's id is noted.
async fn killed_between_create_and_post(store: Option<&str>) {
    let Some(server) = TrytonServer::start() else { return };
    let rpc = server.rpc("admin").await;
    let proxy = Proxy::before(&server.url);
    let company = Company::without_mail(&server, &proxy.url, store);
    let approved = company.quarter_approved();
    let reference = text(&approved[0], "reference");
    for point in ["memo:created-not-noted", "memo:sent:created"] {
        let killed = company.workspace.command(night("2026-04-01")).env("REBATED_KILL_AT", point).output().unwrap();
        assert!(killed.status.code().is_none(), "not killed at {point}: {killed:?}");
        let found = rpc.memos(&reference).await;
        assert_eq!(found.len(), 1, "{point}: {found:#?}");
        assert_eq!((&found[0]["state"], &found[0]["number"]), (&json!("draft"), &Value::Null));
        assert_eq!((proxy.count(CREATE), proxy.count(POST)), (1, 0), "{point}");
    }
    company.workspace.run(night("2026-04-01")).ok();
    company.assert_paid_once(&rpc, &approved).await;
    assert_eq!((proxy.count(CREATE), proxy.count(POST)), (3, 3), "one for each settlement");
    assert_eq!(company.codes(), Vec::<String>::new());
    company.workspace.run(night("2026-04-02")).ok();
    company.assert_paid_once(&rpc, &approved).await;
}

#[tokio::test]
async fn a_kill_between_create_and_post_leaves_one_posted_memo() {
    killed_between_create_and_post(None).await;
}

#[tokio::test]
async fn a_kill_between_create_and_post_leaves_one_posted_memo_on_postgres() {
    let Some(database) = Database::fresh() else { return };
    killed_between_create_and_post(Some(&database.url)).await;
}

#[tokio::test]
async fn the_backup_of_the_evening_before_run_again_pays_nothing_twice() {
    let Some(server) = TrytonServer::start() else { return };
    let rpc = server.rpc("admin").await;
    let proxy = Proxy::before(&server.url);
    let company = Company::without_mail(&server, &proxy.url, None);
    let approved = company.quarter_approved();
    company.workspace.run(["db", "backup", "evening.db"]).ok();
    company.workspace.run(night("2026-04-01")).ok();
    company.assert_paid_once(&rpc, &approved).await;
    let paid = company.accruals();
    assert_eq!(proxy.count(CREATE), 3);

    // The disk is lost; the ERP is ahead of us.
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(company.workspace.path().join(format!("rebated.db{ending}")));
    }
    std::fs::rename(company.workspace.path().join("evening.db"), company.workspace.path().join("rebated.db")).unwrap();
    assert_eq!(company.states(), ["approved"; 3]);
    company.workspace.run(night("2026-04-01")).ok();
    company.assert_paid_once(&rpc, &approved).await;
    assert_eq!((company.accruals(), proxy.count(CREATE)), (paid, 3), "found by reference, not made again");
}
