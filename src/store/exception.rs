//! Exceptions: what a person has to decide. One open row per thing, however often it is seen.

use super::{StoreResult, Tx, on, shown, shown_if};
use chrono::{DateTime, NaiveDate, Utc};

/// An exception to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewException {
    /// Stable code.
    pub code: String,
    /// Whether it holds settlements of agreements whose period the line could touch.
    pub blocking: bool,
    /// What it is about, for people.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Place in the source.
    pub place: Option<String>,
    /// Partner code.
    pub partner: Option<String>,
    /// Agreement id.
    pub agreement: Option<String>,
    /// Document id.
    pub document_id: Option<i64>,
    /// Line number.
    pub line_number: Option<String>,
    /// Document date: decides which settlement periods it touches.
    pub on_date: Option<NaiveDate>,
    /// The same thing has the same key.
    pub dedupe_key: String,
    /// Whether it is found again by every run until its cause is gone: what a person decided about the
    /// very same finding is then not asked again.
    pub lasting: bool,
}

/// A stored exception.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExceptionRow {
    /// Id.
    pub id: i64,
    /// Stable code.
    pub code: String,
    /// Whether it holds settlements (0 or 1).
    pub blocking: i64,
    /// What it is about.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Place in the source.
    pub place: Option<String>,
    /// open, resolved.
    pub state: String,
    /// Partner code.
    pub partner: Option<String>,
    /// Agreement id.
    pub agreement: Option<String>,
    /// Document id.
    pub document_id: Option<i64>,
    /// Line number.
    pub line_number: Option<String>,
    /// Document date.
    pub on_date: Option<NaiveDate>,
    /// The same thing has the same key.
    pub dedupe_key: String,
    /// Business day on which it was opened.
    pub opened_on: NaiveDate,
    /// Who looks after it.
    pub owner: Option<String>,
    /// What was done.
    pub resolution: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// By whom.
    pub resolved_by: Option<String>,
}

super::from_row!(ExceptionRow {
    id,
    code,
    blocking,
    subject,
    message,
    help,
    place,
    state,
    partner,
    agreement,
    document_id,
    line_number,
    on_date,
    dedupe_key,
    opened_on,
    owner,
    resolution,
    reason,
    resolved_by,
});

/// Which exceptions to list.
#[derive(Clone, Debug, Default)]
pub struct ExceptionFilter {
    /// Also resolved ones.
    pub all: bool,
}

impl Tx {
    /// Opens an exception; `false` when the same one is open already.
    pub async fn open_exception(&mut self, new: &NewException, opened_on: NaiveDate, now: DateTime<Utc>) -> StoreResult<bool> {
        // What a source sent is quoted in here.
        let (key, message) = (shown(&new.dedupe_key), shown(&new.message));
        // What is wrong with the same thing may have become another matter: a memo that differed is cancelled.
        let known = on!(self, c => sqlx::query("UPDATE exception SET seen_at = $2, message = $3, code = $4, help = $5 WHERE dedupe_key = $1 AND state = 'open'")
            .bind(&*key).bind(now).bind(&*message).bind(&new.code).bind(shown_if(new.help.as_deref()).as_deref())
            .execute(c).await?.rows_affected());
        if known > 0 || (new.lasting && self.decided_alike(new).await?) {
            return Ok(false);
        }
        let id = self.take_id("exception").await?;
        on!(self, c => sqlx::query(
            "INSERT INTO exception (id, code, blocking, subject, message, help, place, state, partner, agreement, document_id, line_number, on_date,
                                    dedupe_key, opened_on, opened_at, seen_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10, $11, $12, $13, $14, $15, $15)")
            .bind(id).bind(&new.code).bind(i64::from(new.blocking)).bind(&*shown(&new.subject)).bind(&*message)
            .bind(shown_if(new.help.as_deref()).as_deref()).bind(shown_if(new.place.as_deref()).as_deref())
            .bind(shown_if(new.partner.as_deref()).as_deref()).bind(&new.agreement).bind(new.document_id)
            .bind(shown_if(new.line_number.as_deref()).as_deref()).bind(new.on_date).bind(&*key)
            .bind(opened_on).bind(now).execute(c).await?.rows_affected());
        Ok(true)
    }

    async fn decided_alike(&mut self, new: &NewException) -> StoreResult<bool> {
        let last: Option<(String, String, String)> = on!(self, c => sqlx::query_as(
            "SELECT code, message, resolved_by FROM exception WHERE dedupe_key = $1 AND state = 'resolved' ORDER BY id DESC LIMIT 1")
            .bind(&new.dedupe_key).fetch_optional(c).await?);
        Ok(last.is_some_and(|(code, message, by)| by != "daemon" && code == new.code && message == new.message))
    }

    /// Whether a thing was decided before (resolved by a person under the same key).
    pub async fn exception_decided(&mut self, dedupe_key: &str) -> StoreResult<Option<(String, String)>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT resolution, resolved_by FROM exception WHERE dedupe_key = $1 AND state = 'resolved' AND resolved_by <> 'daemon' ORDER BY id DESC LIMIT 1")
            .bind(dedupe_key).fetch_optional(c).await?))
    }

    /// What persons decided about things whose keys begin alike, the last decision of each: key and action.
    pub async fn resolutions(&mut self, prefix: &str) -> StoreResult<std::collections::BTreeMap<String, String>> {
        let rows: Vec<(String, String)> = on!(self, c => sqlx::query_as(
            "SELECT dedupe_key, resolution FROM exception
             WHERE state = 'resolved' AND resolved_by <> 'daemon' AND substr(dedupe_key, 1, length($1)) = $1 ORDER BY id")
            .bind(prefix).fetch_all(c).await?);
        Ok(rows.into_iter().collect())
    }

    /// Lists exceptions, oldest first.
    pub async fn exceptions(&mut self, filter: &ExceptionFilter) -> StoreResult<Vec<ExceptionRow>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT id, code, blocking, subject, message, help, place, state, partner, agreement, document_id, line_number, on_date, dedupe_key,
                    opened_on, owner, resolution, reason, resolved_by
             FROM exception WHERE state = 'open' OR $1 = 1 ORDER BY id").bind(i64::from(filter.all)).fetch_all(c).await?))
    }

    /// One exception.
    pub async fn exception(&mut self, id: i64) -> StoreResult<Option<ExceptionRow>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT id, code, blocking, subject, message, help, place, state, partner, agreement, document_id, line_number, on_date, dedupe_key,
                    opened_on, owner, resolution, reason, resolved_by FROM exception WHERE id = $1").bind(id).fetch_optional(c).await?))
    }

    /// Blocking exceptions that a user accepted (not mended) while a settlement stood: each may have held it.
    pub async fn exceptions_accepted_by(&mut self, user: &str, settlement_id: i64) -> StoreResult<Vec<ExceptionRow>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT id, code, blocking, subject, message, help, place, state, partner, agreement, document_id, line_number, on_date, dedupe_key,
                    opened_on, owner, resolution, reason, resolved_by
             FROM exception WHERE blocking = 1 AND state = 'resolved' AND resolved_by = $1 AND resolution IN ('waive', 'confirm', 'keep')
                AND resolved_at >= (SELECT created_at FROM settlement WHERE id = $2) ORDER BY id")
            .bind(user).bind(settlement_id).fetch_all(c).await?))
    }

    /// Number of open exceptions.
    pub async fn open_exception_count(&mut self) -> StoreResult<i64> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT COUNT(*) FROM exception WHERE state = 'open'").fetch_one(c).await?))
    }

    /// Closes one exception; `false` when it was not open.
    pub async fn resolve_exception(
        &mut self,
        id: i64,
        action: &str,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "UPDATE exception SET state = 'resolved', resolution = $2, reason = $3, resolved_by = $4, resolved_at = $5 WHERE id = $1 AND state = 'open'")
            .bind(id).bind(action).bind(reason).bind(by).bind(now).execute(c).await?.rows_affected());
        Ok(done == 1)
    }

    /// Closes the open exceptions of a key because what they were about is gone.
    pub async fn clear_exception(&mut self, dedupe_key: &str, reason: &str, now: DateTime<Utc>) -> StoreResult<u64> {
        Ok(on!(self, c => sqlx::query(
            "UPDATE exception SET state = 'resolved', resolution = 'gone', reason = $2, resolved_by = 'daemon', resolved_at = $3
             WHERE dedupe_key = $1 AND state = 'open'").bind(dedupe_key).bind(reason).bind(now).execute(c).await?.rows_affected()))
    }

    /// Closes the open exceptions of a document because it was replaced or became known.
    pub async fn clear_document_exceptions(&mut self, document_id: i64, reason: &str, now: DateTime<Utc>) -> StoreResult<u64> {
        Ok(on!(self, c => sqlx::query(
            "UPDATE exception SET state = 'resolved', resolution = 'gone', reason = $2, resolved_by = 'daemon', resolved_at = $3
             WHERE document_id = $1 AND state = 'open'").bind(document_id).bind(reason).bind(now).execute(c).await?.rows_affected()))
    }

    /// Assigns an exception to a user.
    pub async fn assign_exception(&mut self, id: i64, owner: &str) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query("UPDATE exception SET owner = $2 WHERE id = $1").bind(id).bind(owner).execute(c).await?.rows_affected());
        Ok(done == 1)
    }
}
