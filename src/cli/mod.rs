//! The command line: one file per command. The only place for `anyhow`.
//!
//! Every command takes `--json` and prints a table otherwise; progress goes to stderr. Exit codes:
//! 0 done; 1 done, but something waits for a person; 2 wrong use or configuration; 3 failed, safe to
//! run again.

#[macro_use]
mod output;

mod accruals;
mod agreement;
mod app;
mod audit;
mod claim;
mod connector;
mod daemon;
mod db;
mod demo;
mod exception;
mod explain;
mod import;
mod mapping;
mod period;
mod progress;
mod reconcile;
pub mod reference;
mod replay;
mod run;
mod settlement;
mod statement;
mod user;
mod workspace;

use crate::core::problem::Problem;
use app::{App, Failure};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// B2B rebates at night, unattended, every cent right.
#[derive(Debug, Parser)]
#[command(name = "rebated", version)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Workspace folder; the current one by default
    #[arg(long, global = true, env = "REBATED_WORKSPACE", value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Store address, instead of the one in rebated.toml
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// One JSON document (or NDJSON for long lists) instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole nightly job on sample data, in a throw-away workspace
    Demo(demo::Demo),
    /// Write a new workspace
    Init(workspace::Init),
    /// Check every file: all problems at once, with place and help
    Check(workspace::Check),
    /// Show the configuration
    #[command(subcommand)]
    Config(workspace::ConfigCommand),
    /// Import a canonical table
    Import(import::Import),
    /// Agreements: import, list, show, text, submit, approve, reject
    #[command(subcommand)]
    Agreement(agreement::AgreementCommand),
    /// Execute a job once
    Run(run::Run),
    /// Runs so far
    Runs(run::Runs),
    /// Run schedules unattended until SIGTERM
    Daemon(daemon::Daemon),
    /// Earned, booked and settled figures
    Accruals(accruals::Accruals),
    /// The receipt of a figure, or the journey of a line
    Explain(explain::Explain),
    /// Settlements: list, show, propose, approve, reject, accept, push
    #[command(subcommand)]
    Settlement(settlement::SettlementCommand),
    /// Ship-and-debit claims: list
    #[command(subcommand)]
    Claim(claim::ClaimCommand),
    /// What a person has to decide
    #[command(subcommand)]
    Exception(exception::ExceptionCommand),
    /// Statements: list, show, send, resend
    #[command(subcommand)]
    Statement(statement::StatementCommand),
    /// Ours against theirs
    Reconcile(reconcile::Reconcile),
    /// Map archived documents again; shows the difference first
    Replay(replay::Replay),
    /// Accounting periods: list, close, reopen
    #[command(subcommand)]
    Period(period::PeriodCommand),
    /// The audit trail: verify, export
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Users and tokens
    #[command(subcommand)]
    User(user::UserCommand),
    /// The database: migrate, backup, verify
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Mappings: try one on a sample
    #[command(subcommand)]
    Mapping(mapping::MappingCommand),
    /// Connectors: list, test
    #[command(subcommand)]
    Connector(connector::ConnectorCommand),
}

/// Something waits for a person, or all is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing waits.
    Clean,
    /// Something waits for a person.
    Waiting,
}

/// Parses the arguments, runs the command, gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            output::print_failure(&wrong_use(&error), true);
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    crate::telemetry::init();
    // A second provider would make the choice ambiguous; the first one wins, so failing here is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(3);
        }
    };
    let json = cli.global.json;
    let result = runtime.block_on(dispatch(cli));
    if let (Ok(_), Some(error)) = (&result, output::trouble()) {
        eprintln!("error: the work is done, but its output could not be written: {error}");
        return ExitCode::from(3);
    }
    match result {
        Ok(Done::Clean) => ExitCode::SUCCESS,
        Ok(Done::Waiting) => ExitCode::from(1),
        Err(failure) => {
            output::print_failure(&failure, json);
            ExitCode::from(failure.code())
        }
    }
}

/// What clap says, as one problem: the first paragraph is what is wrong, the rest how to mend it.
fn wrong_use(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let (message, help) = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            ("a command is missing".to_owned(), "`--help` lists the commands".to_owned())
        }
        _ => {
            let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
            let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            (line(message.trim_start_matches("error: ")), line(rest))
        }
    };
    let problem = Problem::new("usage", message);
    if help.is_empty() { problem.into() } else { problem.help(help).into() }
}

async fn dispatch(cli: Cli) -> Result<Done, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Demo(command) => demo::run(command, &global).await,
        Command::Init(command) => workspace::init(&command, &global),
        Command::Check(command) => workspace::check(command, &global).await,
        Command::Config(command) => workspace::config(&command, &global),
        Command::Daemon(command) => daemon::run(command, &global).await,
        Command::Import(command) => import::run(command, &App::open(&global).await?).await,
        Command::Agreement(command) => agreement::run(command, &App::open(&global).await?).await,
        Command::Run(command) => run::run(command, &App::open_for_run(&global).await?).await,
        Command::Runs(command) => run::list(command, &App::open_for_run(&global).await?).await,
        Command::Accruals(command) => accruals::run(command, &App::open(&global).await?).await,
        Command::Explain(command) => explain::run(command, &App::open(&global).await?).await,
        Command::Settlement(command) => settlement::run(command, &App::open(&global).await?).await,
        Command::Claim(command) => claim::run(command, &App::open(&global).await?).await,
        Command::Exception(command) => exception::run(command, &App::open_for_run(&global).await?).await,
        Command::Statement(command) => statement::run(command, &App::open(&global).await?).await,
        Command::Reconcile(command) => reconcile::run(command, &App::open(&global).await?).await,
        Command::Replay(command) => replay::run(command, &App::open(&global).await?).await,
        Command::Period(command) => period::run(command, &App::open(&global).await?).await,
        Command::Audit(command) => audit::run(command, &App::open(&global).await?).await,
        Command::User(command) => user::run(command, &App::open(&global).await?).await,
        Command::Db(command) => db::run(command, &global).await,
        Command::Mapping(command) => mapping::run(command, &global),
        Command::Connector(command) => connector::run(command, &global).await,
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn no_command_has_arguments_that_contradict_each_other() {
        // Otherwise found only when somebody calls that very command.
        Cli::command().debug_assert();
    }
}
