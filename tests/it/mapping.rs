//! Mapping files: what they make of documents, and what is refused instead of guessed.

use rebated::core::line::DraftLine;
use rebated::core::master::Draft;
use rebated::core::money::Currency;
use rebated::core::number::Micros;
use rebated::core::problem::Problem;
use rebated::formats::FormatError;
use rebated::mapping::{Context, LookupFile, Mapped, Mapping, RowProblem, Tally};
use std::ops::ControlFlow;

pub fn lookups(name: &str) -> Option<LookupFile> {
    let text = match name {
        "units" => "from,to\nSTK,EA\nKTN,CTN\n",
        "broken" => "from,to\na,1\na,2\n",
        _ => return None,
    };
    Some(LookupFile { name: format!("mappings/lookups/{name}.csv"), text: text.to_owned() })
}

pub fn compile(text: &str) -> Mapping {
    Mapping::compile("mappings/m.toml", text, &lookups).unwrap_or_else(|problems| panic!("{problems}"))
}

pub fn refusals(text: &str) -> Vec<String> {
    let problems = Mapping::compile("mappings/m.toml", text, &lookups).expect_err("the mapping is refused");
    problems.0.iter().map(ToString::to_string).collect()
}

pub fn context(zone: &str) -> Context {
    Context { company: None, currency: Currency::parse("USD").unwrap(), timezone: zone.parse().unwrap() }
}

#[derive(Default)]
struct Result_ {
    lines: Vec<DraftLine>,
    problems: Vec<RowProblem>,
    skipped: Vec<String>,
    tally: Tally,
}

fn run(mapping: &Mapping, name: &str, bytes: &[u8]) -> Result<Result_, Vec<Problem>> {
    let mut out = Result_::default();
    let result = mapping.read(&mapping.format_for(name), &mut &bytes[..], name, &context("America/Chicago"), &mut |mapped| {
        match mapped {
            Mapped::Row(Draft::Line(line)) => out.lines.push(*line),
            Mapped::Row(other) => panic!("{other:?}"),
            Mapped::Skipped { reason, .. } => out.skipped.push(reason),
            Mapped::Problem(row) => out.problems.push(*row),
        }
        ControlFlow::Continue(())
    });
    match result {
        Ok(tally) => {
            assert_eq!(tally.drafts, out.lines.len() as u64);
            assert_eq!(tally.skipped, out.skipped.len() as u64);
            assert_eq!(tally.refused, out.problems.len() as u64);
            Ok(Result_ { tally, ..out })
        }
        Err(FormatError::Refused(problems)) => Err(problems.0),
        Err(FormatError::Io(error)) => panic!("{error}"),
    }
}

const GERMAN: &str = r##"
target = "line"
sign = "signed"
[source]
separator = ";"
date = "%d.%m.%Y"
number = { decimal = ",", thousands = ".", trailing_minus = true }
[fields]
document_type = { const = "invoice" }
document_number = "Belegnr"
line_number = "#"
document_date = "Datum"
partner = "Kunde"
item = "Artikel"
quantity = "Menge"
net_amount = "Betrag"
currency = { const = "EUR" }
attributes.text = "Text"
"##;

const GERMAN_FILE: &str = "\u{feff}Belegnr;Datum;Kunde;Artikel;Menge;Betrag;Text
00017;03.04.2026;00420;0012;1.200;12.345,67;Müller GmbH
00018;03.04.2026;00420;4,01234E+12;10;100,00;
00019;31.04.2026;00420;0012;1;10,00;
00020;04.04.2026;00421;0013;5-;50,00-;Rückgabe
00021;04.04.2026;00421;0013;2;1.234;
00022;04.04.2026;00421;0013;2;1,234.56;
00023;05.04.2026;00422;0014;1;\"9,90\";\"Lieferung; Teil 1
Rest\"

";

fn check_german(result: &Result_) {
    let numbers: Vec<&str> = result.lines.iter().map(|line| line.document_number.as_str()).collect();
    assert_eq!(numbers, ["00017", "00020", "00021", "00023"]);
    let total: Micros = result.lines.iter().map(|line| line.net_amount.unwrap()).sum();
    let quantity: Micros = result.lines.iter().map(|line| line.quantity.unwrap()).sum();
    assert_eq!((total.to_string().as_str(), quantity.to_string().as_str()), ("13539.57", "1198"));
    let first = &result.lines[0];
    assert_eq!((first.partner.as_str(), first.item.as_deref()), ("00420", Some("0012")));
    assert_eq!(first.document_date.unwrap().to_string(), "2026-04-03");
    assert_eq!(first.attributes["text"], "Müller GmbH");
    assert_eq!(result.lines[1].net_amount.unwrap().to_string(), "-50");
    assert_eq!(result.lines[2].net_amount.unwrap().to_string(), "1234");
    assert_eq!(result.lines[3].attributes["text"], "Lieferung; Teil 1\nRest");
    let problems: Vec<(&str, &str, String)> = result
        .problems
        .iter()
        .map(|row| {
            let problem = &row.problems[0].problem;
            (row.identity.document_number.as_deref().unwrap(), problem.code.as_str(), problem.place.as_ref().unwrap().to_string())
        })
        .collect();
    assert_eq!(
        problems,
        [
            ("00018", "damaged-code", "in.csv:3 (Artikel)".to_owned()),
            ("00019", "no-such-date", "in.csv:4 (Datum)".to_owned()),
            ("00022", "bad-number", "in.csv:7 (Betrag)".to_owned()),
        ]
    );
    assert_eq!(result.problems[0].problems[0].raw.as_deref(), Some("4,01234E+12"));
    assert_eq!(result.problems[2].problems[0].problem.message, "the number `1,234.56` does not fit the declared format");
    assert_eq!(result.tally.records, 7, "the empty last line is no record");
}

#[test]
fn a_csv_export_with_everything_in_it() {
    check_german(&run(&compile(GERMAN), "in.csv", GERMAN_FILE.as_bytes()).unwrap());
}

#[test]
fn the_same_file_in_windows_1252_is_refused_unless_the_mapping_says_so() {
    let bytes: Vec<u8> =
        GERMAN_FILE.trim_start_matches('\u{feff}').chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let problems = run(&compile(GERMAN), "in.csv", &bytes).err().unwrap();
    assert_eq!((problems[0].code.as_str(), problems[0].place.as_ref().unwrap().line), ("encoding", Some(2)));
    let declared = GERMAN.replace("separator", "encoding = \"windows-1252\"\nseparator");
    check_german(&run(&compile(&declared), "in.csv", &bytes).unwrap());
}

#[test]
fn a_column_that_is_missing_or_stands_twice_refuses_the_file_even_without_rows() {
    let mapping = compile(GERMAN);
    let refused = |text: &str| run(&mapping, "in.csv", text.as_bytes()).err().unwrap();
    let problems = refused("Belegnr;Datum;Kunde;Artikel;Menge;Betrg;Text\n");
    assert_eq!((problems[0].code.as_str(), problems.len()), ("missing-column", 1));
    assert!(problems[0].help.as_deref().unwrap().contains("`Betrg`"), "{problems:?}");
    assert_eq!(refused("Belegnr;Datum;Kunde;Artikel;Menge;Betrag;Betrag;Text\n")[0].code, "duplicate-column");
}

#[test]
fn days_and_months_do_not_swap() {
    let mapping = compile(&GERMAN.replace("%d.%m.%Y", "%m/%d/%Y"));
    let text = "Belegnr;Datum;Kunde;Artikel;Menge;Betrag;Text\n1;13/04/2026;C;I;1;1;\n2;03/04/2026;C;I;1;1;\n";
    let result = run(&mapping, "in.csv", text.as_bytes()).unwrap();
    assert_eq!(result.problems[0].problems[0].problem.code, "no-such-date");
    assert_eq!(result.lines[0].document_date.unwrap().to_string(), "2026-03-04");
}

#[test]
fn one_return_in_many_notations_has_one_sign() {
    let mapping = |sign: &str, number: &str| {
        compile(&format!(
            r##"
target = "line"
sign = "{sign}"
[source]
separator = ";"
number = {number}
[fields]
document_type = {{ from = "type", map = {{ credit = "credit-note", invoice = "invoice" }} }}
document_number = {{ const = "1" }}
line_number = "#"
document_date = {{ const = "2026-01-31" }}
partner = {{ const = "C1" }}
quantity = "quantity"
net_amount = "amount"
"##
        ))
    };
    let plain = "{ decimal = \".\" }";
    let all = "{ decimal = \".\", trailing_minus = true, parentheses = true }";
    let comma = "{ decimal = \",\" }";
    let expected = Ok(("-3".to_owned(), "-120".to_owned()));
    let conflict = Err("sign-conflict".to_owned());
    for (case, sign, number, row, wanted) in [
        ("a", "by-type", plain, "credit;3;120.00", &expected),
        ("b", "signed", plain, "credit;-3;-120.00", &expected),
        ("c", "signed", plain, "invoice;-3;-120.00", &expected),
        ("d", "by-type", plain, "credit;3;-120.00", &conflict),
        ("e", "signed", plain, "credit;3;120.00", &conflict),
        ("f", "signed", all, "credit;3-;120.00-", &expected),
        ("g", "signed", all, "credit;(3);(120.00)", &expected),
        ("h", "signed", comma, "credit;\u{2212}3;\u{2212}120,00", &expected),
        ("i", "by-type", plain, "invoice;3;120.00", &Ok(("3".to_owned(), "120".to_owned()))),
        ("by type, a negative invoice", "by-type", plain, "invoice;-3;-120.00", &conflict),
        ("an undeclared notation", "signed", plain, "credit;3-;120.00-", &Err("bad-number".to_owned())),
        ("an unmapped type", "signed", plain, "refund;-3;-120.00", &Err("unmapped-word".to_owned())),
    ] {
        let result = run(&mapping(sign, number), "in.csv", format!("type;quantity;amount\n{row}\n").as_bytes()).unwrap();
        let got = match result.lines.first() {
            Some(line) => Ok((line.quantity.unwrap().to_string(), line.net_amount.unwrap().to_string())),
            None => Err(result.problems[0].problems[0].problem.code.clone()),
        };
        assert_eq!(&got, wanted, "{case}");
    }
}

#[test]
fn the_business_day_is_the_companys_and_a_plain_date_never_moves() {
    let mapping = compile(
        r##"
target = "line"
sign = "signed"
[fields]
document_type = { const = "invoice" }
document_number = "n"
line_number = { const = "1" }
document_date = { from = ["plain", "moment"], required = true }
posting_date = { from = "moment", instant = true }
paid_date = { from = "written", date = "%Y-%m-%dT%H:%M:%S%z" }
changed_at = { from = "stamp", timezone = "Europe/Berlin" }
partner = { const = "C1" }
net_amount = { const = "1" }
"##,
    );
    let json = r#"[
{"n":"b","plain":"2026-03-31","moment":"2026-04-01T03:30:00Z","written":"2026-03-01T00:00:00+01:00","stamp":"2026-03-01 01:00:00"},
{"n":"x","moment":"2026-04-01T03:30:00Z"}]"#;
    let result = run(&mapping, "in.json", json.as_bytes()).unwrap();
    let line = &result.lines[0];
    assert_eq!(line.document_date.unwrap().to_string(), "2026-03-31");
    assert_eq!(line.posting_date.unwrap().to_string(), "2026-03-31", "22:30 in Chicago");
    assert_eq!(line.paid_date.unwrap().to_string(), "2026-03-01");
    assert_eq!(line.changed_at.unwrap().to_rfc3339(), "2026-03-01T00:00:00+00:00");
    assert_eq!(result.problems[0].problems[0].problem.code, "bad-date", "a moment is not taken for a day silently");
}

pub const NESTED: &str = r##"
target = "line"
rows = "lines[]"
sign = "signed"
[source]
records = "result[]"
typed_values = "class-json"
[fields]
document_type = { from = "^kind", map = { out = "invoice", out_cancel = "credit-note" } }
document_number = "^number"
line_number = { from = ["sequence", "#"] }
document_date = "^date"
partner = "^party.code"
item = "product.code"
quantity = "quantity"
unit = { from = "unit.symbol", upper = true, lookup = "units", missing = "keep" }
net_amount = "amount"
currency = { from = "^currency.code", default = "company" }
status = { from = "^state", map = { posted = "posted", paid = "paid", draft = "draft" } }
line_kind = { default = "goods" }
attributes.key = { template = "{^number}/{product.code}" }
[[rules]]
when = { type = ["comment", "title", ""] }
skip = "not a sale"
[[rules]]
when = { "product.code" = "FREIGHT" }
set = { line_kind = "freight" }
[[rules]]
expr = 'row.amount == 0 && "product." in row'
skip = "worth nothing"
"##;

pub const NESTED_JSON: &str = r#"{"id": 1, "result": [
{"number": "INV-1", "kind": "out", "state": "posted", "date": {"__class__":"date","year":2026,"month":3,"day":31},
 "party": 7, "party.": {"code": "C0001", "id": 7}, "currency.": {"code": "EUR"},
 "lines": [1, 2], "lines.": [
  {"type": "line", "sequence": 10, "product.": {"code": "0012"}, "quantity": 2.50, "unit.": {"symbol": "stk"},
   "amount": {"__class__":"Decimal","decimal":"62.500001"}},
  {"type": "comment"},
  {"type": "line", "product.": {"code": "FREIGHT"}, "quantity": 1, "unit.": {"symbol": "box"}, "amount": {"__class__":"Decimal","decimal":"5"}},
  {"type": "line", "product.": {"code": "GIFT"}, "quantity": 1, "unit.": null, "amount": {"__class__":"Decimal","decimal":"0.00"}}]},
{"number": "INV-2", "kind": "out", "state": "odd", "date": null, "party.": {"code": "C0002"}, "lines.": [
  {"type": "line", "quantity": 1, "amount": {"__class__":"Decimal","decimal":"1"}}]},
{"number": "INV-3", "lines": []}
]}"#;

#[test]
fn nested_records_are_rows_with_parents_rules_and_typed_values() {
    let result = run(&compile(NESTED), "page.json", NESTED_JSON.as_bytes()).unwrap();
    assert_eq!(result.lines.len(), 2);
    let first = &result.lines[0];
    assert_eq!((first.document_number.as_str(), first.line_number.as_str(), first.partner.as_str()), ("INV-1", "10", "C0001"));
    assert_eq!(first.document_date.unwrap().to_string(), "2026-03-31");
    assert_eq!(
        (first.net_amount.unwrap().to_string().as_str(), first.quantity.unwrap().to_string().as_str()),
        ("62.500001", "2.5")
    );
    assert_eq!(
        (first.item.as_deref(), first.unit.as_deref(), first.currency.as_deref()),
        (Some("0012"), Some("EA"), Some("EUR"))
    );
    assert_eq!(first.attributes["key"], "INV-1/0012");
    assert_eq!(first.place.to_string(), "page.json:2 (result[0].lines[0])");
    let second = &result.lines[1];
    assert_eq!((second.line_kind.word(), second.line_number.as_str(), second.unit.as_deref()), ("freight", "3", Some("BOX")));
    assert_eq!(result.skipped, ["not a sale", "worth nothing", "no rows at `lines[]`"]);
    let row = &result.problems[0];
    assert_eq!(row.identity.document_number.as_deref(), Some("INV-2"));
    assert_eq!(row.identity.partner.as_deref(), Some("C0002"));
    let problem = &row.problems[0].problem;
    assert_eq!(
        (problem.code.as_str(), problem.place.as_ref().unwrap().path.as_deref()),
        ("unmapped-word", Some("result[1].state"))
    );
}

#[test]
fn every_slip_of_a_mapping_file_is_told_at_once_with_its_place() {
    let found = refusals(
        r##"target = "line"
rows = "lines"
[source]
encoding = "utf-9"
[fields]
document_typ = { const = "invoice" }
document_type = { const = "invoic" }
document_number = { from = "^^n" }
line_number = "a[x]"
document_date = { form = "d" }
partner = { from = "p", const = "x" }
net_amount = { from = "n", lookup = "nope" }
quantity = { expr = "row.a +" }
status = { from = "s", map = { a = "postd" } }
unit = { from = "u", negate = true }
tax_amount = { from = "t", number = { decimal = ",", thousands = "," } }
posting_date = { from = "d", date = "yyyy" }
[[rules]]
when = { a.b = "x" }
skip = "no"
[[test]]
name = "t"
input = "{}"
"##,
    );
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    for expected in [
        "mappings/m.toml:2:8: `lines` must end in `[]` [bad-path]",
        "mappings/m.toml:4:12: `utf-9` is not an encoding",
        "mappings/m.toml:6:1: a line has no field `document_typ` [unknown-field]; did you mean `document_type`?",
        "mappings/m.toml:7:27: `document_type`: `invoic` is not a document type [bad-fixed-value]",
        "mappings/m.toml:8:28: `^^n` goes 2 up",
        "mappings/m.toml:9:15: `a[x]` is not a path",
        "mappings/m.toml:10:19: `form` is not a key of a field [unknown-key]; did you mean `from`?",
        "mappings/m.toml:11:33: `partner` has `from` and `const`; keep one",
        "mappings/m.toml:12:37: there is no lookup `nope` [unknown-lookup]; add mappings/lookups/nope.csv",
        "mappings/m.toml:13:21:",
        "mappings/m.toml:14:36: `status`: `postd` is not a document status",
        "mappings/m.toml:15:8: `unit` is not a figure",
        "mappings/m.toml:16:37: decimal and thousands mark must differ",
        "mappings/m.toml:17:37: `yyyy` holds no code",
        "mappings/m.toml:19:10: `a` must be compared with text [bad-rule]; a path with a point stands in quotes",
        "`sign` is missing",
        "mappings/m.toml:21:1: `expect` is missing in a test",
    ] {
        assert!(found.iter().any(|line| line.contains(expected)), "{expected}\n--- found:\n{}", found.join("\n"));
    }
    for (idle, why) in [
        ("{ const = \"5\", negate = true }", "a fixed value"),
        ("{ from = \"Menge\", trim = false }", "always trimmed"),
        ("{ template = \"{Menge}\" }", "text only"),
        ("{ from = \"Menge\", missing = \"keep\" }", "neither `map` nor `lookup`"),
    ] {
        let found = refusals(&GERMAN.replace("\"Menge\"", idle));
        assert!(found[0].contains("does nothing") && found[0].contains(why), "{found:?}");
    }
    assert!(refusals(&GERMAN.replace("\"Menge\"", "{ from = \"Menge\", lookup = \"broken\" }"))[0].contains("`a` stands twice"));
    assert!(refusals(&GERMAN.replace("partner = \"Kunde\"", ""))[0].contains("every line needs the field `partner`"));
    assert!(refusals("target = \"item\"\nsign = \"signed\"\n[fields]\nitem = \"i\"\n")[0].contains("`sign` does not fit"));
}

const STEPS: &str = r##"
target = "item"
[fields]
item = { from = "code", strip_leading = "0", pad = { width = 4, with = "0" } }
description = { from = ["a", "b"], join = " " }
brand = { from = "brand", split = { on = "|", part = -1 }, upper = true, default = "NONE" }
category = { from = "cat", replace = { ">" = "/" , " " = "" } }
weight = { from = "w", scale = 3, negate = true }
base_unit = { from = "u", map = { "1" = "EA" }, missing = "default", default = "PCE" }
group = { expr = 'if row.w2 > 10 { "heavy" } else { "light" }' }
attributes.ratio = { expr = 'round(decimal(row.w) / 7, 4)' }
"##;

fn item(json: &str) -> Result<rebated::core::master::DraftItem, Vec<(String, String)>> {
    let mapping = compile(STEPS);
    let mut out = None;
    mapping
        .read(&mapping.format_for("x.json"), &mut json.as_bytes(), "x", &context("UTC"), &mut |mapped| {
            out = Some(match mapped {
                Mapped::Row(Draft::Item(item)) => Ok(*item),
                Mapped::Problem(row) => {
                    Err(row.problems.iter().map(|p| (p.field.clone().unwrap(), p.problem.code.clone())).collect())
                }
                other => panic!("{other:?}"),
            });
            ControlFlow::Continue(())
        })
        .unwrap();
    out.unwrap()
}

#[test]
fn steps_and_expressions_are_exact_and_have_a_fixed_order() {
    let row = item(r#"{"code":"00007","a":"x","b":"y","brand":"z|acme","cat":"A > B","w":"12345","u":"9","w2":10.5}"#).unwrap();
    assert_eq!((row.item.as_str(), row.description.as_deref(), row.brand.as_deref()), ("0007", Some("x y"), Some("ACME")));
    assert_eq!(
        (row.category.as_deref(), row.base_unit.as_deref(), row.group.as_deref()),
        (Some("A/B"), Some("PCE"), Some("heavy"))
    );
    assert_eq!(row.weight.unwrap().to_string(), "-12.345");
    assert_eq!(row.attributes["ratio"], "1763.5714");
    let row = item(r#"{"code":"00007","a":"x","w":"12345","w2":10}"#).unwrap();
    assert_eq!((row.description, row.brand.as_deref(), row.group.as_deref()), (None, Some("NONE"), Some("light")));
}

#[test]
fn an_expression_that_meets_an_unknown_field_or_loses_digits_is_a_problem() {
    assert_eq!(item(r#"{"code":"1","w":"1"}"#).unwrap_err(), [("group".to_owned(), "expression-failed".to_owned())]);
    let exact = |expr: &str, json: &str| {
        let mapping = compile(&format!("target = \"item\"\n[fields]\nitem = \"i\"\nweight = {{ expr = '{expr}' }}\n"));
        let mut out = Err("nothing".to_owned());
        mapping
            .read(&mapping.format_for("x.json"), &mut json.as_bytes(), "x", &context("UTC"), &mut |mapped| {
                out = match mapped {
                    Mapped::Row(Draft::Item(item)) => Ok(item.weight.unwrap().to_string()),
                    Mapped::Problem(row) => Err(row.problems[0].problem.code.clone()),
                    other => panic!("{other:?}"),
                };
                ControlFlow::Continue(())
            })
            .unwrap();
        out
    };
    assert_eq!(exact("row.a + row.b", r#"{"i":"1","a":0.1,"b":0.2}"#), Ok("0.3".to_owned()));
    assert_eq!(exact("row.a * row.b", r#"{"i":"1","a":1.5,"b":2}"#), Ok("3".to_owned()));
    assert_eq!(exact("row.a * 2", r#"{"i":"1","a":1.25}"#), Ok("2.5".to_owned()));
    let failed = Err("expression-failed".to_owned());
    assert_eq!(exact("row.a * row.a", r#"{"i":"1","a":1.234567890123456789}"#), failed, "the product has 36 decimals");
    assert_eq!(exact("row.a / 0", r#"{"i":"1","a":1}"#), failed);
    assert_eq!(exact("row.a", r#"{"i":"1","a":1234567890123456789012345678901}"#), failed);
    assert_eq!(exact("decimal(row.a)", r#"{"i":"1","a":"1,5"}"#), failed);
    assert_eq!(exact("row.a / 3", r#"{"i":"1","a":1}"#), Err("bad-number".to_owned()), "nothing is rounded unless asked");
    for refused in ["while true { }", "let x = 1; x", "eval(\"1\")", "nosuch + 1"] {
        let text = format!("target = \"item\"\n[fields]\nitem = {{ expr = '{refused}' }}\n");
        assert!(refusals(&text)[0].contains("bad-expression"), "{refused}");
    }
}

#[test]
fn included_tax_is_taken_off_before_the_sign_is_set() {
    let mapping = compile(
        r##"
target = "line"
sign = "by-type"
[fields]
document_type = { const = "credit-note" }
document_number = "n"
line_number = "#"
document_date = { const = "2026-01-31" }
partner = { const = "C1" }
net_amount = { from = "total", tax = "included" }
tax_amount = "tax"
"##,
    );
    let result =
        run(&mapping, "x.ndjson", b"{\"n\":\"1\",\"total\":\"119.00\",\"tax\":\"19.00\"}\n{\"n\":\"2\",\"total\":\"119.00\"}\n")
            .unwrap();
    assert_eq!(result.lines[0].net_amount.unwrap().to_string(), "-100");
    assert_eq!(result.lines[0].tax_amount.unwrap().to_string(), "-19");
    assert_eq!(result.problems[0].problems[0].problem.code, "missing-value");
}

#[test]
fn codes_of_master_data_need_no_lookup_file_and_rows_of_a_list_have_their_place_for_a_number() {
    let mapping = compile(
        r##"
target = "line"
rows = "orderLines[]"
sign = "by-type"
[fields]
document_type = { const = "invoice" }
document_number = "^no"
document_date = { from = "^day", date = "%Y-%m-%d" }
partner = { from = "^buyer", lookup = "partners", missing = "exception" }
item = { from = "part", lookup = "items" }
quantity = "pieces"
net_amount = "net"
"##,
    );
    let document = br#"{"no":"I-1","day":"2026-03-01","buyer":"C-1","orderLines":[
        {"part":"P-1","pieces":1,"net":10.5},{"part":"P-2","pieces":2,"net":20}]}"#;
    let found = run(&mapping, "a.json", document).unwrap();
    let lines: Vec<_> = found.lines.iter().map(|l| (l.line_number.as_str(), l.partner.as_str(), l.item.as_deref())).collect();
    assert_eq!(lines, [("1", "C-1", Some("P-1")), ("2", "C-1", Some("P-2"))]);
    // Records that are rows themselves have no place in a list.
    let flat = refusals("target = \"line\"\nsign = \"signed\"\n[fields]\ndocument_number = \"no\"\npartner = \"buyer\"\n");
    assert!(flat.iter().any(|line| line.contains("`line_number`")), "{flat:?}");
}
