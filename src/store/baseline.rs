//! Baselines of growth that stand: imported, or frozen on their day.

use super::bulk::Rows;
use super::pairs::of_pairs;
use super::{StoreResult, Tx, corrupt, from_row, on};
use crate::core::matching::{QUALIFIER, facet};
use crate::core::number::Exact;
use crate::store::AccumulatorRow;
use chrono::NaiveDate;

/// How a baseline came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BaselineKind {
    /// On its day, as the documents then were.
    Frozen,
    /// By a person; it goes before a frozen one.
    Imported,
}

impl BaselineKind {
    const fn word(self) -> &'static str {
        match self {
            BaselineKind::Frozen => "frozen",
            BaselineKind::Imported => "imported",
        }
    }
}

/// A baseline that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingBaseline {
    /// Partner.
    pub partner_id: i64,
    /// Agreement id.
    pub agreement: String,
    /// Term id; empty for the only growth term.
    pub term: String,
    /// First day of the period that is compared with it (an import may also name the baseline's own days).
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// How it came to stand.
    pub kind: BaselineKind,
    /// The figure, in the term's measure.
    pub figure: Exact,
}

impl StandingBaseline {
    /// As one of the sums that a figure is reckoned from. Its version says whether it was imported.
    pub fn as_sum(&self) -> AccumulatorRow {
        let mut sums = [Exact::ZERO; 4];
        sums[QUALIFIER] = self.figure;
        AccumulatorRow {
            partner_id: self.partner_id,
            agreement: self.agreement.clone(),
            term: self.term.clone(),
            period_from: self.period_from,
            period_to: self.period_to,
            part: 0,
            facet: facet::STANDING_BASELINE,
            bucket: self.period_from,
            version: i64::from(self.kind == BaselineKind::Imported),
            sums,
            lines: 0,
            documents: 0,
        }
    }
}

struct Raw {
    partner_id: i64,
    agreement: String,
    term: String,
    period_from: NaiveDate,
    period_to: NaiveDate,
    kind: String,
    figure: String,
}
from_row!(Raw { partner_id, agreement, term, period_from, period_to, kind, figure });

impl Raw {
    fn into_sum(self) -> StoreResult<AccumulatorRow> {
        let imported = self.kind == BaselineKind::Imported.word();
        let standing = StandingBaseline {
            partner_id: self.partner_id,
            agreement: self.agreement,
            term: self.term,
            period_from: self.period_from,
            period_to: self.period_to,
            kind: if imported { BaselineKind::Imported } else { BaselineKind::Frozen },
            figure: self.figure.parse::<i128>().map(Exact).map_err(|e| corrupt("baseline", e))?,
        };
        Ok(standing.as_sum())
    }
}

impl Tx {
    /// Takes what a person says; the last word stands. Whether anything changed.
    pub async fn import_baseline(&mut self, row: &StandingBaseline, on: NaiveDate) -> StoreResult<bool> {
        let changed = on!(self, c => sqlx::query(
            "INSERT INTO baseline (partner_id, agreement, term, period_from, period_to, kind, figure, recorded_on) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (partner_id, agreement, term, period_from, period_to, kind) DO UPDATE SET figure = EXCLUDED.figure, recorded_on = EXCLUDED.recorded_on
             WHERE baseline.figure <> EXCLUDED.figure")
            .bind(row.partner_id).bind(&row.agreement).bind(&row.term).bind(row.period_from).bind(row.period_to).bind(row.kind.word())
            .bind(row.figure.0.to_string()).bind(on).execute(c).await?.rows_affected());
        Ok(changed > 0)
    }

    /// Lets baselines stand from now on; one that stands already stays.
    pub async fn freeze_baselines(&mut self, list: &[StandingBaseline], on: NaiveDate) -> StoreResult<()> {
        let mut rows = Rows::of(
            "baseline",
            ["partner_id", "agreement", "term", "period_from", "period_to", "kind", "figure", "recorded_on"],
            list.len(),
        );
        for b in list {
            rows.push([
                b.partner_id.into(),
                (&b.agreement).into(),
                (&b.term).into(),
                b.period_from.into(),
                b.period_to.into(),
                b.kind.word().into(),
                b.figure.0.to_string().into(),
                on.into(),
            ]);
        }
        self.upsert_rows(rows, "ON CONFLICT (partner_id, agreement, term, period_from, period_to, kind) DO NOTHING").await
    }

    /// Standing baselines of pairs of partner and agreement, as sums.
    pub(super) async fn standing_baselines(&mut self, pairs: &[(i64, &str)]) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = of_pairs!(
            self,
            pairs,
            "SELECT t.partner_id, t.agreement, t.term, t.period_from, t.period_to, t.kind, t.figure",
            "baseline",
            ""
        );
        rows.into_iter().map(Raw::into_sum).collect()
    }

    /// Standing baselines of an agreement, as sums.
    pub(super) async fn standing_baselines_of_agreement(&mut self, agreement: &str) -> StoreResult<Vec<AccumulatorRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, agreement, term, period_from, period_to, kind, figure FROM baseline WHERE agreement = $1
             ORDER BY partner_id, term, period_from, kind").bind(agreement).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_sum).collect()
    }
}
