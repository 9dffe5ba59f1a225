//! What one term has earned in one accumulation period.

use super::evaluation::{BucketShare, Entry, Evaluation, PartnerFigure};
use super::gather::{Gathered, MeasuredEntry, Summed, in_order};
use super::ruling::{Lumps, Totals};
use super::spread;
use super::steps::Step;
use crate::core::agreement::{AgreementVersion, Benefit, Measures, NegativePolicy, QualifierScope, Rule, Term, Tier};
use crate::core::allocation;
use crate::core::matching::{facet, term_calendar, whole_validity};
use crate::core::number::{Exact, Fine, Micros, Rate};
use crate::core::period::{FiscalCalendar, Period};
use crate::core::terms::volume::snap;
use chrono::NaiveDate;
use foldhash::{HashMap, HashMapExt};

/// Evaluates one term over one accumulation period.
///
/// `versions` are all versions of one agreement; `entries` are the running sums of one key, or
/// with `qualifier_scope = "agreement"` those of all partners of it. The result does not depend
/// on the order of the entries of one partner.
///
/// # Errors
/// [`TooLarge`] when a sum or a benefit could pass what an amount holds.
pub fn evaluate(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    entries: &[Entry],
    calendar: &FiscalCalendar,
) -> Result<Evaluation, TooLarge> {
    let Some(figure) = Rules::new(versions, term_id, period, calendar) else { return Ok(Evaluation::default()) };
    figure.evaluate(entries)
}

/// A figure past the range of amounts; nothing is computed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("past {}, which is the most that an amount can be", Micros(i64::MAX).to_text(0))]
pub struct TooLarge;

/// The same with what had been sold by the end of a settlement period: only months that start by
/// `cutoff` count. A baseline is that of the whole period.
pub fn evaluate_to_date(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    entries: &[Entry],
    calendar: &FiscalCalendar,
    cutoff: NaiveDate,
) -> Result<Evaluation, TooLarge> {
    let whole = |e: &Entry| matches!(e.facet, facet::BASELINE | facet::STANDING_BASELINE);
    let kept: Vec<Entry> = entries.iter().filter(|e| e.bucket <= cutoff || whole(e)).copied().collect();
    evaluate(versions, term_id, period, &kept, calendar)
}

/// The ladder of one version's term with the bounds that hold in the period: in proportion to its days
/// with `prorate_bounds`, and of what the evaluation says that fractions are of. Empty for terms without tiers.
pub fn tiers_of_period(
    versions: &[AgreementVersion],
    term_id: &str,
    version: u32,
    period: Period,
    calendar: &FiscalCalendar,
    scale: Option<(Exact, (i128, i128))>,
) -> Vec<Tier> {
    let Some(rules) = Rules::new(versions, term_id, period, calendar) else { return Vec::new() };
    let term = rules.versions.iter().find(|v| v.agreement.version == version).and_then(|v| Some((v, v.term?)));
    let Some((version, term)) = term else { return Vec::new() };
    let ladder = rules.written_ladder(version, term);
    scale.map_or(ladder, |(whole, points)| ladder.of(whole, points)).tiers_in_period()
}

/// Unrounded parts of single lines, in their given order (document date, number, line): they add
/// up to the unrounded benefit of the period before caps and floors. Amounts and increments, which no
/// line earns by itself, are shared by base. `baseline` is the one that the figure was compared with.
pub(crate) fn line_parts(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    lines: Vec<Summed>,
    baseline: Option<Exact>,
    calendar: &FiscalCalendar,
) -> Result<Vec<Fine>, TooLarge> {
    parts(versions, term_id, period, lines, baseline, calendar, Lumps::ByBase)
}

/// What single lines earn by themselves at the tiers that all of them reach: amounts for the whole period and
/// increments are left out, since they take no part where agreements compete for a line.
pub(crate) fn own_parts(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    lines: Vec<Summed>,
    calendar: &FiscalCalendar,
) -> Result<Vec<Fine>, TooLarge> {
    parts(versions, term_id, period, lines, None, calendar, Lumps::LeftOut)
}

fn parts(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    lines: Vec<Summed>,
    baseline: Option<Exact>,
    calendar: &FiscalCalendar,
    lumps: Lumps,
) -> Result<Vec<Fine>, TooLarge> {
    let count = lines.len();
    let Some(rules) = Rules::new(versions, term_id, period, calendar) else { return Ok(vec![Fine::ZERO; count]) };
    let gathered = rules.gather(lines, baseline);
    rules.fits(&gathered)?;
    let totals = rules.totals(&gathered);
    let mut parts = vec![Fine::ZERO; count];
    for (line, part) in gathered.measured.iter().zip(rules.benefits(&gathered, &totals, lumps)) {
        parts[line.index] = part;
    }
    Ok(parts)
}

/// One version's term.
pub(super) struct VersionTerm<'a> {
    pub agreement: &'a AgreementVersion,
    pub term: Option<&'a Term>,
}

/// A term in all its versions, over one period.
pub(super) struct Rules<'a> {
    pub versions: Vec<VersionTerm<'a>>,
    pub newest: &'a AgreementVersion,
    /// The newest term of the stretch between restarts that the period lies in, and its version's place: what a figure is
    /// measured in and limited by may differ from stretch to stretch, and no figure spans two.
    pub newest_term: &'a Term,
    pub term_version: usize,
    pub period: Period,
    pub whole_period: Period,
    pub carry: bool,
    pub calendar: FiscalCalendar,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        versions: &'a [AgreementVersion],
        term_id: &str,
        period: Period,
        calendar: &FiscalCalendar,
    ) -> Option<Self> {
        let mut list: Vec<VersionTerm<'a>> = versions
            .iter()
            .map(|agreement| VersionTerm { agreement, term: agreement.terms.iter().find(|t| t.id == term_id) })
            .collect();
        list.sort_by_key(|v| v.agreement.version);
        let newest = list.last()?.agreement;
        let restarted = |v: &&VersionTerm<'_>| v.agreement.restart_on_amendment && v.agreement.valid_from > period.from;
        let ends = list.iter().filter(restarted).map(|v| v.agreement.valid_from).min();
        let of_period = |v: &VersionTerm<'_>| ends.is_none_or(|ends| v.agreement.valid_from < ends);
        let term_version = list
            .iter()
            .rposition(|v| v.term.is_some() && of_period(v))
            .or_else(|| list.iter().rposition(|v| v.term.is_some()))?;
        let newest_term = list[term_version].term?;
        let references: Vec<&AgreementVersion> = versions.iter().collect();
        let validity = whole_validity(&references)?;
        let calendar = term_calendar(newest, calendar);
        let whole_period = calendar.period(newest_term.accumulate, period.from, validity);
        // Growth and mix are never negative.
        let carry = newest.negative == NegativePolicy::Carry && !matches!(newest_term.rule, Rule::Growth(_) | Rule::Mix(_));
        Some(Self { versions: list, newest, newest_term, term_version, period, whole_period, carry, calendar })
    }

    /// Whether every sum, slice and benefit on the way to the figure fits. Judged by the entries without
    /// their signs and the dearest benefit: whatever cancels, no step passes that.
    fn fits(&self, gathered: &Gathered) -> Result<(), TooLarge> {
        let limit = Micros(i64::MAX).exact().0.unsigned_abs();
        let (mut qualifiers, mut bases, mut lines) = (0u128, 0u128, 0u128);
        for part in &gathered.measured {
            qualifiers = qualifiers.saturating_add(part.amounts.qualifier.0.unsigned_abs());
            qualifiers = qualifiers.saturating_add(part.whole.0.unsigned_abs());
            bases = bases.saturating_add(part.counted.0.unsigned_abs());
            lines += 1;
        }
        let beside = gathered.beside.values().chain(gathered.baselines.values());
        let beside = beside.fold(0u128, |sum, figure| sum.saturating_add(figure.0.unsigned_abs()));
        if beside > limit {
            return Err(TooLarge);
        }
        let items = u128::try_from(gathered.beside.len()).unwrap_or(u128::MAX);
        if qualifiers > limit || bases > limit {
            return Err(TooLarge);
        }
        let dearest = |benefit: &Benefit| -> Option<u128> {
            let once = |amount: Micros| amount.fine().0.unsigned_abs();
            match benefit {
                Benefit::Rate(rate) => bases.checked_mul(u128::from(rate.0.unsigned_abs())),
                Benefit::PerUnit(price) => bases.checked_mul(u128::from(price.0.unsigned_abs()))?.checked_mul(100),
                Benefit::Amount(amount) => once(*amount).checked_mul(lines),
                Benefit::PerIncrement { every, amount, .. } => once(*amount)
                    .checked_mul((bases.max(beside) / every.exact().0.unsigned_abs().max(1)).checked_add(lines + items)?),
                Benefit::FreeGoods { every, quantity, unit_value } => {
                    let one = quantity
                        .exact()
                        .0
                        .unsigned_abs()
                        .checked_mul(u128::from(unit_value.0.unsigned_abs()))?
                        .checked_mul(100)?;
                    one.checked_mul((bases / every.exact().0.unsigned_abs().max(1)).checked_add(lines)?)
                }
            }
        };
        let mut most = 0u128;
        for version in &self.versions {
            let of_version = match version.term.map(|t| &t.rule) {
                Some(Rule::Fixed(rule)) => dearest(&Benefit::Amount(rule.amount)),
                Some(rule) if rule.is_decided() => dearest(&Benefit::Rate(Rate::ONE)),
                Some(rule) => rule.tiers().iter().try_fold(0u128, |most, tier| Some(most.max(dearest(&tier.benefit)?))),
                None => Some(0),
            };
            most = most.max(of_version.ok_or(TooLarge)?);
        }
        // Half of the range, and less than a twentieth of what the unrounded scale holds: positions before and
        // after an entry, slices and shares are differences of two such figures.
        if most <= Micros(i64::MAX / 2).fine().0.unsigned_abs() { Ok(()) } else { Err(TooLarge) }
    }

    fn evaluate(&self, entries: &[Entry]) -> Result<Evaluation, TooLarge> {
        let mut partners: Vec<i64> = Vec::new();
        let mut places: HashMap<i64, usize> = HashMap::new();
        for entry in entries.iter().filter(|e| e.facet == facet::MAIN) {
            places.entry(entry.partner_id).or_insert_with(|| {
                partners.push(entry.partner_id);
                partners.len() - 1
            });
        }
        let place = |id: i64| places.get(&id).copied();
        let started = |number: u32| self.versions.iter().find(|v| v.agreement.version == number).map(|v| v.agreement.valid_from);
        let mut summed = in_order(entries);
        summed.sort_by_key(|s| (s.entry.bucket, started(s.entry.version), s.entry.version, place(s.entry.partner_id)));
        let gathered = self.gather(summed, None);
        self.fits(&gathered)?;
        let measured = &gathered.measured;
        let totals = self.totals(&gathered);
        let parts = self.benefits(&gathered, &totals, Lumps::ByPosition);
        let mut steps = vec![Step::Qualifier { measure: self.newest_term.rule.measures().qualifier, figure: totals.qualifier }];
        steps.extend(totals.conditions.iter().cloned());
        if totals.base != totals.uncapped_base {
            steps.push(Step::BaseCap { counted: totals.uncapped_base, kept: totals.base });
        }

        let versions = self.version_figures(measured, &totals, &parts, &mut steps);
        let computed: Fine = parts.iter().copied().sum();
        let unrounded = self.limits(computed, &totals, &mut steps);
        let digits = self.newest.currency.minor_digits();
        let earned = unrounded.round(digits);
        steps.push(Step::Rounded { unrounded, earned });

        let mut by_partner: Vec<Vec<usize>> = vec![Vec::new(); partners.len()];
        for (index, part) in measured.iter().enumerate() {
            if let Some(place) = place(part.entry.partner_id) {
                by_partner[place].push(index);
            }
        }
        let mut figures = self.partner_figures(&partners, &by_partner, measured, &parts, unrounded, earned, digits)?;
        if self.newest.qualifier_scope == QualifierScope::Partner
            && let [only] = &mut figures[..]
        {
            // Growth on the increase pays on less than what was bought.
            only.base = totals.base;
        }
        let mut buckets: Vec<(NaiveDate, Micros)> = Vec::new();
        for share in figures.iter().flat_map(|f| &f.buckets) {
            match buckets.iter_mut().find(|b| b.0 == share.bucket) {
                Some(known) => known.1 += share.earned,
                None => buckets.push((share.bucket, share.earned)),
            }
        }
        buckets.sort_by_key(|b| b.0);
        Ok(Evaluation {
            qualifier: totals.qualifier,
            base: totals.base,
            lines: totals.lines,
            versions,
            unrounded,
            earned,
            buckets,
            partners: figures,
            next_tier: totals.rules[self.term_version].next_tier(),
            scale: totals.scale,
            baseline: totals.compared.map(|c| c.baseline),
            free_goods: totals.rules.iter().map(|rule| rule.free_goods(totals.base)).max().unwrap_or_default(),
            documents_baseline: gathered.documents_baseline,
            steps,
        })
    }

    /// The clamp, the floor and the cap of the accumulation period.
    fn limits(&self, computed: Fine, totals: &Totals<'_>, steps: &mut Vec<Step>) -> Fine {
        let caps = &self.newest_term.caps;
        let mut figure = computed;
        if figure.is_negative() && !self.carry {
            figure = Fine::ZERO;
            steps.push(Step::Clamped { computed });
        }
        if let Some(floor) = caps.floor
            && totals.lines > 0
            && totals.base > Exact::ZERO
            && figure < floor.fine()
        {
            figure = floor.fine();
            steps.push(Step::Floor { floor });
        }
        if let Some(cap) = caps.benefit
            && figure > cap.fine()
        {
            figure = cap.fine();
            steps.push(Step::Cap { cap });
        }
        figure
    }

    fn partner_figures(
        &self,
        partners: &[i64],
        by_partner: &[Vec<usize>],
        measured: &[MeasuredEntry],
        parts: &[Fine],
        unrounded: Fine,
        earned: Micros,
        digits: u32,
    ) -> Result<Vec<PartnerFigure>, TooLarge> {
        let together = self.newest.qualifier_scope == QualifierScope::Agreement;
        let Measures { qualifier: qualifier_measure, base: base_measure, .. } = self.newest_term.rule.measures();
        let bases: Vec<Exact> =
            by_partner.iter().map(|own| snap(base_measure, own.iter().map(|i| measured[*i].amounts.base).sum())).collect();
        let whole: Exact = bases.iter().map(|b| b.clamp_positive()).sum();
        let shares: Vec<Fine> =
            bases.iter().map(|base| if together { unrounded.share(base.clamp_positive(), whole) } else { unrounded }).collect();
        let rounded = if together { allocation::share(earned, &shares, digits) } else { vec![earned; partners.len()] };
        let cap = self.newest_term.caps.benefit.filter(|_| !together).map(Micros::fine);
        let mut figures = Vec::with_capacity(partners.len());
        for (place, partner) in partners.iter().enumerate() {
            let (base, share) = (bases[place], shares[place]);
            let mut months: Vec<(NaiveDate, Fine)> = Vec::new();
            let mut qualifier = Exact::ZERO;
            for index in &by_partner[place] {
                let part = &measured[*index];
                qualifier += part.amounts.qualifier;
                // Months of a partner that nearly cancel may each be of any size beside their sum.
                let benefit =
                    if together { share.checked_share(part.amounts.base, base).ok_or(TooLarge)? } else { parts[*index] };
                match months.last_mut() {
                    Some(last) if last.0 == part.entry.bucket => last.1 += benefit,
                    _ => months.push((part.entry.bucket, benefit)),
                }
            }
            let unrounded_months: Vec<Fine> = months.iter().map(|m| m.1).collect();
            let size = unrounded_months.iter().fold(0u128, |sum, m| sum.saturating_add(m.0.unsigned_abs()));
            if size > Micros(i64::MAX).fine().0.unsigned_abs() {
                return Err(TooLarge);
            }
            let earned_months = spread(rounded[place], &unrounded_months, self.carry, cap, digits);
            let buckets = months
                .into_iter()
                .zip(earned_months)
                .map(|((bucket, unrounded), earned)| BucketShare { bucket, unrounded, earned })
                .collect();
            let earned = rounded[place];
            let qualifier = snap(qualifier_measure, qualifier);
            figures.push(PartnerFigure { partner_id: *partner, qualifier, base, unrounded: share, earned, buckets });
        }
        Ok(figures)
    }
}
