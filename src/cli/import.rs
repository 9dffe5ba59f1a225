//! `import KIND FILE`.

use super::Done;
use super::app::{App, Failure, readable};
use super::output::print_json;
use crate::core::master::Table;
use crate::core::rights::Action;
use crate::pipeline::import::{Entered, import_table};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Import {
    /// lines, partners, items, units, rates, payments, activities, authorizations, baselines, plans, stock, memos
    kind: String,
    /// CSV, XLSX or NDJSON file
    file: PathBuf,
    /// Business day on which exceptions are opened; today by default
    #[arg(long, value_name = "DAY")]
    business_day: Option<chrono::NaiveDate>,
}

pub async fn run(command: Import, app: &App) -> Result<Done, Failure> {
    let Some(table) = Table::from_word(&command.kind) else {
        let known: Vec<&str> = Table::WORDS.iter().map(|(word, _)| *word).collect();
        return Err(Failure::Use(format!("`{}` is no canonical table; there are {}", command.kind, known.join(", "))));
    };
    readable(&command.file)?;
    let by = app.in_name_of(Action::Import, table.word()).await?;
    let runtime = &app.runtime;
    let business_day = command.business_day.unwrap_or_else(|| app.today());
    let entered = Entered { by: &by, business_day, now: runtime.clock.now() };
    let progress = runtime.progress.clone();
    let imported = import_table(&runtime.store, &runtime.settings, table, &command.file, entered, &mut |rows| {
        progress.advanced(rows, None);
    })
    .await?;
    if app.json {
        print_json(&imported);
    } else if imported.replay {
        println!("{} was imported before; nothing changed", command.file.display());
    } else if table == Table::Lines {
        println!(
            "{} lines: {} documents new, {} changed, {} known; {} lines wait for master data",
            imported.rows,
            imported.documents.new,
            imported.documents.changed,
            imported.documents.unchanged,
            imported.documents.pending
        );
    } else {
        println!("{} {}", imported.rows, table.word());
    }
    Ok(if imported.documents.exceptions > 0 { Done::Waiting } else { Done::Clean })
}
