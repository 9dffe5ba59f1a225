//! Canonical tables: every table read strictly, all or nothing.

use rebated::core::line::{DocumentStatus, DocumentType, LineKind};
use rebated::core::master::{Draft, Table};
use rebated::core::problem::Problem;
use rebated::formats::{CsvOptions, Format, FormatError};
use rebated::mapping::canonical::{columns, read_rows, read_table};
use std::ops::ControlFlow;

fn table(table: Table, format: &Format, text: &str) -> Result<Vec<Draft>, Vec<Problem>> {
    let mut drafts = Vec::new();
    let result = read_table(table, format, &mut text.as_bytes(), "in.csv", &mut |draft| {
        drafts.push(draft);
        ControlFlow::Continue(())
    });
    match result {
        Ok(count) => {
            assert_eq!(count.drafts, drafts.len() as u64);
            Ok(drafts)
        }
        Err(FormatError::Refused(problems)) => Err(problems.0),
        Err(FormatError::Io(error)) => panic!("{error}"),
    }
}

fn csv(kind: Table, text: &str) -> Result<Vec<Draft>, Vec<Problem>> {
    table(kind, &Format::Csv(CsvOptions::default()), text)
}

fn codes(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| format!("{} {}", p.code, p.place.as_ref().unwrap())).collect()
}

#[test]
fn a_line_with_every_column_is_typed_exactly() {
    let text = "\u{feff}company,document_type,document_number,line_number,document_date,posting_date,paid_date,partner,ship_to,\
end_customer,item,line_kind,quantity,unit,gross_amount,net_amount,tax_amount,cost_amount,currency,refers_to_document,\
refers_to_line,authorization,order_type,payment_terms,territory,our_reference,status,sequence,changed_at,shipped_on,\
claimed_amount,attributes.colour\n\
X1,credit-note,00017,1,2026-03-31,2026-04-01,2026-04-15,00420,S1,E1,0012,freight,-3,PCE,-130.50,-120.000001,-1,-80,EUR,INV-1,\
2,A-1,web,NET30,NORTH,RBT-ABCDEFGHIJKL,paid,7,2026-04-01T03:30:00Z,2026-03-30,12.50, dark red \n";
    let drafts = csv(Table::Lines, text).unwrap();
    let Draft::Line(line) = &drafts[0] else { panic!() };
    assert_eq!(
        (line.document_type, line.line_kind, line.status),
        (DocumentType::CreditNote, LineKind::Freight, DocumentStatus::Paid)
    );
    assert_eq!((line.document_number.as_str(), line.partner.as_str(), line.item.as_deref()), ("00017", "00420", Some("0012")));
    assert_eq!(line.net_amount.unwrap().to_string(), "-120.000001");
    assert_eq!(line.quantity.unwrap().to_string(), "-3");
    assert_eq!(line.document_date.unwrap().to_string(), "2026-03-31");
    assert_eq!(line.changed_at.unwrap().to_rfc3339(), "2026-04-01T03:30:00+00:00");
    assert_eq!(line.sequence, Some(7));
    let kept: Vec<(&str, &str)> = line.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(kept, [("claimed_amount", "12.50"), ("colour", "dark red"), ("shipped_on", "2026-03-30")]);
    assert_eq!(line.place.to_string(), "in.csv:2");
}

#[test]
fn accounts_for_payouts_are_refused_and_never_taken_and_dropped() {
    let empty = csv(Table::Partners, "partner,name,payout_account,payout_routing\nC1,Acme,,\n").unwrap();
    assert_eq!(empty.len(), 1, "a column without a value asks for nothing");
    let refused =
        csv(Table::Partners, "partner,name,payout_account,payout_routing\nC1,Acme,DE02120300000000202051,BYLADEM1001\n");
    let refused = refused.unwrap_err();
    assert_eq!(codes(&refused), ["not-yet-supported in.csv:2 (payout_account)", "not-yet-supported in.csv:2 (payout_routing)"]);
    for problem in &refused {
        assert!(problem.help.as_ref().unwrap().starts_with("leave the column out"), "{problem}");
        assert!(!problem.to_string().contains("DE02"), "an account is not repeated in messages: {problem}");
    }
}

const HEADER: &str = "document_type,document_number,line_number,document_date,partner,quantity,net_amount,currency\n";

#[test]
fn every_problem_of_a_file_is_told_with_its_line_and_column() {
    let text = format!(
        "{HEADER}invoice,1,1,2026-02-30,C1,1,10,EUR\ninvoice,2,1,2026-02-28,C1,1,\"1,5\",EUR\ninvoice,3,1,2026-02-28,,1,10,EUR\n\
invoice,4,1,2026-02-28,C1,1,10,EUR\nrefund,5,1,28.02.2026,4.2E+11,1,1.1234567,EUR\n"
    );
    let problems = csv(Table::Lines, &text).unwrap_err();
    assert_eq!(
        codes(&problems),
        [
            "no-such-date in.csv:2 (document_date)",
            "bad-number in.csv:3 (net_amount)",
            "missing-value in.csv:4 (partner)",
            "unknown-word in.csv:6 (document_type)",
            "bad-date in.csv:6 (document_date)",
            "damaged-code in.csv:6 (partner)",
            "bad-number in.csv:6 (net_amount)",
        ]
    );
}

#[test]
fn the_sign_of_a_credit_note_is_never_guessed() {
    let one = |row: &str| csv(Table::Lines, &format!("{HEADER}{row}\n")).map(|_| ()).map_err(|p| p[0].code.clone());
    assert_eq!(one("credit-note,1,1,2026-01-01,C,-3,-120,EUR"), Ok(()));
    assert_eq!(one("invoice,1,1,2026-01-01,C,-3,-120,EUR"), Ok(()));
    assert_eq!(one("credit-note,1,1,2026-01-01,C,0,-120,EUR"), Ok(()), "a price correction moves no goods");
    for row in [
        "credit-note,1,1,2026-01-01,C,3,120,EUR",
        "credit-note,1,1,2026-01-01,C,3,-120,EUR",
        "invoice,1,1,2026-01-01,C,3,-120,EUR",
    ] {
        assert_eq!(one(row), Err("sign-conflict".to_owned()), "{row}");
    }
}

#[test]
fn a_header_that_does_not_fit_refuses_the_whole_file() {
    let problems =
        csv(Table::Lines, "document_type,document_number,line_number,document_date,partner,netamount,colour\n").unwrap_err();
    assert_eq!(
        codes(&problems),
        ["missing-column in.csv:1", "unknown-column in.csv:1 (netamount)", "unknown-column in.csv:1 (colour)"]
    );
    assert_eq!(problems[1].help.as_deref(), Some("did you mean `net_amount`?"));
    assert_eq!(problems[2].help.as_deref(), Some("name it `attributes.colour` to keep it"));
    let problems = csv(Table::Units, "from_unit;to_unit;factor\nCTN;EA;12\n").unwrap_err();
    assert!(problems[0].help.as_deref().unwrap().contains("`;`"), "{problems:?}");
    assert_eq!(csv(Table::Units, "from_unit,to_unit,factor,to_unit\n").unwrap_err()[0].code, "duplicate-column");
}

#[test]
fn a_cancelled_document_needs_no_figures() {
    let text = "document_type,document_number,line_number,document_date,partner,net_amount,status\ninvoice,1,1,,C1,,cancelled\n";
    assert_eq!(csv(Table::Lines, text).unwrap().len(), 1);
    assert_eq!(csv(Table::Lines, &text.replace("cancelled", "posted")).unwrap_err().len(), 2);
}

#[test]
fn a_feed_takes_the_good_rows_and_knows_the_document_of_the_bad_one() {
    let text = format!("{HEADER}invoice,1,1,2026-02-28,C1,1,10,EUR\ninvoice,2,9,2026-02-30,C7,1,10,EUR\nshort\n");
    let mut bad = Vec::new();
    let count = read_rows(Table::Lines, &Format::Csv(CsvOptions::default()), &mut text.as_bytes(), "f", &mut |row| {
        bad.extend(row.err());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((count.rows, count.drafts, count.refused), (3, 1, 2));
    let known = &bad[0].identity;
    assert_eq!(
        (known.document_number.as_deref(), known.line_number.as_deref(), known.partner.as_deref()),
        (Some("2"), Some("9"), Some("C7"))
    );
    assert_eq!(known.document_date.as_deref(), Some("2026-02-30"));
    assert_eq!(bad[0].problems[0].raw.as_deref(), Some("2026-02-30"));
    assert_eq!(bad[1].problems[0].problem.code, "ragged-row");
}

#[test]
fn ndjson_and_sheets_say_the_same_as_csv() {
    let from_csv = csv(Table::Items, "item,category,weight,attributes.colour\n0012,PUMPS/SMALL,1.50,red\n").unwrap();
    let ndjson = r#"{"item":"0012","category":"PUMPS/SMALL","weight":15e-1,"attributes":{"colour":"red"}}"#;
    let from_json = table(Table::Items, &Format::Ndjson, ndjson).unwrap();
    let (Draft::Item(a), Draft::Item(b)) = (&from_csv[0], &from_json[0]) else { panic!() };
    assert_eq!((&a.item, &a.category, a.weight, &a.attributes), (&b.item, &b.category, b.weight, &b.attributes));
    let problems = table(Table::Items, &Format::Ndjson, "{\"item\":\"1\",\"brnd\":\"x\"}").unwrap_err();
    assert_eq!(codes(&problems), ["unknown-column in.csv:1 (brnd)"]);
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `brand`?"));
}

#[test]
fn each_table_reads_its_smallest_row() {
    for (kind, text) in [
        (
            Table::Lines,
            "document_type,document_number,line_number,document_date,partner,net_amount\ninvoice,1,1,2026-01-01,C1,1\n",
        ),
        (Table::Partners, "partner,groups,email\nC1,EAST; WEST,a@x.example;b@x.example\n"),
        (Table::Items, "item\nI1\n"),
        (Table::Units, "item,from_unit,to_unit,factor\n,CTN,EA,12.0000000001\n"),
        (Table::Rates, "rate_type,from_currency,to_currency,date,rate\nspot,EUR,USD,2026-01-01,1.0843210987\n"),
        (Table::Payments, "document,paid_on,amount\nINV-1,2026-01-01,\n"),
        (Table::Activities, "activity,partner\ntrained,C1\n"),
        (Table::Authorizations, "authorization,item,authorized_price\nA1,I1,9.50\n"),
        (Table::Baselines, "agreement,partner,from,to,amount\nA,C1,2025-01-01,2025-12-31,100\n"),
        (Table::Plans, "partner,period,measure,amount\nC1,2026-Q1,net-amount,100\n"),
        (Table::Stock, "partner,item,on,quantity\nC1,I1,2026-01-01,5\n"),
        (Table::Memos, "reference,document,date,currency,amount,status\nRBT-A,CM-1,2026-01-01,USD,5,posted\n"),
    ] {
        let drafts = csv(kind, text).unwrap_or_else(|problems| panic!("{kind}: {problems:?}"));
        assert_eq!(drafts.len(), 1);
        assert_eq!(drafts[0].table(), kind);
        assert!(columns(kind).iter().all(|column| !column.doc.is_empty()));
    }
    let Draft::Partner(partner) = &csv(Table::Partners, "partner,groups\nC1,EAST; WEST ;\n").unwrap()[0] else { panic!() };
    assert_eq!(partner.groups, ["EAST", "WEST"]);
    assert_eq!(csv(Table::Units, "from_unit,to_unit,factor\nCTN,EA,0\n").unwrap_err()[0].code, "bad-number");
    assert_eq!(
        csv(Table::Rates, "rate_type,from_currency,to_currency,date,rate\nspot,EUR,XQQ,2026-01-01,1\n").unwrap_err()[0].code,
        "unknown-currency"
    );
}

#[test]
fn a_table_with_more_than_a_thousand_problems_stops_there() {
    let text = format!("item,weight\n{}", "I1,x\n".repeat(1_500));
    assert_eq!(csv(Table::Items, &text).unwrap_err().len(), 1_000);
}
