//! `explain`: the receipt of an earned figure, or the journey of a line.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::core::period::{parse_period, period_names};
use crate::pipeline::explain::{journey, receipts};
use clap::Args;

#[derive(Debug, Args)]
pub struct Explain {
    /// Agreement id
    #[arg(long, requires = "partner")]
    agreement: Option<String>,
    /// Partner code
    #[arg(long)]
    partner: Option<String>,
    /// Period: everything that overlaps it, as sold by its end; all by default
    #[arg(long)]
    period: Option<String>,
    /// Only this term
    #[arg(long)]
    term: Option<String>,
    /// The journey of a document's lines instead: its number
    #[arg(long, conflicts_with = "agreement")]
    document: Option<String>,
    /// Only this line of the document
    #[arg(long, requires = "document")]
    line: Option<String>,
}

pub async fn run(command: Explain, app: &App) -> Result<Done, Failure> {
    if let Some(number) = &command.document {
        let found = journey(&app.runtime, number, command.line.as_deref()).await?;
        if found.is_empty() {
            return Err(Failure::Use(format!("no document is numbered `{number}`")));
        }
        if app.json {
            print_json(&found);
            return Ok(Done::Clean);
        }
        for line in &found {
            println!("{} line {}", line.document, line.line);
            for step in &line.steps {
                println!("  {:10} {}", step.stage, step.what);
            }
            let mut table = Table::new(&["agreement", "term", "counts", "why"]);
            for v in &line.verdicts {
                table.row(vec![
                    v.agreement.clone(),
                    v.term.clone(),
                    if v.counted { "yes".into() } else { v.code.clone() },
                    v.reason.clone(),
                ]);
            }
            table.print("  no agreement could touch it");
            println!();
        }
        return Ok(Done::Clean);
    }
    let (Some(agreement), Some(partner)) = (&command.agreement, &command.partner) else {
        return Err(Failure::Use("name --agreement and --partner, or --document".into()));
    };
    let period = match &command.period {
        None => None,
        Some(text) => Some(parse_period(text, &app.runtime.settings.calendar).ok_or_else(|| {
            let names = period_names(&app.runtime.settings.calendar);
            Failure::Use(format!("`{text}` is no period; write {names}, or 2026-01-01..2026-03-31"))
        })?),
    };
    let found = receipts(&app.runtime, agreement, partner, period, command.term.as_deref()).await?;
    if found.is_empty() {
        return Err(Failure::Use(format!("nothing counts for `{partner}` under `{agreement}` in that period")));
    }
    if app.json {
        // One figure is one document; several are a list.
        match found.as_slice() {
            [one] => print_json(one),
            several => print_json(&several),
        }
    } else {
        for receipt in &found {
            println!("{}", receipt.text());
        }
    }
    Ok(Done::Clean)
}
