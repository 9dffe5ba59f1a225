//! JSON Schemas (draft 2020-12) and reference tables out of the declarations of files.
//!
//! Not here: the declarations. Invariant: the output depends on the declarations alone, so a test
//! can compare the files in the repository with it.

use crate::config::shape::{Key, Kind, Need, Shape};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The JSON Schema of a file, for editors. `title` is shown by them.
pub fn json_schema(shape: &'static Shape, title: &str) -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
    });
    merge(&mut schema, object(shape));
    schema
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn object(shape: &'static Shape) -> Value {
    let Some(variants) = &shape.variants else { return plain(shape) };
    let tag = shape.key(variants.tag).copied();
    let words: Vec<&str> = match tag.map(|t| t.kind) {
        Some(Kind::Word(words) | Kind::WordOrLater(words, _)) => words.to_vec(),
        _ => Vec::new(),
    };
    let branches: Vec<Value> = words
        .into_iter()
        .map(|word| {
            let variant = variants.shapes.iter().find(|(w, _)| *w == word).map_or(shape, |(_, s)| *s);
            let mut branch = plain(variant);
            branch["properties"][variants.tag] = json!({ "const": word, "description": tag.map_or("", |t| t.doc) });
            branch
        })
        .collect();
    match <[Value; 1]>::try_from(branches) {
        Ok([only]) => only,
        Err(branches) => json!({ "description": shape.doc, "oneOf": branches }),
    }
}

fn plain(shape: &'static Shape) -> Value {
    let mut properties = Map::new();
    for key in shape.all_keys() {
        let mut value = kind(key.kind);
        value["description"] = key.doc.into();
        if let Need::Default(text) = key.need {
            value["default"] = default(key.kind, text);
        }
        properties.insert(key.name.to_owned(), value);
    }
    let required: Vec<&str> = shape.all_keys().filter(|k| k.need == Need::Required).map(|k| k.name).collect();
    let rest = shape.rest.map_or(Value::Bool(false), kind);
    let mut schema =
        json!({ "type": "object", "description": shape.doc, "properties": properties, "additionalProperties": rest });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn default(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Integer(..) => text.parse::<i64>().map_or(Value::Null, Value::from),
        Kind::Flag => Value::Bool(text == "true"),
        Kind::List(_) => text.split(", ").filter(|t| !t.is_empty()).collect(),
        _ => text.into(),
    }
}

fn kind(kind_of: Kind) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind_of {
        Kind::Text => json!({ "type": "string" }),
        Kind::Name => json!({ "type": "string", "minLength": 1 }),
        Kind::Integer(min, i64::MAX) => json!({ "type": "integer", "minimum": min }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Amount => pattern(r"^\+?[0-9]+(\.[0-9]+)?$"),
        Kind::Rate => pattern(r"^\+?[0-9]+(\.[0-9]+)?%$"),
        Kind::AmountOrRate => pattern(r"^\+?[0-9]+(\.[0-9]+)?%?$"),
        Kind::Date => pattern(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        Kind::MonthDay => pattern(r"^[0-9]{2}-[0-9]{2}$"),
        Kind::Duration => pattern(r"^([0-9]+(ms|s|m|h|d)|\$\{.+\})$"),
        Kind::Days => pattern(r"^[0-9]+d$"),
        Kind::Currency => pattern(r"^[A-Z]{3}$"),
        Kind::Zone | Kind::Url => json!({ "type": "string", "minLength": 1 }),
        Kind::Word(words) | Kind::WordOrLater(words, _) => json!({ "enum": words }),
        Kind::List(item) => json!({ "type": "array", "items": kind(*item) }),
        Kind::Table(shape) => object(shape),
        Kind::Tables(shape) => json!({ "type": "array", "items": object(shape) }),
        Kind::Map(item) => json!({ "type": "object", "additionalProperties": kind(*item) }),
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(|k| kind(*k)).collect::<Vec<_>>() }),
        Kind::Any => json!({}),
        Kind::Later(neutral) => json!({ "enum": neutral, "deprecated": true }),
    }
}

/// Reference tables of a file and of every table below it, in Markdown.
pub fn markdown(shape: &'static Shape) -> String {
    let mut text = String::new();
    let mut seen: Vec<*const Shape> = Vec::new();
    sections(shape, &mut seen, &mut text);
    text
}

fn sections(shape: &'static Shape, seen: &mut Vec<*const Shape>, text: &mut String) {
    if seen.contains(&std::ptr::from_ref(shape)) {
        return;
    }
    seen.push(shape);
    // Writing to a string cannot fail.
    let _ =
        write!(text, "\n## {}\n\n{}\n\n| key | holds | default | meaning |\n|---|---|---|---|\n", capital(shape.name), shape.doc);
    for key in shape.keys {
        let _ =
            writeln!(text, "| `{}` | {} | {} | {} |", key.name, holds(key.kind), default_text(key), key.doc.replace('|', "\\|"));
    }
    if let Some(base) = shape.base {
        let _ = writeln!(text, "\nBeside the keys of {}.", base.name);
    }
    let mut below: Vec<&'static Shape> = shape.keys.iter().filter_map(|k| crate::config::reader::table_shape(k.kind)).collect();
    below.extend(shape.variants.iter().flat_map(|v| v.shapes.iter().map(|(_, s)| *s)));
    for shape in below {
        sections(shape, seen, text);
    }
}

fn capital(name: &str) -> String {
    let bare = name.strip_prefix("a ").or_else(|| name.strip_prefix("an ")).unwrap_or(name);
    let mut chars = bare.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn default_text(key: &Key) -> String {
    match key.need {
        Need::Required => "**required**".to_owned(),
        Need::Optional => String::new(),
        Need::Default(text) => format!("`{text}`"),
    }
}

fn holds(kind: Kind) -> String {
    let words = |words: &[&str]| words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Text | Kind::Name => "text".into(),
        Kind::Integer(min, i64::MAX) => format!("whole number from {min}"),
        Kind::Integer(min, max) => format!("whole number {min} to {max}"),
        Kind::Flag => "`true`, `false`".into(),
        Kind::Amount => "amount `\"1000.00\"`".into(),
        Kind::Rate => "percentage `\"2.5%\"`".into(),
        Kind::AmountOrRate => "amount or percentage".into(),
        Kind::Date => "date `\"2026-01-31\"`".into(),
        Kind::MonthDay => "month and day `\"03-01\"`".into(),
        Kind::Duration => "time span `\"10m\"`".into(),
        Kind::Days => "days `\"7d\"`".into(),
        Kind::Currency => "ISO 4217 code".into(),
        Kind::Zone => "IANA time zone".into(),
        Kind::Url => "address".into(),
        Kind::Word(known) => words(known),
        Kind::WordOrLater(known, later) => format!("{}; later: {}", words(known), words(later)),
        Kind::List(item) => format!("list of: {}", holds(*item)),
        Kind::Table(shape) => format!("table: {}", shape.name),
        Kind::Tables(shape) => format!("list of tables: {}", shape.name),
        Kind::Map(item) => format!("named: {}", holds(*item)),
        Kind::Either(kinds) => kinds.iter().map(|k| holds(*k)).collect::<Vec<_>>().join(" or "),
        Kind::Any => "any value".into(),
        Kind::Later([]) => "not yet supported".into(),
        Kind::Later(neutral) => format!("{} only", words(neutral)),
    }
}
