//! Incremental reading and comparison with a source's full list (cases 21 and 22), through the program: what the cursor missed
//! comes in with an exception, what vanished is an exception and counts until somebody decides.

use crate::support::binary::Workspace;
use crate::support::proxy::canned;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const CONFIG: &str = r#"
[company]
name = "Comparing Ltd"
currency = "EUR"
timezone = "Europe/Berlin"
[store]
url = "sqlite://rebated.db"
[mail]
from = "Rebates <rebates@comparing.example>"
transport = { type = "folder", path = "outbox" }
[approval]
agreement_files = "trusted"
"#;
const CONNECTOR: &str = r#"
driver = "json-rpc"
base_url = "${ERP_URL}"
[feeds.invoices]
mapping = "erp-invoice"
method = "list"
params = { since = "{changed}", after = "{after}", limit = "{limit}" }
changed = "{since}"
after = "{last}"
page_size = 50
cursor = { field = "at", precision = "second", lag = "0s", overlap = "15m" }
"#;
const MAPPING: &str = r#"
target = "line"
sign = "signed"
[source]
records = "result[]"
[fields]
document_type = { const = "invoice" }
document_number = "number"
line_number = { const = "1" }
document_date = "date"
partner = { const = "C-1" }
net_amount = "net"
currency = { default = "company" }
changed_at = { from = "at", instant = true }
"#;
const AGREEMENT: &str = r#"
id = "FLAT"
title = "One per cent"
partners = ["C-1"]
currency = "EUR"
valid = { from = "2020-01-01", to = "2099-12-31" }
settlement = { every = "year", method = "credit-memo" }
[[terms]]
id = "flat"
type = "volume"
accumulate = "agreement"
qualifier = "net-amount"
base = "net-amount"
method = "retrospective"
tiers = [{ from = "0", rate = "1%" }]
"#;

fn invoice(id: u32, days_ago: i64, net: &str) -> Value {
    let at = Utc::now() - Duration::days(days_ago);
    json!({ "id": id, "number": format!("R{id}"), "at": at.to_rfc3339_opts(SecondsFormat::Secs, true), "date": at.date_naive(), "net": net })
}

/// An ERP that lists what changed since an instant, in the order of its ids.
fn erp(records: Arc<Mutex<Vec<Value>>>) -> String {
    canned(move |_, params| {
        let since = params["since"].as_str().map(|s| s.get(..19).unwrap_or(s).to_owned());
        let after = params["after"].as_u64().unwrap_or(0);
        let shown: Vec<Value> = records
            .lock()
            .unwrap()
            .iter()
            .filter(|r| r["id"].as_u64().unwrap() > after)
            .filter(|r| since.as_ref().is_none_or(|s| r["at"].as_str().unwrap().get(..19).unwrap() >= s.as_str()))
            .cloned()
            .collect();
        (200, Vec::new(), json!({ "jsonrpc": "2.0", "id": 1, "result": shown }).to_string())
    })
}

fn earned(workspace: &Workspace) -> String {
    workspace.run(["accruals", "--json"]).ok().json()[0]["earned"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_cursor_missed_is_found_late_and_what_vanished_waits_for_a_person() {
    let records = Arc::new(Mutex::new(vec![invoice(1, 20, "1000.00"), invoice(2, 19, "500.00")]));
    let mut workspace = Workspace::with_config(CONFIG);
    workspace.set_env("ERP_URL", erp(records.clone()));
    workspace.write("connectors/erp.toml", CONNECTOR);
    workspace.write("connectors/payout.toml", "driver = \"files\"\nversion = 1\n[push.credit-memo]\nfolder = \"payout\"\n");
    workspace.write("mappings/erp-invoice.toml", MAPPING);
    workspace.write("agreements/flat.toml", AGREEMENT.replace("every = \"year\"", "every = \"agreement\""));
    workspace.write("partners.csv", "partner,name\nC-1,Compared\n");
    workspace.run(["import", "partners", "partners.csv"]).ok();
    workspace.run(["run", "nightly"]).ok();
    assert_eq!(earned(&workspace), "15.00");

    // R3 was changed long before the cursor and shows up only now; R2 is gone.
    records.lock().unwrap().retain(|r| r["id"] != 2);
    records.lock().unwrap().push(invoice(3, 30, "200.00"));
    workspace.run(["run", "nightly"]).ok();
    assert_eq!(earned(&workspace), "15.00", "the cursor does not see it");
    let compare = ["reconcile", "--against", "source", "--connector", "erp", "--json"];
    let found = workspace.run(compare).expect_code(1).json();
    assert_eq!((found["found_late"].as_array().unwrap().len(), found["gone"].as_array().unwrap().len()), (1, 1), "{found:#}");
    workspace.run(["run", "nightly"]).expect_code(1);
    assert_eq!(earned(&workspace), "17.00", "R3 counts, and R2 until somebody decides");
    let again = workspace.run(compare).expect_code(1).json();
    assert_eq!((again["found_late"].as_array().unwrap().len(), again["gone"].as_array().unwrap().len()), (0, 1), "{again:#}");

    let open = workspace.run(["exception", "list", "--json"]).ok().json();
    let codes: Vec<&str> = open.as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["found-late", "gone-from-source"]);
    assert_eq!((&open[0]["blocking"], &open[1]["blocking"]), (&json!(false), &json!(true)));
    workspace.run(["user", "add", "fay", "--role", "finance-approver"]).ok();
    let token = workspace.run(["user", "token", "fay"]).ok().last_word();
    // While somebody has to decide, the customer's settlement is shown and held (case 22).
    workspace.run(["user", "add", "pat", "--role", "finance-preparer"]).ok();
    let preparer = workspace.run(["user", "token", "pat"]).ok().last_word();
    let propose = ["settlement", "propose", "--business-day", "2100-01-31"];
    workspace.run_as(&preparer, propose).ok();
    let held = workspace.run_as(&token, ["settlement", "approve", "1"]).expect_code(2);
    assert!(held.stderr.contains("gone-from-source"), "{}", held.stderr);
    let id = open[1]["id"].to_string();
    let confirm = ["exception", "resolve", id.as_str(), "--action", "confirm-deletion", "--reason", "voided in the ERP"];
    workspace.run(confirm).expect_code(2);
    workspace.run_as(&token, confirm).ok();
    workspace.run(["run", "nightly"]).expect_code(1);
    assert_eq!(earned(&workspace), "12.00");
    let entries = workspace.run(["accruals", "--entries", "--json"]).ok().json();
    assert_eq!(entries.as_array().unwrap().last().unwrap()["amount"], "-5.00");
    workspace.run_as(&preparer, propose).ok();
    workspace.run_as(&token, ["settlement", "approve", "1"]).ok();
    assert_eq!(workspace.run(compare).ok().json()["gone"], json!([]));

    // The ERP shows R2 again, as it was: it counts again, and a person is told.
    records.lock().unwrap().insert(1, invoice(2, 19, "500.00"));
    assert_eq!(workspace.run(compare).ok().json()["changed"], 1);
    workspace.run(["run", "nightly"]).expect_code(1);
    assert_eq!(earned(&workspace), "17.00");
    let open = workspace.run(["exception", "list", "--json"]).ok().json();
    let codes: Vec<&str> = open.as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["found-late", "back-in-source"]);
    // Gone once more is asked once more: the old decision was about the time before.
    records.lock().unwrap().retain(|r| r["id"] != 2);
    assert_eq!(workspace.run(compare).expect_code(1).json()["gone"].as_array().unwrap().len(), 1);
    // A record that cannot be read is there all the same: R1 is refused, not gone.
    records.lock().unwrap()[0]["net"] = json!("a lot");
    let found = workspace.run(compare).expect_code(1).json();
    assert_eq!(found["gone"].as_array().unwrap().len(), 1, "{found:#}");
    assert!(found["gone"][0].as_str().unwrap().contains("R2"), "{found:#}");
}

/// A record of case 21 at a time of its day; the day is a recent one, since nothing later than now is read.
fn record(id: u32, at: DateTime<Utc>, net: &str) -> Value {
    json!({ "id": id, "number": format!("R{id}"), "at": at.to_rfc3339_opts(SecondsFormat::Millis, true), "date": at.date_naive(), "net": net })
}

/// What the program asked for first in each pull.
type Asked = Arc<Mutex<Vec<String>>>;

/// An ERP that lists two records at once from an instant on, in the order of their ids.
fn paging_erp(records: Arc<Mutex<Vec<Value>>>, asked: Asked) -> String {
    canned(move |_, params| {
        let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let (since, after) = (instant(&params["since"]), params["after"].as_u64().unwrap_or(0));
        if after == 0 {
            asked.lock().unwrap().push(since.map_or_else(String::new, |at| at.format("%H:%M:%S%.3f").to_string()));
        }
        let shown: Vec<Value> = records
            .lock()
            .unwrap()
            .iter()
            .filter(|r| r["id"].as_u64().unwrap() > after && since.is_none_or(|s| instant(&r["at"]).unwrap() >= s))
            .take(2)
            .cloned()
            .collect();
        (200, Vec::new(), json!({ "jsonrpc": "2.0", "id": 1, "result": shown }).to_string())
    })
}

/// Rows read, and documents new, changed and known, of one night.
fn night(workspace: &Workspace) -> (i64, String) {
    let outcome = workspace.run(["run", "nightly", "--json"]).json();
    let stage = outcome["stages"].as_array().unwrap().iter().find(|s| s["stage"] == "normalize").unwrap().clone();
    let detail = stage["detail"].as_str().unwrap();
    (stage["count_in"].as_i64().unwrap(), detail.split(';').next().unwrap().to_owned())
}

#[test]
fn case_21_equal_timestamps_a_late_commit_and_a_crash_between_pages_lose_and_repeat_nothing() {
    let day = (Utc::now() - Duration::days(9)).date_naive();
    let at = |time: &str| format!("{day}T{time}Z").parse::<DateTime<Utc>>().unwrap();
    let records = Arc::new(Mutex::new(vec![
        record(1, at("10:00:00.100"), "100.00"),
        record(2, at("10:00:00.100"), "200.00"),
        record(3, at("10:00:00.900"), "400.00"),
    ]));
    let asked = Asked::default();
    let mut workspace = Workspace::with_config(CONFIG);
    workspace.set_env("ERP_URL", paging_erp(records.clone(), asked.clone()));
    workspace.write(
        "connectors/erp.toml",
        CONNECTOR.replace("page_size = 50", "page_size = 2").replace("\"second\"", "\"millisecond\""),
    );
    workspace.write("mappings/erp-invoice.toml", MAPPING);
    workspace.write("agreements/flat.toml", AGREEMENT);
    workspace.write("partners.csv", "partner,name\nC-1,Compared\n");
    workspace.run(["import", "partners", "partners.csv"]).ok();

    // Run 1 dies after page 1: the cursor has not moved, and the next run fetches all three.
    let died = workspace.command(["run", "nightly"]).env("REBATED_KILL_AT", "page:1").output().unwrap();
    assert!(died.status.code().is_none(), "the night was not killed: {died:?}");
    assert_eq!(night(&workspace), (3, "3 documents new, 0 changed, 0 known".to_owned()));
    assert_eq!(earned(&workspace), "7.00");

    // R4 was committed late with an earlier time, R3 has a new state, R5 lies outside the overlap.
    *records.lock().unwrap() = vec![
        record(1, at("10:00:00.100"), "100.00"),
        record(2, at("10:00:00.100"), "200.00"),
        record(3, at("10:00:01.000"), "500.00"),
        record(4, at("10:00:00.500"), "800.00"),
        record(5, at("09:40:00.000"), "1600.00"),
    ];
    // The page with R1 and R2 came byte for byte before, and is not read again.
    assert_eq!(night(&workspace), (2, "1 documents new, 1 changed, 0 known".to_owned()));
    assert_eq!(earned(&workspace), "16.00", "R4 is read, R1 and R2 are not counted twice");
    assert_eq!(night(&workspace), (0, "0 documents new, 0 changed, 0 known".to_owned()));
    assert_eq!(earned(&workspace), "16.00");

    // The comparison finds R5 and moves nothing.
    let compare = ["reconcile", "--against", "source", "--connector", "erp", "--json"];
    let found = workspace.run(compare).expect_code(1).json();
    assert_eq!((found["found_late"].as_array().unwrap().len(), &found["gone"]), (1, &json!([])), "{found:#}");
    assert!(found["found_late"][0].as_str().unwrap().contains("R5"), "{found:#}");
    let open = workspace.run(["exception", "list", "--json"]).ok().json();
    assert_eq!((open.as_array().unwrap().len(), &open[0]["code"]), (1, &json!("found-late")), "{open:#}");
    night(&workspace);
    assert_eq!(earned(&workspace), "32.00");

    // Cursor less fifteen minutes: none for the run that died and its successor, then 10:00:00.900, then twice
    // 10:00:01.000; the comparison asks for ninety days and leaves the cursor alone.
    let asked = asked.lock().unwrap();
    assert_eq!((asked[0].as_str(), asked[1].as_str()), ("", ""), "{asked:?}");
    assert_eq!((asked[2].as_str(), asked[3].as_str()), ("09:45:00.900", "09:45:01.000"), "{asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("09:45:01.000"), "{asked:?}");
}
