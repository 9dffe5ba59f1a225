//! Files of authorisations that terms name: read with the agreements, checked as a whole, each load audited.
//!
//! A file that cannot be taken leaves what was known of it in force, like an agreement file.

use super::ship_and_debit::terms_of;
use crate::core::agreement::AgreementVersion;
use crate::core::master::{Draft, Table};
use crate::core::problem::Problem;
use crate::pipeline::named_table::{self, NamedTable, Wanted};
use crate::pipeline::{PipelineResult, Runtime};
use crate::store::Tx;
use std::path::PathBuf;

/// Where the hash of a file is kept that was taken.
const TAKEN: &str = "authorization-file";

const WANTED: Wanted =
    Wanted { table: Table::Authorizations, of: "authorisations", instead: "leave `authorizations` out and import them" };

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
        for draft in &file.rows {
            if let Draft::Authorization(row) = draft {
                tx.put_authorization(&file.name, row, 0).await?;
            }
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

fn read(version: &AgreementVersion, source: &str, folders: &[PathBuf]) -> Vec<Result<NamedTable, Vec<Problem>>> {
    let mut names: Vec<&str> = Vec::new();
    for term in terms_of(std::slice::from_ref(version)) {
        names.extend(term.rule.authorizations.as_deref().filter(|name| !names.contains(name)));
    }
    names.into_iter().map(|name| named_table::read(WANTED, name, source, folders)).collect()
}
