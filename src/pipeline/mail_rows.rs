//! The mail outbox on the store: rows, and what they say at the moment of sending.

use super::run::{Lease, fault_point};
use super::{PipelineError, PipelineResult, Runtime};
use crate::clock::Clock;
use crate::core::period::Period;
use crate::delivery::outbox::{Composed, MailChange, MailContent, MailRow, MailRows, MailState};
use crate::delivery::statement::RenderedStatement;
use crate::store::{StatementRow, Store, StoreError};
use chrono::{DateTime, Utc};

/// Failures of the outbox's store side.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process took over the run.
    #[error("the lease of this run was lost")]
    LeaseLost,
    /// A statement cannot be composed.
    #[error("{0}")]
    Content(String),
}

/// Mail rows on the store.
pub struct Rows<'a> {
    /// The store.
    pub store: &'a Store,
    /// The clock.
    pub clock: &'a Clock,
    /// The run, where there is one.
    pub lease: Option<&'a Lease>,
}

fn row(m: crate::store::MailRow) -> MailRow {
    MailRow {
        id: m.id,
        kind: m.kind,
        partner_code: m.partner_code,
        period: Period { from: m.period_from, to: m.period_to },
        revision: m.revision,
        contact: m.contact,
        message_id: m.message_id,
        state: MailState::from_word(&m.state).unwrap_or_default(),
        attempts: u32::try_from(m.attempts).unwrap_or(0),
        next_attempt_at: m.next_attempt_at,
        last_answer: m.last_answer,
    }
}

impl MailRows for Rows<'_> {
    type Error = RowsError;

    async fn sending(&self) -> Result<Vec<MailRow>, RowsError> {
        Ok(self.store.read().await?.mails_in("sending").await?.into_iter().map(row).collect())
    }

    async fn due(&self, now: DateTime<Utc>) -> Result<Vec<MailRow>, RowsError> {
        let mut tx = self.store.read().await?;
        let mut due = tx.mails_in("planned").await?;
        due.extend(tx.mails_in("later").await?.into_iter().filter(|m| m.next_attempt_at.is_none_or(|at| at <= now)));
        due.sort_by_key(|m| m.id);
        Ok(due.into_iter().map(row).collect())
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, RowsError> {
        Ok(self.store.read().await?.mails_in("later").await?.into_iter().filter_map(|m| m.next_attempt_at).min())
    }

    fn stopping(&self) -> bool {
        self.lease.is_some_and(|lease| lease.check().is_err())
    }

    async fn change(&self, id: i64, from: MailState, change: &MailChange) -> Result<bool, RowsError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        // Whoever still holds the run writes down what the server said, also when asked to stop.
        if let Some(lease) = self.lease
            && (lease.is_lost() || !tx.holds_lease(lease.run_id, lease.token).await?)
        {
            return Err(RowsError::LeaseLost);
        }
        let moved = tx
            .move_mail(
                id,
                from.word(),
                change.state.word(),
                i64::from(change.attempts),
                change.next_attempt_at,
                change.last_answer.as_deref(),
                now,
            )
            .await?;
        if change.state == MailState::Sent {
            // The server has it, the row does not say so yet: the gap that ends uncertain.
            fault_point("mail:accepted");
        }
        tx.commit().await?;
        fault_point(&format!("mail:{}", change.state.word()));
        Ok(moved)
    }
}

/// What mails say.
pub struct Content<'a> {
    /// The runtime.
    pub runtime: &'a Runtime,
    /// How a stored statement is rendered.
    pub render: &'a (dyn Fn(&StatementRow) -> PipelineResult<RenderedStatement> + Sync),
}

impl MailContent for Content<'_> {
    type Error = RowsError;

    async fn contacts(&self, partner_code: &str) -> Result<Vec<String>, RowsError> {
        let heads = self.runtime.store.read().await?.partner_heads().await?;
        Ok(heads.into_iter().find(|p| p.code == partner_code).map(|p| p.email).unwrap_or_default())
    }

    async fn compose(&self, row: &MailRow) -> Result<Composed, RowsError> {
        let content = |e: PipelineError| RowsError::Content(e.to_string());
        let mut tx = self.runtime.store.read().await?;
        let stored = tx
            .mails()
            .await?
            .into_iter()
            .find(|m| m.id == row.id)
            .and_then(|m| m.statement_id)
            .ok_or_else(|| RowsError::Content(format!("mail {} carries no statement", row.id)))?;
        let statement = tx.statement(stored).await?.ok_or_else(|| RowsError::Content(format!("statement {stored} is gone")))?;
        let rendered = (self.render)(&statement).map_err(content)?;
        let from = &self.runtime.workspace.config.mail.from;
        Ok(Composed {
            partner_code: statement.partner,
            mail: rendered.mail(from, &row.contact, &row.message_id, self.runtime.clock.now()),
        })
    }
}
