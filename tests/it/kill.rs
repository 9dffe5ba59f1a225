//! Kill it anywhere: the real binary is ended at every named point of a night, started again, and must
//! reach the state of the night that was not killed. Only a mail in flight may end `uncertain`.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use crate::support::source;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The night that is killed: new lines and a return come in, memos go out, statements are due.
const NIGHT: [&str; 4] = ["run", "nightly", "--business-day", "2026-04-30"];

/// Every point at which a night can be killed, except the ends of mails, which have a test of their own.
const POINTS: [&str; 24] = [
    "before:pull",
    "page:1",
    "after:pull",
    "before:normalize",
    "archive:1",
    "after:normalize",
    "before:match",
    "after:match",
    "before:accrue",
    "after:accrue",
    "before:reconcile",
    "after:reconcile",
    "before:propose",
    "after:propose",
    "before:push",
    "memo:planned",
    "memo:sent",
    "memo:created-not-noted",
    "memo:sent:created",
    "memo:confirmed",
    "after:push",
    "before:statements",
    "statements:written",
    "after:statements",
];

/// The demo company after its first night, with settlements approved and the second night's files delivered.
fn evening(store: Option<&str>) -> Workspace {
    let mut workspace = Workspace::empty();
    workspace.copy_from(&source::root().join("demo"));
    if let Some(url) = store {
        workspace.set_env("REBATED_STORE_URL", url);
    }
    workspace.run(["import", "partners", "tables/partners.csv"]).ok();
    workspace.run(["import", "items", "tables/items.csv"]).ok();
    workspace.run(["user", "add", "fiona", "--role", "finance-approver"]).ok();
    let token = workspace.run(["user", "token", "fiona"]).ok().last_word();
    deliver(&workspace, "inbox-1/journal-2026-q1.csv");
    workspace.run(["run", "nightly", "--business-day", "2026-03-31"]).expect_code(1);
    for id in ["1", "2"] {
        workspace.run_as(&token, ["settlement", "approve", id]).ok();
    }
    workspace
}

fn deliver(workspace: &Workspace, file: &str) {
    let name = file.rsplit('/').next().unwrap();
    workspace.write(&format!("inbox/{name}"), std::fs::read(workspace.path().join(file)).unwrap());
}

/// What the killed night takes in: nothing that would void the approvals of the first quarter.
fn deliver_april(workspace: &Workspace) {
    workspace.write(
        "inbox/april.csv",
        "Type;Number;Line;Date;Customer;Item;Qty;UoM;Net;Ref\n\
         INV;2001;1;04/08/2026;C-100;PUMP-A;10;EA;6,450.00;\n\
         INV;2001;2;04/08/2026;C-100;PUMP-X;1;EA;10.00;\n\
         CRN;9101;1;04/20/2026;C-200;VALVE-1;5;EA;240.00;1008\n",
    );
}

/// A second evening as a copy: the same rows, another folder.
fn copy_of(evening: &Workspace) -> Workspace {
    let copy = Workspace::empty();
    copy.copy_from(evening.path());
    copy
}

/// Everything that has to be the same, without ids, times and attempts.
fn state(workspace: &Workspace) -> Value {
    let keep = |rows: Value, keys: &[&str]| -> Vec<Value> {
        let rows = rows.as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| keys.iter().map(|k| ((*k).to_owned(), row[*k].clone())).collect::<serde_json::Map<_, _>>().into())
            .collect()
    };
    let accruals = keep(
        workspace.run(["accruals", "--json"]).ok().json(),
        &["agreement", "term", "partner", "period", "qualifier", "earned", "booked", "settled"],
    );
    let mut entries = keep(
        workspace.run(["accruals", "--entries", "--json"]).ok().json(),
        &["agreement", "partner", "accounting_month", "for_month", "kind", "amount"],
    );
    entries.sort_by_key(ToString::to_string);
    let settlements = keep(
        workspace.run(["settlement", "list", "--json"]).ok().json(),
        &["agreement", "payee", "amount", "carried_forward", "state", "reference", "number"],
    );
    let exceptions = keep(workspace.run(["exception", "list", "--json"]).ok().json(), &["code", "subject"]);
    let mut memos: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(workspace.path().join("credit-memos")).into_iter().flatten().flatten() {
        if entry.path().is_file() {
            *memos.entry(entry.file_name().to_string_lossy().into_owned()).or_default() += 1;
        }
    }
    json!({ "accruals": accruals, "entries": entries, "settlements": settlements, "exceptions": exceptions, "memos": memos, "mails": mails(workspace) })
}

/// Contact and state of every mail, and how many files each contact got.
fn mails(workspace: &Workspace) -> Vec<String> {
    let list = workspace.run(["statement", "list", "--json"]).ok().json();
    let mut mails: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|s| s["mails"].as_array().cloned().unwrap_or_default())
        .map(|m| {
            format!("{} {} {}", m["contact"].as_str().unwrap(), m["period_to"].as_str().unwrap(), m["state"].as_str().unwrap())
        })
        .collect();
    mails.sort();
    mails
}

fn outbox_files(workspace: &Workspace) -> usize {
    std::fs::read_dir(workspace.path().join("outbox"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "eml"))
        .count()
}

fn kill_at(workspace: &Workspace, point: &str) {
    let mut command = workspace.command(NIGHT);
    command.env("REBATED_KILL_AT", point);
    let status = command.output().unwrap().status;
    assert!(status.code().is_none(), "the night was not killed at {point}: it ended with {status}");
}

fn finish(workspace: &Workspace) {
    workspace.run(NIGHT);
    // What a folder source was not told before the kill it is told now; a further run finds nothing to do.
    let before = state(workspace);
    workspace.run(NIGHT);
    assert_eq!(state(workspace), before, "a further run of a finished night changes something");
}

#[test]
fn a_night_killed_at_any_point_ends_as_the_night_that_was_not() {
    let prepared = evening(None);
    deliver_april(&prepared);
    let undisturbed = copy_of(&prepared);
    finish(&undisturbed);
    let expected = state(&undisturbed);
    assert_eq!(expected["memos"].as_object().unwrap().len(), 4, "two memos as CSV and JSON each: {expected:#}");
    for point in POINTS {
        let workspace = copy_of(&prepared);
        kill_at(&workspace, point);
        finish(&workspace);
        assert_eq!(state(&workspace), expected, "killed at {point}");
        assert_eq!(outbox_files(&workspace), outbox_files(&undisturbed), "mails after a kill at {point}");
    }
}

#[test]
fn a_mail_in_flight_when_the_process_dies_ends_uncertain_and_is_not_sent_again() {
    let prepared = evening(None);
    for point in ["mail:sending", "mail:accepted"] {
        let workspace = copy_of(&prepared);
        kill_at(&workspace, point);
        let handed = outbox_files(&workspace);
        finish(&workspace);
        let mails = mails(&workspace);
        let uncertain = mails.iter().filter(|m| m.ends_with("2026-04-30 uncertain")).count();
        assert_eq!(uncertain, 1, "{point}: {mails:?}");
        let sent = mails.iter().filter(|m| m.ends_with("2026-04-30 sent")).count();
        assert_eq!(outbox_files(&workspace), handed + sent, "{point}: the uncertain one is not handed over again");
        let codes: Vec<Value> = workspace
            .run(["exception", "list", "--json"])
            .ok()
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["code"].clone())
            .collect();
        assert!(codes.iter().any(|c| c.as_str().is_some_and(|c| c.contains("uncertain"))), "{codes:?}");
    }
}

#[test]
fn a_night_on_postgres_survives_kills_as_well() {
    for point in ["page:1", "after:accrue", "memo:created-not-noted", "statements:written"] {
        let (Some(killed), Some(whole)) = (Database::fresh(), Database::fresh()) else { return };
        let undisturbed = evening(Some(&whole.url));
        deliver_april(&undisturbed);
        finish(&undisturbed);
        let workspace = evening(Some(&killed.url));
        deliver_april(&workspace);
        kill_at(&workspace, point);
        finish(&workspace);
        assert_eq!(state(&workspace), state(&undisturbed), "killed at {point}");
    }
}

#[test]
fn every_point_in_the_source_is_in_the_list() {
    // Points are named by a word before the first colon; a new one has to be added to the list above.
    let known: Vec<&str> = POINTS.iter().map(|p| p.split(':').next().unwrap()).chain(["mail"]).collect();
    for file in source::files("src/pipeline", &[".rs"]) {
        for (at, _) in file.text.match_indices("fault_point(") {
            let rest = &file.text[at..];
            let Some(open) = rest.find('"').filter(|o| *o < 30) else { continue };
            let name: String = rest[open + 1..].chars().take_while(|c| *c != ':' && *c != '"').collect();
            assert!(known.contains(&name.as_str()), "{}: point `{name}` is in no kill test", file.path);
        }
    }
}
