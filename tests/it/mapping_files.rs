//! Mapping files as files: their own tests, `mapping try`, the shipped ones, the reference page.

use crate::mapping::{NESTED, NESTED_JSON, compile, context, refusals};
use rebated::mapping::{LookupFile, Mapped, Mapping, testcase, trial};
use std::ops::ControlFlow;

#[test]
fn in_file_tests_pass_when_they_should_and_tell_what_differs_when_not() {
    let with_tests = format!(
        "{NESTED}{}",
        r##"
[[test]]
name = "a comment line is not a sale"
input = '{"result":[{"number":"I1","lines":[{"type":"comment"}]}]}'
expect = []
skipped = ["not a sale"]
[[test]]
name = "a line is taken with its figures"
currency = "CHF"
input = '{"result":[{"number":"I1","kind":"out","date":"2026-01-31","state":"paid","party.":{"code":"C1"},"lines":[{"type":"line","amount":1.50,"product.":{"code":"A"}}]}]}'
expect = [{ document_number = "I1", net_amount = "1.50", currency = "CHF", status = "paid", unit = "", attributes = { key = "I1/A" } }]
[[test]]
name = "an unknown kind stops"
input = '{"result":[{"number":"I1","kind":"in","date":"2026-01-31","state":"paid","party.":{"code":"C1"},"lines":[{"type":"line","amount":1}]}]}'
expect = [{ problem = "unmapped-word", field = "document_type" }]
[[test]]
name = "a page without its list is refused"
input = '{"error":"x"}'
refused = "no-records"
expect = []
[[test]]
name = "this one is wrong"
input = '{"result":[{"number":"I1","kind":"out","date":"2026-01-31","state":"paid","party.":{"code":"C1"},"lines":[{"type":"line","amount":1}]}]}'
expect = [{ net_amount = "2" }]
"##
    );
    let results = testcase::run(&compile(&with_tests));
    assert_eq!(results.len(), 5);
    for result in &results[..4] {
        assert!(result.passed(), "{result:?}");
    }
    assert_eq!(results[4].failures, ["row 1: `net_amount` should be `2`, is `1`"]);
    assert!(results[4].place.to_string().starts_with("mappings/m.toml:"));
}

#[test]
fn mapping_try_shows_where_each_value_came_from_and_what_it_became() {
    let mapping = compile(NESTED);
    let rows =
        trial::run(&mapping, &mapping.format_for("p.json"), &mut NESTED_JSON.as_bytes(), "p.json", &context("UTC"), 5).unwrap();
    let outcomes: Vec<&str> = rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, ["draft", "skipped", "draft", "skipped", "problem"]);
    let field = |row: usize, name: &str| rows[row].fields.iter().find(|field| field.field == name).unwrap().clone();
    let unit = field(0, "unit");
    assert_eq!(
        (unit.path.as_str(), unit.raw.as_deref(), unit.value.as_deref()),
        ("lines[0].unit.symbol", Some("stk"), Some("EA"))
    );
    let status = field(4, "status");
    assert_eq!(
        (status.raw.as_deref(), status.value, status.problem.unwrap().code.as_str()),
        (Some("odd"), None, "unmapped-word")
    );
}

/// Text of a file of the repository.
fn file(path: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_shipped_mapping_compiles_and_passes_its_own_tests() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        let path = format!("mappings/{name}");
        let shipped = |lookup: &str| {
            let name = format!("mappings/lookups/{lookup}.csv");
            std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&name))
                .ok()
                .map(|text| LookupFile { name, text })
        };
        let mapping = Mapping::compile(&path, &file(&path), &shipped).unwrap_or_else(|problems| panic!("{problems}"));
        let results = testcase::run(&mapping);
        assert!(!results.is_empty(), "{path} has no test");
        for result in results {
            assert!(result.passed(), "{path}: {}: {:?}", result.name, result.failures);
        }
    }
}

#[test]
fn a_canonical_mapping_takes_a_feed_row_by_row_and_may_not_say_more() {
    let mapping = compile("target = \"item\"\ncanonical = true\n");
    let mut outcomes = Vec::new();
    let text = "item,weight\n0012,1.5\n0013,1,5\n0014,x\n";
    let tally = mapping
        .read(&mapping.format_for("x.csv"), &mut text.as_bytes(), "x.csv", &context("UTC"), &mut |mapped| {
            outcomes.push(match mapped {
                Mapped::Row(draft) => draft.place().to_string(),
                Mapped::Problem(row) => row.problems[0].problem.code.clone(),
                Mapped::Skipped { reason, .. } => reason,
            });
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(outcomes, ["x.csv:2", "ragged-row", "bad-number"]);
    assert_eq!((tally.drafts, tally.refused), (1, 2));
    assert!(refusals("target = \"line\"\ncanonical = true\nsign = \"signed\"\n")[0].contains("does not fit a canonical table"));
    assert!(refusals("target = \"item\"\n")[0].contains("every item needs the field `item`"));
}

#[test]
fn the_reference_page_shows_the_keys_and_columns_there_are() {
    let path = "docs/reference/mapping.md";
    let page = file(path);
    let put = |page: &str, mark: &str, text: &str| {
        let start = format!("<!-- {mark} -->\n");
        let (before, rest) = page.split_once(&start).unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        format!("{before}{start}\n{text}<!-- end -->{after}")
    };
    let fresh = put(&page, "keys", &rebated::mapping::reference::keys());
    let fresh = put(&fresh, "tables", &rebated::mapping::reference::tables());
    if std::env::var_os("REBATED_UPDATE_DOCS").is_some() {
        std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &fresh).unwrap();
        return;
    }
    assert!(page == fresh, "{path} is stale: run this test once with REBATED_UPDATE_DOCS=1");
}
