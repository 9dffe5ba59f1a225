//! Agreements read back in plain English, through the program.

use crate::support::binary::Workspace;

const LADDER: &str = r#"
id = "ACME-2026"
title = "ACME volume 2026"
partners = ["C-1", "C-2"]
currency = "USD"
valid = { from = "2026-01-01", to = "2026-12-31" }
caps = { total = "100000.00" }
settlement = { every = "quarter", grace = "10d", method = "credit-memo", minimum = "50.00" }
[[terms]]
id = "volume"
type = "volume"
where = { category = ["PUMPS", "VALVES"] }
except = { item = ["P-900"] }
accumulate = "year"
method = "marginal"
tiers = [{ from = "0", rate = "1%" }, { from = "100000", rate = "2%" }]
[[terms]]
id = "growth"
type = "growth"
accumulate = "year"
baseline = { period = "prior-year" }
base = "increase"
requires = ["volume"]
tiers = [{ from = "10%", rate = "5%" }]
"#;

/// 120,000: 100,000 x 1 % + 20,000 x 2 % = 1,400. 11,200 after 10,000 are 12 % more: 1,200 x 5 % = 60.
const READ: &str = "\
ACME volume 2026 (ACME-2026, version 1)

We pay rebates to C-1 and C-2.

The agreement holds from 2026-01-01 to 2026-12-31, both days included, by the document date of each document. Figures are in USD; documents in another currency are converted at the spot rate of their date, which may be at most 7 days old. Amounts are net of tax.

Term volume (volume). Lines of invoices and credit notes count with category PUMPS or VALVES, except those with item P-900; only goods, with their part of document discounts. The net amount adds up over each fiscal year and decides the tier. Tiers:
  from 0.00 USD: 1%
  from 100000.00 USD: 2%
Each tier pays on its own part only. Whoever meets a bound exactly has reached it.
For example, purchases of 120000.00 USD in a period earn 1400.00 USD:";

#[test]
fn an_agreement_is_read_back_in_sentences_with_an_example_that_the_engine_computes() {
    let workspace = Workspace::trusting("USD");
    workspace.write("agreements/acme.toml", LADDER);
    workspace.run(["run", "--business-day", "2026-01-02"]).expect_code(1);
    let read = workspace.run(["agreement", "text", "ACME-2026"]).ok().stdout;
    assert!(read.starts_with(READ), "{read}");
    for sentence in [
        "The net amount of each fiscal year is compared with that of the same months one fiscal year earlier.",
        "The baseline stands from 30 days after its period on; documents that come later do not move it.",
        "It is paid on the increase only.",
        "It is paid only if volume earned something in a period that overlaps.",
        "For example, purchases of 11200.00 USD after 10000.00 USD earn 60.00 USD:",
        "All terms together pay each partner at most 100000.00 USD over the whole agreement.",
        "What is earned and not yet paid is paid by credit memo at the end of each quarter, 10 days later. Less than 50.00 USD is carried forward.",
    ] {
        assert!(read.contains(sentence), "{sentence}\n{read}");
    }
    let json = workspace.run(["agreement", "text", "ACME-2026", "--json"]).ok().json();
    assert_eq!((json["version"].as_i64(), json["text"].as_str().map(str::trim_end)), (Some(1), Some(read.trim_end())));
    workspace.run(["agreement", "text", "NOBODY"]).expect_code(2);
}

/// Every condition of the scenarios can be read back, and every example of theirs computed.
#[test]
fn every_agreement_of_the_scenarios_has_a_reading() {
    let mut read = 0;
    for file in crate::support::source::files("tests/scenarios", &[".toml"]) {
        if !file.path.contains("/agreements/") {
            continue;
        }
        let Ok(version) = rebated::config::agreement_file::parse("a.toml", &file.text) else { continue };
        let calendar = rebated::core::period::FiscalCalendar::default();
        let text = rebated::core::reading::read(std::slice::from_ref(&version), &calendar);
        read += 1;
        for term in &version.terms {
            assert!(text.contains(&format!("Term {} (", term.id)), "{}\n{text}", version.id);
        }
        assert!(!text.contains("  \n") && !text.contains(" ."), "{text}");
    }
    assert!(read > 60, "{read}");
}
