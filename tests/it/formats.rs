//! Bytes to records: what is taken, what is refused, and the line each problem names.

use proptest::prelude::*;
use rebated::core::problem::Problem;
use rebated::formats::{CsvOptions, Format, FormatError, Node, Record, plain_number, read};
use std::io::Read;
use std::ops::ControlFlow;

fn all(format: &Format, bytes: &[u8]) -> Result<Vec<Result<Record, Problem>>, Vec<Problem>> {
    let mut records = Vec::new();
    let result = read(format, &mut &bytes[..], "in", &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    });
    match result {
        Ok(()) => Ok(records),
        Err(FormatError::Refused(problems)) => Err(problems.0),
        Err(FormatError::Io(error)) => panic!("{error}"),
    }
}

fn csv(bytes: &[u8]) -> Result<Vec<Result<Record, Problem>>, Vec<Problem>> {
    all(&Format::Csv(CsvOptions { separator: b';', ..CsvOptions::default() }), bytes)
}

fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    let Node::Map(entries) = &record.node else { panic!("not a map") };
    match entries.iter().find(|(key, _)| key == name) {
        Some((_, Node::Text(text) | Node::Number(text))) => text,
        other => panic!("{name}: {other:?}"),
    }
}

fn line(record: &Record) -> u32 {
    record.place.line.unwrap()
}

#[test]
fn quoted_separators_quotes_and_line_breaks_stay_in_the_field() {
    let records = csv(b"a;b\r\n\"x;\"\"y\"\"\r\nz\";2\r\n5\" pipe;6\r\n").unwrap();
    let first = records[0].as_ref().unwrap();
    assert_eq!(text(first, "a"), "x;\"y\"\r\nz");
    assert_eq!(line(first), 2);
    let second = records[1].as_ref().unwrap();
    assert_eq!(text(second, "a"), "5\" pipe");
    assert_eq!(line(second), 4, "the line where the row starts, after a quoted line break");
}

#[test]
fn line_numbers_are_right_with_every_line_end_and_blank_lines() {
    for text in ["a;b\n\n1;2\n\n\n3;4\n", "a;b\r\n\r\n1;2\r\n\r\n\r\n3;4\r\n", "\u{feff}a;b\n\n1;2\n\n\n3;4"] {
        let records = csv(text.as_bytes()).unwrap();
        let lines: Vec<u32> = records.iter().map(|r| line(r.as_ref().unwrap())).collect();
        assert_eq!(lines, [3, 6], "{text:?}");
    }
}

#[test]
fn a_ragged_row_and_bad_quotes_are_problems_of_their_row_only() {
    let records = csv(b"a;b\n1;2\n1;2;3\n1\n\"x\"y;1\n3;4;\n5;6\n").unwrap();
    let codes: Vec<(String, u32)> = records
        .iter()
        .map(|r| match r {
            Ok(record) => ("ok".to_owned(), line(record)),
            Err(problem) => (problem.code.clone(), problem.place.as_ref().unwrap().line.unwrap()),
        })
        .collect();
    let expected = [("ok", 2), ("ragged-row", 3), ("ragged-row", 4), ("bad-quotes", 5), ("ok", 6), ("ok", 7)];
    assert_eq!(codes, expected.map(|(code, line)| (code.to_owned(), line)));
}

#[test]
fn a_file_that_ends_inside_quotes_was_cut_off_and_is_refused() {
    let problems = csv(b"a;b\n1;2\n3;\"begin\nmore").unwrap_err();
    assert_eq!(problems[0].code, "truncated");
    assert_eq!(problems[0].place.as_ref().unwrap().line, Some(3));
}

#[test]
fn a_byte_outside_the_declared_encoding_refuses_the_file_with_its_line() {
    let latin = b"a;b\n1;M\xFCller\n";
    let problems = csv(latin).unwrap_err();
    assert_eq!((problems[0].code.as_str(), problems[0].place.as_ref().unwrap().line), ("encoding", Some(2)));

    let declared = |encoding: &str, bytes: &[u8]| {
        all(&Format::Csv(CsvOptions { separator: b';', encoding: encoding.to_owned(), ..CsvOptions::default() }), bytes)
    };
    for encoding in ["windows-1252", "iso-8859-1"] {
        assert_eq!(text(declared(encoding, latin).unwrap()[0].as_ref().unwrap(), "b"), "Müller", "{encoding}");
    }
    let euro = b"a;b\n1;\x80\n";
    assert_eq!(text(declared("windows-1252", euro).unwrap()[0].as_ref().unwrap(), "b"), "€");
    assert_eq!(declared("iso-8859-1", euro).unwrap_err()[0].place.as_ref().unwrap().line, Some(2));
    assert_eq!(declared("windows-1252", b"a;b\n\n1;\x81\n").unwrap_err()[0].place.as_ref().unwrap().line, Some(3));
    assert_eq!(declared("klingon", latin).unwrap_err()[0].code, "encoding");
    assert_eq!(csv(b"\xFF\xFEa\0;\0b\0").unwrap_err()[0].code, "encoding");
}

#[test]
fn a_column_named_twice_or_not_at_all_refuses_the_file() {
    assert_eq!(csv(b"a;a\n1;2\n").unwrap_err()[0].code, "duplicate-column");
    assert_eq!(csv(b"a;;b\n1;2;3\n").unwrap_err()[0].code, "unnamed-column");
    assert_eq!(csv(b"").unwrap_err()[0].code, "no-header");
}

#[test]
fn the_cut_of_the_input_does_not_change_the_records() {
    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(1).min(out.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    let bytes = "\u{feff}a;b\r\n\"x\"\"\r\n;\";Ü\r\n\r\nq\"\"r;\"\"\n\"\"\"\";z".as_bytes();
    let whole = csv(bytes).unwrap();
    let mut dripped = Vec::new();
    read(&Format::Csv(CsvOptions { separator: b';', ..CsvOptions::default() }), &mut Drip(bytes), "in", &mut |record| {
        dripped.push(record);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(whole.len(), 3);
    assert_eq!(text(whole[1].as_ref().unwrap(), "a"), "q\"\"r");
    assert_eq!(text(whole[2].as_ref().unwrap(), "a"), "\"");
    assert_eq!(whole, dripped);
}

#[test]
fn json_keeps_every_digit_and_refuses_what_is_not_strict() {
    let records = all(&Format::Json { records: None }, br#"[{"n": 12345678901234567.890}, {"n": 0.10}]"#).unwrap();
    assert_eq!(text(records[0].as_ref().unwrap(), "n"), "12345678901234567.890");
    assert_eq!(text(records[1].as_ref().unwrap(), "n"), "0.10");
    for bad in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":NaN}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":+1}"#,
        r#"{"a":1,}"#,
        r#"[1,]"#,
        r#"{"a":1} x"#,
        r#"{"a":"\ud800"}"#,
        "{\"a\":\"\n\"}",
        r#"{"a""#,
        "",
    ] {
        assert_eq!(all(&Format::Json { records: None }, bad.as_bytes()).unwrap_err()[0].code, "bad-json", "{bad}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(all(&Format::Json { records: None }, deep.as_bytes()).unwrap_err()[0].code, "bad-json");
    assert!(all(&Format::Json { records: None }, r#"{"a":"\ud83d\ude00 \u00e4"}"#.as_bytes()).is_ok());
}

#[test]
fn every_cut_of_a_json_document_is_refused() {
    let whole = r#"{"value":[{"a":"x\u00e4","b":[1,2.5e1,true,null]}]}"#;
    for cut in 0..whole.len() {
        assert!(all(&Format::Json { records: Some("value[]".to_owned()) }, &whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn records_inside_a_document_know_their_line_and_path() {
    let json = "{\n \"result\": {\"rows\": [\n  {\"a\": 1},\n\n  {\"a\": 2}\n ]}\n}";
    let records = all(&Format::Json { records: Some("result.rows[]".to_owned()) }, json.as_bytes()).unwrap();
    let places: Vec<String> = records.iter().map(|r| r.as_ref().unwrap().place.to_string()).collect();
    assert_eq!(places, ["in:3 (result.rows[0])", "in:5 (result.rows[1])"]);
    let problems = all(&Format::Json { records: Some("value[]".to_owned()) }, json.as_bytes()).unwrap_err();
    assert_eq!(problems[0].code, "no-records");
}

#[test]
fn a_bad_line_of_ndjson_is_a_problem_of_that_line() {
    let records = all(&Format::Ndjson, b"{\"a\":1}\n\n{\"a\":}\n{\"a\":3}\n").unwrap();
    assert_eq!(line(records[0].as_ref().unwrap()), 1);
    let problem = records[1].as_ref().unwrap_err();
    assert_eq!((problem.code.as_str(), problem.place.as_ref().unwrap().line), ("bad-json", Some(3)));
    assert_eq!(line(records[2].as_ref().unwrap()), 4);
}

#[test]
fn a_sheet_gives_dates_by_cell_type_and_numbers_without_float_noise() {
    use rust_xlsxwriter::{ExcelDateTime, Format as CellFormat, Workbook};
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let date = CellFormat::new().set_num_format("yyyy-mm-dd");
    for (column, name) in ["code", "on", "amount", "big"].iter().enumerate() {
        sheet.write_string(1, u16::try_from(column).unwrap(), *name).unwrap();
    }
    sheet.write_string(2, 0, "0012").unwrap();
    sheet.write_datetime_with_format(2, 1, ExcelDateTime::from_ymd(2026, 3, 31).unwrap(), &date).unwrap();
    sheet.write_number(2, 2, 0.1 + 0.2).unwrap();
    sheet.write_number(2, 3, 4_012_340_000_000_f64).unwrap();
    sheet.write_number(3, 2, -1234.5).unwrap();
    let bytes = workbook.save_to_buffer().unwrap();
    let records = all(&Format::Xlsx { sheet: None }, &bytes).unwrap();
    let first = records[0].as_ref().unwrap();
    let values = ["code", "on", "amount", "big"].map(|name| text(first, name).to_owned());
    assert_eq!(values, ["0012", "2026-03-31", "0.3", "4012340000000"]);
    assert_eq!(line(first), 3);
    assert_eq!(text(records[1].as_ref().unwrap(), "amount"), "-1234.5");
    assert_eq!(all(&Format::Xlsx { sheet: Some("Nope".to_owned()) }, &bytes).unwrap_err()[0].code, "wrong-format");
    assert_eq!(all(&Format::Xlsx { sheet: None }, &bytes[..bytes.len() / 2]).unwrap_err()[0].code, "wrong-format");
    assert_eq!(csv(&bytes).unwrap_err()[0].code, "wrong-format");
}

/// A spreadsheet of a few bytes with a cell in its first and one in its last corner.
fn two_corners() -> Vec<u8> {
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write_string(0, 0, "code").unwrap();
    sheet.write_string(1_048_575, 16_383, "far away").unwrap();
    workbook.save_to_buffer().unwrap()
}

#[test]
fn a_small_sheet_that_needs_gigabytes_is_refused() {
    let bytes = two_corners();
    assert!(bytes.len() < 100_000);
    let problems = all(&Format::Xlsx { sheet: None }, &bytes).unwrap_err();
    assert_eq!(problems[0].code, "too-large", "{problems:?}");

    // A part of 64 MiB that takes a few kilobytes, five times.
    use std::io::Write;
    let mut first = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let packed = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    first.start_file("part", packed).unwrap();
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..64 {
        first.write_all(&zeros).unwrap();
    }
    let mut part = zip::ZipArchive::new(first.finish().unwrap()).unwrap();
    let mut bomb = zip::ZipWriter::new_append(std::io::Cursor::new(bytes)).unwrap();
    for copy in 0..5 {
        bomb.raw_copy_file_rename(part.by_index(0).unwrap(), format!("xl/media/{copy}.bin")).unwrap();
    }
    let bytes = bomb.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    let problems = all(&Format::Xlsx { sheet: None }, &bytes).unwrap_err();
    assert_eq!(problems[0].code, "too-large", "{problems:?}");
    assert!(problems[0].message.contains("unpacks"), "{problems:?}");
}

#[test]
fn exponents_are_written_out_digit_for_digit() {
    for (written, plain) in [("1.5E+2", "150"), ("25e-3", "0.025"), ("-0E5", "0"), ("1e999999999", "1e999999999"), ("7", "7")] {
        assert_eq!(plain_number(written), plain);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}\",:0-9a-e.\\\\ -]{0,60}") {
        let _ = csv(&bytes);
        for format in [Format::Json { records: None }, Format::Ndjson, Format::Xlsx { sheet: None }] {
            let _ = all(&format, &bytes);
            let _ = all(&format, json.as_bytes());
        }
    }

    #[test]
    fn what_was_written_with_quotes_is_read_back(rows in proptest::collection::vec(("[a-z;\"\r\n ü]{0,12}", "[a-z;\"\r\n ü]{0,12}"), 0..8)) {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut file = "a;b\n".to_owned();
        let mut lines = Vec::new();
        for (a, b) in &rows {
            lines.push(u32::try_from(file.matches('\n').count() + 1).unwrap());
            file.push_str(&format!("{};{}\r\n", quoted(a), quoted(b)));
        }
        let records = csv(file.as_bytes()).unwrap();
        prop_assert_eq!(records.len(), rows.len());
        for ((record, (a, b)), at) in records.iter().zip(&rows).zip(lines) {
            let record = record.as_ref().unwrap();
            prop_assert_eq!((text(record, "a"), text(record, "b"), line(record)), (a.as_str(), b.as_str(), at));
        }
    }
}
