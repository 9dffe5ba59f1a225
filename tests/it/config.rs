//! The workspace's files: what is accepted, what is refused, and in which words.

use rebated::config::agreement_file;
use rebated::core::agreement::{Benefit, Dimension, Measure, Method, PayoutMethod, Rule};
use rebated::core::number::{Micros, Rate};
use rebated::core::period::Span;

/// The contract's example, with what comes with later versions left out.
const FULL: &str = r#"
id = "ACME-2026"
title = "ACME volume 2026"
objective = "sustainable-growth"
direction = "payable"
partners = ["C-10010"]
payee = "C-10010"
currency = "USD"
valid = { from = "2026-01-01", to = "2026-12-31" }
qualifier_scope = "partner"
date_basis = "document-date"
exchange = { rate_type = "spot", max_age = "7d" }
bound = "reached"
returns = "own-period"
rounding = "half-away-from-zero"
stacking = "stackable"
accrual = { policy = "earned" }
settlement = { every = "quarter", grace = "0d", method = "credit-memo", connector = "erp", pay_in = "agreement", tax = "none", hold_back = "0%", minimum = "0.00" }
caps = { total = "100000.00" }

[[terms]]
id = "volume"
type = "volume"
where = { category = ["PUMPS"], "attributes.segment" = ["A"] }
except = { item = ["P-900"] }
documents = ["invoice", "credit-note"]
payment = "any"
accumulate = "year"
qualifier = "net-amount"
base = "net-amount"
method = "retrospective"
tiers = [
  { from = "0",      rate = "1%" },
  { from = "100000", rate = "2%" },
  { from = "250000", rate = "3.5%" },
]
"#;

fn agreement(tail: &str) -> String {
    format!(
        "id = \"A\"\npartners = [\"P\"]\ncurrency = \"USD\"\nvalid = {{ from = \"2026-01-01\", to = \"2026-12-31\" }}\n{tail}"
    )
}

fn ladder(rest: &str, tiers: &str) -> String {
    agreement(&format!("[[terms]]\nid = \"volume\"\ntype = \"volume\"\n{rest}\ntiers = [{tiers}]\n"))
}

fn refusal(text: &str) -> String {
    agreement_file::parse("a.toml", text).expect_err("must be refused").to_string()
}

#[test]
fn the_example_of_the_contract_is_read_whole() {
    let read = agreement_file::parse("agreements/acme.toml", FULL).unwrap();
    assert_eq!((read.id.as_str(), read.version, read.currency.code()), ("ACME-2026", 1, "USD"));
    assert_eq!(read.valid_from, read.valid.from);
    assert_eq!(read.cap_total, Some(Micros(100_000_000_000)));
    assert_eq!((read.settlement.every, read.settlement.method), (Span::Quarter, PayoutMethod::CreditMemo));
    assert_eq!(read.settlement.connector.as_deref(), Some("erp"));
    let term = &read.terms[0];
    assert_eq!(term.select.values(&Dimension::Category), Some(&["PUMPS".to_owned()][..]));
    assert_eq!(term.select.values(&Dimension::Attribute("segment".into())), Some(&["A".to_owned()][..]));
    assert_eq!(term.except.values(&Dimension::Item), Some(&["P-900".to_owned()][..]));
    let Rule::Volume(volume) = &term.rule else { panic!("{:?}", term.rule) };
    assert_eq!((volume.qualifier, volume.base, volume.method), (Measure::NetAmount, Measure::NetAmount, Method::Retrospective));
    assert_eq!(volume.tiers[2].from, Micros(250_000_000_000));
    assert_eq!(volume.tiers[2].benefit, Benefit::Rate(Rate(3_500_000)));
}

#[test]
fn what_was_left_out_has_the_documented_defaults() {
    let read = agreement_file::parse("a.toml", &ladder("", "{ from = \"0\", rate = \"1%\" }")).unwrap();
    assert_eq!(read.title, "A");
    assert_eq!(read.settlement, rebated::core::agreement::SettlementTerms::default());
    assert_eq!(read.exchange, rebated::core::agreement::Exchange::default());
    assert_eq!(read.terms[0].accumulate, Span::Year);
    assert_eq!(read.terms[0].documents.iter().map(|d| d.word()).collect::<Vec<_>>(), ["invoice", "credit-note"]);
}

#[test]
fn case_01_ladders_with_upper_bounds_cover_everything_exactly_once() {
    let j = refusal(&ladder("", r#"{ from = "0", to = "1000.00", rate = "5%" }, { from = "1001.00", rate = "10%" }"#));
    assert!(j.contains("no tier covers what lies between 1000.00 and 1001.00 [ladder-gap]"), "{j}");
    let k = refusal(&ladder("", r#"{ from = "0", to = "1000.00", rate = "5%" }, { from = "900.00", rate = "10%" }"#));
    assert!(k.contains("900.00 to 1000.00 is covered twice [ladder-overlap]"), "{k}");
    let l = refusal(&ladder("", r#"{ from = "5000", rate = "5%" }, { from = "1000", rate = "10%" }"#));
    assert!(l.contains("bounds do not ascend: 1000.00 comes after 5000.00 [ladder-order]"), "{l}");
    let twice = refusal(&ladder("", r#"{ from = "1000.0", rate = "5%" }, { from = "1000.00", rate = "10%" }"#));
    assert!(twice.contains("the bound 1000.00 comes twice [ladder-order]"), "{twice}");
    let last = refusal(&ladder("", r#"{ from = "0", to = "1000.00", rate = "5%" }"#));
    assert!(last.contains("no tier covers what lies above 1000.00 [ladder-gap]"), "{last}");
}

#[test]
fn an_upper_bound_may_equal_the_next_lower_one_or_lie_one_step_below() {
    for (rest, tiers) in [
        ("", r#"{ from = "0", to = "1000.00", rate = "5%" }, { from = "1000.00", rate = "10%" }"#),
        ("", r#"{ from = "0", to = "1000.00", rate = "5%" }, { from = "1000.01", rate = "10%" }"#),
        ("qualifier = \"quantity\"\nunit = \"EA\"", r#"{ from = "1", to = "10", rate = "5%" }, { from = "11", rate = "10%" }"#),
    ] {
        agreement_file::parse("a.toml", &ladder(rest, tiers)).unwrap();
    }
    // One minor unit of a currency without decimals is 1.
    let yen = ladder("", r#"{ from = "0", to = "1000", rate = "5%" }, { from = "1001", rate = "10%" }"#).replace("USD", "JPY");
    agreement_file::parse("a.toml", &yen).unwrap();
    let dollars = refusal(&yen.replace("JPY", "USD"));
    assert!(dollars.contains("between 1000.00 and 1001.00"), "{dollars}");
}

#[test]
fn benefits_per_unit_take_the_quantity_as_their_base() {
    let read = agreement_file::parse("a.toml", &ladder("unit = \"EA\"", r#"{ from = "0", per_unit = "1.50" }"#)).unwrap();
    let Rule::Volume(volume) = &read.terms[0].rule else { panic!() };
    assert_eq!((volume.base, volume.unit.as_deref()), (Measure::Quantity, Some("EA")));
    let missing = refusal(&ladder("", r#"{ from = "0", per_unit = "1.50" }"#));
    assert!(missing.contains("[unit-missing]"), "{missing}");
    let percent = refusal(&ladder("base = \"quantity\"\nunit = \"EA\"", r#"{ from = "0", rate = "1%" }"#));
    assert!(percent.contains("[tier-base]"), "{percent}");
}

#[test]
fn a_term_type_for_later_is_refused_once_without_complaints_about_its_keys() {
    let text = agreement(
        "[[terms]]\nid = \"training\"\ntype = \"performance\"\nactivity = \"technician-certified\"\ntiers = [{ from = \"10%\", rate = \"1%\" }]\n",
    );
    let refused = agreement_file::parse("a.toml", &text).unwrap_err();
    let codes: Vec<_> = refused.0.iter().map(|p| (p.code.as_str(), p.place.as_ref().unwrap().line)).collect();
    assert_eq!(codes, [("not-yet-supported", Some(7))]);
}

#[test]
fn a_circle_of_terms_is_named() {
    let term = |id: &str, edge: &str| format!("[[terms]]\nid = \"{id}\"\ntype = \"fixed\"\namount = \"1.00\"\n{edge}\n");
    let text =
        agreement(&[term("c", "after = [\"a\"]"), term("a", "requires = [\"b\"]"), term("b", "requires = [\"c\"]")].concat());
    let refused = refusal(&text);
    assert!(refused.contains("terms depend on each other in a circle: a -> b -> c -> a [term-cycle]"), "{refused}");
}

#[test]
fn every_problem_of_an_agreement_comes_at_once_and_in_file_order() {
    let text = "id = \"A\"\npartner = [\"P\"]\ncurrency = \"USDD\"\nvalid = { from = \"2026-12-31\", to = \"2026-01-01\" }\n\
                [[terms]]\nid = \"v\"\ntype = \"volume\"\ntiers = [{ from = \"0\" }, { from = \"10\", rate = \"1%\", amount = \"5\" }]\n";
    let refused = agreement_file::parse("a.toml", text).unwrap_err();
    let found: Vec<_> = refused.0.iter().map(|p| (p.code.as_str(), p.place.as_ref().unwrap().line.unwrap())).collect();
    let expected = [
        ("no-partners", 1),
        ("unknown-key", 2),
        ("unknown-currency", 3),
        ("date-order", 4),
        ("tier-benefit", 8),
        ("tier-benefit", 8),
    ];
    assert_eq!(found, expected);
}
