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
}

/// The other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// Credit memos as the ERP shows them.
    Memos,
}

pub async fn run(command: Reconcile, app: &App) -> Result<Done, Failure> {
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
                format!("{} {}", r.ours.as_deref().unwrap_or("none"), r.currency.as_deref().unwrap_or_default())
                    .trim()
                    .to_owned(),
                format!("{} {}", r.theirs.as_deref().unwrap_or("none"), r.their_currency.as_deref().unwrap_or_default())
                    .trim()
                    .to_owned(),
                r.difference.clone().unwrap_or_default(),
                r.limit.clone().unwrap_or_default(),
                r.result.clone(),
            ]);
        }
        table.print("nothing to compare");
        println!("{} agree, {} do not; accepted differences {}", found.agreeing, found.exceptions, found.accepted_differences);
    }
    Ok(if found.exceptions > 0 { Done::Waiting } else { Done::Clean })
}
