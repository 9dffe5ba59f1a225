//! Reading a TOML file against its declaration: every problem at once, each with its place and help.
//!
//! How to read a new kind of file:
//! 1. Declare its tables once as `static` [`Shape`]s:
//!    ```
//!    use rebated::config::shape::{Key, Kind, Shape};
//!    static TEST: Shape = Shape::new("a test", "One in-file test.", &[
//!        Key::new("name", Kind::Name, "what it shows").required(),
//!        Key::new("format", Kind::Word(&["json", "csv"]), "how the input is read").default("json"),
//!        Key::new("limit", Kind::Amount, "largest amount"),
//!    ]);
//!    static FILE: Shape = Shape::new("an example", "An example file.", &[
//!        Key::new("test", Kind::Tables(&TEST), "the tests"),
//!        Key::new("fields", Kind::Map(&Kind::Either(&[Kind::Text, Kind::Table(&TEST)])), "free keys"),
//!    ]);
//!    # use rebated::config::reader::File;
//!    let (file, problems) = File::read("mappings/a.toml", "[[test]]\nname = \"works\"\nlimit = 2.5\n", &FILE);
//!    assert!(problems.to_string().contains("mappings/a.toml:3:9"));
//!    let test = file.root().tables("test")[0];
//!    assert_eq!(test.text("name"), Some("works"));
//!    assert_eq!(test.text("format"), Some("json"));   // the default
//!    assert_eq!(test.amount("limit"), None);          // refused above, so absent here
//!    ```
//! 2. [`File::read`] refuses unknown keys (naming the nearest), wrong types and words, unquoted
//!    amounts, missing keys. Values that were refused read as `None` afterwards, so a reader can go on
//!    and add its own problems with [`Section::problem`] (which knows the place), then decide with
//!    [`Problems::into_result`].
//! 3. For free-form parts take [`Section::node`]: a [`Node`] has `place()`, `as_text()`, `as_table()`,
//!    `to_json()`; [`check_table`] checks one table of it against a further shape.
//! 4. Add the shape to `schema.rs`, so that it gets a JSON Schema and a reference table.
//!
//! Not here: variables and layers. Invariant: accessors only give values that passed the check.

use crate::config::shape::{Key, Kind, Need, Shape, nearest};
use crate::config::source::Source;
use crate::config::tree::{Node, Table, Value};
use crate::config::value;
use crate::core::money::Currency;
use crate::core::number::{Micros, NumberError, Rate};
use crate::core::problem::{Place, Problem, Problems};
use chrono::NaiveDate;
use std::sync::Arc;
use std::time::Duration;

/// A file read against its shape.
#[derive(Clone, Debug)]
pub struct File {
    /// The text it was read from.
    pub source: Arc<Source>,
    /// Its tree.
    pub table: Table,
    shape: &'static Shape,
}

impl File {
    /// Parses and checks a file; every problem found. After a syntax error the file reads as empty,
    /// and its keys are not complained about.
    pub fn read(name: &str, text: &str, shape: &'static Shape) -> (Self, Problems) {
        let source = Source::file(name, text);
        match Table::parse(&source) {
            Ok(table) => {
                let mut problems = Problems::default();
                check_table(&table, shape, &mut problems);
                in_file_order(&mut problems);
                (Self { source, table, shape }, problems)
            }
            Err(problems) => (Self { table: Table::empty(&source), source, shape }, problems),
        }
    }
    /// A tree that was put together or had its variables put in, checked.
    pub fn from_table(source: &Arc<Source>, table: Table, shape: &'static Shape) -> (Self, Problems) {
        let mut problems = Problems::default();
        check_table(&table, shape, &mut problems);
        (Self { source: source.clone(), table, shape }, problems)
    }
    /// The whole file as a section.
    pub fn root(&self) -> Section<'_> {
        Section { table: &self.table, shape: self.shape }
    }
}

/// A table with its declaration: typed access to checked values.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// The table.
    pub table: &'a Table,
    /// Its declaration.
    pub shape: &'static Shape,
}

impl<'a> Section<'a> {
    /// A section over a table that was checked with [`check_table`].
    pub fn new(table: &'a Table, shape: &'static Shape) -> Self {
        Self { table, shape }
    }
    fn declared(&self, key: &str) -> &'static Key {
        self.shape.key(key).unwrap_or_else(|| panic!("`{key}` is not declared for {}", self.shape.name))
    }
    /// The value as written, without defaults.
    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.table.get(key)
    }
    /// Whether the key was written.
    pub fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }
    /// Place of the key's value; of the table where the key is absent.
    pub fn place(&self, key: &str) -> Place {
        self.node(key).map_or_else(|| self.table.place(), Node::place)
    }
    /// A problem at the value of a key.
    pub fn problem(&self, code: &str, key: &str, message: impl Into<String>) -> Problem {
        Problem::new(code, message).at(self.place(key))
    }
    /// The text of a value or of its default, whatever its kind; only if it passes its kind's check.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        let declared = self.declared(key);
        match self.node(key) {
            Some(node) => node.as_text().filter(|t| check_text(t, declared.kind).is_none()),
            None => match declared.need {
                Need::Default(text) => Some(text),
                _ => None,
            },
        }
    }
    /// An amount, quantity or other decimal.
    pub fn amount(&self, key: &str) -> Option<Micros> {
        value::amount(self.text(key)?).ok()
    }
    /// A percentage.
    pub fn rate(&self, key: &str) -> Option<Rate> {
        value::percent(self.text(key)?).ok()
    }
    /// A date.
    pub fn date(&self, key: &str) -> Option<NaiveDate> {
        value::date(self.text(key)?)
    }
    /// A number of days.
    pub fn days(&self, key: &str) -> Option<u32> {
        value::days(self.text(key)?)
    }
    /// A time span.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        value::duration(self.text(key)?)
    }
    /// A currency.
    pub fn currency(&self, key: &str) -> Option<Currency> {
        Currency::parse(self.text(key)?)
    }
    /// A word, by the enum's own reading: `section.word("bound", Bound::from_word)`.
    pub fn word<T>(&self, key: &str, from_word: impl Fn(&str) -> Option<T>) -> Option<T> {
        from_word(self.text(key)?)
    }
    /// A whole number.
    pub fn integer(&self, key: &str) -> Option<i64> {
        let declared = self.declared(key);
        match (self.node(key), declared.need) {
            (Some(node), _) => match (&node.value, declared.kind) {
                (Value::Integer(n), Kind::Integer(min, max)) => Some(*n).filter(|n| (min..=max).contains(n)),
                (Value::Integer(n), _) => Some(*n),
                _ => None,
            },
            (None, Need::Default(text)) => text.parse().ok(),
            _ => None,
        }
    }
    /// `true` or `false`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match (self.node(key), self.declared(key).need) {
            (Some(Node { value: Value::Flag(flag), .. }), _) => Some(*flag),
            (None, Need::Default(text)) => Some(text == "true"),
            _ => None,
        }
    }
    /// The texts of a list; a default is written `a, b`. Empty when absent.
    pub fn texts(&self, key: &str) -> Vec<&'a str> {
        match (self.node(key), self.declared(key).need) {
            (Some(node), _) => node.as_list().unwrap_or_default().iter().filter_map(Node::as_text).collect(),
            (None, Need::Default(text)) => text.split(", ").filter(|t| !t.is_empty()).collect(),
            _ => Vec::new(),
        }
    }
    /// A table below.
    pub fn table(&self, key: &str) -> Option<Section<'a>> {
        let shape = table_shape(self.declared(key).kind)?;
        Some(Section { table: self.node(key)?.as_table()?, shape })
    }
    /// The tables of a list below; empty when absent.
    pub fn tables(&self, key: &str) -> Vec<Section<'a>> {
        let Some(shape) = table_shape(self.declared(key).kind) else { return Vec::new() };
        let list = self.node(key).and_then(Node::as_list).unwrap_or_default();
        list.iter().filter_map(Node::as_table).map(|table| Section { table, shape }).collect()
    }
    /// The entries of a free table below; empty when absent.
    pub fn entries(&self, key: &str) -> &'a [crate::config::tree::Entry] {
        self.node(key).and_then(Node::as_table).map_or(&[], |t| t.entries.as_slice())
    }
}

/// Sorts problems by file, line and column; files keep the order in which they were read.
pub fn in_file_order(problems: &mut Problems) {
    let mut files: Vec<Arc<str>> = Vec::new();
    for place in problems.0.iter().filter_map(|p| p.place.as_ref()) {
        if !files.contains(&place.source) {
            files.push(place.source.clone());
        }
    }
    problems.0.sort_by_key(|p| {
        let place = p.place.as_ref();
        (place.and_then(|p| files.iter().position(|f| *f == p.source)), place.and_then(|p| p.line), place.and_then(|p| p.column))
    });
}

/// The shape of the tables that a kind holds.
pub fn table_shape(kind: Kind) -> Option<&'static Shape> {
    match kind {
        Kind::Table(shape) | Kind::Tables(shape) => Some(shape),
        Kind::Map(kind) | Kind::List(kind) => table_shape(*kind),
        Kind::Either(kinds) => kinds.iter().find_map(|k| table_shape(*k)),
        _ => None,
    }
}

/// Checks a table against its declaration.
pub fn check_table(table: &Table, shape: &'static Shape, problems: &mut Problems) {
    for entry in &table.entries {
        match (shape.key(&entry.key), shape.rest) {
            (Some(key), _) => check_node(&entry.key, &entry.node, key.kind, problems),
            (None, Some(kind)) => check_node(&entry.key, &entry.node, kind, problems),
            (None, None) => problems.push(unknown_key(&entry.key, shape).at(entry.node.source.place(entry.key_span.start))),
        }
    }
    for key in shape.keys.iter().filter(|k| k.need == Need::Required && table.get(k.name).is_none()) {
        problems.push(
            Problem::new("missing-key", format!("`{}` is missing in {}", key.name, shape.name)).at(table.place()).help(format!(
                "add {}   # {}",
                example(key.name, key.kind),
                key.doc
            )),
        );
    }
}

fn unknown_key(name: &str, shape: &'static Shape) -> Problem {
    let problem = Problem::new("unknown-key", format!("`{name}` is not a key of {}", shape.name));
    match nearest(name, shape.keys.iter().map(|k| k.name)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("known keys: {}", shape.keys.iter().map(|k| k.name).collect::<Vec<_>>().join(", "))),
    }
}

/// How a key of a kind is written, for help texts.
pub fn example(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Table(shape) => format!("{name} = {{ {} }}", required_examples(shape)),
        Kind::Tables(_) => format!("[[{name}]]"),
        kind => format!("{name} = {}", example_value(kind)),
    }
}

fn required_examples(shape: &'static Shape) -> String {
    let required = shape.keys.iter().filter(|k| k.need == Need::Required);
    let parts: Vec<_> = required.map(|k| format!("{} = {}", k.name, example_value(k.kind))).collect();
    if parts.is_empty() { "...".to_owned() } else { parts.join(", ") }
}

fn example_value(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Name | Kind::Any | Kind::Later(_) => "\"...\"".into(),
        Kind::Integer(min, _) => min.max(1).to_string(),
        Kind::Flag => "true".into(),
        Kind::Amount => "\"1000.00\"".into(),
        Kind::Rate => "\"2.5%\"".into(),
        Kind::AmountOrRate => "\"10%\"".into(),
        Kind::Date => "\"2026-01-31\"".into(),
        Kind::MonthDay => "\"01-01\"".into(),
        Kind::Duration => "\"10m\"".into(),
        Kind::Days => "\"7d\"".into(),
        Kind::Currency => "\"USD\"".into(),
        Kind::Zone => "\"Europe/Berlin\"".into(),
        Kind::Url => "\"https://...\"".into(),
        Kind::Word(words) | Kind::WordOrLater(words, _) => format!("\"{}\"", words.first().unwrap_or(&"...")),
        Kind::List(kind) => format!("[{}]", example_value(*kind)),
        Kind::Table(shape) => format!("{{ {} }}", required_examples(shape)),
        Kind::Tables(shape) => format!("[{{ {} }}]", required_examples(shape)),
        Kind::Map(kind) => format!("{{ name = {} }}", example_value(*kind)),
        Kind::Either(kinds) => kinds.first().map_or_else(|| "...".into(), |k| example_value(*k)),
    }
}

/// What a kind is, for messages.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Name | Kind::Word(_) | Kind::WordOrLater(..) | Kind::Later(_) => "text in quotes",
        Kind::Integer(..) => "a whole number",
        Kind::Flag => "true or false",
        Kind::Amount => "a decimal number in quotes",
        Kind::Rate => "a percentage in quotes",
        Kind::AmountOrRate => "a percentage or an amount in quotes",
        Kind::Date => "a date in quotes",
        Kind::MonthDay => "month and day in quotes",
        Kind::Duration => "a time span in quotes",
        Kind::Days => "a number of days in quotes",
        Kind::Currency => "a currency code in quotes",
        Kind::Zone => "a time zone in quotes",
        Kind::Url => "an address in quotes",
        Kind::List(_) => "a list",
        Kind::Table(_) | Kind::Map(_) => "a table",
        Kind::Tables(_) => "a list of tables",
        Kind::Either(kinds) => kinds.first().map_or("a value", |k| kind_name(*k)),
        Kind::Any => "a value",
    }
}

/// Whether a value's TOML type suits the kind at all.
fn fits(node: &Node, kind: Kind) -> bool {
    match kind {
        Kind::Any | Kind::Later(_) => true,
        Kind::Integer(..) => matches!(node.value, Value::Integer(_)),
        Kind::Flag => matches!(node.value, Value::Flag(_)),
        Kind::List(_) => matches!(node.value, Value::List(_)),
        Kind::Tables(_) => node.as_list().is_some_and(|list| list.iter().all(|n| n.as_table().is_some())),
        Kind::Table(_) | Kind::Map(_) => matches!(node.value, Value::Table(_)),
        Kind::Either(kinds) => kinds.iter().any(|k| fits(node, *k)),
        _ => matches!(node.value, Value::Text(_)),
    }
}

fn check_node(key: &str, node: &Node, kind: Kind, problems: &mut Problems) {
    match kind {
        Kind::Later(neutral) => {
            if !node.as_text().is_some_and(|t| neutral.contains(&t)) {
                let problem = Problem::new("not-yet-supported", format!("`{key}` is not supported yet")).at(node.place());
                problems.push(match neutral.first() {
                    Some(word) => problem
                        .help(format!("leave it out, or write {key} = \"{word}\"; anything else comes with a later version")),
                    None => problem.help("leave it out; it comes with a later version"),
                });
            }
            return;
        }
        Kind::Either(kinds) => {
            match kinds.iter().find(|k| fits(node, **k)) {
                Some(kind) => check_node(key, node, *kind, problems),
                None => {
                    let names: Vec<_> = kinds.iter().map(|k| kind_name(*k)).collect();
                    problems.push(wrong_type(key, node, &names.join(" or "), kind));
                }
            }
            return;
        }
        _ if !fits(node, kind) => {
            problems.push(wrong_type(key, node, kind_name(kind), kind));
            return;
        }
        _ => {}
    }
    match (&node.value, kind) {
        (Value::Text(text), kind) => {
            if let Some(problem) = check_text(&text.value, kind) {
                // The text of a secret appears in no message.
                let problem = if text.is_secret() {
                    Problem::new(
                        &problem.code,
                        format!("`{key}`: the value put in for `{}` is not {}", text.shown, kind_name(kind)),
                    )
                } else {
                    Problem { message: format!("`{key}`: {}", problem.message), ..problem }
                };
                problems.push(problem.at(node.place()));
            }
        }
        (Value::Integer(n), Kind::Integer(min, max)) if !(min..=max).contains(n) => {
            let range = if max == i64::MAX { format!("{min} or more") } else { format!("{min} to {max}") };
            problems.push(
                Problem::new("out-of-range", format!("`{key}`: {n} is out of range"))
                    .at(node.place())
                    .help(format!("use {range}")),
            );
        }
        (Value::List(list), Kind::List(kind)) => list.iter().for_each(|n| check_node(key, n, *kind, problems)),
        (Value::List(list), Kind::Tables(shape)) => {
            list.iter().filter_map(Node::as_table).for_each(|t| check_table(t, shape, problems));
        }
        (Value::Table(table), Kind::Table(shape)) => check_table(table, shape, problems),
        (Value::Table(table), Kind::Map(kind)) => {
            table.entries.iter().for_each(|e| check_node(&e.key, &e.node, *kind, problems));
        }
        _ => {}
    }
}

fn wrong_type(key: &str, node: &Node, wanted: &str, kind: Kind) -> Problem {
    let written = node.source.slice(&node.span);
    let is_number = matches!(node.value, Value::Integer(_) | Value::Float(_));
    let decimal = matches!(kind, Kind::Amount | Kind::Rate | Kind::AmountOrRate);
    if is_number && decimal {
        let help = match (kind, Rate::parse_percent(written)) {
            // A bare fraction most often comes from a program that counts 1 as 100%.
            (Kind::Rate, Ok(rate)) if rate < Rate::ONE && !rate.is_zero() => {
                format!("write {key} = \"{}\", or \"{written}%\" if that is meant", rate.to_percent())
            }
            (Kind::Rate, _) => format!("write {key} = \"{written}%\""),
            _ => format!("write {key} = \"{written}\""),
        };
        return Problem::new("unquoted-number", format!("`{key}`: {written} must stand in quotes, so that no digit is lost"))
            .at(node.place())
            .help(help);
    }
    let unquoted = is_number || matches!(node.value, Value::Date(_) | Value::Flag(_));
    let problem = Problem::new("wrong-type", format!("`{key}` must be {wanted}, not {}", node.type_name())).at(node.place());
    if unquoted && matches!(kind_name(kind).rsplit(' ').next(), Some("quotes")) {
        return problem.help(format!("write {key} = \"{written}\""));
    }
    problem.help(format!("write {}", example(key, kind)))
}

/// What is wrong with a text of a kind, as a problem without place; `None` when nothing is.
fn check_text(text: &str, kind: Kind) -> Option<Problem> {
    let number = |error: NumberError, help: &str| Problem::new("bad-number", format!("`{text}`: {error}")).help(help.to_owned());
    let refuse = |code: &str, message: String, help: &str| Some(Problem::new(code, message).help(help.to_owned()));
    let decimal_help = "write plain digits with a point and at most six decimals, such as \"1250.00\"";
    match kind {
        Kind::Name if text.trim().is_empty() => refuse("empty-text", "is empty".into(), "write a name, or leave the key out"),
        Kind::Name if text.chars().any(char::is_control) => {
            refuse("bad-text", "has a control character in it".into(), "retype the text")
        }
        Kind::Name if text.trim() != text => {
            refuse("bad-text", format!("`{text}` has blanks around it"), "remove the blanks: codes are compared exactly")
        }
        Kind::Amount => match value::amount(text) {
            Ok(n) if n.is_negative() => refuse("out-of-range", format!("`{text}` is below zero"), "use zero or more"),
            Ok(_) => None,
            Err(error) => Some(number(error, decimal_help)),
        },
        Kind::Rate => match value::percent(text) {
            Ok(n) if n.is_negative() => refuse("out-of-range", format!("`{text}` is below zero"), "use 0% or more"),
            Ok(_) => None,
            Err(NumberError::NotDecimal) => {
                refuse("bad-number", format!("`{text}` is not a percentage"), "write digits and a percent sign, such as \"2.5%\"")
            }
            Err(error) => Some(number(error, "a percentage has at most six decimals")),
        },
        Kind::AmountOrRate => check_text(text, if text.ends_with('%') { Kind::Rate } else { Kind::Amount }),
        Kind::Date if value::date(text).is_none() => {
            refuse("bad-date", format!("`{text}` is not a date of the calendar"), "write year, month, day as \"2026-01-31\"")
        }
        Kind::MonthDay if value::month_day(text).is_none() => {
            refuse("bad-date", format!("`{text}` is not a month and day"), "write month and day as \"03-01\"")
        }
        Kind::Duration if value::duration(text).is_none() => refuse(
            "bad-duration",
            format!("`{text}` is not a time span"),
            "write a number with its unit: \"500ms\", \"30s\", \"10m\", \"2h\" or \"7d\"",
        ),
        Kind::Days if value::days(text).is_none() => {
            refuse("bad-duration", format!("`{text}` is not a number of days"), "write whole days, such as \"7d\"")
        }
        Kind::Currency if Currency::parse(text).is_none() => refuse(
            "unknown-currency",
            format!("`{text}` is not an ISO 4217 currency code"),
            "use the three-letter code, such as \"USD\" or \"EUR\"",
        ),
        Kind::Zone => zone_problem(text),
        Kind::Url if url::Url::parse(text).is_err() => {
            refuse("bad-url", "is not an address".into(), "write it whole, with its scheme: \"https://host/path\"")
        }
        Kind::Word(words) => word_problem(text, words, &[]),
        Kind::WordOrLater(words, later) => word_problem(text, words, later),
        _ => None,
    }
}

fn zone_problem(text: &str) -> Option<Problem> {
    if text.parse::<chrono_tz::Tz>().is_ok() {
        return None;
    }
    let problem = Problem::new("unknown-zone", format!("`{text}` is not a time zone"));
    Some(match nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())) {
        Some(near) => problem.help(format!("did you mean \"{near}\"?")),
        None => problem.help("use a name of the IANA list, such as \"Europe/Berlin\" or \"America/Chicago\""),
    })
}

fn word_problem(text: &str, words: &'static [&'static str], later: &'static [&'static str]) -> Option<Problem> {
    if words.contains(&text) {
        return None;
    }
    let list = words.join(", ");
    if later.contains(&text) {
        return Some(
            Problem::new("not-yet-supported", format!("`{text}` is not supported yet"))
                .help(format!("it comes with a later version; supported now: {list}")),
        );
    }
    let problem = Problem::new("unknown-word", format!("`{text}` is not one of the words known here"));
    Some(match nearest(text, words.iter().copied()) {
        Some(near) if words.len() > 3 => problem.help(format!("did you mean \"{near}\"? known words: {list}")),
        _ => problem.help(format!("known words: {list}")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    static TIER: Shape = Shape::new(
        "a tier",
        "",
        &[Key::new("from", Kind::Amount, "bound").required(), Key::new("rate", Kind::Rate, "share of the base")],
    );
    static FILE: Shape = Shape::new(
        "an example",
        "",
        &[
            Key::new("id", Kind::Name, "id").required(),
            Key::new("bound", Kind::Word(&["reached", "exceeded"]), "comparison").default("reached"),
            Key::new("grace", Kind::Days, "days").default("0d"),
            Key::new("valid_from", Kind::Date, "first day"),
            Key::new("zone", Kind::Zone, "zone"),
            Key::new("count", Kind::Integer(1, 9), "how many"),
            Key::new("hold_back", Kind::Later(&["0%"]), "later"),
            Key::new("free", Kind::Map(&Kind::Either(&[Kind::Text, Kind::Table(&TIER)])), "free"),
            Key::new("tiers", Kind::Tables(&TIER), "tiers"),
        ],
    );

    fn problems(text: &str) -> Vec<String> {
        File::read("a.toml", text, &FILE).1.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_problem_of_a_file_comes_at_once_with_its_place_and_help() {
        let found = problems(
            "idd = \"A\"\nbound = \"exceded\"\ngrace = \"7\"\nvalid_from = 2026-01-01\nzone = \"Europe/Berln\"\ncount = 12\n\
             tiers = [{ from = \"0\", rate = 0.02 }, { from = 100, rate = \"2\" }, { rate = \"1,5%\" }]\n",
        );
        let expected = [
            "a.toml:1:1: `idd` is not a key of an example [unknown-key]; did you mean `id`?",
            "a.toml:1:1: `id` is missing in an example [missing-key]; add id = \"...\"   # id",
            "a.toml:2:9: `bound`: `exceded` is not one of the words known here [unknown-word]; known words: reached, exceeded",
            "a.toml:3:9: `grace`: `7` is not a number of days [bad-duration]; write whole days, such as \"7d\"",
            "a.toml:4:14: `valid_from` must be a date in quotes, not a date without quotes [wrong-type]; write valid_from = \"2026-01-01\"",
            "a.toml:5:8: `zone`: `Europe/Berln` is not a time zone [unknown-zone]; did you mean \"Europe/Berlin\"?",
            "a.toml:6:9: `count`: 12 is out of range [out-of-range]; use 1 to 9",
            "a.toml:7:31: `rate`: 0.02 must stand in quotes, so that no digit is lost [unquoted-number]; write rate = \"2%\", or \"0.02%\" if that is meant",
            "a.toml:7:48: `from`: 100 must stand in quotes, so that no digit is lost [unquoted-number]; write from = \"100\"",
            "a.toml:7:60: `rate`: `2` is not a percentage [bad-number]; write digits and a percent sign, such as \"2.5%\"",
            "a.toml:7:67: `from` is missing in a tier [missing-key]; add from = \"1000.00\"   # bound",
            "a.toml:7:76: `rate`: `1,5%` is not a percentage [bad-number]; write digits and a percent sign, such as \"2.5%\"",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn refused_values_read_as_absent_and_defaults_apply_only_where_nothing_was_written() {
        let (file, problems) = File::read("a.toml", "id = \"A\"\ngrace = \"x\"\ncount = 99\n", &FILE);
        assert_eq!(problems.0.len(), 2);
        assert_eq!(file.root().text("bound"), Some("reached"));
        assert_eq!(file.root().days("grace"), None);
        assert_eq!(file.root().integer("count"), None);
    }

    #[test]
    fn syntax_errors_have_a_place_each_and_hide_no_other_ones_behind_them() {
        let found = problems("id = \"A\nbound = = 1\ntiers = [1, 2\n");
        assert!(found[0].starts_with("a.toml:1:"), "{found:?}");
        assert!(found.len() >= 2 && found[1].starts_with("a.toml:2:"), "{found:?}");
        assert!(found.iter().all(|p| p.contains("[toml-syntax]")), "{found:?}");
    }

    #[test]
    fn what_is_not_supported_yet_is_refused_by_name_unless_it_changes_nothing() {
        assert_eq!(problems("id = \"A\"\nhold_back = \"0%\"\n"), Vec::<String>::new());
        assert!(problems("id = \"A\"\nhold_back = \"25%\"\n")[0].starts_with("a.toml:2:13: `hold_back` is not supported yet"));
    }

    #[test]
    fn free_tables_hold_text_or_a_declared_table() {
        let (file, found) = File::read("a.toml", "id = \"A\"\n[free]\na = \"text\"\nb = { from = \"1\" }\nc = 3\n", &FILE);
        assert_eq!(found.0.len(), 1);
        assert_eq!(found.0[0].place.as_ref().unwrap().line, Some(5));
        assert_eq!(file.root().entries("free").len(), 3);
    }
}
