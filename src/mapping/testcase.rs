//! In-file tests of mappings: a document, and the rows, problems and skips it must give.

use crate::config::reader::Section;
use crate::config::tree::{Node as TomlNode, Table as TomlTable};
use crate::core::master::Draft;
use crate::core::problem::{Place, Problems};
use crate::formats::FormatError;
use crate::mapping::canonical::{Kind, columns};
use crate::mapping::field::Context;
use crate::mapping::value::{Field, FromText};
use crate::mapping::{Mapped, Mapping};
use serde::Serialize;
use std::ops::ControlFlow;

/// One compiled test.
#[derive(Clone, Debug)]
pub(crate) struct TestCase {
    name: String,
    place: Place,
    input: String,
    format: Option<String>,
    context: Context,
    expect: Vec<Vec<(String, String)>>,
    skipped: Option<Vec<String>>,
    refused: Option<String>,
}

/// The outcome of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// The test's name.
    pub name: String,
    /// Where it stands in the mapping file.
    pub place: Place,
    /// What differs; empty when the test passes.
    pub failures: Vec<String>,
}

impl TestResult {
    /// Whether it passes.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// The comparable text of a value in the file: lists joined with `;`.
fn text_of(node: &TomlNode) -> String {
    match (node.as_list(), node.as_text()) {
        (Some(items), _) => items.iter().map(text_of).collect::<Vec<_>>().join(";"),
        (None, Some(text)) => text.trim().to_owned(),
        _ => node.to_json().to_string(),
    }
}

fn pairs(table: &TomlTable) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for entry in &table.entries {
        match entry.node.as_table() {
            Some(nested) => {
                pairs.extend(nested.entries.iter().map(|inner| (format!("{}.{}", entry.key, inner.key), text_of(&inner.node))));
            }
            None => pairs.push((entry.key.clone(), text_of(&entry.node))),
        }
    }
    pairs
}

impl TestCase {
    pub(crate) fn read(section: Section<'_>, problems: &mut Problems) -> Option<Self> {
        let mut expect = Vec::new();
        for node in section.node("expect").and_then(TomlNode::as_list).unwrap_or_default() {
            match node.as_table() {
                Some(table) => expect.push(pairs(table)),
                None => problems.push(
                    crate::core::problem::Problem::new("wrong-type", "an expected row must be a table")
                        .at(node.place())
                        .help("write { field = \"value\" } or { problem = \"code\" }"),
                ),
            }
        }
        let skipped = section.has("skipped").then(|| section.texts("skipped").into_iter().map(str::to_owned).collect());
        Some(Self {
            name: section.text("name")?.to_owned(),
            place: section.table.place(),
            input: section.text("input")?.to_owned(),
            format: section.text("format").map(str::to_owned),
            context: Context {
                company: None,
                currency: section.currency("currency")?,
                timezone: section.text("timezone")?.parse().ok()?,
            },
            expect,
            skipped,
            refused: section.text("refused").map(str::to_owned),
        })
    }

    fn run(&self, mapping: &Mapping) -> TestResult {
        let format = mapping.format.format(self.format.as_deref(), "input.json");
        let mut rows: Vec<Vec<(String, String)>> = Vec::new();
        let mut skipped = Vec::new();
        let result = mapping.read(&format, &mut self.input.as_bytes(), "input", &self.context, &mut |mapped| {
            match mapped {
                Mapped::Row(draft) => rows.push(draft_texts(&draft)),
                Mapped::Skipped { reason, .. } => skipped.push(reason),
                Mapped::Problem(row) => rows.push(
                    row.problems
                        .iter()
                        .flat_map(|problem| {
                            [
                                ("problem".to_owned(), problem.problem.code.clone()),
                                ("field".to_owned(), problem.field.clone().unwrap_or_default()),
                                ("message".to_owned(), problem.problem.message.clone()),
                            ]
                        })
                        .collect(),
                ),
            }
            ControlFlow::Continue(())
        });
        let mut failures = Vec::new();
        let refused = match result {
            Ok(_) => None,
            Err(FormatError::Refused(problems)) => Some(problems),
            Err(FormatError::Io(error)) => {
                failures.push(error.to_string());
                None
            }
        };
        match (&self.refused, &refused) {
            (None, None) => {}
            (Some(code), Some(problems)) if problems.0.iter().any(|problem| problem.code == *code) => {}
            (Some(code), Some(problems)) => failures.push(format!("refused for another reason than `{code}`: {problems}")),
            (Some(code), None) => failures.push(format!("the document was taken, `{code}` was expected")),
            (None, Some(problems)) => failures.push(format!("the document was refused: {problems}")),
        }
        if refused.is_none() {
            self.compare(mapping, &rows, &mut failures);
            if let Some(expected) = self.skipped.as_ref().filter(|expected| **expected != skipped) {
                failures.push(format!("skipped: expected {expected:?}, got {skipped:?}"));
            }
        }
        TestResult { name: self.name.clone(), place: self.place.clone(), failures }
    }

    fn compare(&self, mapping: &Mapping, rows: &[Vec<(String, String)>], failures: &mut Vec<String>) {
        if rows.len() != self.expect.len() {
            failures.push(format!("expected {} rows, got {}: {rows:?}", self.expect.len(), rows.len()));
            return;
        }
        for (index, (expected, row)) in self.expect.iter().zip(rows).enumerate() {
            for (name, text) in expected {
                let text = same_writing(mapping, name, text);
                let got: Vec<&str> = row.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
                // A row may have several problems; one of them must be the expected one.
                if !(got.contains(&text.as_str()) || got.is_empty() && text.is_empty()) {
                    let got = if got.is_empty() { "nothing".to_owned() } else { format!("`{}`", got.join("`, `")) };
                    let hint =
                        row.iter().filter(|(key, _)| key == "message").map(|(_, value)| value.as_str()).collect::<Vec<_>>();
                    let hint = if hint.is_empty() || name == "problem" && !got.is_empty() {
                        String::new()
                    } else {
                        format!(" ({})", hint.join("; "))
                    };
                    failures.push(format!("row {}: `{name}` should be `{text}`, is {got}{hint}", index + 1));
                }
            }
        }
    }
}

/// An expected figure written as drafts write it (`12.50` as `12.5`).
fn same_writing(mapping: &Mapping, name: &str, text: &str) -> String {
    let plain = |kind: Kind| match kind {
        Kind::Amount => crate::core::number::Micros::from_text(text).ok().map(|value| value.to_string()),
        Kind::Factor => crate::core::number::Factor::from_text(text).ok().map(|value| value.to_string()),
        Kind::Rate => crate::core::number::Rate::from_text(text).ok().map(|value| value.to_string()),
        Kind::Instant => {
            let mut moment: Option<chrono::DateTime<chrono::Utc>> = None;
            moment.fill(text).ok()?;
            serde_json::to_value(moment).ok()?.as_str().map(str::to_owned)
        }
        _ => None,
    };
    let column = columns(mapping.table()).iter().find(|column| column.name == name);
    column.and_then(|column| plain(column.kind)).unwrap_or_else(|| text.to_owned())
}

/// The fields of a draft that have a value, as text.
pub(crate) fn draft_texts(draft: &Draft) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let Ok(serde_json::Value::Object(outer)) = serde_json::to_value(draft) else { return texts };
    let Some(serde_json::Value::Object(fields)) = outer.into_iter().next().map(|(_, inner)| inner) else { return texts };
    for (name, value) in fields {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) if text.is_empty() => {}
            serde_json::Value::String(text) => texts.push((name, text)),
            serde_json::Value::Array(items) if items.is_empty() => {}
            serde_json::Value::Array(items) => {
                let parts: Vec<String> =
                    items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
                texts.push((name, parts.join(";")));
            }
            serde_json::Value::Object(attributes) if name == "attributes" => {
                for (attribute, value) in attributes {
                    let text = value.as_str().unwrap_or_default().to_owned();
                    // Columns that only later stages read are kept among the attributes.
                    if columns(draft.table()).iter().any(|column| column.name == attribute) {
                        texts.push((attribute, text));
                    } else {
                        texts.push((format!("attributes.{attribute}"), text));
                    }
                }
            }
            serde_json::Value::Object(_) => {}
            other => texts.push((name, other.to_string())),
        }
    }
    texts
}

/// Runs every in-file test of a mapping, in file order.
pub fn run(mapping: &Mapping) -> Vec<TestResult> {
    mapping.tests.iter().map(|test| test.run(mapping)).collect()
}
