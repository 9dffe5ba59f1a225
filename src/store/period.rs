//! Accounting periods: open unless closed here.

use super::{StoreResult, Tx, on};
use crate::core::period::Period;
use chrono::{DateTime, NaiveDate, Utc};

impl Tx {
    /// First days of all closed accounting periods.
    pub async fn closed_periods(&mut self) -> StoreResult<Vec<NaiveDate>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT first_day FROM accounting_period WHERE state = 'closed' ORDER BY first_day").fetch_all(c).await?),
        )
    }
    /// Closes or reopens a period.
    pub async fn set_period_state(
        &mut self,
        period: Period,
        state: &str,
        by: &str,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO accounting_period (first_day, last_day, state, changed_by, reason, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (first_day) DO UPDATE SET state = EXCLUDED.state, changed_by = EXCLUDED.changed_by, reason = EXCLUDED.reason, changed_at = EXCLUDED.changed_at")
            .bind(period.from).bind(period.to).bind(state).bind(by).bind(reason).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }
    /// All periods with a recorded state.
    pub async fn accounting_periods(&mut self) -> StoreResult<Vec<(NaiveDate, NaiveDate, String, String)>> {
        Ok(
            on!(self, c => sqlx::query_as("SELECT first_day, last_day, state, changed_by FROM accounting_period ORDER BY first_day").fetch_all(c).await?),
        )
    }
}
