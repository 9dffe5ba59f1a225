//! Running sums per key and accounting month: what makes a night cost its new lines only.

use super::bulk::Rows;
use super::pairs::of_pairs;
use super::stored_document::Texts;
use super::{StoreResult, Tx, corrupt, from_row, on};
use crate::core::number::Exact;
use chrono::NaiveDate;
use foldhash::{HashMap, HashMapExt};

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
    /// Which of the figure's sums.
    pub facet: i64,
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
pub struct MarkedKey {
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
    facet: i64,
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
    facet,
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
            facet: self.facet,
            bucket: self.bucket,
            version: self.version,
            sums: [sum(&self.sum0)?, sum(&self.sum1)?, sum(&self.sum2)?, sum(&self.sum3)?],
            lines: self.line_count,
            documents: self.document_count,
        })
    }
}

/// Sums whose neighbours are looked up together.
const PAIRS_AT_ONCE: usize = 4_000;

/// Names one running sum.
type Address = (i64, String, String, NaiveDate, NaiveDate, i64, i64, NaiveDate, i64);

fn address(row: &AccumulatorRow) -> Address {
    (
        row.partner_id,
        row.agreement.clone(),
        row.term.clone(),
        row.period_from,
        row.period_to,
        row.part,
        row.facet,
        row.bucket,
        row.version,
    )
}

fn table_rows(list: &[AccumulatorRow]) -> Rows<'_, 15> {
    let mut rows = Rows::of(
        "accumulator",
        [
            "partner_id",
            "agreement",
            "term",
            "period_from",
            "period_to",
            "part",
            "facet",
            "bucket",
            "version",
            "sum0",
            "sum1",
            "sum2",
            "sum3",
            "line_count",
            "document_count",
        ],
        list.len(),
    );
    let mut texts = Texts::default();
    for r in list {
        let mut sum = |slot: usize| match r.sums[slot].is_zero() {
            true => texts.share("0").into(),
            false => r.sums[slot].0.to_string().into(),
        };
        let (sum0, sum1, sum2, sum3) = (sum(0), sum(1), sum(2), sum(3));
        rows.push([
            r.partner_id.into(),
            (&r.agreement).into(),
            (&r.term).into(),
            r.period_from.into(),
            r.period_to.into(),
            r.part.into(),
            r.facet.into(),
            r.bucket.into(),
            r.version.into(),
            sum0,
            sum1,
            sum2,
            sum3,
            r.lines.into(),
            r.documents.into(),
        ]);
    }
    rows
}

impl Tx {
    /// Running sums of one agreement for one partner, in key and month order, and baselines that stand.
    pub async fn accumulators(&mut self, partner_id: i64, agreement: &str) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, facet, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator WHERE partner_id = $1 AND agreement = $2 ORDER BY term, period_from, period_to, part, facet, bucket, version")
            .bind(partner_id).bind(agreement).fetch_all(c).await?);
        let mut rows: Vec<AccumulatorRow> = rows.into_iter().map(Raw::into_row).collect::<StoreResult<_>>()?;
        rows.extend(self.standing_baselines(&[(partner_id, agreement)]).await?);
        Ok(rows)
    }

    /// Running sums of an agreement over all partners, and baselines that stand.
    pub async fn accumulators_of_agreement(&mut self, agreement: &str) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, facet, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator WHERE agreement = $1 ORDER BY partner_id, term, period_from, period_to, part, facet, bucket, version")
            .bind(agreement).fetch_all(c).await?);
        let mut rows: Vec<AccumulatorRow> = rows.into_iter().map(Raw::into_row).collect::<StoreResult<_>>()?;
        rows.extend(self.standing_baselines_of_agreement(agreement).await?);
        Ok(rows)
    }

    /// All running sums: for the self-check against a rebuild.
    pub async fn all_accumulators(&mut self) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, facet, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator ORDER BY partner_id, agreement, term, period_from, period_to, part, facet, bucket, version").fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Running sums of pairs of partner and agreement, in no particular order, and baselines that stand.
    pub async fn accumulators_of_pairs(&mut self, pairs: &[(i64, &str)]) -> StoreResult<Vec<AccumulatorRow>> {
        let rows = self.summed_pairs(pairs).await?;
        let standing = self.standing_baselines(pairs).await?;
        Ok(rows.into_iter().chain(standing).collect())
    }

    /// The same without baselines that stand.
    async fn summed_pairs(&mut self, pairs: &[(i64, &str)]) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = of_pairs!(
            self,
            pairs,
            "SELECT t.partner_id, t.agreement, t.term, t.period_from, t.period_to, t.part, t.facet, t.bucket, t.version, t.sum0, t.sum1, t.sum2, t.sum3,
                    t.line_count, t.document_count",
            "accumulator",
            ""
        );
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Adds to running sums, each named once; one that ends at nothing counted is removed.
    pub async fn add_to_accumulators(&mut self, deltas: &[AccumulatorRow]) -> StoreResult<()> {
        for part in deltas.chunks(PAIRS_AT_ONCE) {
            let mut pairs: Vec<(i64, &str)> = part.iter().map(|d| (d.partner_id, d.agreement.as_str())).collect();
            pairs.sort_unstable();
            pairs.dedup();
            let mut known: HashMap<Address, AccumulatorRow> = HashMap::new();
            for row in self.summed_pairs(&pairs).await? {
                known.insert(address(&row), row);
            }
            let mut sums: Vec<AccumulatorRow> = Vec::with_capacity(part.len());
            for delta in part {
                let mut row = delta.clone();
                if let Some(old) = known.get(&address(delta)) {
                    for (sum, old) in row.sums.iter_mut().zip(old.sums) {
                        *sum += old;
                    }
                    row.lines += old.lines;
                    row.documents += old.documents;
                }
                if row.lines == 0 && row.documents == 0 && row.sums.iter().all(|s| s.is_zero()) {
                    self.remove_accumulator(&row).await?;
                } else {
                    sums.push(row);
                }
            }
            let rows = table_rows(&sums);
            self.upsert_rows(
                rows,
                "ON CONFLICT (partner_id, agreement, term, period_from, period_to, part, facet, bucket, version) DO UPDATE SET sum0 = EXCLUDED.sum0, sum1 = EXCLUDED.sum1,
                     sum2 = EXCLUDED.sum2, sum3 = EXCLUDED.sum3, line_count = EXCLUDED.line_count, document_count = EXCLUDED.document_count",
            )
            .await?;
        }
        Ok(())
    }

    async fn remove_accumulator(&mut self, row: &AccumulatorRow) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "DELETE FROM accumulator
             WHERE partner_id = $1 AND agreement = $2 AND term = $3 AND period_from = $4 AND period_to = $5 AND part = $6 AND facet = $7 AND bucket = $8 AND version = $9")
            .bind(row.partner_id).bind(&row.agreement).bind(&row.term).bind(row.period_from).bind(row.period_to).bind(row.part)
            .bind(row.facet).bind(row.bucket).bind(row.version).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Inserts running sums that are new, many rows at a time.
    pub async fn insert_accumulators(&mut self, rows: &[AccumulatorRow]) -> StoreResult<()> {
        self.insert_rows(table_rows(rows)).await
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

    /// Replaces one kind of sums of a partner. Whether anything changed.
    pub async fn replace_facet(&mut self, partner_id: i64, facet: i64, rows: &[AccumulatorRow]) -> StoreResult<bool> {
        let known: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, part, facet, bucket, version, sum0, sum1, sum2, sum3, line_count, document_count
             FROM accumulator WHERE partner_id = $1 AND facet = $2 ORDER BY agreement, term, period_from, period_to, part, bucket, version")
            .bind(partner_id).bind(facet).fetch_all(c).await?);
        let mut known: Vec<AccumulatorRow> = known.into_iter().map(Raw::into_row).collect::<StoreResult<_>>()?;
        let mut wanted = rows.to_vec();
        known.sort_by_key(address);
        wanted.sort_by_key(address);
        if known == wanted {
            return Ok(false);
        }
        on!(self, c => sqlx::query("DELETE FROM accumulator WHERE partner_id = $1 AND facet = $2").bind(partner_id).bind(facet)
            .execute(c).await?.rows_affected());
        self.insert_accumulators(rows).await?;
        Ok(true)
    }

    /// Whether a partner has one kind of sums.
    pub async fn has_facet(&mut self, partner_id: i64, facet: i64) -> StoreResult<bool> {
        let found: Option<i64> = on!(self, c => sqlx::query_scalar("SELECT partner_id FROM accumulator WHERE partner_id = $1 AND facet = $2 LIMIT 1")
            .bind(partner_id).bind(facet).fetch_optional(c).await?);
        Ok(found.is_some())
    }

    /// Partners that have one kind of sums.
    pub async fn partners_with_facet(&mut self, facet: i64) -> StoreResult<Vec<i64>> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT DISTINCT partner_id FROM accumulator WHERE facet = $1 ORDER BY partner_id")
            .bind(facet).fetch_all(c).await?))
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

    /// Marks pairs for accrue, each named once, with the accounting months whose lines changed.
    /// Reasons of several causes are joined, and cut at a readable length.
    pub async fn mark_keys(&mut self, keys: &[MarkedKey]) -> StoreResult<()> {
        let mut rows = Rows::of("dirty_key", ["partner_id", "agreement", "reason", "months"], keys.len());
        for key in keys {
            let months = key.months.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            rows.push([key.partner_id.into(), (&key.agreement).into(), (&key.reason).into(), months.into()]);
        }
        self.upsert_rows(
            rows,
            "ON CONFLICT (partner_id, agreement) DO UPDATE SET months = dirty_key.months || ',' || EXCLUDED.months, reason = CASE
                 WHEN length(dirty_key.reason) < 1000 AND EXCLUDED.reason <> '' THEN dirty_key.reason || '; ' || EXCLUDED.reason ELSE dirty_key.reason END",
        )
        .await
    }
    /// Pairs that accrue has to look at.
    pub async fn marked_keys(&mut self) -> StoreResult<Vec<MarkedKey>> {
        let rows: Vec<(i64, String, String, String)> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, reason, months FROM dirty_key ORDER BY agreement, partner_id").fetch_all(c).await?);
        Ok(rows
            .into_iter()
            .map(|(partner_id, agreement, reason, months)| MarkedKey {
                partner_id,
                agreement,
                reason,
                months: months.split(',').filter_map(|m| m.parse().ok()).collect(),
            })
            .collect())
    }
    /// Forgets pairs once they are booked.
    pub async fn clear_keys(&mut self, pairs: &[(i64, &str)]) -> StoreResult<()> {
        match self {
            Tx::Sqlite(tx) => {
                sqlx::query(
                    "DELETE FROM dirty_key WHERE (partner_id, agreement) IN (SELECT value ->> 0, value ->> 1 FROM json_each($1))",
                )
                .bind(super::pairs::json(pairs)?)
                .execute(&mut **tx)
                .await?;
            }
            Tx::Postgres(tx) => {
                let (partners, agreements) = super::pairs::columns(pairs);
                sqlx::query(
                    "DELETE FROM dirty_key WHERE (partner_id, agreement) IN (SELECT * FROM UNNEST($1::BIGINT[], $2::TEXT[]))",
                )
                .bind(partners)
                .bind(agreements)
                .execute(&mut **tx)
                .await?;
            }
        }
        Ok(())
    }
}
