//! An owned tree of TOML values that remember where they were written.
//!
//! Not here: which keys exist (`shape`), what values mean (`reader`). Invariants: numbers stay the
//! text that was written, so no digit is lost; `Debug` never prints a secret.

use crate::config::source::Source;
use crate::core::problem::{Place, Problem, Problems};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub source: Arc<Source>,
    /// Bytes of the value in the source's text.
    pub span: Range<usize>,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text in quotes.
    Text(Text),
    /// A whole number.
    Integer(i64),
    /// A number with a point or exponent, as written.
    Float(String),
    /// `true` or `false`.
    Flag(bool),
    /// A date or time without quotes, as written.
    Date(String),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A text, with variables put in.
#[derive(Clone)]
pub struct Text {
    /// What the program uses.
    pub value: String,
    /// What people are shown: the same, with secrets as `***`.
    pub shown: String,
}

impl Text {
    /// A text that hides nothing.
    pub fn plain(value: impl Into<String>) -> Self {
        let value = value.into();
        Self { shown: value.clone(), value }
    }
    /// Whether something is hidden.
    pub fn is_secret(&self) -> bool {
        self.value != self.shown
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}

/// Keys with their values, in file order.
#[derive(Clone, Debug)]
pub struct Table {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the table starts.
    pub source: Arc<Source>,
    /// Bytes of its heading or braces.
    pub span: Range<usize>,
}

/// One `key = value`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Bytes of the key in the source of the value.
    pub key_span: Range<usize>,
    /// The value.
    pub node: Node,
}

impl Node {
    /// Place of the value.
    pub fn place(&self) -> Place {
        self.source.place(self.span.start)
    }
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.value),
            _ => None,
        }
    }
    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
    /// What it is, for messages.
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::Date(_) => "a date without quotes",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
    /// As JSON, with the values that the program uses (secrets included). Numbers with a point
    /// become text, so that no digit is lost.
    pub fn to_json(&self) -> serde_json::Value {
        self.json(&|text| text.value.clone())
    }
    /// As JSON for people: secrets as `***`.
    pub fn to_shown_json(&self) -> serde_json::Value {
        self.json(&|text| text.shown.clone())
    }
    fn json(&self, text_of: &dyn Fn(&Text) -> String) -> serde_json::Value {
        match &self.value {
            Value::Text(text) => text_of(text).into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(text) | Value::Date(text) => text.clone().into(),
            Value::Flag(flag) => (*flag).into(),
            Value::List(list) => list.iter().map(|n| n.json(text_of)).collect(),
            Value::Table(table) => {
                table.entries.iter().map(|e| (e.key.clone(), e.node.json(text_of))).collect::<serde_json::Map<_, _>>().into()
            }
        }
    }
    /// Visits every text below, itself included, with the key it stands under.
    pub fn for_each_text(&mut self, key: &str, visit: &mut dyn FnMut(&str, &mut Text, Place)) {
        let place = self.place();
        match &mut self.value {
            Value::Text(text) => visit(key, text, place),
            Value::List(list) => list.iter_mut().for_each(|n| n.for_each_text(key, visit)),
            Value::Table(table) => table.for_each_text(visit),
            _ => {}
        }
    }
}

impl Table {
    /// A table without entries.
    pub fn empty(source: &Arc<Source>) -> Self {
        Self { entries: Vec::new(), source: source.clone(), span: 0..0 }
    }
    /// Parses a whole file; every syntax error at once.
    ///
    /// # Errors
    /// `toml-syntax` with its place, each.
    pub fn parse(source: &Arc<Source>) -> Result<Self, Problems> {
        let text = source.text();
        let skipped = text.len() - text.trim_start_matches('\u{feff}').len();
        let (table, mut errors) = DeTable::parse_recoverable(&text[skipped..]);
        errors.sort_by_key(|e| e.span().map_or(0, |s| s.start));
        if errors.is_empty() {
            return Ok(from_table(table.get_ref(), &table.span(), source, skipped));
        }
        let mut problems = Problems::default();
        let mut last_line = None;
        for error in &errors {
            let offset = error.span().map_or(0, |s| s.start) + skipped;
            let line = source.line_column(offset).0;
            // One slip often makes the parser stumble over the rest of the line: the first says it.
            if last_line.replace(line) == Some(line) {
                continue;
            }
            let mut message = error.message().lines().collect::<Vec<_>>().join("; ");
            if message.is_empty() {
                message = "not valid TOML".to_owned();
            }
            problems.push(
                Problem::new("toml-syntax", message)
                    .at(source.place(offset))
                    .help("text stands in quotes, tables are headed by [name], a key appears once; see https://toml.io"),
            );
        }
        Err(problems)
    }
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|e| e.key == key).map(|e| &e.node)
    }
    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|e| e.key == key).map(|e| &mut e.node)
    }
    /// Place of the table's heading.
    pub fn place(&self) -> Place {
        self.source.place(self.span.start)
    }
    /// Visits every text below with the key it stands under.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(&str, &mut Text, Place)) {
        for entry in &mut self.entries {
            entry.node.for_each_text(&entry.key, visit);
        }
    }
    /// As JSON, secrets included.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        self.entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect()
    }
}

fn shift(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

fn from_table(table: &DeTable<'_>, span: &Range<usize>, source: &Arc<Source>, by: usize) -> Table {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().clone().into_owned(),
        key_span: shift(key.span(), by),
        node: from_value(value.get_ref(), &value.span(), source, by),
    });
    Table { entries: entries.collect(), source: source.clone(), span: shift(span.clone(), by) }
}

fn from_value(value: &DeValue<'_>, span: &Range<usize>, source: &Arc<Source>, by: usize) -> Node {
    let shifted = shift(span.clone(), by);
    let written = || source.slice(&shifted).to_owned();
    let value = match value {
        DeValue::String(text) => Value::Text(Text::plain(text.clone().into_owned())),
        // A number that no register holds stays text and is refused by whoever wanted a number.
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Float(written()),
        },
        DeValue::Float(_) => Value::Float(written()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Date(written()),
        DeValue::Array(list) => Value::List(list.iter().map(|n| from_value(n.get_ref(), &n.span(), source, by)).collect()),
        DeValue::Table(table) => Value::Table(from_table(table, span, source, by)),
    };
    Node { value, source: source.clone(), span: shifted }
}
