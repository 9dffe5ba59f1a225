//! Agreement versions: entered, approved, never overwritten.

use super::bulk::Rows;
use super::{StoreError, StoreResult, Tx, corrupt, on};
use crate::core::agreement::AgreementVersion;
use chrono::{DateTime, Utc};

/// A version to enter.
#[derive(Clone, Debug)]
pub struct NewAgreementVersion<'a> {
    /// The typed conditions.
    pub body: &'a AgreementVersion,
    /// draft, submitted or active.
    pub state: &'a str,
    /// File name.
    pub source_name: &'a str,
    /// Hash of the text.
    pub source_sha256: &'a str,
    /// The text as entered.
    pub source_text: &'a str,
    /// Who entered it.
    pub entered_by: &'a str,
}

/// A stored version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementRow {
    /// The typed conditions.
    pub body: AgreementVersion,
    /// draft, submitted, active, rejected.
    pub state: String,
    /// File name.
    pub source_name: String,
    /// Hash of the text.
    pub source_sha256: String,
    /// Who entered it.
    pub entered_by: String,
    /// Who approved it.
    pub approved_by: Option<String>,
}

type Columns = (String, String, String, String, String, Option<String>);

fn row(c: Columns) -> StoreResult<AgreementRow> {
    Ok(AgreementRow {
        body: serde_json::from_str(&c.0).map_err(|e| corrupt("agreement", e))?,
        state: c.1,
        source_name: c.2,
        source_sha256: c.3,
        entered_by: c.4,
        approved_by: c.5,
    })
}

impl Tx {
    /// Enters a version, replacing one that nobody approved yet.
    pub async fn put_agreement(&mut self, new: &NewAgreementVersion<'_>, now: DateTime<Utc>) -> StoreResult<()> {
        let body = serde_json::to_string(new.body).map_err(|e| corrupt("agreement", e))?;
        on!(self, c => sqlx::query(
            "INSERT INTO agreement_version (agreement, version, state, body, source_name, source_sha256, source_text, entered_by, entered_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (agreement, version) DO UPDATE SET state = EXCLUDED.state, body = EXCLUDED.body, source_name = EXCLUDED.source_name,
                 source_sha256 = EXCLUDED.source_sha256, source_text = EXCLUDED.source_text, entered_by = EXCLUDED.entered_by, entered_at = EXCLUDED.entered_at,
                 approved_by = NULL, approved_at = NULL, rejected_by = NULL, reason = NULL")
            .bind(&new.body.id).bind(i64::from(new.body.version)).bind(new.state).bind(body).bind(new.source_name).bind(new.source_sha256)
            .bind(new.source_text).bind(new.entered_by).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }

    /// All versions of all agreements, by id and version.
    pub async fn agreements(&mut self) -> StoreResult<Vec<AgreementRow>> {
        let rows: Vec<Columns> = on!(self, c => sqlx::query_as(
            "SELECT body, state, source_name, source_sha256, entered_by, approved_by FROM agreement_version ORDER BY agreement, version")
            .fetch_all(c).await?);
        rows.into_iter().map(row).collect()
    }

    /// The active versions of all agreements, by id (bytewise) and version.
    pub async fn active_agreements(&mut self) -> StoreResult<Vec<AgreementVersion>> {
        let mut rows: Vec<AgreementVersion> =
            self.agreements().await?.into_iter().filter(|r| r.state == "active").map(|r| r.body).collect();
        rows.sort_by(|a, b| a.id.as_bytes().cmp(b.id.as_bytes()).then(a.version.cmp(&b.version)));
        Ok(rows)
    }

    /// One version.
    pub async fn agreement(&mut self, id: &str, version: i64) -> StoreResult<Option<AgreementRow>> {
        let found: Option<Columns> = on!(self, c => sqlx::query_as(
            "SELECT body, state, source_name, source_sha256, entered_by, approved_by FROM agreement_version WHERE agreement = $1 AND version = $2")
            .bind(id).bind(version).fetch_optional(c).await?);
        found.map(row).transpose()
    }

    /// The text of a version as entered.
    pub async fn agreement_text(&mut self, id: &str, version: i64) -> StoreResult<String> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT source_text FROM agreement_version WHERE agreement = $1 AND version = $2")
            .bind(id).bind(version).fetch_one(c).await?))
    }

    /// Moves a version, given as it was read, to another state; `approved_by` or `rejected_by` takes the user.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when its state or text is no longer what was read.
    pub async fn set_agreement_state(
        &mut self,
        read: &AgreementRow,
        to: &str,
        by: Option<&str>,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let approved_by = if to == "active" { by } else { None };
        let rejected_by = if to == "rejected" { by } else { None };
        let approved_at = approved_by.map(|_| now);
        let done = on!(self, c => sqlx::query(
            "UPDATE agreement_version SET state = $3, approved_by = $4, approved_at = $5, rejected_by = $6, reason = $7
             WHERE agreement = $1 AND version = $2 AND state = $8 AND source_sha256 = $9 AND entered_by = $10")
            .bind(&read.body.id).bind(i64::from(read.body.version)).bind(to).bind(approved_by).bind(approved_at).bind(rejected_by).bind(reason)
            .bind(&read.state).bind(&read.source_sha256).bind(&read.entered_by).execute(c).await?.rows_affected());
        if done == 1 {
            return Ok(());
        }
        Err(StoreError::Changed(format!("version {} of agreement {}", read.body.version, read.body.id)))
    }

    /// Whether anything was ever booked under the agreement.
    pub async fn has_bookings(&mut self, agreement: &str) -> StoreResult<bool> {
        let found: Option<i64> = on!(self, c => sqlx::query_scalar("SELECT id FROM accrual_entry WHERE agreement = $1 LIMIT 1")
            .bind(agreement).fetch_optional(c).await?);
        Ok(found.is_some())
    }

    /// Marks an agreement's running sums for a rebuild.
    pub async fn mark_agreement(&mut self, agreement: &str, reason: &str) -> StoreResult<()> {
        self.share_folding().await?;
        on!(self, c => sqlx::query("INSERT INTO dirty_agreement (agreement, reason) VALUES ($1, $2) ON CONFLICT (agreement) DO NOTHING")
            .bind(agreement).bind(reason).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Agreements marked for a rebuild.
    pub async fn marked_agreements(&mut self) -> StoreResult<Vec<(String, String)>> {
        Ok(on!(self, c => sqlx::query_as("SELECT agreement, reason FROM dirty_agreement ORDER BY agreement").fetch_all(c).await?))
    }
    /// Marks a partner's running sums for a rebuild.
    pub async fn mark_partner(&mut self, partner_id: i64, reason: &str) -> StoreResult<()> {
        self.mark_partners(&[partner_id], reason).await
    }
    /// Marks the running sums of partners for a rebuild, each named once.
    pub async fn mark_partners(&mut self, partners: &[i64], reason: &str) -> StoreResult<()> {
        self.share_folding().await?;
        let mut rows = Rows::of("dirty_partner", ["partner_id", "reason"], partners.len());
        for partner_id in partners {
            rows.push([(*partner_id).into(), reason.into()]);
        }
        self.upsert_rows(rows, "ON CONFLICT (partner_id) DO NOTHING").await
    }
    /// Partners marked for a rebuild.
    pub async fn marked_partners(&mut self) -> StoreResult<Vec<(i64, String)>> {
        Ok(on!(self, c => sqlx::query_as("SELECT partner_id, reason FROM dirty_partner ORDER BY partner_id").fetch_all(c).await?))
    }
    /// Clears all rebuild marks.
    pub async fn clear_marks(&mut self) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM dirty_agreement").execute(c).await?.rows_affected());
        on!(self, c => sqlx::query("DELETE FROM dirty_partner").execute(c).await?.rows_affected());
        Ok(())
    }
}
