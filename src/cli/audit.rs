//! `audit verify`, `audit export`.

use super::Done;
use super::app::{App, Failure};
use super::output::print_json;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the whole chain; names the first row that does not fit
    Verify,
    /// The whole trail as NDJSON
    Export,
}

pub async fn run(command: AuditCommand, app: &App) -> Result<Done, Failure> {
    let mut tx = app.store().read().await?;
    match command {
        AuditCommand::Verify => match tx.verify_audit().await? {
            Ok(rows) => {
                if app.json {
                    print_json(&serde_json::json!({ "rows": rows, "intact": true }));
                } else {
                    println!("{rows} rows, the chain is intact");
                }
                Ok(Done::Clean)
            }
            Err(id) => {
                if app.json {
                    print_json(&serde_json::json!({ "first_bad_row": id, "intact": false }));
                } else {
                    println!("row {id} does not fit the chain: it or one before it was changed, removed or added");
                }
                Ok(Done::Waiting)
            }
        },
        AuditCommand::Export => {
            for row in tx.audit_rows().await? {
                println!("{}", serde_json::to_string(&row).map_err(anyhow::Error::from)?);
            }
            Ok(Done::Clean)
        }
    }
}
