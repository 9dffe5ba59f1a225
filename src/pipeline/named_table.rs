//! Canonical tables that agreement files name: looked for beside them, read as a whole or refused.
//!
//! Not here: what becomes of the rows. Invariant: nothing outside the given folders is read.

use crate::core::hash::sha256_hex;
use crate::core::master::{Draft, Table};
use crate::core::problem::{Place, Problem};
use crate::formats::{Format, FormatError};
use crate::mapping::canonical::read_table;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

/// A table with its rows.
pub struct NamedTable {
    /// Name as the agreement says it.
    pub name: String,
    /// Hash of the file.
    pub sha256: String,
    /// Its rows.
    pub rows: Vec<Draft>,
}

/// Which table is wanted.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Its columns.
    pub table: Table,
    /// What its rows are called.
    pub of: &'static str,
    /// What else can be done where there is no such file.
    pub instead: &'static str,
}

/// Folders in which the tables of a workspace's agreements are looked for.
pub fn folders(workspace: &Path) -> Vec<PathBuf> {
    vec![workspace.join("agreements"), workspace.to_path_buf()]
}

/// Reads a table, looked for in the folders in turn. `source` is the agreement file in messages.
///
/// # Errors
/// Every problem of the file, or that there is none.
pub fn read(wanted: Wanted, name: &str, source: &str, folders: &[PathBuf]) -> Result<NamedTable, Vec<Problem>> {
    let refused =
        |code: &str, message: String, help: &str| vec![Problem::new(code, message).at(Place::source(source)).help(help)];
    if !Path::new(name).components().all(|c| matches!(c, Component::Normal(_))) {
        let message = format!("`{name}` leads out of the folder");
        return Err(refused("bad-path", message, "put the file beside the agreement file and name it without a path"));
    }
    let Some(path) = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) else {
        let message = format!("there is no file `{name}` with {}", wanted.of);
        return Err(refused("missing-file", message, &format!("put it beside the agreement file, or {}", wanted.instead)));
    };
    let unreadable =
        |why: &dyn std::fmt::Display, help: &str| refused("unreadable-file", format!("`{name}` cannot be read: {why}"), help);
    let bytes = std::fs::read(&path).map_err(|e| unreadable(&e, "see its permissions"))?;
    let Some(mut format) = Format::from_name(&name.to_ascii_lowercase()) else {
        return Err(refused("unknown-format", format!("`{name}` is none of .csv, .xlsx, .ndjson"), "save it as CSV"));
    };
    if let Format::Csv(options) = &mut format {
        options.line_end_required = true;
    }
    let mut rows = Vec::new();
    let read = read_table(wanted.table, &format, &mut bytes.as_slice(), name, &mut |draft| {
        rows.push(draft);
        ControlFlow::Continue(())
    });
    match read {
        Ok(_) => Ok(NamedTable { name: name.to_owned(), sha256: sha256_hex(&bytes), rows }),
        Err(FormatError::Refused(problems)) => Err(problems.0),
        Err(FormatError::Io(e)) => Err(unreadable(&e, "see the file")),
    }
}
