//! What the workload's agreements earn, worked out a second time by the plainest road: every line against every
//! agreement of its partner, exact integers, one rounding at the end. It shares no code with the product.

use crate::workload::{Agreement, CURRENCIES, Measure, Who, Workload, item_of, partner_of};
use serde_json::Value;
use std::collections::BTreeMap;

/// Agreement, partner code, first day and last day of the accumulation period.
pub type Key = (String, String, String, String);

/// One currency unit on the scale of the sums: cents times a rate with six decimals.
const UNIT: i128 = 100_000_000;

#[derive(Default)]
struct Sums {
    net_e8: i128,
    pieces: i128,
}

/// Earned in cents per key; keys that earn nothing are left out.
pub fn earned(load: &Workload) -> BTreeMap<Key, i128> {
    let rates = rates(load);
    let mut by_partner: BTreeMap<u64, Vec<&Agreement>> = BTreeMap::new();
    for (n, partner) in (0..).zip(&load.partners) {
        let of_partner = load.agreements.iter().filter(|a| match a.who {
            Who::Partner(p) => p == n,
            Who::Region(r) => r == partner.region,
        });
        by_partner.insert(n, of_partner.collect());
    }
    let mut day_of_document: BTreeMap<String, String> = BTreeMap::new();
    let mut sums: BTreeMap<(&str, u64, u32), Sums> = BTreeMap::new();
    let by_id: BTreeMap<&str, &Agreement> = load.agreements.iter().map(|a| (a.id.as_str(), a)).collect();
    let mut reader = csv::Reader::from_path(load.table("lines")).expect("the lines");
    for record in reader.records() {
        let record = record.expect("a record");
        let (document, day, partner, refers_to) = (&record[1], &record[3], partner_of(&record[4]), &record[10]);
        day_of_document.insert(document.to_owned(), day.to_owned());
        // A return is converted at the rate of the document it gives back.
        let rate_day = day_of_document.get(refers_to).map_or(day, String::as_str);
        let item = &load.items[usize::try_from(item_of(&record[5])).expect("small")];
        let pieces = record[6].parse::<i128>().expect("whole") * if &record[7] == "BX" { 12 } else { 1 };
        let cents = record[8].replace('.', "").parse::<i128>().expect("two decimals");
        let month: u32 = day[5..7].parse().expect("a month");
        for agreement in by_partner[&partner].iter().filter(|a| a.selects(item)) {
            let sum = sums.entry((&agreement.id, partner, (month - 1) / agreement.months)).or_default();
            sum.pieces += pieces;
            sum.net_e8 += cents * rate(&rates, &record[9], CURRENCIES[agreement.currency], rate_day);
        }
    }
    let mut result = BTreeMap::new();
    for ((id, partner, period), sum) in sums {
        let agreement = by_id[id];
        let (first, last) = (period * agreement.months + 1, (period + 1) * agreement.months);
        let last_day = if matches!(last, 6 | 9) { 30 } else { 31 };
        let cents = benefit(agreement, &sum);
        if cents != 0 {
            let code = crate::workload::partner_code(partner);
            result.insert((id.to_owned(), code, format!("2025-{first:02}-01"), format!("2025-{last:02}-{last_day}")), cents);
        }
    }
    result
}

/// Where rows of `accruals --json` do not say what was expected.
pub fn differences(expected: &BTreeMap<Key, i128>, rows: &[Value]) -> Vec<String> {
    let text = |row: &Value, path: &str| {
        row.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no {path} in {row}")).to_owned()
    };
    let mut found: BTreeMap<Key, i128> = BTreeMap::new();
    for row in rows {
        let key = (text(row, "/agreement"), text(row, "/partner"), text(row, "/period/from"), text(row, "/period/to"));
        let earned = text(row, "/earned");
        let (whole, cents) = earned.split_once('.').unwrap_or((&earned, ""));
        let cents: i128 = format!("{whole}{cents:0<2}").parse().expect("an amount with at most two decimals");
        if cents != 0 {
            found.insert(key, cents);
        }
    }
    let mut wrong = Vec::new();
    for key in expected.keys().chain(found.keys().filter(|k| !expected.contains_key(*k))) {
        let (want, have) = (expected.get(key), found.get(key));
        if want != have {
            wrong.push(format!("{} {} {}..{}: expected {want:?} cents, found {have:?}", key.0, key.1, key.2, key.3));
        }
    }
    wrong
}

fn benefit(agreement: &Agreement, sum: &Sums) -> i128 {
    let (qualifier, one) = match agreement.measure {
        Measure::Net => (sum.net_e8, UNIT),
        Measure::Pieces => (sum.pieces, 1),
    };
    let bounds: Vec<(i128, i128)> =
        agreement.tiers.iter().map(|(from, benefit)| (i128::from(*from) * one, i128::from(*benefit))).collect();
    if agreement.retrospective {
        let rate = bounds.iter().rev().find(|(from, _)| qualifier >= *from).map_or(0, |(_, rate)| *rate);
        return round(sum.net_e8.max(0) * rate, 10_000_000_000);
    }
    let slices = bounds.iter().enumerate().map(|(n, (from, benefit))| {
        let end = bounds.get(n + 1).map_or(qualifier, |next| qualifier.min(next.0));
        (end - from).max(0) * benefit
    });
    // Pieces times cents are cents already.
    round(slices.sum(), if agreement.pays_by_piece() { 1 } else { 10_000_000_000 })
}

/// Half away from zero.
fn round(value: i128, by: i128) -> i128 {
    (2 * value + by * value.signum()) / (2 * by)
}

type Rates = BTreeMap<(String, String), BTreeMap<String, i128>>;

fn rates(load: &Workload) -> Rates {
    let mut rates = Rates::new();
    for record in csv::Reader::from_path(load.table("rates")).expect("the rates").records() {
        let record = record.expect("a record");
        let value = record[4].replace('.', "").parse().expect("six decimals");
        rates.entry((record[1].to_owned(), record[2].to_owned())).or_default().insert(record[3].to_owned(), value);
    }
    rates
}

fn rate(rates: &Rates, from: &str, to: &str, day: &str) -> i128 {
    if from == to {
        return 1_000_000;
    }
    *rates[&(from.to_owned(), to.to_owned())].range(..=day.to_owned()).next_back().expect("a rate of the week").1
}
