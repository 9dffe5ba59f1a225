//! Accounting periods: open unless closed here.

use super::{StoreError, StoreResult, Tx, on};
use crate::core::period::Period;
use chrono::{DateTime, NaiveDate, Utc};

impl Tx {
    /// First days of all closed accounting periods.
    pub async fn closed_periods(&mut self) -> StoreResult<Vec<NaiveDate>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT first_day FROM accounting_period WHERE state = 'closed' ORDER BY first_day").fetch_all(c).await?),
        )
    }
    /// The same for somebody who is about to book: until this transaction ends no period is closed, so that no
    /// entry gets into one that was closed meanwhile.
    pub async fn closed_periods_for_booking(&mut self) -> StoreResult<Vec<NaiveDate>> {
        if let Tx::Postgres(c) = self {
            sqlx::query("LOCK TABLE accounting_period IN SHARE MODE").execute(&mut **c).await?;
        }
        self.closed_periods().await
    }
    /// Refuses entries into closed months, and keeps the months open until this transaction ends.
    pub(super) async fn refuse_closed(&mut self, months: impl Iterator<Item = NaiveDate>) -> StoreResult<()> {
        let closed = self.closed_periods_for_booking().await?;
        match months.into_iter().find(|month| closed.binary_search(month).is_ok()) {
            Some(month) => Err(StoreError::Changed(format!("the accounting period of {month}"))),
            None => Ok(()),
        }
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
