//! From running sums to figures per key: what accrue books, propose pays and reports show.
//!
//! Everything here is a function of sums and agreement versions; reading them is the caller's.

use super::baselines;
use crate::core::accrual::{Entry, Evaluation, Figure, TooLarge, apply_caps, evaluate, evaluate_to_date};
use crate::core::agreement::{AgreementVersion, QualifierScope};
use crate::core::matching::{Sums, facet};
use crate::core::number::{Exact, Fine, Micros};
use crate::core::period::{FiscalCalendar, Period};
use crate::core::problem::Problem;
use crate::store::{AccumulatorRow, StoreResult, Tx};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The figure of one partner, term and accumulation period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFigure {
    /// Partner.
    pub partner_id: i64,
    /// Term id.
    pub term: String,
    /// Accumulation period.
    pub period: Period,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Newest version that ruled any line.
    pub version: u32,
    /// Qualifier (of all partners where the agreement takes them together).
    pub qualifier: Exact,
    /// The partner's base.
    pub base: Exact,
    /// Tier reached.
    pub tier: Option<usize>,
    /// Before rounding.
    pub unrounded: Fine,
    /// Earned, after all caps.
    pub earned: Micros,
    /// By accounting month.
    pub buckets: Vec<(NaiveDate, Micros)>,
    /// Lines counted.
    pub lines: i64,
    /// How it was reckoned.
    pub evaluation: Arc<Evaluation>,
}

/// Versions of each agreement, in order of id and version.
pub fn by_agreement(versions: &[AgreementVersion]) -> BTreeMap<&str, Vec<AgreementVersion>> {
    let mut map: BTreeMap<&str, Vec<AgreementVersion>> = BTreeMap::new();
    for version in versions {
        map.entry(&version.id).or_default().push(version.clone());
    }
    map
}

/// Whether partners of the agreement share one qualifier.
pub fn together(versions: &[AgreementVersion]) -> bool {
    versions.last().is_some_and(|v| v.qualifier_scope == QualifierScope::Agreement)
}

/// Reads the sums that decide a partner's figures: its own, or those of all partners together.
pub async fn sums(tx: &mut Tx, versions: &[AgreementVersion], partner_id: i64) -> StoreResult<Vec<AccumulatorRow>> {
    let Some(newest) = versions.last() else { return Ok(Vec::new()) };
    if together(versions) {
        tx.accumulators_of_agreement(&newest.id).await
    } else {
        tx.accumulators(partner_id, &newest.id).await
    }
}

/// Evaluates sums. With `cutoff`, only what was sold by that day counts.
///
/// `rank` orders partners that share a figure (by code: it breaks ties).
///
/// # Errors
/// `figure-too-large`, naming agreement, term and period, when one of the figures does not fit.
pub fn figures(
    versions: &[AgreementVersion],
    rows: &[AccumulatorRow],
    calendar: &FiscalCalendar,
    cutoff: Option<NaiveDate>,
    rank: &dyn Fn(i64) -> String,
) -> Result<Vec<KeyFigure>, Problem> {
    let Some(newest) = versions.last() else { return Ok(Vec::new()) };
    let shared = together(versions);
    // A document or line belongs to one partner, so only real periods are shared.
    let mut keys: BTreeMap<(i64, &str, NaiveDate, NaiveDate, i64), Vec<Entry>> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.facet != facet::STANDING_BASELINE) {
        let owner = if shared { 0 } else { row.partner_id };
        keys.entry((owner, &row.term, row.period_from, row.period_to, row.part)).or_default().push(Entry {
            partner_id: row.partner_id,
            facet: row.facet,
            bucket: row.bucket,
            version: u32::try_from(row.version).unwrap_or(0),
            sums: Sums { slots: row.sums, lines: row.lines, documents: row.documents },
        });
    }
    for (term, period, entry) in baselines::standing(versions, rows, calendar, rank) {
        let owner = if shared { 0 } else { entry.partner_id };
        if let Some(entries) = keys.get_mut(&(owner, term, period.from, period.to, 0)) {
            entries.push(entry);
        }
    }
    let mut result: Vec<KeyFigure> = Vec::new();
    let mut capped: Vec<Figure> = Vec::new();
    for ((_, term, from, to, part), mut entries) in keys {
        if shared {
            // By code first: it breaks ties of cents.
            entries.sort_by_cached_key(|e| (rank(e.partner_id), e.bucket, e.version));
        } else {
            entries.sort_by_key(|e| (e.bucket, e.version));
        }
        let period = Period { from, to };
        let evaluation = match cutoff {
            Some(cutoff) => evaluate_to_date(versions, term, period, &entries, calendar, cutoff),
            None => evaluate(versions, term, period, &entries, calendar),
        };
        let evaluation = Arc::new(evaluation.map_err(|e| too_large(&newest.id, term, period, e))?);
        let position = newest.terms.iter().position(|t| t.id == term).unwrap_or(usize::MAX);
        for partner in &evaluation.partners {
            capped.push(Figure {
                term: position,
                partner_id: partner.partner_id,
                period,
                part,
                earned: partner.earned,
                buckets: partner.buckets.clone(),
                lowered_by: None,
            });
            result.push(KeyFigure {
                partner_id: partner.partner_id,
                term: term.to_owned(),
                period,
                part,
                version: evaluation.versions.iter().map(|v| v.version).max().unwrap_or(newest.version),
                qualifier: evaluation.qualifier,
                base: partner.base,
                tier: evaluation.tier(),
                unrounded: partner.unrounded,
                earned: partner.earned,
                buckets: Vec::new(),
                lines: evaluation.lines,
                evaluation: evaluation.clone(),
            });
        }
    }
    apply_caps(newest, &mut capped);
    for (figure, capped) in result.iter_mut().zip(capped) {
        figure.earned = capped.earned;
        figure.buckets = capped.buckets.iter().map(|b| (b.bucket, b.earned)).collect();
    }
    Ok(result)
}

/// Code of a figure that does not fit.
pub const TOO_LARGE: &str = "figure-too-large";

/// The problem of a figure that does not fit.
pub fn too_large(agreement: &str, term: &str, period: Period, error: TooLarge) -> Problem {
    Problem::new(TOO_LARGE, format!("what {agreement} {term} earns in {period} is {error}; it is not computed"))
        .help("look for a code in the column of a quantity or an amount among its lines, and correct it in its source")
}
