//! Statements as they leave the house, read back by other programs' eyes.

use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use chrono::NaiveDate;
use rebated::core::agreement::{Benefit, Bound, Direction, Measure, Method, Tier};
use rebated::core::money::Currency;
use rebated::core::number::{Micros, Rate};
use rebated::core::period::Period;
use rebated::core::statement::{
    AgreementInput, CarryReason, Language, Statement, StatementException, StatementInput, StatementLine, StatementSettlement,
    TermInput,
};
use rebated::delivery::statement::{attachment_name, render, subject};
use std::io::Cursor;

fn micros(text: &str) -> Micros {
    Micros::parse(text).unwrap()
}
fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}
fn line(document: &str, date: &str, item: &str, net: &str, share: &str) -> StatementLine {
    StatementLine {
        document_type: "invoice".into(),
        document: document.into(),
        line: "1".into(),
        date: day(date),
        item: Some(item.into()),
        description: Some("Kreiselpumpe".into()),
        quantity: micros("10"),
        unit: "EA".into(),
        net: micros(net),
        net_currency: eur(),
        share: micros(share),
    }
}

fn input(language: Language) -> StatementInput {
    let tier = |from: &str, percent: &str| Tier {
        from: micros(from),
        benefit: Benefit::Rate(Rate::parse_percent(percent).unwrap()),
        back_to_first: false,
    };
    StatementInput {
        company: "Northwind Pumps Inc.".into(),
        partner: "C-10010".into(),
        partner_name: "Möbelhaus Grünwald & Söhne".into(),
        language,
        period: Period::new(day("2026-06-01"), day("2026-06-30")).unwrap(),
        period_label: "2026-06".into(),
        revision: 1,
        as_of: day("2026-06-30"),
        agreements: vec![AgreementInput {
            id: "ACME-2026".into(),
            version: 1,
            title: "Jahresbonus <b>2026</b>".into(),
            direction: Direction::Payable,
            currency: eur(),
            settled: micros("900"),
            carry_reason: CarryReason::NotDue,
            settlements: vec![StatementSettlement {
                reference: "RBT-ABCDEFGHIJKL".into(),
                period_label: "2026-Q1".into(),
                amount: micros("900"),
                state: "confirmed".into(),
                document: Some("CM-7001".into()),
            }],
            terms: vec![TermInput {
                id: "volume".into(),
                kind: "volume".into(),
                accumulation: Period::new(day("2026-01-01"), day("2026-12-31")).unwrap(),
                qualifier_measure: Measure::NetAmount,
                base_measure: Measure::NetAmount,
                unit: None,
                method: Method::Retrospective,
                bound: Bound::Reached,
                tiers: vec![tier("0", "1%"), tier("100000", "2%"), tier("250000", "3.5%")],
                qualifier: micros("120000.25"),
                qualifier_of_all_partners: false,
                base: micros("120000.25"),
                tier: Some(1),
                earned: micros("2400.01"),
                earned_before: micros("900"),
                booked: micros("2400.01"),
                lines: vec![
                    line("2001", "2026-03-03", "P-100", "90000", "1800"),
                    line("=HYPERLINK(\"http://x\")", "2026-06-03", "@SUM(A1)", "30100.25", "602.01"),
                    line("2003", "2026-06-20", "-P-1", "-100", "-2"),
                ],
            }],
        }],
        exceptions: vec![StatementException {
            code: "unknown-item".into(),
            subject: "invoice 2009 line 2".into(),
            message: "item `X-1` is not known".into(),
        }],
        audit_head: Some("5d41402abc4b2a76".into()),
    }
}
fn statement(language: Language) -> Statement {
    Statement::build(input(language)).unwrap()
}

#[test]
fn the_text_body_reads_well_in_german() {
    insta::assert_snapshot!("statement-text-de", render(&statement(Language::De)).unwrap().text);
}

#[test]
fn the_text_body_reads_well_in_english() {
    insta::assert_snapshot!("statement-text-en", render(&statement(Language::En)).unwrap().text);
}

#[test]
fn every_language_renders_every_form() {
    for (language, subject_text, file) in [
        (Language::En, "Rebate statement June 2026 – Möbelhaus Grünwald & Söhne", "Statement_June_2026_Grünwald.xlsx"),
        (Language::De, "Gutschriftsübersicht Juni 2026 – Möbelhaus Grünwald & Söhne", "Abrechnung_Juni_2026_Grünwald.xlsx"),
        (
            Language::Es,
            "Resumen de bonificaciones junio de 2026 – Möbelhaus Grünwald & Söhne",
            "Liquidación_junio_de_2026_Grünwald.xlsx",
        ),
        (Language::Fr, "Relevé de remises juin 2026 – Möbelhaus Grünwald & Söhne", "Relevé_juin_2026_Grünwald.xlsx"),
    ] {
        let statement = statement(language);
        assert_eq!(subject(&statement), subject_text);
        assert_eq!(attachment_name(&statement, "xlsx"), file);
        let rendered = render(&statement).unwrap();
        assert!(rendered.text.contains("CM-7001") && rendered.html.contains("CM-7001"));
        assert!(rendered.html.contains(&format!("<html lang=\"{language}\">")));
    }
}

#[test]
fn the_html_body_escapes_what_others_wrote_and_loads_nothing() {
    let mut input = input(Language::En);
    input.partner_name = "<script>alert(1)</script> & Co".into();
    let html = render(&Statement::build(input).unwrap()).unwrap().html;
    assert!(!html.contains("<script") && !html.contains("<b>2026"), "{html}");
    assert!(html.contains("&lt;script&gt;"));
    for remote in ["http:", "https:", "src=", "url(", "<link", "@import", "<img"] {
        assert!(!html.contains(remote), "{remote}");
    }
    assert!(html.lines().all(|line| line.len() < 900));
}

fn sheets(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
    open_workbook_from_rs(Cursor::new(bytes)).unwrap()
}

#[test]
fn the_sheet_has_typed_numbers_and_no_formula() {
    let mut evil = input(Language::De);
    evil.partner_name = "=cmd|calc Supplies".into();
    let rendered = render(&Statement::build(evil).unwrap()).unwrap();
    assert_eq!(rendered.sheet.name, "Abrechnung_Juni_2026_cmd_calc_Supplies.xlsx");
    let mut book = sheets(rendered.sheet.bytes);
    assert_eq!(book.sheet_names(), ["Übersicht", "Belegzeilen", "Nachrechnen"]);
    for name in book.sheet_names() {
        assert!(book.worksheet_formula(&name).unwrap().is_empty(), "{name} has a formula");
    }
    let summary = book.worksheet_range("Übersicht").unwrap();
    assert_eq!(summary.get_value((1, 1)), Some(&Data::String("'=cmd|calc Supplies".into())));
    let lines = book.worksheet_range("Belegzeilen").unwrap();
    assert_eq!(lines.get_value((2, 2)), Some(&Data::String("'=HYPERLINK(\"http://x\")".into())));
    assert_eq!(lines.get_value((2, 6)), Some(&Data::String("'@SUM(A1)".into())));
    assert_eq!(lines.get_value((3, 10)), Some(&Data::Float(-100.0)), "a negative amount is a number, not quoted text");
    let shares: Vec<String> = (1..=3).map(|row| lines.get_value((row, 12)).unwrap().to_string()).collect();
    assert_eq!(shares, ["1800", "602.01", "-2"]);
    assert_eq!(lines.get_value((1, 5)), Some(&Data::String("nein".into())), "March is not in June");
    let recompute = book.worksheet_range("Nachrechnen").unwrap();
    let last = recompute.rows().rfind(|row| row[2] != Data::Empty).unwrap();
    assert_eq!(last[4], Data::String("1.500,01\u{a0}EUR".into()), "{last:?}");
}

#[test]
fn an_amount_beyond_fifteen_digits_keeps_its_exact_text_beside_the_cell() {
    let mut big = input(Language::En);
    let term = &mut big.agreements[0].terms[0];
    term.lines.clear();
    term.qualifier = micros("9223372036854.775807");
    let bytes = render(&Statement::build(big).unwrap()).unwrap().sheet.bytes;
    let mut archive = Vec::new();
    // The note stands in a part of its own; the text is stored compressed, so go by the reader.
    let book = sheets(bytes.clone());
    drop(book);
    archive.extend_from_slice(&bytes);
    let names = String::from_utf8_lossy(&archive);
    assert!(names.contains("xl/comments1.xml"), "a note is there");
    let small = render(&statement(Language::En)).unwrap().sheet.bytes;
    assert!(!String::from_utf8_lossy(&small).contains("xl/comments1.xml"), "and only where it is needed");
}

#[test]
fn the_same_statement_gives_the_same_bytes() {
    let first = render(&statement(Language::De)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(first, render(&statement(Language::De)).unwrap());
}

#[test]
fn figures_survive_the_way_through_the_store() {
    let statement = statement(Language::De);
    let text = serde_json::to_string(&statement).unwrap();
    assert!(text.contains("\"earned\":\"2400.01\""), "amounts are text: {text}");
    assert_eq!(serde_json::from_str::<Statement>(&text).unwrap(), statement);
}

#[test]
fn a_statement_without_agreements_says_so() {
    let mut empty = input(Language::En);
    empty.agreements.clear();
    let rendered = render(&Statement::build(empty).unwrap()).unwrap();
    assert!(rendered.text.contains("No agreement has figures for this period."));
}
