//! `audit verify`, `audit export`.

use super::Done;
use super::app::{App, Failure};
use super::output::print_json;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the whole chain; names the first row that does not fit
    Verify {
        /// A chain head kept elsewhere, as statements carry it: rows cut off or written anew since then show
        #[arg(long)]
        head: Option<String>,
    },
    /// The whole trail as NDJSON
    Export,
}

pub async fn run(command: AuditCommand, app: &App) -> Result<Done, Failure> {
    let mut tx = app.store().read().await?;
    match command {
        AuditCommand::Verify { head } => match tx.verify_audit().await? {
            Ok(rows) => {
                let now = tx.audit_head().await?;
                let gone = match &head {
                    Some(head) => !tx.audit_rows().await?.iter().any(|row| row.hash == head.trim().to_ascii_lowercase()),
                    None => false,
                };
                if app.json {
                    print_json(
                        &serde_json::json!({ "rows": rows, "intact": !gone, "head": now, "head_found": head.map(|_| !gone) }),
                    );
                } else if gone {
                    println!("{rows} rows, and none has that head: rows were cut off or all written anew since it was kept");
                } else {
                    println!("{rows} rows, the chain is intact; head {}", now.unwrap_or_default());
                }
                Ok(if gone { Done::Waiting } else { Done::Clean })
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
