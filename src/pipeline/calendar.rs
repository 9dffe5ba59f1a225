//! The fiscal calendar of a run: another one than last time moves figures, and is refused where it
//! would move closed months or has no month for the business day.
//!
//! Every running sum is kept per period and accounting month, so a calendar with other months has
//! every agreement summed anew; what is booked moves with the ledger's own corrections.

use super::{PipelineResult, Runtime};
use crate::core::period::FiscalCalendar;
use crate::core::problem::Problem;
use crate::store::NewException;
use chrono::{Days, NaiveDate};

/// Name under which the store keeps the calendar's months.
const KIND: &str = "fiscal-calendar";
const KEY: &str = "company";
/// Days before a table's end from which somebody is told.
const WARNING: u64 = 92;
const ENDS_SOON: &str = "calendar-ends-soon";

/// Compares the workspace's calendar with the one that the store's figures were made by.
pub async fn take_up(runtime: &Runtime, business_day: NaiveDate) -> PipelineResult<()> {
    let calendar = &runtime.settings.calendar;
    if !calendar.covers(business_day) {
        return Err(Problem::new(
            "calendar-ends",
            format!("{business_day} is in no fiscal month: the calendar has those of {}", calendar.covered()),
        )
        .help("add the fiscal year to the table that `calendar_file` in rebated.toml names")
        .into());
    }
    let now = runtime.clock.now();
    let text = calendar.months_text();
    let mut tx = runtime.store.begin().await?;
    let known = tx.canonical_row(KIND, KEY).await?;
    if known.as_ref().is_some_and(|known| *known != text) {
        let closed = tx.accounting_periods().await?.into_iter().filter(|(_, _, state, _)| state == "closed");
        if let Some((from, to, ..)) = closed.into_iter().find(|(from, to, ..)| !is_month(calendar, *from, *to)) {
            return Err(Problem::new(
                "calendar-moves-closed-month",
                format!("the accounting month {from}..{to} is closed, and the fiscal calendar has no such month any more"),
            )
            .help("keep the months that are closed: give a `calendar_file` that has them and goes on as you want")
            .into());
        }
        let mut ids: Vec<String> = tx.active_agreements().await?.into_iter().map(|version| version.id).collect();
        ids.dedup();
        for id in &ids {
            tx.mark_agreement(id, "the fiscal calendar changed").await?;
        }
        let author = &runtime.workspace.config.approval.file_author;
        let detail = serde_json::json!({ "agreements": ids.len() });
        tx.audit(now, author, "fiscal calendar", KEY, "changed", &detail).await?;
    }
    if known.as_ref() != Some(&text) {
        tx.put_canonical_row(KIND, KEY, &text, 0).await?;
    }
    if calendar.covers(business_day + Days::new(WARNING)) {
        tx.clear_exception(ENDS_SOON, "the fiscal calendar goes on", now).await?;
    } else {
        let new = NewException {
            code: ENDS_SOON.into(),
            subject: "fiscal calendar".into(),
            message: format!("the fiscal calendar ends on {}; nothing can be closed after that day", calendar.covered().to),
            help: Some("add the next fiscal year to the table that `calendar_file` in rebated.toml names".into()),
            dedupe_key: ENDS_SOON.into(),
            ..NewException::default()
        };
        tx.open_exception(&new, business_day, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn is_month(calendar: &FiscalCalendar, from: NaiveDate, to: NaiveDate) -> bool {
    let month = calendar.month(from);
    (month.from, month.to) == (from, to)
}
