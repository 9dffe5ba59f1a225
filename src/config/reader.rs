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

pub use crate::config::checks::check_table;
use crate::config::checks::{check_text, resolved};
use crate::config::shape::{Key, Kind, Need, Shape};
use crate::config::source::Source;
use crate::config::tree::{Node, Table, Value};
use crate::config::value;
use crate::core::money::Currency;
use crate::core::number::{Micros, Rate};
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
        Section::new(&self.table, self.shape)
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
        Self { table, shape: resolved(table, shape).unwrap_or(shape) }
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
        Some(Section::new(self.node(key)?.as_table()?, shape))
    }
    /// The tables of a list below; empty when absent.
    pub fn tables(&self, key: &str) -> Vec<Section<'a>> {
        let Some(shape) = table_shape(self.declared(key).kind) else { return Vec::new() };
        let list = self.node(key).and_then(Node::as_list).unwrap_or_default();
        list.iter().filter_map(Node::as_table).map(|table| Section::new(table, shape)).collect()
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
