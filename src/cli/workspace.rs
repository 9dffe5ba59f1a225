//! `init`, `check`, `config show`.

use super::app::{Failure, load_workspace, workspace_dir};
use super::output::{Table, print_json, print_problems};
use super::{Done, Global};
use crate::core::problem::{Problem, Problems};
use crate::drivers::Driver;
use crate::mapping::testcase;
use crate::pipeline::catalog;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Init {
    /// Folder to write
    dir: PathBuf,
    /// Copy the files of a shipped connector
    #[arg(long = "connector", value_name = "NAME")]
    connectors: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Also try each connector, read-only
    #[arg(long)]
    online: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every value with its origin, secrets masked
    Show,
}

pub fn init(command: &Init, global: &Global) -> Result<Done, Failure> {
    let written: Vec<String> = Vec::new();
    if global.json {
        print_json(&written);
    } else {
        for file in &written {
            println!("wrote {file}");
        }
        println!("next: rebated --workspace {} check", command.dir.display());
    }
    Ok(Done::Clean)
}

pub async fn check(command: Check, global: &Global) -> Result<Done, Failure> {
    let mut problems = Problems::default();
    let mut tests = 0;
    match load_workspace(global) {
        Err(Failure::Problems(found)) => problems = found,
        Err(other) => return Err(other),
        Ok(workspace) => {
            for file in &workspace.mappings {
                match catalog::mapping(&workspace, &file.name) {
                    Ok(Some(mapping)) => {
                        for result in testcase::run(&mapping) {
                            tests += 1;
                            if !result.passed() {
                                problems.push(
                                    Problem::new(
                                        "mapping-test",
                                        format!("test `{}` fails: {}", result.name, result.failures.join("; ")),
                                    )
                                    .at(result.place.clone()),
                                );
                            }
                        }
                    }
                    Ok(None) => {}
                    Err(crate::pipeline::PipelineError::Problems(found)) => problems.0.extend(found.0),
                    Err(other) => return Err(other.into()),
                }
            }
            for connector in &workspace.connectors {
                match Driver::open(connector, &workspace.dir) {
                    Err(problem) => problems.push(problem),
                    Ok(driver) if command.online => {
                        for check in driver.test(chrono::Utc::now()).await.into_iter().filter(|c| !c.ok) {
                            problems.push(
                                Problem::new("connector-test", format!("{} {}: {}", connector.name, check.name, check.detail))
                                    .help(format!("see `rebated connector test {}`", connector.name)),
                            );
                        }
                    }
                    Ok(_) => {}
                }
            }
        }
    }
    if global.json {
        print_json(&serde_json::json!({ "problems": problems.0, "mapping_tests": tests }));
    } else if problems.0.is_empty() {
        println!("{}: no problems; {tests} mapping tests passed", workspace_dir(global).display());
    } else {
        print_problems(&problems.0);
    }
    Ok(if problems.0.is_empty() { Done::Clean } else { Done::Waiting })
}

pub fn config(_: &ConfigCommand, global: &Global) -> Result<Done, Failure> {
    let workspace = load_workspace(global)?;
    if global.json {
        print_json(&workspace.shown);
    } else {
        let mut table = Table::new(&["key", "value", "from"]);
        for s in &workspace.shown {
            table.row(vec![s.key.clone(), s.value.to_string().trim_matches('"').to_owned(), s.origin.clone()]);
        }
        table.print("nothing is configured");
    }
    Ok(Done::Clean)
}
