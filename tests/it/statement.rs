//! Statements as they leave the house, read back by other programs' eyes.

use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use chrono::NaiveDate;
use rebated::core::agreement::{Benefit, Direction, Measure, Method, Tier};
use rebated::core::derivation::{Derivation, UsedRate};
use rebated::core::line::DocumentType;
use rebated::core::money::Currency;
use rebated::core::number::{Factor, Micros, Rate};
use rebated::core::period::Period;
use rebated::core::statement::{
    AgreementInput, CarryReason, Language, OpenPoint, OpenReason, StatedAgreement, StatedOn, StatedTerm, Statement,
    StatementInput, StatementLine, StatementSettlement, TermInput,
};
use rebated::core::statement_recipe::RecipeStep;
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
        document_type: DocumentType::Invoice,
        document: document.into(),
        line: "1".into(),
        date: day(date),
        item: Some(item.into()),
        quantity: micros("10"),
        unit: "EA".into(),
        net: micros(net),
        net_currency: eur(),
        counted_in: day(&format!("{}-01", &date[..7])),
        version: 1,
        qualifier: micros(net).exact(),
        base: micros(net).exact(),
        derived: vec![],
        unrounded: micros(share).fine(),
        share: micros(share),
    }
}

fn input(language: Language) -> StatementInput {
    let tier = |from: &str, percent: &str| Tier {
        from: micros(from),
        benefit: Benefit::Rate(Rate::parse_percent(percent).unwrap()),
        back_to_first: false,
    };
    let mut dollars = line("=HYPERLINK(\"http://x\")", "2026-06-03", "@SUM(A1)", "30100.25", "602.01");
    dollars.derived = vec![Derivation {
        measure: Measure::NetAmount,
        stated: micros("33444.722222"),
        stated_in: "USD".into(),
        cost: None,
        rate: Some(UsedRate { rate: Factor::parse("0.9").unwrap(), on: day("2026-06-02") }),
        factor: None,
        weight: None,
        discount: None,
        result: micros("30100.25").exact(),
        result_in: "EUR".into(),
    }];
    let benefit = Benefit::Rate(Rate::parse_percent("2%").unwrap());
    let base = micros("120000.25").exact();
    let accumulation = Period::new(day("2026-01-01"), day("2026-12-31")).unwrap();
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
                accumulation,
                part: 0,
                qualifier_measure: Measure::NetAmount,
                base_measure: Measure::NetAmount,
                unit: None,
                base_unit: None,
                method: Method::Retrospective,
                tiers: vec![tier("0", "1%"), tier("100000", "2%"), tier("250000", "3.5%")],
                qualifier: micros("120000.25"),
                qualifier_of_all_partners: false,
                base: micros("120000.25"),
                tier: Some(1),
                earned: micros("2400.01"),
                earned_before: micros("900"),
                booked: micros("2400.01"),
                recipe: vec![
                    RecipeStep::Qualifier { measure: Measure::NetAmount, total: base, all_partners: false },
                    RecipeStep::Tier { version: None, from: micros("100000").exact(), benefit: benefit.clone() },
                    RecipeStep::Multiply { version: None, amount: base, product: micros("2400.005").fine(), benefit },
                    RecipeStep::Round { exact: micros("2400.005").fine(), rounded: micros("2400.01") },
                ],
                lines: vec![
                    line("2001", "2026-03-03", "P-100", "90000", "1800"),
                    dollars,
                    line("2003", "2026-06-20", "-P-1", "-100", "-2"),
                ],
            }],
            stated: Some(StatedAgreement {
                on: StatedOn {
                    period: Period::new(day("2026-05-01"), day("2026-05-31")).unwrap(),
                    period_label: "2026-05".into(),
                    revision: 2,
                },
                terms: vec![StatedTerm {
                    id: "volume".into(),
                    accumulation,
                    part: 0,
                    earned: micros("850"),
                    lines: vec![line("2001", "2026-03-03", "P-100", "85000", "850")],
                }],
            }),
        }],
        open_points: vec![OpenPoint {
            reason: OpenReason::Item,
            document_type: DocumentType::Invoice,
            document: "2009".into(),
            date: Some(day("2026-06-11")),
            line: Some("2".into()),
            item: Some("X-1".into()),
            net: Some(micros("1250.5")),
            currency: Some("EUR".into()),
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
    assert_eq!(
        book.sheet_names(),
        [
            "Übersicht",
            "Konditionen",
            "Gutschriften",
            "Belegzeilen",
            "Nachrechnen",
            "Was sich seither geändert hat",
            "Offene Punkte"
        ]
    );
    for name in book.sheet_names() {
        assert!(book.worksheet_formula(&name).unwrap().is_empty(), "{name} has a formula");
    }
    let summary = book.worksheet_range("Übersicht").unwrap();
    assert_eq!(summary.get_value((1, 1)), Some(&Data::String("'=cmd|calc Supplies".into())));
    let lines = book.worksheet_range("Belegzeilen").unwrap();
    assert_eq!(lines.get_value((2, 3)), Some(&Data::String("'=HYPERLINK(\"http://x\")".into())));
    assert_eq!(lines.get_value((2, 7)), Some(&Data::String("'@SUM(A1)".into())));
    assert_eq!(lines.get_value((3, 10)), Some(&Data::Float(-100.0)), "a negative amount is a number, not quoted text");
    let shares: Vec<String> = (1..=3).map(|row| lines.get_value((row, 17)).unwrap().to_string()).collect();
    assert_eq!(shares, ["1800", "602.01", "-2"]);
    assert_eq!(lines.get_value((1, 6)), Some(&Data::String("nein".into())), "March is not in June");
    let way = "33.444,722222 USD × 0,9 [02.06.2026] = 30.100,25 EUR";
    assert_eq!(lines.get_value((2, 12)), Some(&Data::String(way.into())));
    let recompute = book.worksheet_range("Nachrechnen").unwrap();
    let last = recompute.rows().rfind(|row| row[4] != Data::Empty).unwrap();
    assert_eq!(last[6], Data::String("1.500,01\u{a0}EUR".into()), "{last:?}");
}

/// The numbers under a heading of a page, and their sum.
fn column(book: &mut Xlsx<Cursor<Vec<u8>>>, page: &str, heading: &str) -> Vec<String> {
    let range = book.worksheet_range(page).unwrap();
    let is_heading = |cell: &Data| *cell == Data::String(heading.into());
    let (row, column) = range
        .rows()
        .enumerate()
        .find_map(|(row, cells)| Some((row, cells.iter().position(is_heading)?)))
        .unwrap_or_else(|| panic!("{page} has no column {heading}"));
    let below = range.rows().skip(row + 1).map(|cells| cells[column].clone());
    below.filter(|cell| *cell != Data::Empty).map(|cell| cell.to_string()).collect()
}

#[test]
fn every_column_of_the_sheet_adds_up_to_what_its_heading_says() {
    let rendered = render(&statement(Language::En)).unwrap();
    let mut book = sheets(rendered.sheet.bytes);
    // One agreement with one term: whoever adds up a column gets each figure once.
    for page in ["Summary", "Terms"] {
        assert_eq!(column(&mut book, page, "Stated before"), ["850"], "{page}");
        assert_eq!(column(&mut book, page, "Earned before the period"), Vec::<String>::new(), "{page}");
        assert_eq!(column(&mut book, page, "Corrections of earlier periods"), ["50"], "{page}");
        assert_eq!(column(&mut book, page, "Earned in the period"), ["1500.01"], "{page}");
        assert_eq!(column(&mut book, page, "Earned to date"), ["2400.01"], "{page}");
    }
    assert_eq!(column(&mut book, "Summary", "Settled"), ["900"]);
    assert_eq!(column(&mut book, "Credit memos", "Amount"), ["900"]);
    assert_eq!(column(&mut book, "Credit memos", "State"), ["credited"]);
    assert_eq!(column(&mut book, "Lines", "Base"), ["90000", "30100.25", "-100"]);
    assert_eq!(column(&mut book, "What changed since", "Net amount stated"), ["85000"]);
    assert_eq!(column(&mut book, "What changed since", "Net amount now"), ["90000"]);
    assert_eq!(column(&mut book, "Open points", "What"), ["the item is not known to us yet; it does not count yet"]);
}

#[test]
fn nothing_of_the_house_is_told() {
    for language in [Language::En, Language::De, Language::Es, Language::Fr] {
        let rendered = render(&statement(language)).unwrap();
        for inner in ["unknown-item", "is not known [", "caps.", "confirmed", "`"] {
            assert!(!rendered.text.contains(inner) && !rendered.html.contains(inner), "{language}: {inner}");
        }
    }
    // What stays in the house has no place among the open points at all.
    for code in ["routes-differ", "gone-from-source", "memo-differs", "merged-partner-history", "anything-else"] {
        assert_eq!(OpenReason::of_code(code), None, "{code}");
    }
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
