//! Running sums per key and accounting month: what makes a night cost its new lines only.

use super::{StoreResult, Tx, corrupt, from_row, on};
use crate::core::number::Exact;
use chrono::NaiveDate;

/// One running sum: a key, an accounting month and an agreement version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccumulatorRow {
    /// Partner that earns.
    pub partner_id: i64,
    /// Agreement id.
    pub agreement: String,
    /// Term id.
    pub term: String,
    /// First day of the accumulation period.
    pub period_from: NaiveDate,
    /// Last day of the accumulation period.
    pub period_to: NaiveDate,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// First day of the accounting month.
    pub bucket: NaiveDate,
    /// Agreement version.
    pub version: i64,
    /// Sums by slot.
    pub sums: [Exact; 4],
    /// Lines counted.
    pub lines: i64,
    /// Documents counted.
    pub documents: i64,
}

/// A pair that accrue has to look at, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Partner.
    pub partner_id: i64,
    /// Agreement id.
    pub agreement: String,
    /// What changed.
    pub reason: String,
    /// Accounting months whose lines changed.
    pub months: Vec<NaiveDate>,
}

struct Raw {
    partner_id: i64,
    agreement: String,
    term: String,
    period_from: NaiveDate,
    period_to: NaiveDate,
    part: i64,
    bucket: NaiveDate,
    version: i64,
    sum0: String,
    sum1: String,
    sum2: String,
    sum3: String,
    line_count: i64,
    document_count: i64,
}
from_row!(Raw {
    partner_id,
    agreement,
    term,
    period_from,
    period_to,
    part,
    bucket,
    version,
    sum0,
    sum1,
    sum2,
    sum3,
    line_count,
    document_count
});

fn sum(text: &str) -> StoreResult<Exact> {
    text.parse::<i128>().map(Exact).map_err(|e| corrupt("running sum", e))
}

impl Raw {
    fn into_row(self) -> StoreResult<AccumulatorRow> {
        Ok(AccumulatorRow {
            partner_id: self.partner_id,
            agreement: self.agreement,
            term: self.term,
            period_from: self.period_from,
            period_to: self.period_to,
            part: self.part,
            bucket: self.bucket,
            version: self.version,
            sums: [sum(&self.sum0)?, sum(&self.sum1)?, sum(&self.sum2)?, sum(&self.sum3)?],
            lines: self.line_count,
            documents: self.document_count,
        })
    }
}

impl Tx {
    /// Running sums of one agreement for one partner, in key and month order.
    pub async fn accumulators(&mut self, partner_id: i64, agreement: &str) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator WHERE partner_id = $1 AND agreement = $2 ORDER BY term, period_from, period_to, part, bucket, version")
            .bind(partner_id).bind(agreement).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Running sums of an agreement over all partners.
    pub async fn accumulators_of_agreement(&mut self, agreement: &str) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator WHERE agreement = $1 ORDER BY partner_id, term, period_from, period_to, part, bucket, version")
            .bind(agreement).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// All running sums: for the self-check against a rebuild.
    pub async fn all_accumulators(&mut self) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator ORDER BY partner_id, agreement, term, period_from, period_to, part, bucket, version").fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Adds to a running sum; one that ends at nothing counted is removed.
    pub async fn add_to_accumulator(&mut self, delta: &AccumulatorRow) -> StoreResult<()> {
        let known: Option<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator WHERE partner_id = $1 AND agreement = $2 AND term = $3 AND period_from = $4 AND period_to = $5 AND part = $6 AND bucket = $7 AND version = $8")
            .bind(delta.partner_id).bind(&delta.agreement).bind(&delta.term).bind(delta.period_from).bind(delta.period_to).bind(delta.part)
            .bind(delta.bucket).bind(delta.version).fetch_optional(c).await?);
        let mut row = delta.clone();
        if let Some(known) = known {
            let known = known.into_row()?;
            for (sum, old) in row.sums.iter_mut().zip(known.sums) {
                *sum += old;
            }
            row.lines += known.lines;
            row.documents += known.documents;
        }
        if row.lines == 0 && row.documents == 0 && row.sums.iter().all(|s| s.is_zero()) {
            on!(self, c => sqlx::query(
                "DELETE FROM accumulator
                 WHERE partner_id = $1 AND agreement = $2 AND term = $3 AND period_from = $4 AND period_to = $5 AND part = $6 AND bucket = $7 AND version = $8")
                .bind(row.partner_id).bind(&row.agreement).bind(&row.term).bind(row.period_from).bind(row.period_to).bind(row.part)
                .bind(row.bucket).bind(row.version).execute(c).await?.rows_affected());
            return Ok(());
        }
        on!(self, c => sqlx::query(
            "INSERT INTO accumulator (partner_id, agreement, term, period_from, period_to, part, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (partner_id, agreement, term, period_from, period_to, part, bucket, version) DO UPDATE SET sum0 = EXCLUDED.sum0, sum1 = EXCLUDED.sum1,
                 sum2 = EXCLUDED.sum2, sum3 = EXCLUDED.sum3, line_count = EXCLUDED.line_count, document_count = EXCLUDED.document_count")
            .bind(row.partner_id).bind(&row.agreement).bind(&row.term).bind(row.period_from).bind(row.period_to).bind(row.part).bind(row.bucket)
            .bind(row.version).bind(row.sums[0].0.to_string()).bind(row.sums[1].0.to_string()).bind(row.sums[2].0.to_string())
            .bind(row.sums[3].0.to_string()).bind(row.lines).bind(row.documents).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Adds to many running sums.
    pub async fn add_to_accumulators(&mut self, deltas: &[AccumulatorRow]) -> StoreResult<()> {
        for delta in deltas {
            self.add_to_accumulator(delta).await?;
        }
        Ok(())
    }

    /// Inserts running sums into an empty table, many rows at a time.
    pub async fn insert_accumulators(&mut self, rows: &[AccumulatorRow]) -> StoreResult<()> {
        for part in rows.chunks(500) {
            let list: Vec<serde_json::Value> = part
                .iter()
                .map(|r| {
                    serde_json::json!([
                        r.partner_id,
                        r.agreement,
                        r.term,
                        r.period_from,
                        r.period_to,
                        r.part,
                        r.bucket,
                        r.version,
                        r.sums[0].0.to_string(),
                        r.sums[1].0.to_string(),
                        r.sums[2].0.to_string(),
                        r.sums[3].0.to_string(),
                        r.lines,
                        r.documents
                    ])
                })
                .collect();
            let list = serde_json::to_string(&list).map_err(|e| corrupt("running sums", e))?;
            match self {
                Tx::Sqlite(c) => {
                    sqlx::query(
                        "INSERT INTO accumulator (partner_id, agreement, term, period_from, period_to, part, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count)
                         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8,
                                value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13 FROM json_each($1)",
                    )
                    .bind(list)
                    .execute(&mut **c)
                    .await?;
                }
                Tx::Postgres(c) => {
                    sqlx::query(
                        "INSERT INTO accumulator (partner_id, agreement, term, period_from, period_to, part, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count)
                         SELECT (v ->> 0)::BIGINT, v ->> 1, v ->> 2, (v ->> 3)::DATE, (v ->> 4)::DATE, (v ->> 5)::BIGINT, (v ->> 6)::DATE, (v ->> 7)::BIGINT, v ->> 8,
                                v ->> 9, v ->> 10, v ->> 11, (v ->> 12)::BIGINT, (v ->> 13)::BIGINT FROM jsonb_array_elements($1::jsonb) AS v",
                    )
                    .bind(list)
                    .execute(&mut **c)
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Forgets the running sums of an agreement before they are built anew.
    pub async fn clear_accumulators_of_agreement(&mut self, agreement: &str) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM accumulator WHERE agreement = $1").bind(agreement).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Forgets the running sums of a partner before they are built anew.
    pub async fn clear_accumulators_of_partner(&mut self, partner_id: i64) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM accumulator WHERE partner_id = $1").bind(partner_id).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Partners with running sums under an agreement.
    pub async fn accumulated_partners(&mut self, agreement: &str) -> StoreResult<Vec<i64>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT DISTINCT partner_id FROM accumulator WHERE agreement = $1 ORDER BY partner_id").bind(agreement).fetch_all(c).await?),
        )
    }

    /// Agreements with running sums of a partner.
    pub async fn accumulated_agreements(&mut self, partner_id: i64) -> StoreResult<Vec<String>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT DISTINCT agreement FROM accumulator WHERE partner_id = $1 ORDER BY agreement").bind(partner_id).fetch_all(c).await?),
        )
    }

    /// Marks a pair for accrue, with the accounting months whose lines changed (`,` between them).
    /// Reasons of several causes are joined, and cut at a readable length.
    pub async fn mark_key(&mut self, partner_id: i64, agreement: &str, reason: &str, months: &str) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO dirty_key (partner_id, agreement, reason, months) VALUES ($1, $2, $3, $4)
             ON CONFLICT (partner_id, agreement) DO UPDATE SET months = dirty_key.months || ',' || EXCLUDED.months, reason = CASE
                 WHEN length(dirty_key.reason) < 1000 AND EXCLUDED.reason <> '' THEN dirty_key.reason || '; ' || EXCLUDED.reason ELSE dirty_key.reason END")
            .bind(partner_id).bind(agreement).bind(reason).bind(months).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Pairs that accrue has to look at.
    pub async fn marked_keys(&mut self) -> StoreResult<Vec<KeyRow>> {
        let rows: Vec<(i64, String, String, String)> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, reason, months FROM dirty_key ORDER BY agreement, partner_id").fetch_all(c).await?);
        Ok(rows
            .into_iter()
            .map(|(partner_id, agreement, reason, months)| KeyRow {
                partner_id,
                agreement,
                reason,
                months: months.split(',').filter_map(|m| m.parse().ok()).collect(),
            })
            .collect())
    }
    /// Forgets a pair once it is booked.
    pub async fn clear_key(&mut self, partner_id: i64, agreement: &str) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM dirty_key WHERE partner_id = $1 AND agreement = $2").bind(partner_id).bind(agreement).execute(c).await?.rows_affected());
        Ok(())
    }
}
