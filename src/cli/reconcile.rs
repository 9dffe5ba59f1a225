//! `reconcile --against memos [FILE]`: ours against theirs, by reference only.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::core::master::Table as Canonical;
use crate::pipeline::import::import_table;
use crate::pipeline::reconcile::memos;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Reconcile {
    /// What to compare with
    #[arg(long, default_value = "memos")]
    against: Against,
    /// A canonical memos table to import first
    file: Option<PathBuf>,
    /// Connector to compare with (`--against source`)
    #[arg(long, required_if_eq("against", "source"))]
    connector: Option<String>,
    /// Feed to compare with
    #[arg(long, default_value = "invoices")]
    feed: String,
    /// Days back
    #[arg(long, default_value_t = 90)]
    days: i64,
}

/// The other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// Credit memos as the ERP shows them.
    Memos,
    /// The full list of a connector's feed: finds what a cursor missed and what vanished.
    Source,
}

pub async fn run(command: Reconcile, app: &App) -> Result<Done, Failure> {
    if let (Against::Source, Some(connector)) = (command.against, &command.connector) {
        return source(&command, connector, app).await;
    }
    if let Some(file) = &command.file {
        let r = &app.runtime;
        import_table(&r.store, &r.settings, Canonical::Memos, file, app.today(), r.clock.now(), &mut |_| {}).await?;
    }
    let found = memos(app.store(), &app.runtime.workspace.config.reconcile.tolerance()).await?;
    if app.json {
        print_json(&found);
    } else {
        let mut table = Table::new(&["reference", "ours", "theirs", "difference", "limit", "result"]);
        for r in &found.rows {
            table.row(vec![
                r.reference.clone(),
                r.ours_text(),
                r.theirs_text(),
                r.difference.clone().unwrap_or_default(),
                r.limit.clone().unwrap_or_default(),
                r.result.clone(),
            ]);
        }
        table.print("nothing to compare");
        println!("{}", found.summary());
    }
    Ok(if found.exceptions > 0 { Done::Waiting } else { Done::Clean })
}

async fn source(command: &Reconcile, connector: &str, app: &App) -> Result<Done, Failure> {
    let since = app.runtime.clock.now() - chrono::TimeDelta::days(command.days);
    let found = crate::pipeline::compare::feed(&app.runtime, connector, &command.feed, since, app.today()).await?;
    if app.json {
        print_json(&found);
    } else {
        println!("{} documents listed since {}, {} changed unnoticed", found.listed, since.date_naive(), found.changed);
        for late in &found.found_late {
            println!("found late: {late}");
        }
        for gone in &found.gone {
            println!("gone from the source: {gone}");
        }
    }
    Ok(if found.found_late.is_empty() && found.gone.is_empty() { Done::Clean } else { Done::Waiting })
}
