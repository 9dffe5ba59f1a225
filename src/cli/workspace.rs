//! `init`, `check`, `config show`.

use super::app::{Failure, load_workspace, overrides, runtime, workspace_dir};
use super::output::{Table, print_json};
use super::{Done, Global};
use crate::clock::Clock;
use crate::config::check::{Further, check_workspace, render};
use crate::config::init::{InitError, write_workspace};
use crate::config::{ConnectorConfig, LookupText, MappingFile, Workspace};
use crate::core::agreement::AgreementVersion;
use crate::core::problem::{Place, Problem, Problems};
use crate::drivers::Driver;
use crate::pipeline::{LogProgress, doubts, load};
use crate::store::{Store, latest_version};
use std::sync::Arc;
use std::time::Duration;

use crate::mapping::{LookupFile, Mapping, testcase};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

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
    let written = match write_workspace(&command.dir, &command.connectors) {
        Ok(written) => written,
        Err(InitError::Problem(problem)) => return Err(problem.into()),
        Err(error) => return Err(Failure::Failed(error.into())),
    };
    if global.json {
        print_json(&written);
    } else {
        for file in &written {
            println!("wrote {}", command.dir.join(file).display());
        }
        println!("next: rebated --workspace {} check", command.dir.display());
    }
    Ok(Done::Clean)
}

/// Compiles mappings, runs their tests, opens drivers; counts the tests.
#[derive(Default)]
struct Deeper {
    tests: usize,
}

impl Further for Deeper {
    fn mapping(&mut self, mapping: &MappingFile, lookups: &[LookupText]) -> Problems {
        let lookup = |name: &str| {
            let found = lookups.iter().find(|l| l.name == name)?;
            Some(LookupFile { name: found.path.clone(), text: found.text.clone() })
        };
        let compiled = match Mapping::compile(&mapping.path, &mapping.text, &lookup) {
            Ok(compiled) => compiled,
            Err(problems) => return problems,
        };
        let results = testcase::run(&compiled);
        self.tests += results.len();
        let failed = results.into_iter().filter(|r| !r.passed());
        Problems(
            failed
                .map(|r| {
                    Problem::new("mapping-test", format!("test `{}` fails: {}", r.name, r.failures.join("; ")))
                        .at(r.place)
                        .help("correct the fields or rules above it, or what the test expects")
                })
                .collect(),
        )
    }
    fn connector(&mut self, connector: &ConnectorConfig, dir: &Path) -> Problems {
        Driver::open(connector, dir).err().map_or_else(Problems::default, Problems::from)
    }
}

/// Asks every connector for what can be tried without changing anything.
async fn try_connectors(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for connector in &workspace.connectors {
        let Ok(driver) = Driver::open(connector, &workspace.dir) else { continue };
        for check in driver.test(chrono::Utc::now()).await.into_iter().filter(|c| !c.ok) {
            problems.push(
                Problem::new("connector-test", format!("{} {}: {}", connector.name, check.name, check.detail))
                    .at(Place::source(format!("connectors/{}.toml", connector.name)))
                    .help(format!("see `rebated connector test {}`", connector.name)),
            );
        }
    }
    problems
}

/// How long `check` waits for a database server: it is there to be looked at, not needed.
const STORE_WAIT: Duration = Duration::from_secs(3);

/// What only the store can tell of the agreement files: a version in force that was changed in place, a
/// hole in the versions, names that nobody knows. Without a store of this program's version there is
/// nothing to compare with.
async fn ask_store(global: &Global) -> Result<Option<Vec<Problem>>, Failure> {
    let workspace = load_workspace(global)?;
    let url = workspace.store_url();
    let file =
        url.strip_prefix("sqlite:").map(|path| path.trim_start_matches("//").split('?').next().unwrap_or_default().to_owned());
    if file.is_some_and(|file| !Path::new(&file).is_file()) {
        return Ok(None);
    }
    let Ok(Ok(store)) = tokio::time::timeout(STORE_WAIT, Store::connect(&url)).await else { return Ok(None) };
    if store.schema_version().await? != Some(latest_version()) {
        return Ok(None);
    }
    let runtime = runtime(workspace, store, Clock::System, Arc::new(LogProgress));
    let mut problems = load::refusals(&runtime).await?;
    let files = &runtime.workspace.agreements;
    let mut tx = runtime.store.read().await?;
    for doubt in doubts::of_agreements(&mut tx, files.iter().map(|(version, _)| version.clone()).collect()).await? {
        let of = |v: &AgreementVersion| format!("{} version {}", v.id, v.version) == doubt.subject;
        let place = files.iter().find(|(version, _)| of(version)).map_or(&doubt.subject, |(_, file)| &file.path);
        problems.push(
            Problem::new(&doubt.code, doubt.message).at(Place::source(place.as_str())).help(doubt.help.unwrap_or_default()),
        );
    }
    drop(tx);
    runtime.store.close().await;
    Ok(Some(problems))
}

pub async fn check(command: Check, global: &Global) -> Result<Done, Failure> {
    let mut deeper = Deeper::default();
    let mut report = check_workspace(&workspace_dir(global), &overrides(global), &mut deeper);
    let mut against = "no store to compare with";
    if report.problems.is_empty()
        && let Some(found) = ask_store(global).await?
    {
        report.problems = found;
        against = "compared with the store";
    }
    if command.online && report.problems.is_empty() {
        report.problems = try_connectors(&load_workspace(global)?).await;
    }
    if report.problems.iter().any(|p| p.code == "no-workspace") {
        return Err(Problems(report.problems).into());
    }
    let tests = deeper.tests;
    if global.json {
        print_json(&serde_json::json!({ "files": report.files, "problems": report.problems, "mapping_tests": tests }));
    } else if report.problems.is_empty() {
        println!(
            "{}: {} files, no problems; {tests} mapping tests passed; {against}",
            workspace_dir(global).display(),
            report.files.len()
        );
    } else {
        println!("{}", render(&report.problems).trim_end());
    }
    Ok(if report.problems.is_empty() { Done::Clean } else { Done::Waiting })
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
