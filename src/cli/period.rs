//! `period list`, `period close MONTH`, `period reopen MONTH --reason R`.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_done, print_json};
use crate::core::period::{Period, parse_period, period_names};
use crate::core::problem::Problem;
use crate::core::rights::Action;
use crate::store::Tx;
use clap::Subcommand;

/// Runs that are looked at for the last day they closed.
const LAST_RUNS: i64 = 100;

#[derive(Debug, Subcommand)]
pub enum PeriodCommand {
    /// Accounting periods with a recorded state
    List,
    /// Close accounting months: later changes become corrections in an open one
    Close {
        /// Month, quarter or year: 2026-01 (2026-P01 in a calendar of weeks), 2026-Q1, 2026
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

/// The accounting months of a period.
fn months(app: &App, name: &str) -> Result<(Period, Vec<Period>), Failure> {
    let calendar = app.runtime.settings.calendar;
    let Some(period) = parse_period(name, &calendar) else {
        return Err(Failure::Use(format!("`{name}` is no period; write {}", period_names(&calendar))));
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
    Ok((period, months))
}

/// Why a period cannot be closed now.
async fn not_to_close(app: &App, tx: &mut Tx, name: &str, period: Period, months: &[Period]) -> Result<Option<String>, Failure> {
    // Days that a run closed ahead of the calendar have begun as well.
    let begun = tx.runs(LAST_RUNS).await?.into_iter().map(|run| run.business_day).chain([app.today()]).max();
    if let Some(month) = months.iter().find(|month| begun.is_some_and(|day| day < month.from)) {
        return Ok(Some(format!("{name} cannot be closed: {} has not begun", month.from.format("%Y-%m"))));
    }
    // An unresolved partner may belong to any agreement: its month cannot be closed over it (calculation.md 2.7).
    let open: Vec<_> = tx
        .exceptions(&crate::store::ExceptionFilter::default())
        .await?
        .into_iter()
        .filter(|e| e.code == "unknown-partner" && e.on_date.is_some_and(|d| period.contains(d)))
        .collect();
    Ok(open.first().map(|first| {
        let (lines, id, subject) = (open.len(), first.id, &first.subject);
        format!("{name} cannot be closed: {lines} lines name an unknown partner, first exception {id} ({subject})")
    }))
}

/// Why a period cannot be reopened.
async fn not_to_reopen(tx: &mut Tx, name: &str, months: &[Period], reason: &str) -> Result<Option<String>, Failure> {
    if reason.trim().is_empty() {
        return Ok(Some("a reason is needed".to_owned()));
    }
    let closed = tx.closed_periods().await?;
    Ok(if months.iter().any(|month| closed.contains(&month.from)) { None } else { Some(format!("{name} is not closed")) })
}

async fn set(app: &App, name: &str, state: &str, reason: Option<&str>) -> Result<Done, Failure> {
    let (period, months) = months(app, name)?;
    let action = if reason.is_some() { Action::ReopenPeriod } else { Action::ClosePeriod };
    let actor = app.permitted(action, name).await?.name;
    let now = app.runtime.clock.now();
    let mut tx = app.store().begin().await?;
    let refusal = match reason {
        None => not_to_close(app, &mut tx, name, period, &months).await?,
        Some(reason) => not_to_reopen(&mut tx, name, &months, reason).await?,
    };
    let detail = serde_json::json!({ "state": state, "reason": reason, "refused": refusal });
    if let Some(message) = refusal {
        tx.audit(now, &actor, action.word(), name, "refused", &detail).await?;
        tx.commit().await?;
        return Err(Problem::new("period-state", message).into());
    }
    for month in &months {
        tx.set_period_state(*month, state, &actor, reason, now).await?;
    }
    tx.audit(now, &actor, action.word(), name, "done", &detail).await?;
    tx.commit().await?;
    let value = serde_json::json!({ "period": name, "from": period.from, "to": period.to, "state": state, "changed_by": actor });
    print_done(app.json, value, format_args!("{name} is {state}"));
    Ok(Done::Clean)
}
