//! Layers of `rebated.toml`: embedded defaults < file < `REBATED_*` variables < flags.
//!
//! Every value remembers the layer that gave it, so that `config show` can say so. Not here: what
//! the keys mean (`rebated_file`). Invariant: a key of a higher layer replaces the value of a lower
//! one; tables are merged key by key, except a table whose keys depend on one of them (a mail
//! transport), which is replaced whole.

use crate::config::rebated_file::REBATED;
use crate::config::shape::{Key, Kind, Shape, nearest};
use crate::config::source::{Layer, Source};
use crate::config::tree::{Entry, Node, Table, Text, Value};
use crate::config::variables::{Variables, mask_given};
use crate::core::problem::{Place, Problem, Problems};
use serde::Serialize;
use std::sync::Arc;

/// The embedded defaults, which document every key.
pub const DEFAULTS: &str = include_str!("default.toml");

/// One value of the configuration with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Dotted path of the key.
    pub key: String,
    /// The value, secrets as `***`.
    pub value: serde_json::Value,
    /// `default`, `file`, `variable` or `flag`.
    pub layer: &'static str,
    /// Where exactly: `rebated.toml:3:8`, `REBATED_STORE_URL`, `--store`.
    pub origin: String,
}

/// Merges all layers. `file` is the parsed `rebated.toml`, variables already put in.
pub fn merge(file: Table, variables: &Variables, flags: &[(String, String)], problems: &mut Problems) -> Table {
    let source = file.source.clone();
    let defaults = Source::new("default.toml", DEFAULTS, Layer::Default);
    let mut merged = match Table::parse(&defaults) {
        Ok(table) => table,
        Err(found) => {
            problems.0.extend(found.0);
            Table::empty(&defaults)
        }
    };
    relocate(&mut merged, &source);
    overlay(&mut merged, file, &REBATED);
    let mut given = Vec::new();
    for (name, value) in variables.with_prefix("REBATED_") {
        match path_of(name) {
            Lookup::Key(path) => given.push((path, Source::new(name, value, Layer::Variable))),
            Lookup::Unknown(near) => {
                let problem =
                    Problem::new("unknown-key", format!("`{name}` names no key of rebated.toml")).at(Place::source(name));
                problems.push(match near {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help("a variable is the key's name in capitals, such as REBATED_STORE_URL for store.url"),
                });
            }
            Lookup::Other => {}
        }
    }
    // The kind of a transport is set before its other keys.
    given.sort_by_key(|(path, _)| path.last() != Some(&"type"));
    given.iter().for_each(|(path, source)| set(&mut merged, path, source));
    for (key, value) in flags {
        let path: Vec<&str> = key.split('.').collect();
        // The only key that has a flag of its own.
        let flag = if key == "store.url" { "--store".to_owned() } else { format!("--set {key}") };
        if leaves().contains(&path) {
            set(&mut merged, &path, &Source::new(&flag, value, Layer::Flag));
        } else {
            let all = leaves().iter().map(|l| l.join(".")).collect::<Vec<_>>();
            let problem =
                Problem::new("unknown-key", format!("`{key}` is not a key of rebated.toml")).at(Place::source(flag.as_str()));
            problems.push(match nearest(key, all.iter().map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("name the key as section.key, such as store.url"),
            });
        }
    }
    merged
}

/// Lets tables that only the defaults name count as standing at the start of the user's file, where
/// a missing key has to be added. Values keep their own place.
fn relocate(table: &mut Table, source: &Arc<Source>) {
    table.source = source.clone();
    table.span = 0..0;
    for entry in &mut table.entries {
        if let Value::Table(below) = &mut entry.node.value {
            relocate(below, source);
        }
    }
}

fn overlay(lower: &mut Table, upper: Table, shape: &'static Shape) {
    lower.source = upper.source;
    lower.span = upper.span;
    for entry in upper.entries {
        let below = match shape.key(&entry.key).map(|k| k.kind) {
            Some(Kind::Table(below)) if below.variants.is_none() => Some(below),
            _ => None,
        };
        let existing = lower.entries.iter_mut().find(|e| e.key == entry.key);
        match (existing, entry.node.value, below) {
            (Some(Entry { node: Node { value: Value::Table(lower), .. }, .. }), Value::Table(upper), Some(below)) => {
                overlay(lower, upper, below);
            }
            (Some(existing), value, _) => *existing = Entry { node: Node { value, ..entry.node }, ..entry },
            (None, value, _) => lower.entries.push(Entry { node: Node { value, ..entry.node }, ..entry }),
        }
    }
}

/// Sets a leaf from a text, typed by what its key holds.
fn set(table: &mut Table, path: &[&str], source: &Arc<Source>) {
    let written = source.text();
    let mut kind = Kind::Table(&REBATED);
    for part in path {
        let Kind::Table(shape) = kind else { break };
        kind = keys_of(shape).find(|k| k.name == *part).map_or(Kind::Any, |k| k.kind);
    }
    let value = match kind {
        Kind::Integer(..) => written.parse().map_or_else(|_| Value::Text(Text::plain(written)), Value::Integer),
        Kind::Flag if written == "true" || written == "false" => Value::Flag(written == "true"),
        _ => {
            let mut text = Text::plain(written);
            mask_given(path.last().unwrap_or(&""), &mut text);
            Value::Text(text)
        }
    };
    let node = Node { value, source: source.clone(), span: 0..written.len() };
    place_leaf(table, path, node);
}

fn place_leaf(table: &mut Table, path: &[&str], node: Node) {
    let [first, rest @ ..] = path else { return };
    let source = node.source.clone();
    if table.get(first).is_none() {
        let below = Node { value: Value::Table(Table::empty(&source)), source: source.clone(), span: 0..0 };
        table.entries.push(Entry { key: (*first).to_owned(), key_span: 0..0, node: below });
    }
    let Some(entry) = table.entries.iter_mut().find(|e| e.key == *first) else { return };
    if rest.is_empty() {
        *entry = Entry { key: entry.key.clone(), key_span: 0..0, node };
    } else if let Value::Table(below) = &mut entry.node.value {
        // Another kind of transport has other keys: those of the old kind go.
        if rest == ["type"] && below.get("type").and_then(Node::as_text) != node.as_text() {
            below.entries.clear();
        }
        place_leaf(below, rest, node);
    }
}

fn keys_of(shape: &'static Shape) -> impl Iterator<Item = &'static Key> {
    let variants = shape.variants.iter().flat_map(|v| v.shapes.iter().flat_map(|(_, s)| s.keys.iter()));
    shape.keys.iter().chain(variants)
}

/// Paths of every key that is not a table.
fn leaves() -> Vec<Vec<&'static str>> {
    fn below(shape: &'static Shape, path: &[&'static str], into: &mut Vec<Vec<&'static str>>) {
        for key in keys_of(shape) {
            let path = [path, &[key.name]].concat();
            match key.kind {
                Kind::Table(shape) => below(shape, &path, into),
                _ => into.push(path),
            }
        }
    }
    let mut found = Vec::new();
    below(&REBATED, &[], &mut found);
    found
}

enum Lookup {
    Key(Vec<&'static str>),
    Unknown(Option<String>),
    Other,
}

/// Variables that the program reads itself, and beginnings of those of its tests and benches.
const OWN_VARIABLES: [&str; 8] = ["WORKSPACE", "TOKEN", "LOG", "LOG_FORMAT", "KILL_AT", "TEST_", "TESTS_", "BENCH_"];

/// The key that a variable sets. One that starts with no section's name, and looks like no key, is
/// somebody else's.
fn path_of(variable: &str) -> Lookup {
    let name = |path: &[&str]| format!("REBATED_{}", path.join("_").to_uppercase());
    let all = leaves();
    let wanted = variable.replace("__", "_");
    if let Some(path) = all.iter().find(|path| name(path) == wanted) {
        return Lookup::Key(path.clone());
    }
    if !REBATED.keys.iter().any(|k| wanted.starts_with(&format!("{}_", name(&[k.name])))) {
        // Without what they all begin with, which would make everything look alike.
        let bare = wanted.trim_start_matches("REBATED_");
        let own = OWN_VARIABLES.iter().any(|known| bare == *known || (known.ends_with('_') && bare.starts_with(known)));
        let keys: Vec<String> = all.iter().map(|p| p.join("_").to_uppercase()).collect();
        return match nearest(bare, keys.iter().map(String::as_str)).filter(|_| !own) {
            Some(near) => Lookup::Unknown(Some(format!("REBATED_{near}"))),
            None => Lookup::Other,
        };
    }
    let names: Vec<_> = all.iter().map(|p| name(p)).collect();
    Lookup::Unknown(nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned))
}

/// Every value of the merged layers with its origin, in the order of the documentation.
pub fn show(merged: &Table) -> Vec<Shown> {
    fn below(table: &Table, path: &str, into: &mut Vec<Shown>) {
        for entry in &table.entries {
            let key = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            if let Value::Table(table) = &entry.node.value {
                below(table, &key, into);
                continue;
            }
            let (layer, origin) = match entry.node.source.layer {
                Layer::Default => ("default", "default".to_owned()),
                Layer::File => ("file", entry.node.place().to_string()),
                Layer::Variable => ("variable", entry.node.source.name.to_string()),
                Layer::Flag => ("flag", entry.node.source.name.to_string()),
            };
            into.push(Shown { key, value: entry.node.to_shown_json(), layer, origin });
        }
    }
    let mut found = Vec::new();
    below(merged, "", &mut found);
    found
}
