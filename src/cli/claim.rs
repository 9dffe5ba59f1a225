//! `claim list`: what was decided on claim lines, with the codes that an EDI 849 answers with.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::pipeline::decide::shown::{Answer, answers};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum ClaimCommand {
    /// What was decided on each line, and why
    List(List),
}

#[derive(Debug, Args)]
pub struct List {
    /// Only this claim: its document number
    #[arg(long)]
    document: Option<String>,
    /// Only this partner
    #[arg(long)]
    partner: Option<String>,
    /// Only this agreement
    #[arg(long)]
    agreement: Option<String>,
    /// Only what was not paid as asked
    #[arg(long)]
    disputed: bool,
}

pub async fn run(command: ClaimCommand, app: &App) -> Result<Done, Failure> {
    let ClaimCommand::List(list) = command;
    let mut tx = app.store().read().await?;
    let fits = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|w| w == value);
    let rows: Vec<Answer> = answers(&mut tx)
        .await?
        .into_iter()
        .filter(|a| fits(&list.document, &a.document) && fits(&list.partner, &a.partner) && fits(&list.agreement, &a.agreement))
        .filter(|a| !list.disputed || a.outcome != "accepted")
        .collect();
    if app.json {
        print_json(&rows);
        return Ok(Done::Clean);
    }
    let mut table =
        Table::new(&["document", "line", "partner", "authorization", "outcome", "reason", "claimed", "paid", "", "849", "why"]);
    for a in rows {
        let codes = [a.x12_901.as_str(), a.x12_889.as_str()].concat();
        table.row(vec![
            a.document,
            a.line,
            a.partner,
            a.authorization,
            a.outcome,
            a.reason,
            a.claimed,
            a.paid,
            a.currency,
            codes,
            a.message,
        ]);
    }
    table.print("no claim lines were decided");
    Ok(Done::Clean)
}
