//! The generated parts of the reference page of mappings: keys, canonical columns.
//!
//! A test compares them with `docs/reference/mapping.md`, so that the page cannot fall behind.

use crate::config::checks::kind_name;
use crate::config::reader::table_shape;
use crate::config::shape::{Kind, Need, Shape};
use crate::core::master::Table;
use crate::mapping::canonical::{columns, keeps_attributes};
use crate::mapping::shape::{FIELD, MAPPING};
use std::fmt::Write as _;

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn keys_of(shape: &'static Shape, out: &mut String, done: &mut Vec<&'static str>) {
    if done.contains(&shape.name) {
        return;
    }
    done.push(shape.name);
    let _ = write!(out, "### {}\n\n{}\n\n| key | holds | default | meaning |\n|---|---|---|---|\n", shape.name, shape.doc);
    for key in shape.keys {
        let holds = match key.kind {
            Kind::Word(words) => words.join(", "),
            kind => kind_name(kind).to_owned(),
        };
        let default = match key.need {
            Need::Required => "required".to_owned(),
            Need::Optional => String::new(),
            Need::Default(text) => format!("`{text}`"),
        };
        let _ = writeln!(out, "| `{}` | {} | {} | {} |", key.name, cell(&holds), cell(&default), cell(key.doc));
    }
    out.push('\n');
    for key in shape.keys {
        if let Some(nested) = table_shape(key.kind) {
            keys_of(nested, out, done);
        }
    }
}

/// Every key of a mapping file, as Markdown tables.
pub fn keys() -> String {
    let mut out = String::new();
    let mut done = Vec::new();
    keys_of(&MAPPING, &mut out, &mut done);
    keys_of(&FIELD, &mut out, &mut done);
    out
}

/// Every column of every canonical table, as Markdown tables.
pub fn tables() -> String {
    let mut out = String::new();
    for (name, table) in Table::WORDS {
        let attributes = if keeps_attributes(*table) { "; keeps `attributes.*`" } else { "" };
        let _ = write!(
            out,
            "### {name}\n\nTarget `{}`{attributes}.\n\n| column | holds | meaning |\n|---|---|---|\n",
            table.row_word()
        );
        for column in columns(*table) {
            let required = if column.required { ", required" } else { "" };
            let _ = writeln!(out, "| `{}` | {}{required} | {} |", column.name, column.kind, cell(column.doc));
        }
        out.push('\n');
    }
    out
}
