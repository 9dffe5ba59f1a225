//! Credit memos on their way out (outbox) and as other systems show them.

use super::{StoreResult, Tx, from_row, on, shown_if};
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::BTreeSet;

/// One memo on its way: the row stands before the first attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoOutboxRow {
    /// Settlement.
    pub settlement_id: i64,
    /// Reference.
    pub reference: String,
    /// Connector.
    pub connector: String,
    /// The request as JSON text.
    pub request: String,
    /// planned, sent, unknown, confirmed, refused.
    pub state: String,
    /// Key in the other system.
    pub remote_id: Option<String>,
    /// Document number in the other system.
    pub erp_document: Option<String>,
    /// Attempts so far.
    pub attempts: i64,
    /// Not before.
    pub not_before: Option<DateTime<Utc>>,
    /// Last answer.
    pub last_answer: Option<String>,
}
from_row!(MemoOutboxRow {
    settlement_id,
    reference,
    connector,
    request,
    state,
    remote_id,
    erp_document,
    attempts,
    not_before,
    last_answer
});

/// A memo as a source shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErpMemoRow {
    /// Reference it carries; empty where it carries none.
    pub reference: String,
    /// Document number.
    pub document: String,
    /// Date.
    pub memo_date: Option<NaiveDate>,
    /// Currency code.
    pub currency: String,
    /// Amount, positive = credit to the partner.
    pub amount_u: i64,
    /// Status word of the source.
    pub status: String,
    /// Archived document.
    pub archive_id: i64,
}
from_row!(ErpMemoRow { reference, document, memo_date, currency, amount_u, status, archive_id });

impl Tx {
    /// Plans a memo; the row that exists stays as it is. One that was refused gets the new content, and since its
    /// reference was tried before, it is looked up like one of unknown outcome before anything is created.
    pub async fn plan_memo(&mut self, memo: &MemoOutboxRow, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO memo_outbox (settlement_id, reference, connector, request, state, attempts, updated_at) VALUES ($1, $2, $3, $4, 'planned', 0, $5)
             ON CONFLICT (settlement_id) DO UPDATE SET connector = EXCLUDED.connector, request = EXCLUDED.request, state = 'unknown', not_before = NULL,
                 updated_at = EXCLUDED.updated_at WHERE memo_outbox.state = 'refused'")
            .bind(memo.settlement_id).bind(&memo.reference).bind(&memo.connector).bind(&memo.request).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Memos that are not at their end yet.
    pub async fn open_memos(&mut self) -> StoreResult<Vec<MemoOutboxRow>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT settlement_id, reference, connector, request, state, remote_id, erp_document, attempts, not_before, last_answer
             FROM memo_outbox WHERE state IN ('planned', 'sent', 'unknown') ORDER BY settlement_id").fetch_all(c).await?))
    }
    /// One memo.
    pub async fn memo(&mut self, settlement_id: i64) -> StoreResult<Option<MemoOutboxRow>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT settlement_id, reference, connector, request, state, remote_id, erp_document, attempts, not_before, last_answer
             FROM memo_outbox WHERE settlement_id = $1").bind(settlement_id).fetch_optional(c).await?))
    }
    /// Writes a memo's progress.
    pub async fn save_memo(&mut self, memo: &MemoOutboxRow, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "UPDATE memo_outbox SET state = $2, remote_id = $3, erp_document = $4, attempts = $5, not_before = $6, last_answer = $7, updated_at = $8
             WHERE settlement_id = $1")
            .bind(memo.settlement_id).bind(&memo.state).bind(shown_if(memo.remote_id.as_deref()).as_deref())
            .bind(shown_if(memo.erp_document.as_deref()).as_deref()).bind(memo.attempts).bind(memo.not_before)
            .bind(shown_if(memo.last_answer.as_deref()).as_deref()).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Asks for another content from now on: what a person accepted of it as the other system holds it. It is looked up
    /// before anything is done.
    pub async fn ask_anew(&mut self, settlement_id: i64, request: &str, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "UPDATE memo_outbox SET request = $2, state = CASE WHEN state = 'sent' THEN 'unknown' ELSE state END, not_before = NULL, updated_at = $3
             WHERE settlement_id = $1 AND state IN ('planned', 'sent', 'unknown')")
            .bind(settlement_id).bind(request).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Stores a memo as a source shows it; the newest state wins.
    pub async fn put_erp_memo(&mut self, memo: &ErpMemoRow) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO erp_memo (reference, document, memo_date, currency, amount_u, status, archive_id) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (reference, document) DO UPDATE SET memo_date = EXCLUDED.memo_date, currency = EXCLUDED.currency, amount_u = EXCLUDED.amount_u,
                 status = EXCLUDED.status, archive_id = EXCLUDED.archive_id")
            .bind(&memo.reference).bind(&memo.document).bind(memo.memo_date).bind(&memo.currency).bind(memo.amount_u).bind(&memo.status)
            .bind(memo.archive_id).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Settlements whose memo a source would show: the feeds of their connector have shown a memo, or
    /// some source has shown one that was pushed by the same connector.
    ///
    /// A list that a person imports names no connector. It speaks for those whose memos it shows, and
    /// for the only one there is.
    pub async fn shown_settlements(&mut self) -> StoreResult<BTreeSet<i64>> {
        let pushed: Vec<(i64, String)> =
            on!(self, c => sqlx::query_as("SELECT settlement_id, connector FROM memo_outbox").fetch_all(c).await?);
        let mut showing: BTreeSet<String> = on!(self, c => sqlx::query_scalar(
            "SELECT DISTINCT a.connector FROM erp_memo m JOIN archive a ON a.id = m.archive_id
             UNION SELECT o.connector FROM erp_memo m JOIN memo_outbox o ON o.reference = m.reference").fetch_all(c).await?)
        .into_iter()
        .collect();
        let connectors: BTreeSet<&String> = pushed.iter().map(|p| &p.1).collect();
        if showing.contains(super::archive::BY_HAND) && connectors.len() == 1 {
            showing.extend(connectors.into_iter().cloned());
        }
        Ok(pushed.into_iter().filter(|p| showing.contains(&p.1)).map(|p| p.0).collect())
    }
    /// All memos that sources show.
    pub async fn erp_memos(&mut self) -> StoreResult<Vec<ErpMemoRow>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT reference, document, memo_date, currency, amount_u, status, archive_id FROM erp_memo ORDER BY reference, document").fetch_all(c).await?))
    }
}
