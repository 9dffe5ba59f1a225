//! Tables of expected figures against tables of found ones.
//!
//! An expected row names some fields; it fits a found row when all of them are equal. Money is
//! compared as written, so that `-0.00`, a missing decimal or a cent too many shows; other numbers
//! by value. Reading the store's reporting view of lines lives here too: no command lists them.

use serde_json::{Map, Value};
use sqlx::{Connection, Row as _};

/// One expected row.
pub type Row = toml::Table;

/// Fields that are money at the currency's own number of decimals.
const WRITTEN: &[&str] = &["earned", "booked", "settled", "amount", "carried_forward", "share"];

/// Every expected row fits exactly one found row.
pub fn compare(expected: &[Row], found: &[Value]) -> Result<(), String> {
    for row in expected {
        let hits = found.iter().filter(|candidate| fits(row, candidate)).count();
        if hits != 1 {
            return Err(format!("{hits} rows fit {}\n{}", row_text(row), listing(found)));
        }
    }
    Ok(())
}

/// Every expected row fits the found one in its place, and there are no more.
pub fn compare_in_order(expected: &[Row], found: &[Value]) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("{} rows instead of {}\n{}", found.len(), expected.len(), listing(found)));
    }
    match expected.iter().zip(found).find(|(row, candidate)| !fits(row, candidate)) {
        Some((row, candidate)) => Err(format!("{candidate} is not {}\n{}", row_text(row), listing(found))),
        None => Ok(()),
    }
}

/// The audit trail with its details as fields of their own; each row has its time, hash and actor.
pub fn audit(trail: &Value) -> Vec<Value> {
    let rows = match trail {
        Value::Array(rows) => rows.clone(),
        row => vec![row.clone()],
    };
    let with_details = |mut row: Value| {
        for field in ["at", "hash", "actor"] {
            assert!(!text(&row[field]).is_empty(), "an audit row without its {field}: {row}");
        }
        let details: Value = serde_json::from_str(&text(&row["detail"])).expect("details are JSON");
        for (name, value) in details.as_object().cloned().unwrap_or_default() {
            if row.get(&name).is_none() {
                row[name] = value;
            }
        }
        row
    };
    rows.into_iter().map(with_details).collect()
}

/// Expected rows are filters with an `amount`: the entries that fit one add up to it, there is at
/// least one, and no entry of the agreements named is left over.
pub fn compare_sums(expected: &[Row], entries: &[Value]) -> Result<(), String> {
    let mut accounted = vec![0usize; entries.len()];
    for row in expected {
        let mut filter = row.clone();
        let amount = filter.remove("amount").ok_or("a ledger row has an amount")?;
        let mut sum = 0i128;
        let mut hits = 0;
        for (index, entry) in entries.iter().enumerate() {
            if fits(&filter, entry) {
                sum += micros(&text(&entry["amount"])).ok_or("an amount")?;
                hits += 1;
                accounted[index] += 1;
            }
        }
        if hits == 0 || Some(sum) != micros(amount.as_str().ok_or("amounts are text")?) {
            return Err(format!("{hits} entries fit {}, sum {sum} micro-units\n{}", row_text(row), listing(entries)));
        }
    }
    let settled = expected.iter().any(|row| row.get("kind").and_then(toml::Value::as_str) == Some("settlement"));
    for (index, entry) in entries.iter().enumerate() {
        let named = expected.iter().any(|row| row.get("agreement").and_then(toml::Value::as_str) == entry["agreement"].as_str());
        if named && accounted[index] != 1 && (settled || entry["kind"] != "settlement") {
            return Err(format!("{} expected rows account for {entry}\n{}", accounted[index], listing(entries)));
        }
    }
    Ok(())
}

/// Whether every field of the expected row is equal in the found one.
pub fn fits(row: &Row, candidate: &Value) -> bool {
    row.iter().all(|(key, expected)| match (key.as_str(), expected) {
        ("period", toml::Value::String(name)) => period_fits(name, &candidate["period"]),
        ("accounting_month" | "for_month", toml::Value::String(month)) => text(&candidate[key]).starts_with(month.as_str()),
        (_, toml::Value::String(part)) if key.ends_with("_contains") => {
            text(&candidate[key.trim_end_matches("_contains")]).contains(part.as_str())
        }
        (_, expected) => {
            let expected = match expected {
                toml::Value::String(s) => s.clone(),
                other => other.to_string(),
            };
            let found = text(&candidate[key]);
            if WRITTEN.contains(&key.as_str()) {
                return expected == found;
            }
            expected == found || matches!((micros(&expected), micros(&found)), (Some(a), Some(b)) if a == b)
        }
    })
}

/// A period is named as people do (`2026`, `2026-H1`, `2026-Q1`, `2026-03`, `from..to`, a day);
/// the program prints its first and last day, or the same name.
fn period_fits(name: &str, found: &Value) -> bool {
    if found.as_str() == Some(name) {
        return true;
    }
    let (from, to) = span(name);
    match found {
        Value::String(label) => span(label) == (from, to),
        _ => found["from"] == from.as_str() && found["to"] == to.as_str(),
    }
}

fn span(name: &str) -> (String, String) {
    if let Some((from, to)) = name.split_once("..") {
        return (from.to_owned(), to.to_owned());
    }
    let last_day = |month: &str| match month {
        "02" => "28",
        "04" | "06" | "09" | "11" => "30",
        _ => "31",
    };
    let (year, part) = name.split_once('-').unwrap_or((name, ""));
    let (first, last) = match part {
        "" => ("01", "12"),
        "H1" => ("01", "06"),
        "H2" => ("07", "12"),
        "Q1" => ("01", "03"),
        "Q2" => ("04", "06"),
        "Q3" => ("07", "09"),
        "Q4" => ("10", "12"),
        month if month.len() == 2 => (month, month),
        _ => return (name.to_owned(), name.to_owned()),
    };
    (format!("{year}-{first}-01"), format!("{year}-{last}-{}", last_day(last)))
}

/// A field as text: JSON text without its quotes, anything else as printed, nothing as empty.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Plain decimal text in micro-units.
fn micros(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || fraction.len() > 6 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse::<i128>().ok().map(|n| sign * n)
}

/// The first value under this key, at any depth.
pub fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key).or_else(|| fields.values().find_map(|v| find(v, key))),
        Value::Array(items) => items.iter().find_map(|v| find(v, key)),
        _ => None,
    }
}

/// Found rows for a failure message.
pub fn listing(found: &[Value]) -> String {
    found.iter().map(|row| format!("  {row}\n")).collect()
}
fn row_text(row: &Row) -> String {
    row.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
}

/// Lines that count or could count, newest version of each document.
pub fn lines(url: &str) -> Vec<Value> {
    query(
        url,
        &[
            "company",
            "document_type",
            "document",
            "line",
            "date",
            "partner",
            "item",
            "quantity",
            "unit",
            "net_amount",
            "currency",
            "status",
        ],
        "SELECT company, document_type, document_number, line_number, CAST(document_date AS TEXT), partner, COALESCE(item, ''), \
         CAST(quantity AS TEXT), unit, CAST(net_amount AS TEXT), \
         currency, status FROM report_line ORDER BY document_date, document_number, line_number",
    )
}

/// Runs one query on either store; every column is text.
fn query(url: &str, names: &[&str], sql: &'static str) -> Vec<Value> {
    let row_value = |texts: Vec<String>| {
        let fields: Map<String, Value> =
            names.iter().zip(texts).map(|(name, text)| ((*name).to_owned(), Value::String(text))).collect();
        Value::Object(fields)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        if url.starts_with("sqlite") {
            let mut connection = sqlx::SqliteConnection::connect(url).await.expect("store");
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.expect("view");
            rows.iter().map(|row| row_value((0..names.len()).map(|i| row.get::<String, _>(i)).collect())).collect()
        } else {
            let mut connection = sqlx::PgConnection::connect(url).await.expect("store");
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.expect("view");
            rows.iter().map(|row| row_value((0..names.len()).map(|i| row.get::<String, _>(i)).collect())).collect()
        }
    })
}
