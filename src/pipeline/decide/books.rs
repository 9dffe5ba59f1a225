//! Files of authorisations that terms name: read with the agreements, checked as a whole, each load audited.
//!
//! A file that cannot be taken leaves what was known of it in force, like an agreement file.

use super::ship_and_debit::terms_of;
use crate::core::agreement::AgreementVersion;
use crate::core::hash::sha256_hex;
use crate::core::master::{Draft, DraftAuthorization, Table};
use crate::core::problem::{Place, Problem};
use crate::formats::{Format, FormatError};
use crate::mapping::canonical::read_table;
use crate::pipeline::{PipelineResult, Runtime};
use crate::store::Tx;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Where the hash of a file is kept that was taken.
const TAKEN: &str = "authorization-file";

/// A file with its rows.
struct ReadFile {
    name: String,
    sha256: String,
    rows: Vec<DraftAuthorization>,
}

/// Takes the files that the terms of a version name, looked for in the folders in turn. Gives what is wrong with them.
pub async fn take(
    runtime: &Runtime,
    tx: &mut Tx,
    version: &AgreementVersion,
    source: &str,
    folders: &[PathBuf],
    by: &str,
) -> PipelineResult<Vec<Problem>> {
    let mut problems = Vec::new();
    for found in read(version, source, folders) {
        let file = match found {
            Ok(file) => file,
            Err(refused) => {
                problems.extend(refused);
                continue;
            }
        };
        if !tx.put_canonical_row(TAKEN, &file.name, &file.sha256, 0).await? {
            continue;
        }
        tx.clear_authorizations(&file.name).await?;
        for row in &file.rows {
            tx.put_authorization(&file.name, row, 0).await?;
        }
        tx.mark_claims(&format!("{} was changed", file.name)).await?;
        let detail = serde_json::json!({ "sha256": file.sha256, "rows": file.rows.len() });
        tx.audit(runtime.clock.now(), by, "authorizations load", &file.name, "done", &detail).await?;
    }
    Ok(problems)
}

/// What is wrong with the files that the terms of a version name.
pub fn problems(version: &AgreementVersion, source: &str, folders: &[PathBuf]) -> Vec<Problem> {
    read(version, source, folders).into_iter().filter_map(Result::err).flatten().collect()
}

/// Folders in which the files of a workspace's agreements are looked for.
pub fn folders(workspace: &Path) -> Vec<PathBuf> {
    vec![workspace.join("agreements"), workspace.to_path_buf()]
}

fn read(version: &AgreementVersion, source: &str, folders: &[PathBuf]) -> Vec<Result<ReadFile, Vec<Problem>>> {
    let mut names: Vec<&str> = Vec::new();
    for term in terms_of(std::slice::from_ref(version)) {
        names.extend(term.rule.authorizations.as_deref().filter(|name| !names.contains(name)));
    }
    names.into_iter().map(|name| read_file(name, source, folders)).collect()
}

fn read_file(name: &str, source: &str, folders: &[PathBuf]) -> Result<ReadFile, Vec<Problem>> {
    let refused =
        |code: &str, message: String, help: &str| vec![Problem::new(code, message).at(Place::source(source)).help(help)];
    let inside = Path::new(name).components().all(|c| matches!(c, std::path::Component::Normal(_)));
    if !inside {
        let message = format!("`{name}` leads out of the folder");
        return Err(refused("bad-path", message, "put the file beside the agreement file and name it without a path"));
    }
    let Some(path) = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) else {
        let message = format!("there is no file `{name}` with authorisations");
        let help = "put it beside the agreement file, or leave `authorizations` out and import them";
        return Err(refused("missing-file", message, help));
    };
    let bytes = std::fs::read(&path)
        .map_err(|e| refused("unreadable-file", format!("`{name}` cannot be read: {e}"), "see its permissions"))?;
    let Some(mut format) = Format::from_name(&name.to_ascii_lowercase()) else {
        return Err(refused("unknown-format", format!("`{name}` is none of .csv, .xlsx, .ndjson"), "save it as CSV"));
    };
    if let Format::Csv(options) = &mut format {
        options.line_end_required = true;
    }
    let mut rows = Vec::new();
    let read = read_table(Table::Authorizations, &format, &mut bytes.as_slice(), name, &mut |draft| {
        if let Draft::Authorization(row) = draft {
            rows.push(*row);
        }
        ControlFlow::Continue(())
    });
    match read {
        Ok(_) => Ok(ReadFile { name: name.to_owned(), sha256: sha256_hex(&bytes), rows }),
        Err(FormatError::Refused(problems)) => Err(problems.0),
        Err(FormatError::Io(e)) => Err(refused("unreadable-file", format!("`{name}` cannot be read: {e}"), "see the file")),
    }
}
