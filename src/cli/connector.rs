//! `connector list`, `connector test NAME`: for the ERP admin; everything here only reads.

use super::app::{Failure, load_workspace};
use super::output::{Table, print_json};
use super::{Done, Global};
use crate::drivers::Driver;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum ConnectorCommand {
    /// Connectors of the workspace and what each can do
    List,
    /// Try address, log-in, rights and the first page, read-only
    Test {
        /// Connector name
        name: String,
    },
}

pub async fn run(command: ConnectorCommand, global: &Global) -> Result<Done, Failure> {
    let workspace = load_workspace(global)?;
    match command {
        ConnectorCommand::List => {
            if global.json {
                let values: Vec<_> = workspace
                    .connectors
                    .iter()
                    .map(|c| {
                        let (feeds, push): (Vec<_>, Vec<_>) = (c.feeds.keys().collect(), c.push.keys().collect());
                        serde_json::json!({ "connector": c.name, "driver": c.driver, "feeds": feeds, "push": push })
                    })
                    .collect();
                print_json(&values);
            } else {
                let mut table = Table::new(&["connector", "driver", "feeds", "push"]);
                for c in &workspace.connectors {
                    let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>().join(", ");
                    table.row(vec![
                        c.name.clone(),
                        c.driver.clone(),
                        names(c.feeds.keys().collect()),
                        names(c.push.keys().collect()),
                    ]);
                }
                table.print("no connectors; `rebated init DIR --connector NAME` copies one");
            }
            Ok(Done::Clean)
        }
        ConnectorCommand::Test { name } => {
            let Some(connector) = workspace.connector(&name) else {
                return Err(Failure::Use(format!("there is no connectors/{name}.toml")));
            };
            let checks = Driver::open(connector, &workspace.dir)?.test(chrono::Utc::now()).await;
            if global.json {
                print_json(&checks);
            } else {
                let mut table = Table::new(&["check", "result", "detail"]);
                for c in &checks {
                    table.row(vec![c.name.clone(), if c.ok { "ok".into() } else { "FAILED".into() }, c.detail.clone()]);
                }
                table.print("nothing to check");
            }
            Ok(if checks.iter().all(|c| c.ok) { Done::Clean } else { Done::Waiting })
        }
    }
}
