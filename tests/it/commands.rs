//! The outside, command by command: `--json` everywhere, one shape of errors, exit codes, rights.

use crate::support::binary::{Outcome, Workspace};
use rebated::cli::reference::leaves;
use serde_json::Value;
use std::collections::BTreeSet;

/// The demo's company with its store, and people with tokens.
struct Company {
    workspace: Workspace,
    approver: String,
    preparer: String,
}

impl Company {
    fn after_the_demo() -> Self {
        let workspace = Workspace::empty();
        let dir = workspace.path().display().to_string();
        let told = workspace.run(["demo", "--dir", dir.as_str(), "--json"]).ok();
        assert_eq!(told.json()["settlements"].as_array().unwrap().len(), 3, "{}", told.stdout);
        assert!(told.stderr.contains("The night of 31 March"), "{}", told.stderr);
        let token = |name: &str, role: &str| {
            let added = workspace.run(["user", "add", name, "--role", role, "--json"]).ok().json();
            assert_eq!((&added["user"], &added["role"]), (&Value::from(name), &Value::from(role)));
            workspace.run(["user", "token", name, "--json"]).ok().json()["token"].as_str().unwrap().to_owned()
        };
        let (approver, preparer) = (token("ann", "finance-approver"), token("paul", "finance-preparer"));
        Self { workspace, approver, preparer }
    }
}

/// One call for each command; those in a person's name with `A` (approver) or `P` (preparer) before it.
const CALLS: &[&str] = &[
    "check",
    "config show",
    "import rates new/rates.csv",
    "A agreement import new/late.toml",
    "agreement list",
    "agreement show LATE",
    "agreement text LATE",
    "P agreement import new/draft.toml --draft",
    "P agreement submit DRAFT",
    "A agreement approve DRAFT",
    "A agreement reject REJECTED --reason no",
    "run nightly --business-day 2026-04-02",
    "run nightly --business-day 2026-04-30 --dry-run",
    "runs",
    "accruals",
    "accruals --entries",
    "explain --agreement LAKESIDE-2026 --partner C-100",
    "explain --document 1001",
    "claim list",
    "settlement list",
    "settlement show 1",
    "P settlement propose --business-day 2026-06-30",
    "settlement push",
    "exception list",
    "exception show 1",
    "A exception assign 1 ann",
    "statement list",
    "statement show --partner C-300 --period 2026-03",
    "statement send --partner C-300 --period 2026-03",
    "reconcile",
    "replay",
    "period list",
    "A period close 2026-02",
    "A period reopen 2026-02 --reason mistake",
    "audit verify",
    "audit export",
    "user add mia --role sales",
    "user list",
    "user token mia",
    "user revoke mia",
    "user disable mia",
    "db migrate",
    "db backup new/copy.db",
    "db verify",
    "mapping try canonical-lines tables/lines.csv",
    "connector list",
    "connector test erp-export",
    "init new/folder",
];

/// Commands whose success takes more than this company has, or that do not end; other tests play them.
const ELSEWHERE: &[&str] =
    &["daemon", "demo", "settlement approve", "settlement reject", "settlement accept", "exception resolve", "statement resend"];

fn split(call: &str) -> (Option<char>, Vec<&str>) {
    let mut words: Vec<&str> = call.split(' ').collect();
    match words[0] {
        "A" | "P" => (words.remove(0).chars().next(), words),
        _ => (None, words),
    }
}

#[test]
fn every_command_answers_in_json_when_asked() {
    let company = Company::after_the_demo();
    let w = &company.workspace;
    let agreement = |id: &str| {
        format!(
            "id = \"{id}\"\npartners = [\"C-100\"]\ncurrency = \"USD\"\nvalid = {{ from = \"2026-01-01\", to = \"2026-12-31\" }}\n\
             settlement = {{ every = \"quarter\", method = \"accrue-only\" }}\n[[terms]]\nid = \"t\"\ntype = \"volume\"\naccumulate = \"year\"\n\
             tiers = [{{ from = \"0\", rate = \"1%\" }}]\n"
        )
    };
    for id in ["LATE", "DRAFT", "REJECTED"] {
        w.write(&format!("new/{}.toml", id.to_lowercase()), agreement(id));
    }
    w.write("new/rates.csv", "rate_type,from_currency,to_currency,date,rate\nspot,USD,EUR,2026-01-01,0.9\n");
    w.write(
        "tables/lines.csv",
        "document_type,document_number,line_number,document_date,partner,item,quantity,unit,net_amount,currency\ninvoice,1,1,2026-01-01,C-100,X,1,EA,1.00,EUR\n",
    );
    w.run_as(&company.preparer, ["agreement", "import", "new/rejected.toml"]).expect_code(1);
    let mut played = BTreeSet::new();
    for call in CALLS {
        let (who, mut words) = split(call);
        words.push("--json");
        let outcome = match who {
            Some('A') => w.run_as(&company.approver, &words),
            Some(_) => w.run_as(&company.preparer, &words),
            None => w.run(&words),
        };
        assert!(outcome.code <= 1, "{call}: {}\n{}\n{}", outcome.code, outcome.stdout, outcome.stderr);
        let value = outcome.json();
        assert!(value.is_object() || value.is_array(), "{call}: {}", outcome.stdout);
        let known = leaves().into_iter().map(|(words, _)| words.join(" ")).filter(|leaf| {
            let call = words.join(" ");
            call == *leaf || call.starts_with(&format!("{leaf} "))
        });
        played.extend(known);
    }
    played.extend(ELSEWHERE.iter().map(|word| (*word).to_owned()));
    let all: BTreeSet<String> = leaves().into_iter().map(|(words, _)| words.join(" ")).collect();
    assert_eq!(played, all, "a command without a call, or one that is gone");
}

/// The problems that a failed call printed under `--json`.
#[track_caller]
fn problems(outcome: &Outcome) -> Vec<Value> {
    let last = outcome.stderr.lines().last().unwrap_or_default();
    let shape: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {}", outcome.stderr));
    assert_eq!(shape.as_object().unwrap().keys().collect::<Vec<_>>(), ["problems"]);
    let found = shape["problems"].as_array().unwrap().clone();
    assert!(!found.is_empty());
    for problem in &found {
        for key in problem.as_object().unwrap().keys() {
            assert!(["code", "message", "place", "help"].contains(&key.as_str()), "{key}");
        }
        let code = problem["code"].as_str().unwrap();
        assert!(!code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{code}");
        assert!(!problem["message"].as_str().unwrap().is_empty());
    }
    found
}

#[test]
fn every_command_tells_what_is_wrong_in_one_shape() {
    let w = Workspace::empty();
    for (words, _) in leaves() {
        let mut call = words.clone();
        call.extend(["--no-such-flag".to_owned(), "--json".to_owned()]);
        let found = problems(&w.run(&call).expect_code(2));
        assert_eq!(found[0]["code"], "usage", "{call:?}");
    }
    assert_eq!(problems(&w.run(["settlement", "--json"]).expect_code(2))[0]["message"], "a command is missing");
    assert_eq!(problems(&w.run(["accruals", "--json"]).expect_code(2))[0]["code"], "no-workspace");
}

#[test]
fn what_goes_wrong_has_its_exit_code_and_its_shape() {
    let company = Company::after_the_demo();
    let w = &company.workspace;
    w.write("there.db", "");
    for (call, code, word, says) in [
        ("settlement show 99", 2, "usage", "there is no settlement 99"),
        ("A settlement approve 99", 2, "no-settlement", "there is no settlement 99"),
        ("agreement show NOPE", 2, "usage", "there is no agreement `NOPE`"),
        ("exception show 99", 2, "usage", "there is no exception 99"),
        ("import lines gone.csv", 2, "file-unreadable", "gone.csv: No such file"),
        ("import lines tables", 2, "file-unreadable", "tables: is a folder"),
        ("import nonsense x.csv", 2, "usage", "no canonical table"),
        ("reconcile gone.csv", 2, "file-unreadable", "gone.csv"),
        ("reconcile --against ledger", 2, "not-yet-supported", "journals"),
        ("reconcile --against claims", 2, "not-yet-supported", "ship-and-debit claims"),
        ("A agreement import gone.toml", 2, "file-unreadable", "gone.toml"),
        ("db backup there.db", 2, "file-exists", "never overwrites"),
        ("settlement approve 1", 2, "not-permitted", "this needs a person"),
        (
            "P agreement reject LAKESIDE-2026 --version 1 --reason x",
            2,
            "not-permitted",
            "paul (finance-preparer) may not approve or reject",
        ),
        ("P settlement approve 1", 2, "approval-refused", "paul (finance-preparer) may not approve settlements"),
        ("A period close 2199", 2, "period-state", "has not begun"),
        ("A period reopen 2026-03 --reason x", 2, "period-state", "2026-03 is not closed"),
        ("A period reopen 2026-01 --reason=", 2, "period-state", "a reason is needed"),
        ("accruals --store mysql://x", 2, "bad-url", "not the address of a store"),
        ("accruals --store sqlite:///no/such/folder/x.db", 3, "failed", "/no/such/folder/x.db cannot be reached"),
        ("accruals --store postgres://u@127.0.0.1:1/x", 3, "failed", "127.0.0.1:1 cannot be reached"),
    ] {
        let (who, mut words) = split(call);
        words.push("--json");
        let started = std::time::Instant::now();
        let outcome = match who {
            Some('A') => w.run_as(&company.approver, &words),
            Some(_) => w.run_as(&company.preparer, &words),
            None => w.run(&words),
        };
        let found = problems(&outcome);
        let message = found[0]["message"].as_str().unwrap();
        assert_eq!((outcome.code, found[0]["code"].as_str().unwrap()), (code, word), "{call}: {message}");
        assert!(message.contains(says), "{call}: {message}");
        // Nobody says the same thing twice, or waits half a minute for a server that is not there.
        let os_error = message.matches("(os error").count();
        assert!(os_error <= 1, "{call}: {message}");
        assert!(started.elapsed().as_secs() < 15, "{call}");
    }
}

#[test]
fn refused_attempts_stand_in_the_trail_with_a_name_and_without() {
    let company = Company::after_the_demo();
    let w = &company.workspace;
    w.run(["user", "add", "look", "--role", "auditor"]).ok();
    let look = w.run(["user", "token", "look"]).ok().last_word();
    w.run(["user", "add", "mia", "--role", "partner"]).ok();
    let mia = w.run(["user", "token", "mia"]).ok().last_word();
    let tries: &[(&str, &str)] = &[
        ("run nightly", "run"),
        ("import partners tables/partners.csv", "import"),
        ("reconcile", "reconcile"),
        ("replay --apply", "replay --apply"),
        ("agreement import new/x.toml", "agreement import"),
        ("agreement submit X", "agreement submit"),
        ("settlement propose", "settlement propose"),
        ("settlement approve 1", "settlement approve"),
        ("settlement reject 1 --reason x", "settlement reject"),
        ("settlement accept 1 --amount 1 --reason x", "settlement accept"),
        ("settlement push", "settlement push"),
        ("exception resolve 1 --action confirm --reason x", "exception resolve"),
        ("exception assign 1 mia", "exception assign"),
        ("statement send --partner C-300 --period 2026-03", "statement send"),
        ("statement resend --partner C-300 --period 2026-03 --reason x", "statement resend"),
        ("period close 2026-02", "period close"),
        ("period reopen 2026-01 --reason x", "period reopen"),
    ];
    w.write(
        "new/x.toml",
        "id = \"X\"\npartners = [\"C-100\"]\ncurrency = \"USD\"\nvalid = { from = \"2026-01-01\", to = \"2026-12-31\" }\n\
         settlement = { every = \"quarter\", method = \"accrue-only\" }\n[[terms]]\nid = \"t\"\ntype = \"volume\"\naccumulate = \"year\"\n\
         tiers = [{ from = \"0\", rate = \"1%\" }]\n",
    );
    w.run_as(&company.preparer, ["agreement", "import", "new/x.toml", "--draft"]).expect_code(1);
    for (call, action) in tries {
        for (name, token) in [("look", &look), ("mia", &mia)] {
            let outcome = w.run_as(token, call.split(' ')).expect_code(2);
            assert!(outcome.stderr.contains("may not"), "{call}: {}", outcome.stderr);
            let trail = w.run(["audit", "export"]).ok().json();
            let last = trail.as_array().unwrap().last().unwrap().clone();
            let told = ["actor", "action", "result"].map(|key| last[key].as_str().unwrap().to_owned());
            assert_eq!(told, [name, action, "refused"], "{call}");
        }
    }
    // Without a name: what the night does as well goes on, everything else is refused and told.
    for (call, action) in tries {
        let unattended = ["run", "import", "reconcile", "settlement push", "statement send"].contains(action);
        let outcome = w.run(call.split(' '));
        if unattended {
            assert!(outcome.code <= 1, "{call}: {}", outcome.stderr);
            continue;
        }
        assert!(outcome.code == 2 && outcome.stderr.contains("this needs a person"), "{call}: {}", outcome.stderr);
        let trail = w.run(["audit", "export"]).ok().json();
        let last = trail.as_array().unwrap().last().unwrap().clone();
        let told = ["actor", "result"].map(|key| last[key].as_str().unwrap().to_owned());
        assert_eq!(told, ["console", "refused"], "{call}");
    }
    w.run(["audit", "verify"]).ok();
}
