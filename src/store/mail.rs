//! Mail rows: one per recipient, committed before the attempt (case 27).

use super::{StoreResult, Tx, on, shown_if};
use chrono::{DateTime, NaiveDate, Utc};

/// One mail to one contact.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MailRow {
    /// Id.
    pub id: i64,
    /// `statement`, or another kind.
    pub kind: String,
    /// The statement it carries.
    pub statement_id: Option<i64>,
    /// Partner code.
    pub partner_code: String,
    /// First day of the period.
    pub period_from: NaiveDate,
    /// Last day of the period.
    pub period_to: NaiveDate,
    /// Revision of the statement.
    pub revision: i64,
    /// Address.
    pub contact: String,
    /// Fixed message id.
    pub message_id: String,
    /// planned, sending, sent, later, uncertain, refused, bounced.
    pub state: String,
    /// Attempts so far.
    pub attempts: i64,
    /// Not before.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What the server said last.
    pub last_answer: Option<String>,
}

type Columns = (
    i64,
    String,
    Option<i64>,
    String,
    NaiveDate,
    NaiveDate,
    i64,
    String,
    String,
    String,
    i64,
    Option<DateTime<Utc>>,
    Option<String>,
);

fn row(c: Columns) -> MailRow {
    MailRow {
        id: c.0,
        kind: c.1,
        statement_id: c.2,
        partner_code: c.3,
        period_from: c.4,
        period_to: c.5,
        revision: c.6,
        contact: c.7,
        message_id: c.8,
        state: c.9,
        attempts: c.10,
        next_attempt_at: c.11,
        last_answer: c.12,
    }
}

impl Tx {
    /// Plans a mail; the one that exists for the same contact and revision stays as it is.
    pub async fn plan_mail(&mut self, mail: &MailRow, now: DateTime<Utc>) -> StoreResult<()> {
        let id = self.take_id("mail").await?;
        on!(self, c => sqlx::query(
            "INSERT INTO mail (id, kind, statement_id, partner_code, period_from, period_to, revision, contact, message_id, state, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'planned', $10)
             ON CONFLICT (kind, partner_code, period_from, period_to, revision, contact) DO NOTHING")
            .bind(id).bind(&mail.kind).bind(mail.statement_id).bind(&mail.partner_code).bind(mail.period_from).bind(mail.period_to)
            .bind(mail.revision).bind(&mail.contact).bind(&mail.message_id).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }

    /// All mails in one of the states, oldest first.
    pub async fn mails_in(&mut self, state: &str) -> StoreResult<Vec<MailRow>> {
        let rows: Vec<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, kind, statement_id, partner_code, period_from, period_to, revision, contact, message_id, state, attempts, next_attempt_at, last_answer
             FROM mail WHERE state = $1 ORDER BY id").bind(state).fetch_all(c).await?);
        Ok(rows.into_iter().map(row).collect())
    }

    /// All mails, oldest first.
    pub async fn mails(&mut self) -> StoreResult<Vec<MailRow>> {
        let rows: Vec<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, kind, statement_id, partner_code, period_from, period_to, revision, contact, message_id, state, attempts, next_attempt_at, last_answer
             FROM mail ORDER BY id").fetch_all(c).await?);
        Ok(rows.into_iter().map(row).collect())
    }

    /// Moves a mail from one state to another; `false` when it was no longer in the first.
    pub async fn move_mail(
        &mut self,
        id: i64,
        from: &str,
        to: &str,
        attempts: i64,
        next_attempt_at: Option<DateTime<Utc>>,
        answer: Option<&str>,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "UPDATE mail SET state = $3, attempts = $4, next_attempt_at = $5, last_answer = $6, updated_at = $7 WHERE id = $1 AND state = $2")
            .bind(id).bind(from).bind(to).bind(attempts).bind(next_attempt_at).bind(shown_if(answer).as_deref()).bind(now).execute(c).await?.rows_affected());
        Ok(done == 1)
    }
}
