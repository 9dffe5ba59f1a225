//! `replay [--mapping M] [--apply]`: archived documents are mapped again; the difference comes first.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json, print_problems};
use crate::core::rights::Action;
use crate::pipeline::replay::replay;
use clap::Args;

#[derive(Debug, Args)]
pub struct Replay {
    /// Only documents that this mapping reads; all mappings by default
    #[arg(long)]
    mapping: Option<String>,
    /// Only documents received on or after this day
    #[arg(long, value_name = "DAY")]
    since: Option<chrono::NaiveDate>,
    /// Write the difference
    #[arg(long)]
    apply: bool,
}

pub async fn run(command: Replay, app: &App) -> Result<Done, Failure> {
    // What it writes changes figures: somebody answers for it.
    let subject = command.mapping.as_deref().unwrap_or("all mappings");
    let actor = if command.apply { app.permitted(Action::ApplyReplay, subject).await?.name } else { "console".to_owned() };
    let report = replay(&app.runtime, command.mapping.as_deref(), command.since, command.apply, &actor, app.today()).await?;
    if app.json {
        print_json(&report);
    } else {
        let mut table = Table::new(&["document", "what", "net before", "net after"]);
        for c in &report.changes {
            table.row(vec![c.document.clone(), c.what.clone(), c.before.clone(), c.after.clone()]);
        }
        table.print("no document would change");
        print_problems(&report.problems);
        println!(
            "{} documents read again, {} rows refused, {}",
            report.archives,
            report.refused,
            if command.apply { "difference written" } else { "nothing written; --apply writes it" }
        );
    }
    Ok(if report.refused > 0 { Done::Waiting } else { Done::Clean })
}
