//! From running sums to figures per key: what accrue books, propose pays and reports show.
//!
//! Everything here is a function of sums and agreement versions; reading them is the caller's.

use super::baselines;
use crate::core::accrual::{
    BucketShare, Combination, Entry, Evaluation, Figure, Lowered, PartnerFigure, Step, Taken, TooLarge, apply_caps, evaluate,
    evaluate_to_date, take_off,
};
use crate::core::agreement::{AgreementVersion, Measure, QualifierScope};
use crate::core::matching::{BASE, Sums, facet};
use crate::core::number::{Exact, Fine, Micros};
use crate::core::period::{FiscalCalendar, Period};
use crate::core::problem::Problem;
use crate::core::statement_recipe::Reckoning;
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
    /// By accounting month, before caps over several figures.
    pub shares: Vec<BucketShare>,
    /// By accounting month.
    pub buckets: Vec<(NaiveDate, Micros)>,
    /// Lines counted.
    pub lines: i64,
    /// What other terms take off the base, by their place in `after`.
    pub taken_off: Vec<(i64, Taken)>,
    /// How it was reckoned, up to caps over several figures.
    pub evaluation: Arc<Evaluation>,
    /// The caps over several figures that changed it.
    pub lowered: Vec<Lowered>,
}

impl KeyFigure {
    /// Ready to be explained, under the versions that it was reckoned by.
    pub fn reckoning(&self, versions: &[AgreementVersion]) -> Reckoning<'_> {
        let term =
            versions.iter().rev().filter(|v| v.version <= self.version).find_map(|v| v.terms.iter().find(|t| t.id == self.term));
        let base_measure = term.map_or(Measure::NetAmount, |t| t.rule.measures().base);
        Reckoning {
            evaluation: &self.evaluation,
            partner_id: self.partner_id,
            together: together(versions),
            base_measure,
            lowered: &self.lowered,
            earned: self.earned,
        }
    }
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

/// A stored sum as the reckoning takes it.
pub fn entry_of(row: &AccumulatorRow) -> Entry {
    Entry {
        partner_id: row.partner_id,
        facet: row.facet,
        bucket: row.bucket,
        version: u32::try_from(row.version).unwrap_or(0),
        sums: Sums { slots: row.sums, lines: row.lines, documents: row.documents },
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
        keys.entry((owner, &row.term, row.period_from, row.period_to, row.part)).or_default().push(entry_of(row));
    }
    for (term, period, entry) in baselines::standing(versions, rows, calendar, rank) {
        let owner = if shared { 0 } else { entry.partner_id };
        if let Some(entries) = keys.get_mut(&(owner, term, period.from, period.to, 0)) {
            entries.push(entry);
        }
    }
    for entries in keys.values_mut() {
        if shared {
            // By code first: it breaks ties of cents.
            entries.sort_by_cached_key(|e| (rank(e.partner_id), e.bucket, e.version));
        } else {
            entries.sort_by_key(|e| (e.bucket, e.version));
        }
    }
    let combination = Combination::new(versions);
    let mut reckoned: Vec<(Key<'_>, Vec<KeyFigure>)> = Vec::with_capacity(keys.len());
    let mut taken: BTreeMap<(&str, i64, Period, i64), Taken> = BTreeMap::new();
    for unit in &combination.units {
        let first = reckoned.len();
        for term in unit {
            let of_term: Vec<Key<'_>> = keys.keys().filter(|k| k.1 == *term).copied().collect();
            for key in of_term {
                let Some(mut entries) = keys.remove(&key) else { continue };
                let period = Period { from: key.2, to: key.3 };
                let bases = bases(&entries);
                let others = combination.after_of(term);
                let mut off: BTreeMap<(i64, i64), Taken> = BTreeMap::new();
                for (place, other) in (1i64..).zip(others) {
                    for (partner, _) in &bases {
                        if let Some(of_other) = taken.get(&(other.as_str(), *partner, period, key.4)) {
                            off.insert((*partner, place), *of_other);
                        }
                    }
                }
                take_off(&mut entries, &off);
                let evaluation = match cutoff {
                    Some(cutoff) => evaluate_to_date(versions, term, period, &entries, calendar, cutoff),
                    None => evaluate(versions, term, period, &entries, calendar),
                };
                let mut evaluation = evaluation.map_err(|e| too_large(&newest.id, term, period, e))?;
                for (other, of_other) in others.iter().filter_map(|o| {
                    let found = bases.iter().find_map(|(partner, _)| taken.get(&(o.as_str(), *partner, period, key.4)));
                    found.map(|t| (o, t))
                }) {
                    evaluation.steps.insert(1, Step::After { term: other.clone(), benefit: of_other.benefit });
                }
                let taken_off = off.into_iter().map(|((partner, place), taken)| (partner, place, taken)).collect();
                let mut figures = of_evaluation(newest, term, period, key.4, evaluation, taken_off);
                let requires = combination.requires_of(term);
                for figure in &mut figures {
                    let met = |term: &String| {
                        reckoned.iter().flat_map(|(_, list)| list).any(|f| {
                            f.term == *term
                                && f.partner_id == figure.partner_id
                                && f.period.overlaps(&period)
                                && f.earned > Micros::ZERO
                        })
                    };
                    let unmet: Vec<String> = requires.iter().filter(|r| !met(r)).cloned().collect();
                    if !unmet.is_empty() {
                        nothing(figure, Step::Unmet { requires: unmet });
                    }
                }
                for figure in &figures {
                    let base = bases.iter().find(|(partner, _)| *partner == figure.partner_id).map_or(Exact::ZERO, |b| b.1);
                    taken.insert((term, figure.partner_id, period, key.4), Taken { benefit: figure.unrounded, base });
                }
                reckoned.push((key, figures));
            }
        }
        if unit.len() > 1 {
            for (term, partner, period, part) in best_of_set(&mut reckoned[first..]) {
                taken.retain(|k, _| (k.0, k.1, k.2, k.3) != (term.as_str(), partner, period, part));
            }
        }
    }
    reckoned.sort_by_key(|(key, _)| *key);
    let mut result: Vec<KeyFigure> = reckoned.into_iter().flat_map(|(_, figures)| figures).collect();
    let position = |term: &str| newest.terms.iter().position(|t| t.id == term).unwrap_or(usize::MAX);
    let mut capped: Vec<Figure> = result
        .iter()
        .map(|f| Figure {
            term: position(&f.term),
            partner_id: f.partner_id,
            period: f.period,
            part: f.part,
            earned: f.earned,
            buckets: f.shares.clone(),
            lowered_by: Vec::new(),
        })
        .collect();
    apply_caps(newest, &mut capped);
    for (figure, capped) in result.iter_mut().zip(capped) {
        figure.earned = capped.earned;
        figure.lowered = capped.lowered_by;
        figure.buckets = capped.buckets.iter().map(|b| (b.bucket, b.earned)).collect();
    }
    Ok(result)
}

/// Owner (a partner, or 0 for all together), term, first and last day, part.
type Key<'a> = (i64, &'a str, NaiveDate, NaiveDate, i64);

/// The base of each partner before anything is taken off.
fn bases(entries: &[Entry]) -> Vec<(i64, Exact)> {
    let mut list: Vec<(i64, Exact)> = Vec::new();
    for entry in entries.iter().filter(|e| e.facet == facet::MAIN) {
        match list.iter_mut().find(|(partner, _)| *partner == entry.partner_id) {
            Some(known) => known.1 += entry.sums.slots[BASE],
            None => list.push((entry.partner_id, entry.sums.slots[BASE])),
        }
    }
    list
}

/// The figures of the partners of one evaluation.
fn of_evaluation(
    newest: &AgreementVersion,
    term: &str,
    period: Period,
    part: i64,
    evaluation: Evaluation,
    taken_off: Vec<(i64, i64, Taken)>,
) -> Vec<KeyFigure> {
    let evaluation = Arc::new(evaluation);
    let of_partner = |partner: &PartnerFigure| KeyFigure {
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
        shares: partner.buckets.clone(),
        buckets: Vec::new(),
        lines: evaluation.lines,
        taken_off: taken_off.iter().filter(|(id, _, _)| *id == partner.partner_id).map(|(_, place, t)| (*place, *t)).collect(),
        evaluation: evaluation.clone(),
        lowered: Vec::new(),
    };
    evaluation.partners.iter().map(of_partner).collect()
}

/// A figure that does not count after all, with the step that says why.
fn nothing(figure: &mut KeyFigure, why: Step) {
    let mut evaluation = (*figure.evaluation).clone();
    evaluation.steps.push(why);
    figure.evaluation = Arc::new(evaluation);
    (figure.unrounded, figure.earned) = (Fine::ZERO, Micros::ZERO);
    for share in &mut figure.shares {
        (share.unrounded, share.earned) = (Fine::ZERO, Micros::ZERO);
    }
}

/// Leaves of each set, partner and period only the figure that earns most; on a tie the lowest term id. Returns those
/// that were beaten.
fn best_of_set(list: &mut [(Key<'_>, Vec<KeyFigure>)]) -> Vec<(String, i64, Period, i64)> {
    let mut best: BTreeMap<(i64, Period, i64), (Fine, String)> = BTreeMap::new();
    for figure in list.iter().flat_map(|(_, figures)| figures) {
        let key = (figure.partner_id, figure.period, figure.part);
        let better = |known: &(Fine, String)| {
            figure.unrounded > known.0 || (figure.unrounded == known.0 && figure.term.as_bytes() < known.1.as_bytes())
        };
        if best.get(&key).is_none_or(better) {
            best.insert(key, (figure.unrounded, figure.term.clone()));
        }
    }
    let mut beaten = Vec::new();
    for figure in list.iter_mut().flat_map(|(_, figures)| figures) {
        let Some((_, by)) = best.get(&(figure.partner_id, figure.period, figure.part)) else { continue };
        if *by != figure.term {
            beaten.push((figure.term.clone(), figure.partner_id, figure.period, figure.part));
            nothing(figure, Step::Beaten { by: by.clone() });
        }
    }
    beaten
}

/// Code of a figure that does not fit.
pub const TOO_LARGE: &str = "figure-too-large";

/// The problem of a figure that does not fit.
pub fn too_large(agreement: &str, term: &str, period: Period, error: TooLarge) -> Problem {
    Problem::new(TOO_LARGE, format!("what {agreement} {term} earns in {period} is {error}; it is not computed"))
        .help("look for a code in the column of a quantity or an amount among its lines, and correct it in its source")
}
