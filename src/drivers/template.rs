//! Values with holes: how a connector file says what a request looks like and how an answer reads.
//!
//! A text that is exactly `{name}` is replaced by the whole value, `{name}` inside a longer text by
//! its words; `{a.b.0}` walks into a value; `{a.b|c}` takes `c` where `a.b` is empty; `{{` and `}}`
//! are braces. The same template read
//! backwards takes a value apart ([`extract`]). Nothing is computed here. Invariant: a hole that
//! nobody fills is an error, never an empty text.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the holes are filled with. `Ok(None)` in a list leaves the item out.
#[derive(Clone, Debug, Default)]
pub struct Holes(BTreeMap<String, Option<Value>>);

impl Holes {
    /// No holes but `{null}`.
    pub fn new() -> Self {
        Self(BTreeMap::from([("null".to_owned(), Some(Value::Null))]))
    }
    /// Fills a hole.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), Some(value.into()));
    }
    /// Declares a hole that is left out this time.
    pub fn leave_out(&mut self, name: &str) {
        self.0.insert(name.to_owned(), None);
    }
    /// The same with one hole filled.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }
    /// Whether somebody has said something about the hole.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(root(name))
    }
    fn get(&self, name: &str) -> Result<Option<Value>, String> {
        match name.split_once('|') {
            None => self.get_one(name),
            Some((first, rest)) => match self.get_one(first)? {
                Some(value) if !value.is_null() => Ok(Some(value)),
                _ => self.get(rest),
            },
        }
    }
    fn get_one(&self, name: &str) -> Result<Option<Value>, String> {
        let unknown = || format!("nothing is known as {{{name}}}");
        let Some(value) = self.0.get(root(name)).ok_or_else(unknown)? else { return Ok(None) };
        match name.split_once('.') {
            None => Ok(Some(value.clone())),
            Some((_, rest)) => walk(value, rest).cloned().map(Some).ok_or_else(unknown),
        }
    }
}

fn root(name: &str) -> &str {
    name.split_once('.').map_or(name, |(root, _)| root)
}

/// Follows a dotted path. Numbers index lists. Where a further name follows, a key that ends in a
/// point is taken as well (`party.code` finds `"party.": {"code": ..}`).
pub fn walk<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = value;
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        at = match at {
            Value::Object(map) => {
                let pointed = names.peek().and_then(|_| map.get(&format!("{name}.")));
                pointed.or_else(|| map.get(name))?
            }
            Value::Array(list) => list.get(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

/// A scalar as text; numbers digit for digit as parsed.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// Fills all holes.
pub fn render(template: &Value, holes: &Holes) -> Result<Value, String> {
    Ok(fill(template, holes)?.unwrap_or(Value::Null))
}

fn fill(template: &Value, holes: &Holes) -> Result<Option<Value>, String> {
    match template {
        Value::String(text) => match sole_hole(text) {
            Some(name) => holes.get(name),
            None => render_text(text, holes).map(|t| Some(Value::String(t))),
        },
        Value::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                list.extend(fill(item, holes)?);
            }
            Ok(Some(Value::Array(list)))
        }
        Value::Object(map) => {
            let mut filled = Map::new();
            for (key, item) in map {
                if let Some(value) = fill(item, holes)? {
                    filled.insert(key.clone(), value);
                }
            }
            Ok(Some(Value::Object(filled)))
        }
        other => Ok(Some(other.clone())),
    }
}

fn sole_hole(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    (!name.is_empty() && !name.contains(['{', '}'])).then_some(name)
}

/// Fills the holes of a text.
pub fn render_text(text: &str, holes: &Holes) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for part in parts(text)? {
        match part {
            Part::Text(t) => out.push_str(&t),
            Part::Hole(name) => {
                let value = holes.get(&name)?.unwrap_or(Value::String(String::new()));
                out.push_str(&scalar_text(&value).ok_or_else(|| format!("{{{name}}} is not a text or number"))?);
            }
        }
    }
    Ok(out)
}

enum Part {
    Text(String),
    Hole(String),
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            plain.push_str(brace);
            rest = after;
        } else {
            let end = rest.find('}').filter(|_| brace == "{").ok_or_else(|| format!("unpaired `{brace}` in `{text}`"))?;
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Hole(rest[..end].to_owned()));
            rest = &rest[end + 1..];
        }
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    Ok(parts)
}

/// Root names of all holes in a template.
pub fn holes_in(template: &Value, found: &mut Vec<String>) {
    match template {
        Value::String(text) => {
            for part in parts(text).unwrap_or_default() {
                if let Part::Hole(name) = part {
                    found.extend(name.split('|').map(|name| root(name).to_owned()));
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| holes_in(item, found)),
        Value::Object(map) => map.values().for_each(|item| holes_in(item, found)),
        _ => {}
    }
}

/// Takes a value apart by a template whose holes stand alone; `None` when it does not fit.
pub fn extract(template: &Value, value: &Value) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    fits(template, value, &mut found).then_some(found)
}

fn fits(template: &Value, value: &Value, found: &mut BTreeMap<String, String>) -> bool {
    match (template, value) {
        (Value::String(text), _) if sole_hole(text).is_some() => match (sole_hole(text), scalar_text(value)) {
            (Some(name), Some(scalar)) => {
                found.insert(name.to_owned(), scalar);
                true
            }
            _ => false,
        },
        (Value::Object(map), Value::Object(got)) => {
            map.iter().all(|(key, item)| got.get(key).is_some_and(|v| fits(item, v, found)))
        }
        (Value::Array(items), Value::Array(got)) => {
            items.len() == got.len() && items.iter().zip(got).all(|(t, v)| fits(t, v, found))
        }
        (expected, got) => expected == got,
    }
}

/// How the other system writes instants, days and amounts: `[values]`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValueForms {
    /// Holes: `{rfc3339}`, or `{year}` to `{microsecond}` as numbers (UTC).
    pub instant: Value,
    /// Holes: `{iso}`, or `{year}`, `{month}`, `{day}` as numbers.
    pub date: Value,
    /// Hole: `{amount}` as text.
    pub amount: Value,
}

impl Default for ValueForms {
    fn default() -> Self {
        Self { instant: "{rfc3339}".into(), date: "{iso}".into(), amount: "{amount}".into() }
    }
}

impl ValueForms {
    /// An instant as the other system writes it.
    pub fn write_instant(&self, at: DateTime<Utc>) -> Result<Value, String> {
        let mut holes = Holes::new().with("rfc3339", at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
        day_holes(&mut holes, at.date_naive());
        holes.set("hour", at.hour());
        holes.set("minute", at.minute());
        holes.set("second", at.second());
        holes.set("microsecond", at.timestamp_subsec_micros());
        render(&self.instant, &holes)
    }
    /// An instant read back; `None` when it is not one.
    pub fn read_instant(&self, value: &Value) -> Option<DateTime<Utc>> {
        let found = extract(&self.instant, value)?;
        if let Some(text) = found.get("rfc3339") {
            return DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
        }
        let part = |name: &str| found.get(name).map_or(Some(0), |t| t.parse::<u32>().ok());
        let day = NaiveDate::from_ymd_opt(found.get("year")?.parse().ok()?, part("month")?, part("day")?)?;
        Some(day.and_hms_micro_opt(part("hour")?, part("minute")?, part("second")?, part("microsecond")?)?.and_utc())
    }
    /// A day as the other system writes it.
    pub fn write_date(&self, day: NaiveDate) -> Result<Value, String> {
        let mut holes = Holes::new().with("iso", day.to_string());
        day_holes(&mut holes, day);
        render(&self.date, &holes)
    }
    /// An amount as the other system writes it.
    pub fn write_amount(&self, text: &str) -> Result<Value, String> {
        render(&self.amount, &Holes::new().with("amount", text))
    }
    /// Amount text read back, also from a plain text or number.
    pub fn read_amount(&self, value: &Value) -> Option<String> {
        extract(&self.amount, value).and_then(|mut found| found.remove("amount")).or_else(|| scalar_text(value))
    }
}

fn day_holes(holes: &mut Holes, day: NaiveDate) {
    holes.set("year", day.year());
    holes.set("month", day.month());
    holes.set("day", day.day());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn wrapped() -> ValueForms {
        ValueForms {
            instant: json!({"kind": "datetime", "year": "{year}", "month": "{month}", "day": "{day}", "hour": "{hour}", "minute": "{minute}", "second": "{second}", "microsecond": "{microsecond}"}),
            date: json!({"kind": "date", "year": "{year}", "month": "{month}", "day": "{day}"}),
            amount: json!({"kind": "Decimal", "decimal": "{amount}"}),
        }
    }

    #[test]
    fn a_lone_hole_keeps_its_type_and_a_hole_in_a_text_becomes_words() {
        let holes = Holes::new().with("n", 7).with("list", json!([1, {"a": "x"}]));
        assert_eq!(
            render(&json!(["{n}", "no. {n}", "{list}", "{list.1.a}", "{null}"]), &holes).unwrap(),
            json!([7, "no. 7", [1, {"a": "x"}], "x", null])
        );
    }

    #[test]
    fn a_hole_left_out_drops_its_item_and_its_key() {
        let mut holes = Holes::new();
        holes.leave_out("after");
        assert_eq!(render(&json!([["a"], "{after}", {"k": "{after}", "l": 1}]), &holes).unwrap(), json!([["a"], {"l": 1}]));
    }

    #[test]
    fn an_empty_hole_gives_way_to_the_next() {
        let holes = Holes::new().with("a", json!({"x": null})).with("b", 5);
        assert_eq!(render(&json!(["{a.x|b}", "{b|a.x}", "{a.x|null}"]), &holes).unwrap(), json!([5, 5, null]));
        let mut found = Vec::new();
        holes_in(&json!("{a.x|b}"), &mut found);
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn an_unknown_hole_is_an_error_and_doubled_braces_are_braces() {
        assert!(render(&json!("{nope}"), &Holes::new()).unwrap_err().contains("nope"));
        assert!(render_text("a } b", &Holes::new()).is_err());
        assert_eq!(render_text("{{x}}", &Holes::new()).unwrap(), "{x}");
    }

    #[test]
    fn instants_go_out_and_come_back_to_the_microsecond() {
        let at = DateTime::parse_from_rfc3339("2026-06-12T10:00:00.900001Z").unwrap().to_utc();
        for forms in [wrapped(), ValueForms::default()] {
            let written = forms.write_instant(at).unwrap();
            assert_eq!(forms.read_instant(&written), Some(at), "{written}");
        }
        assert_eq!(wrapped().read_instant(&Value::Null), None);
        assert_eq!(wrapped().read_instant(&json!({"kind": "date", "year": 2026, "month": 6, "day": 12})), None);
    }

    #[test]
    fn amounts_are_text_inside_their_wrapping() {
        assert_eq!(wrapped().write_amount("1234.50").unwrap(), json!({"kind": "Decimal", "decimal": "1234.50"}));
        assert_eq!(wrapped().read_amount(&json!({"kind": "Decimal", "decimal": "-1234.50"})).unwrap(), "-1234.50");
    }

    #[test]
    fn a_path_finds_keys_that_end_in_a_point() {
        let record = json!({"party.": {"code": "C1"}, "lines.": [{"id": 4}], "state": "posted"});
        assert_eq!(walk(&record, "party.code"), Some(&json!("C1")));
        assert_eq!(walk(&record, "lines.0.id"), Some(&json!(4)));
        assert_eq!(walk(&record, "state"), Some(&json!("posted")));
        assert_eq!(walk(&record, "party.name"), None);
    }
}
