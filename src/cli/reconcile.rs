//! `reconcile --against memos [FILE]`: ours against theirs, by reference only.

use super::Done;
use super::app::{App, Failure, readable};
use super::output::{Table, print_json};
use crate::core::master::Table as Canonical;
use crate::core::problem::Problem;
use crate::core::rights::Action;
use crate::pipeline::import::{Entered, import_table};
use crate::pipeline::reconcile::{memos, record};
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
    /// The ERP's ledger accounts; not yet supported.
    Ledger,
    /// Claims; not yet supported.
    Claims,
}

/// What this version cannot compare with, and what to do instead.
fn not_yet(what: &str, needs: &str) -> Failure {
    Problem::new("not-yet-supported", format!("`--against {what}` is not supported yet: {needs}"))
        .help("`rebated reconcile --against memos` compares what was paid, `--against source` what was invoiced")
        .into()
}

pub async fn run(command: Reconcile, app: &App) -> Result<Done, Failure> {
    match (command.against, &command.connector) {
        (Against::Ledger, _) => {
            return Err(not_yet("ledger", "it comes with journals, which this version does not export or post"));
        }
        (Against::Claims, _) => {
            return Err(not_yet("claims", "it comes with ship-and-debit claims, which this version does not take"));
        }
        (Against::Source, Some(connector)) => return source(&command, connector, app).await,
        (Against::Source, None) | (Against::Memos, _) => {}
    }
    let r = &app.runtime;
    if let Some(file) = &command.file {
        readable(file)?;
    }
    let by = app.in_name_of(Action::Reconcile, "memos").await?;
    if let Some(file) = &command.file {
        let entered = Entered { by: &by, business_day: app.today(), now: r.clock.now() };
        import_table(&r.store, &r.settings, Canonical::Memos, file, entered, &mut |_| {}).await?;
    }
    let found = memos(app.store(), &r.workspace.config.reconcile.tolerance()).await?;
    let opened = record(r, app.today(), &found).await?;
    if app.json {
        print_json(&found);
    } else {
        let mut table = Table::new(&["reference", "document", "ours", "theirs", "difference", "limit", "result"]);
        for row in &found.rows {
            let documents: Vec<&str> = row.documents.iter().map(|d| d.document.as_str()).collect();
            table.row(vec![
                row.reference.clone(),
                if documents.is_empty() { row.document.clone().unwrap_or_default() } else { documents.join(", ") },
                row.ours_text(),
                row.theirs_text(),
                row.difference.clone().unwrap_or_default(),
                row.limit.clone().unwrap_or_default(),
                row.result.clone(),
            ]);
        }
        table.print("nothing to compare");
        println!("{}", found.summary());
        if opened > 0 {
            println!("{opened} new exceptions: rebated exception list");
        }
    }
    Ok(if found.exceptions > 0 { Done::Waiting } else { Done::Clean })
}

async fn source(command: &Reconcile, connector: &str, app: &App) -> Result<Done, Failure> {
    app.in_name_of(Action::Reconcile, connector).await?;
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
