//! Audit trail: who did what, refused or not. Append-only, each row hashed over the one before.

use super::{StoreResult, Tx, on};
use crate::core::hash::hex;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// One row of the trail.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AuditRow {
    /// Position in the chain.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// User, `console`, or `daemon`.
    pub actor: String,
    /// What was tried.
    pub action: String,
    /// On what.
    pub subject: String,
    /// `done` or `refused`.
    pub result: String,
    /// Details as JSON text.
    pub detail: String,
    /// Hash of the row before.
    pub previous_hash: String,
    /// Hash of this row.
    pub hash: String,
}

fn row_hash(id: i64, at: DateTime<Utc>, fields: [&str; 5], previous: &str) -> String {
    let mut hasher = Sha256::new();
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    for part in [id.to_string().as_str(), at.as_str()].into_iter().chain(fields).chain([previous]) {
        // Length-prefixed, so that moving a character from one field to the next changes the hash.
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize())
}

impl Tx {
    /// Appends one row. On PostgreSQL the table is locked against a second writer, since a chain has one end.
    pub async fn audit(
        &mut self,
        at: DateTime<Utc>,
        actor: &str,
        action: &str,
        subject: &str,
        result: &str,
        detail: &serde_json::Value,
    ) -> StoreResult<()> {
        if let Tx::Postgres(c) = self {
            sqlx::query("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE").execute(&mut **c).await?;
        }
        let last: Option<(i64, String)> =
            on!(self, c => sqlx::query_as("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetch_optional(c).await?);
        let (id, previous) = last.map_or((1, String::new()), |(id, hash)| (id + 1, hash));
        let detail = detail.to_string();
        let hash = row_hash(id, at, [actor, action, subject, result, &detail], &previous);
        on!(self, c => sqlx::query(
            "INSERT INTO audit (id, at, actor, action, subject, result, detail, previous_hash, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(id).bind(at).bind(actor).bind(action).bind(subject).bind(result).bind(&detail).bind(&previous).bind(&hash)
            .execute(c).await?.rows_affected());
        Ok(())
    }

    /// Hash of the newest row: whoever keeps it can tell later whether history was rewritten.
    pub async fn audit_head(&mut self) -> StoreResult<Option<String>> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetch_optional(c).await?))
    }

    /// The trail in order.
    pub async fn audit_rows(&mut self) -> StoreResult<Vec<AuditRow>> {
        let rows: Vec<(i64, DateTime<Utc>, String, String, String, String, String, String, String)> = on!(self, c => sqlx::query_as(
            "SELECT id, at, actor, action, subject, result, detail, previous_hash, hash FROM audit ORDER BY id")
            .fetch_all(c).await?);
        Ok(rows
            .into_iter()
            .map(|(id, at, actor, action, subject, result, detail, previous_hash, hash)| AuditRow {
                id,
                at,
                actor,
                action,
                subject,
                result,
                detail,
                previous_hash,
                hash,
            })
            .collect())
    }

    /// Checks the whole chain: the id of the first row that does not fit, or the number of rows.
    pub async fn verify_audit(&mut self) -> StoreResult<Result<i64, i64>> {
        let mut previous = String::new();
        let mut count = 0;
        for row in self.audit_rows().await? {
            count += 1;
            let hash = row_hash(row.id, row.at, [&row.actor, &row.action, &row.subject, &row.result, &row.detail], &previous);
            if row.id != count || row.previous_hash != previous || row.hash != hash {
                return Ok(Err(row.id));
            }
            previous = row.hash;
        }
        Ok(Ok(count))
    }
}
