//! A statement whose mail may not have arrived is sent again only when a person says so, under the message id that
//! it had.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use serde_json::Value;

const CONFIG: &str = r#"
[company]
name = "Northwind"
currency = "EUR"
timezone = "Europe/Berlin"

[mail]
from = "Rebates <rebates@northwind.example>"
transport = { type = "folder", path = "outbox" }

[approval]
agreement_files = "trusted"
file_author = "erp-admin"
"#;

const AGREEMENT: &str = r#"
id = "A"
title = "1 %"
partners = ["C1"]
currency = "EUR"
valid = { from = "2026-01-01", to = "2026-12-31" }
settlement = { every = "year", method = "accrue-only" }

[[terms]]
id = "volume"
type = "volume"
accumulate = "year"
qualifier = "net-amount"
base = "net-amount"
method = "retrospective"
tiers = [{ from = "0", rate = "1%" }]
"#;

/// A workspace whose only mail was in flight when the process died.
fn uncertain(store: Option<&str>) -> Workspace {
    let mut workspace = Workspace::with_config(CONFIG);
    if let Some(url) = store {
        workspace.set_env("REBATED_STORE_URL", url);
    }
    workspace.write("agreements/a.toml", AGREEMENT);
    workspace.write("p.csv", "partner,name,email\nC1,Customer,one@c1.example;two@c1.example\n");
    workspace.write("i.csv", "item,category,base_unit\nP1,PUMPS,EA\n");
    workspace.write(
        "l.csv",
        "document_type,document_number,line_number,document_date,partner,item,quantity,unit,net_amount,currency\n\
         invoice,I1,1,2026-01-05,C1,P1,1,EA,100.00,EUR\n",
    );
    for (table, file) in [("partners", "p.csv"), ("items", "i.csv"), ("lines", "l.csv")] {
        workspace.run(["import", table, file]).ok();
    }
    let night = ["run", "nightly", "--business-day", "2026-01-31"];
    let mut killed = workspace.command(night);
    killed.env("REBATED_KILL_AT", "mail:accepted");
    assert!(killed.output().unwrap().status.code().is_none());
    workspace.run(night).expect_code(1);
    workspace
}

fn mails(workspace: &Workspace) -> Vec<(String, String, i64)> {
    let list = workspace.run(["statement", "list", "--json"]).ok().json();
    let text = |m: &Value, key: &str| m[key].as_str().unwrap().to_owned();
    list[0]["mails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (text(m, "contact"), text(m, "state"), m["attempts"].as_i64().unwrap()))
        .collect()
}

/// Message ids of everything that was handed over, in order.
fn handed_over(workspace: &Workspace) -> Vec<String> {
    let mut ids: Vec<String> = std::fs::read_dir(workspace.path().join("outbox"))
        .unwrap()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "eml"))
        .map(|e| {
            let mail = std::fs::read_to_string(e.path()).unwrap();
            let id = mail.lines().find(|l| l.starts_with("Message-ID:")).expect("a message id");
            format!("{} {}", id.trim(), mail.lines().find(|l| l.starts_with("To:")).unwrap().trim())
        })
        .collect();
    ids.sort();
    ids
}

fn open_codes(workspace: &Workspace) -> Vec<String> {
    let rows = workspace.run(["exception", "list", "--json"]).ok().json();
    rows.as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap().to_owned()).collect()
}

fn audited(workspace: &Workspace) -> Vec<(String, String, String)> {
    let trail = workspace.run(["audit", "export"]).ok();
    let rows: Vec<Value> = trail.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    rows.iter()
        .filter(|r| r["action"] == "statement resend")
        .map(|r| {
            let text = |key: &str| r[key].as_str().unwrap_or_default().to_owned();
            (text("actor"), text("result"), text("subject"))
        })
        .collect()
}

fn story(workspace: &Workspace) {
    assert_eq!(
        mails(workspace).iter().map(|m| m.1.as_str()).collect::<Vec<_>>(),
        ["uncertain", "sent"],
        "{:?}",
        mails(workspace)
    );
    assert_eq!(open_codes(workspace), ["mail-uncertain"]);
    // A folder holds one file for each message id; what is lost on the way to the recipient is taken out of it.
    let before = handed_over(workspace);
    let lost: Vec<String> = before.iter().filter(|m| m.contains("one@c1.example")).cloned().collect();
    assert_eq!((before.len(), lost.len()), (2, 1), "{before:?}");
    std::fs::remove_dir_all(workspace.path().join("outbox")).unwrap();
    std::fs::create_dir(workspace.path().join("outbox")).unwrap();
    let token = |name: &str, role: &str| {
        workspace.run(["user", "add", name, "--role", role]).ok();
        workspace.run(["user", "token", name]).ok().last_word()
    };
    let (finance, sales) = (token("fin", "finance-preparer"), token("sam", "sales"));
    let again = ["statement", "resend", "--partner", "C1", "--period", "2026-01", "--reason", "not in the inbox"];

    // A person, of finance, with a reason, and only what waits for one.
    workspace.run(again).expect_code(2);
    let refused = workspace.run_as(&sales, again).expect_code(2);
    assert!(refused.stderr.contains("may not send statements again"), "{}", refused.stderr);
    let no_reason = ["statement", "resend", "--partner", "C1", "--period", "2026-01", "--reason", " "];
    assert!(workspace.run_as(&finance, no_reason).expect_code(2).stderr.contains("a reason is needed"));
    let sent = [&again[..], &["--contact", "two@c1.example"]].concat();
    assert!(workspace.run_as(&finance, sent).expect_code(2).stderr.contains("two@c1.example is sent"));
    assert_eq!(handed_over(workspace), Vec::<String>::new());

    let done = workspace.run_as(&finance, again).ok();
    assert!(done.stdout.contains("revision 1 again to one@c1.example; 1 mails sent"), "{}", done.stdout);
    assert_eq!(mails(workspace), [("one@c1.example".into(), "sent".into(), 1), ("two@c1.example".into(), "sent".into(), 1)]);
    assert_eq!(open_codes(workspace), Vec::<String>::new(), "who decided has settled it");
    assert_eq!(handed_over(workspace), lost, "the second copy bears the id of the first, and the other mail is not sent again");

    let twice = workspace.run_as(&finance, again).expect_code(2);
    assert!(twice.stderr.contains("no mail of that statement is uncertain"), "{}", twice.stderr);
    assert_eq!(handed_over(workspace), lost);
    let row = |actor: &str, result: &str| (actor.to_owned(), result.to_owned(), "C1 2026-01-01..2026-01-31".to_owned());
    let expected = [
        row("console", "refused"),
        row("sam", "refused"),
        row("fin", "refused"),
        row("fin", "refused"),
        row("fin", "done"),
        row("fin", "refused"),
    ];
    assert_eq!(audited(workspace), expected);
}

#[test]
fn an_uncertain_mail_is_sent_again_by_a_person_and_by_nobody_else() {
    story(&uncertain(None));
}

#[test]
fn the_same_on_postgres() {
    let Some(database) = Database::fresh() else { return };
    story(&uncertain(Some(&database.url)));
}
