//! `period list`, `period close MONTH`, `period reopen MONTH --reason R`.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::core::period::{Period, parse_period};
use crate::pipeline::approve::may_decide;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum PeriodCommand {
    /// Accounting periods with a recorded state
    List,
    /// Close accounting months: later changes become corrections in an open one
    Close {
        /// Month, quarter or year: 2026-01, 2026-Q1, 2026
        period: String,
    },
    /// Reopen accounting months
    Reopen {
        /// Month, quarter or year
        period: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

pub async fn run(command: PeriodCommand, app: &App) -> Result<Done, Failure> {
    match command {
        PeriodCommand::List => {
            let rows = app.store().read().await?.accounting_periods().await?;
            if app.json {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|(from, to, state, by)| serde_json::json!({ "from": from, "to": to, "state": state, "changed_by": by }))
                    .collect();
                print_json(&rows);
            } else {
                let mut table = Table::new(&["from", "to", "state", "changed by"]);
                for (from, to, state, by) in rows {
                    table.row(vec![from.to_string(), to.to_string(), state, by]);
                }
                table.print("no period was closed yet; all are open");
            }
            Ok(Done::Clean)
        }
        PeriodCommand::Close { period } => set(app, &period, "closed", None).await,
        PeriodCommand::Reopen { period, reason } => set(app, &period, "open", Some(&reason)).await,
    }
}

async fn set(app: &App, name: &str, state: &str, reason: Option<&str>) -> Result<Done, Failure> {
    let calendar = app.runtime.settings.calendar;
    let Some(period) = parse_period(name, &calendar) else {
        return Err(Failure::Use(format!("`{name}` is no period; write 2026-01, 2026-Q1 or 2026")));
    };
    let mut months: Vec<Period> = Vec::new();
    let mut day = period.from;
    while day <= period.to {
        let month = calendar.month(day);
        months.push(month);
        day = month.to + chrono::Days::new(1);
    }
    if months.first().map(|m| m.from) != Some(period.from) || months.last().map(|m| m.to) != Some(period.to) {
        return Err(Failure::Use(format!("`{name}` does not consist of whole accounting months")));
    }
    let now = app.runtime.clock.now();
    let user = app.actor().await?;
    let actor = user.name.clone();
    if !may_decide(&user) {
        return Err(Failure::Use(format!("{} ({}) may not close or reopen periods", user.name, user.role)));
    }
    let mut tx = app.store().begin().await?;
    if state == "closed" {
        // An unresolved partner may belong to any agreement: its month cannot be closed over it (calculation.md 2.7).
        let open: Vec<_> = tx
            .exceptions(&crate::store::ExceptionFilter::default())
            .await?
            .into_iter()
            .filter(|e| e.code == "unknown-partner" && e.on_date.is_some_and(|d| period.contains(d)))
            .collect();
        if let Some(first) = open.first() {
            return Err(Failure::Use(format!(
                "{name} cannot be closed: {} lines name an unknown partner, first exception {} ({})",
                open.len(),
                first.id,
                first.subject
            )));
        }
    }
    for month in &months {
        tx.set_period_state(*month, state, &actor, reason, now).await?;
    }
    let detail = serde_json::json!({ "state": state, "reason": reason });
    tx.audit(now, &actor, "period", name, "done", &detail).await?;
    tx.commit().await?;
    println!("{name} is {state}");
    Ok(Done::Clean)
}
