//! A generated year of a wholesaler through the built program, against a second, independent calculation.
//!
//! The workload is the benches' with fewer lines; `oracle` shares no code with the product.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use crate::{oracle, workload};
use serde_json::Value;

const LINES: u64 = 10_000;

fn config(store_url: &str) -> String {
    format!(
        "[company]\nname = \"Workload Ltd.\"\ncurrency = \"USD\"\ntimezone = \"UTC\"\n\n[store]\nurl = \"{store_url}\"\n\n\
         [approval]\nagreement_files = \"trusted\"\nfile_author = \"erp-admin\"\n"
    )
}

/// The lines in two files, cut between two documents in the middle of the year; the header in both.
fn two_nights(csv: &str) -> [String; 2] {
    let (header, body) = csv.split_once('\n').expect("a header");
    let day = |line: &str| line.split(',').nth(3).expect("a date").to_owned();
    let (first, second): (Vec<&str>, Vec<&str>) = body.lines().partition(|l| day(l).as_str() < "2025-07-01");
    assert!(first.len() > 1_000 && second.len() > 1_000);
    [first, second].map(|lines| format!("{header}\n{}\n", lines.join("\n")))
}

fn accruals(workspace: &Workspace) -> Vec<Value> {
    match workspace.run(["accruals", "--json"]).ok().json() {
        Value::Array(rows) => rows,
        other => panic!("no rows: {other}"),
    }
}

fn night(workspace: &Workspace, business_day: &str) {
    let outcome = workspace.run(["run", "nightly", "--business-day", business_day, "--steps", "match,accrue"]);
    assert!(matches!(outcome.code, 0 | 1), "{outcome:?}");
}

fn every_figure_is_the_oracles(store_url: &str) {
    let workspace = Workspace::with_config(&config(store_url));
    let load = workload::write(workspace.path(), LINES).unwrap();
    for kind in ["partners", "items", "units", "rates"] {
        workspace.run(["import", kind, load.table(kind).to_str().unwrap()]).ok();
    }
    let [first, second] = two_nights(&std::fs::read_to_string(load.table("lines")).unwrap());
    workspace.run(["import", "lines", workspace.write("first.csv", first).to_str().unwrap()]).ok();
    night(&workspace, "2025-06-30");
    workspace.run(["import", "lines", workspace.write("second.csv", second).to_str().unwrap()]).ok();
    night(&workspace, "2025-12-31");

    let expected = oracle::earned(&load);
    assert!(expected.len() > 500, "the workload earns little: {} figures", expected.len());
    let rows = accruals(&workspace);
    let wrong = oracle::differences(&expected, &rows);
    assert!(
        wrong.is_empty(),
        "{} of {} figures differ:\n{}",
        wrong.len(),
        expected.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );

    // The whole year again, in one file: every document is known, nothing changes.
    let again = workspace.run(["import", "lines", load.table("lines").to_str().unwrap()]);
    assert!(matches!(again.code, 0 | 1), "{again:?}");
    night(&workspace, "2025-12-31");
    assert_eq!(accruals(&workspace), rows);
}

#[test]
fn a_year_read_in_two_nights_earns_what_a_plain_sum_earns_on_sqlite() {
    every_figure_is_the_oracles("sqlite://rebated.db");
}

#[test]
fn a_year_read_in_two_nights_earns_what_a_plain_sum_earns_on_postgres() {
    let Some(database) = Database::fresh() else { return };
    every_figure_is_the_oracles(&database.url);
}
