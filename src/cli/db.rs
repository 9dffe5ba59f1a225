//! `db migrate`, `db backup FILE`, `db verify`.

use super::app::{Failure, load_workspace};
use super::output::{print_done, print_json};
use super::{Done, Global};
use crate::core::problem::Problem;
use crate::store::Store;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Bring the schema up to date
    Migrate,
    /// Write a consistent copy; never overwrites a file
    Backup {
        /// File to write
        file: PathBuf,
    },
    /// Check structure, audit chain and every archived document against its hash
    Verify,
}

pub async fn run(command: DbCommand, global: &Global) -> Result<Done, Failure> {
    let workspace = load_workspace(global)?;
    if let DbCommand::Backup { file } = &command
        && file.exists()
    {
        let problem = Problem::new("file-exists", format!("{} exists; a backup never overwrites one", file.display()));
        return Err(problem.help("name a new file").into());
    }
    let store = Store::open(&workspace.store_url()).await?;
    match command {
        DbCommand::Migrate => {
            let version = store.schema_version().await?.unwrap_or(0);
            print_done(global.json, serde_json::json!({ "schema_version": version }), format_args!("schema version {version}"));
        }
        DbCommand::Backup { file } => {
            store.backup(&file).await?;
            let bytes = std::fs::metadata(&file).map_err(anyhow::Error::from)?.len();
            let value = serde_json::json!({ "file": file, "bytes": bytes });
            print_done(global.json, value, format_args!("backup written to {}", file.display()));
        }
        DbCommand::Verify => {
            let found = store.verify().await?;
            if global.json {
                print_json(&found);
            } else {
                println!(
                    "schema version {}, {} audit rows, {} archived documents: {}",
                    found.schema_version,
                    found.audit_rows,
                    found.archived_documents,
                    if found.problems.is_empty() { "all intact".to_owned() } else { found.problems.join("; ") }
                );
            }
            if !found.problems.is_empty() {
                return Ok(Done::Waiting);
            }
        }
    }
    Ok(Done::Clean)
}
