//! A dry run shows what the night would do, and leaves no trace: not in the store, not at the
//! sources, not in the ERP, not by mail.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use serde_json::Value;

fn workspace(url: Option<&str>) -> Workspace {
    let workspace = Workspace::empty();
    let own = format!("sqlite://{}", workspace.path().join("rebated.db").display());
    let text = format!(
        "[company]\nname = \"Test\"\ncurrency = \"EUR\"\ntimezone = \"UTC\"\n[store]\nurl = \"{}\"\n[mail]\nfrom = \"r@example.test\"\n\
         transport = {{ type = \"folder\", path = \"mail\" }}\n[approval]\nagreement_files = \"trusted\"\nauto_approve_below = \"1000\"\n",
        url.unwrap_or(&own)
    );
    workspace.write("rebated.toml", text);
    workspace.write(
        "connectors/shop.toml",
        "driver = \"files\"\nversion = 1\n[feeds.lines]\nfolder = \"in\"\nmapping = \"canonical-lines\"\n[push.credit-memo]\nfolder = \"payout\"\n",
    );
    workspace.write(
        "agreements/a.toml",
        "id = \"A\"\ntitle = \"10 %\"\npartners = [\"C1\"]\ncurrency = \"EUR\"\nvalid = { from = \"2026-01-01\", to = \"2026-12-31\" }\n\
         settlement = { every = \"quarter\", method = \"folder\", connector = \"shop\" }\n[[terms]]\nid = \"v\"\ntype = \"volume\"\n\
         accumulate = \"quarter\"\nqualifier = \"net-amount\"\nbase = \"net-amount\"\nmethod = \"retrospective\"\n\
         tiers = [{ from = \"0\", rate = \"10%\" }]\n",
    );
    workspace.write("partners.csv", "partner,name,email\nC1,Corner Shop,c1@example.test\n");
    workspace.write("items.csv", "item,description,base_unit\nP1,Pump,EA\n");
    workspace
}

const HEAD: &str = "document_type,document_number,line_number,document_date,partner,item,quantity,unit,net_amount,currency\n";

/// Everything that the commands show of the store.
fn state(workspace: &Workspace) -> Vec<Value> {
    [
        &["runs", "--json"][..],
        &["accruals", "--json"],
        &["accruals", "--entries", "--json"],
        &["settlement", "list", "--json"],
        &["exception", "list", "--json"],
        &["agreement", "list", "--json"],
        &["statement", "list", "--json"],
        &["audit", "verify", "--json"],
    ]
    .iter()
    .map(|command| workspace.run(command.iter().copied()).json())
    .collect()
}

fn files(workspace: &Workspace) -> Vec<String> {
    let mut names = Vec::new();
    for folder in [".", "in", "in/done", "payout", "mail"] {
        if let Ok(entries) = std::fs::read_dir(workspace.path().join(folder)) {
            names.extend(entries.map(|e| format!("{folder}/{}", e.unwrap().file_name().to_string_lossy())));
        }
    }
    // The database's own side files come and go with its connections.
    names.retain(|n| !n.ends_with("-wal") && !n.ends_with("-shm"));
    names.sort();
    names
}

fn shows_and_leaves_no_trace(workspace: &Workspace) {
    workspace.run(["import", "partners", "partners.csv"]).ok();
    workspace.run(["import", "items", "items.csv"]).ok();
    // Two files: one that counts, one with an item that nobody knows.
    workspace.write("in/1.csv", format!("{HEAD}invoice,I-1,1,2026-03-02,C1,P1,1,EA,2500.00,EUR\n"));
    workspace.write("in/2.csv", format!("{HEAD}invoice,I-2,1,2026-04-02,C1,P9,1,EA,1.00,EUR\n"));
    let (before, lying) = (state(workspace), files(workspace));
    let shown = workspace.run(["run", "--business-day", "2026-03-31", "--dry-run", "--json"]).expect_code(1).json();
    assert_eq!(state(workspace), before);
    assert_eq!(files(workspace), lying);
    let settlement = &shown["settlements"][0];
    assert_eq!((&settlement["amount"], &settlement["state"]), (&"250.00".into(), &"sending".into()), "{shown:#}");
    assert_eq!(shown["exceptions"][0]["code"], "unknown-item", "{shown:#}");
    let stages: Vec<(&str, i64)> = shown["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["stage"].as_str().unwrap(), s["count_out"].as_i64().unwrap()))
        .collect();
    assert!(stages.contains(&("pull", 2)) && stages.contains(&("accrue", 1)), "{stages:?}");

    // The night itself then does what was shown.
    workspace.run(["run", "--business-day", "2026-03-31"]).expect_code(1);
    let settled = workspace.run(["settlement", "list", "--json"]).ok().json();
    assert_eq!((settled[0]["amount"].as_str(), settled[0]["state"].as_str()), (Some("250.00"), Some("confirmed")), "{settled:#}");
}

#[test]
fn on_sqlite_it_works_on_a_copy() {
    shows_and_leaves_no_trace(&workspace(None));
}

#[test]
fn on_postgres_it_works_in_one_transaction() {
    let Some(database) = Database::fresh() else { return };
    shows_and_leaves_no_trace(&workspace(Some(&database.url)));
}
