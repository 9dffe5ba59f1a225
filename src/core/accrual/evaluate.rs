//! What one term has earned in one accumulation period.

use super::evaluation::{BucketShare, Entry, Evaluation, PartnerFigure, TierReached, VersionFigure};
use super::spread;
use super::steps::Step;
use crate::core::agreement::{
    AgreementVersion, Benefit, Bound, Measure, Measures, NegativePolicy, QualifierScope, Rule, Term, Tier,
};
use crate::core::allocation;
use crate::core::matching::{BASE, QUALIFIER, Sums, facet, term_calendar, whole_validity};
use crate::core::number::{Exact, Fine, Micros};
use crate::core::period::{FiscalCalendar, Period};
use crate::core::terms::fixed;
use crate::core::terms::ladder::Ladder;
use crate::core::terms::volume::{Amounts, VolumeRule, snap};
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
/// `cutoff` count.
pub fn evaluate_to_date(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    entries: &[Entry],
    calendar: &FiscalCalendar,
    cutoff: NaiveDate,
) -> Result<Evaluation, TooLarge> {
    let kept: Vec<Entry> = entries.iter().filter(|e| e.bucket <= cutoff).copied().collect();
    evaluate(versions, term_id, period, &kept, calendar)
}

/// The ladder of one version's term with the bounds that hold in the period: in proportion to its days
/// with `prorate_bounds`. Empty for terms without tiers.
pub fn tiers_of_period(
    versions: &[AgreementVersion],
    term_id: &str,
    version: u32,
    period: Period,
    calendar: &FiscalCalendar,
) -> Vec<Tier> {
    let Some(rules) = Rules::new(versions, term_id, period, calendar) else { return Vec::new() };
    let of_version = rules.versions.iter().find(|v| v.agreement.version == version);
    let ladder = of_version.and_then(|v| rules.ladder(v, v.term?));
    ladder.map(|l| l.tiers_in_period()).unwrap_or_default()
}

/// Unrounded parts of single lines, in their given order (document date, number, line): they add
/// up to the unrounded benefit of the period before caps and floors. Amounts and increments, which no
/// line earns by itself, are shared by base.
pub(crate) fn line_parts(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    lines: &[Entry],
    calendar: &FiscalCalendar,
) -> Result<Vec<Fine>, TooLarge> {
    let Some(rules) = Rules::new(versions, term_id, period, calendar) else { return Ok(vec![Fine::ZERO; lines.len()]) };
    rules.fits(lines)?;
    let measured = rules.measure(lines);
    let totals = rules.totals(&measured);
    let mut parts = vec![Fine::ZERO; lines.len()];
    for (line, part) in measured.iter().zip(rules.benefits(&measured, &totals, true)) {
        parts[line.index] = part;
    }
    Ok(parts)
}

/// One version's term.
struct VersionTerm<'a> {
    agreement: &'a AgreementVersion,
    term: Option<&'a Term>,
}

/// A term in all its versions, over one period.
struct Rules<'a> {
    versions: Vec<VersionTerm<'a>>,
    newest: &'a AgreementVersion,
    /// The newest term of the stretch between restarts that the period lies in, and its version's place: what a figure is
    /// measured in and limited by may differ from stretch to stretch, and no figure spans two.
    newest_term: &'a Term,
    term_version: usize,
    period: Period,
    whole_period: Period,
    carry: bool,
}

/// An entry with its measured figures.
struct MeasuredEntry {
    entry: Entry,
    /// Place among the entries given.
    index: usize,
    version: usize,
    amounts: Amounts,
}

struct Totals<'a> {
    rules: Vec<VersionRule<'a>>,
    qualifier: Exact,
    base: Exact,
    uncapped_base: Exact,
    lines: i64,
}

enum VersionRule<'a> {
    Volume(VolumeRule<'a>),
    Fixed(&'a crate::core::agreement::Fixed),
    Gone,
}

fn value(measure: Measure, slot: usize, sums: &Sums) -> Exact {
    match measure {
        Measure::DocumentCount => Micros(sums.documents * Micros::ONE.0).exact(),
        _ => sums.slots[slot],
    }
}

impl<'a> Rules<'a> {
    fn new(versions: &'a [AgreementVersion], term_id: &str, period: Period, calendar: &FiscalCalendar) -> Option<Self> {
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
        let whole_period = term_calendar(newest, calendar).period(newest_term.accumulate, period.from, validity);
        let carry = newest.negative == NegativePolicy::Carry;
        Some(Self { versions: list, newest, newest_term, term_version, period, whole_period, carry })
    }

    /// Whether every sum, slice and benefit on the way to the figure fits. Judged by the entries without
    /// their signs and the dearest benefit: whatever cancels, no step passes that.
    fn fits(&self, entries: &[Entry]) -> Result<(), TooLarge> {
        let limit = Micros(i64::MAX).exact().0.unsigned_abs();
        let (mut qualifiers, mut bases, mut lines) = (0u128, 0u128, 0u128);
        for entry in entries {
            let Some(version) = self.versions.iter().find(|v| v.agreement.version == entry.version) else { continue };
            let Some(Measures { qualifier, base, .. }) = version.term.map(|t| t.rule.measures()) else { continue };
            qualifiers = qualifiers.saturating_add(value(qualifier, QUALIFIER, &entry.sums).0.unsigned_abs());
            bases = bases.saturating_add(value(base, BASE, &entry.sums).0.unsigned_abs());
            lines += 1;
        }
        if qualifiers > limit || bases > limit {
            return Err(TooLarge);
        }
        let dearest = |benefit: &Benefit| -> Option<u128> {
            let once = |amount: Micros| amount.fine().0.unsigned_abs();
            match benefit {
                Benefit::Rate(rate) => bases.checked_mul(u128::from(rate.0.unsigned_abs())),
                Benefit::PerUnit(price) => bases.checked_mul(u128::from(price.0.unsigned_abs()))?.checked_mul(100),
                Benefit::Amount(amount) => once(*amount).checked_mul(lines),
                Benefit::PerIncrement { every, amount, .. } => {
                    once(*amount).checked_mul(bases / every.exact().0.unsigned_abs().max(1) + lines)
                }
            }
        };
        let mut most = 0u128;
        for version in &self.versions {
            let of_version = match version.term.map(|t| &t.rule) {
                Some(Rule::Volume(volume)) => {
                    volume.tiers.iter().try_fold(0u128, |most, tier| Some(most.max(dearest(&tier.benefit)?)))
                }
                Some(Rule::Fixed(rule)) => dearest(&Benefit::Amount(rule.amount)),
                None => Some(0),
            };
            most = most.max(of_version.ok_or(TooLarge)?);
        }
        // Half of the range, and less than a twentieth of what the unrounded scale holds: positions before and
        // after an entry, slices and shares are differences of two such figures.
        if most <= Micros(i64::MAX / 2).fine().0.unsigned_abs() { Ok(()) } else { Err(TooLarge) }
    }

    fn measure(&self, entries: &[Entry]) -> Vec<MeasuredEntry> {
        let mut measured: Vec<MeasuredEntry> = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.facet == facet::MAIN)
            .filter_map(|(index, entry)| {
                let version = self.versions.iter().position(|v| v.agreement.version == entry.version)?;
                let Measures { qualifier, base, .. } = self.versions[version].term?.rule.measures();
                let amounts =
                    Amounts { qualifier: value(qualifier, QUALIFIER, &entry.sums), base: value(base, BASE, &entry.sums) };
                Some(MeasuredEntry { entry: *entry, index, version, amounts })
            })
            .collect();
        if let Some(cap) = self.newest_term.caps.base {
            // The base that comes first counts; what lies above the cap does not.
            let (mut running, mut kept) = (Exact::ZERO, Exact::ZERO);
            for part in &mut measured {
                running += part.amounts.base;
                let upto = running.min(cap.exact());
                part.amounts.base = upto - kept;
                kept = upto;
            }
        }
        measured
    }

    fn ladder(&self, version: &VersionTerm<'a>, term: &'a Term) -> Option<Ladder<'a>> {
        let Rule::Volume(volume) = &term.rule else { return None };
        let ladder = Ladder::new(&volume.tiers, version.agreement.bound);
        Some(if term.prorate_bounds { ladder.prorated(self.period, self.whole_period) } else { ladder })
    }

    fn totals(&self, measured: &[MeasuredEntry]) -> Totals<'a> {
        let qualifier_like = |wanted: (Measure, Option<&str>)| -> Exact {
            let same = measured.iter().filter(|m| {
                self.versions[m.version].term.is_some_and(|t| {
                    let measures = t.rule.measures();
                    (measures.qualifier, measures.unit) == wanted
                })
            });
            snap(wanted.0, same.map(|m| m.amounts.qualifier).sum())
        };
        let rules = self
            .versions
            .iter()
            .map(|version| match (version.term, version.term.map(|t| &t.rule)) {
                (Some(term), Some(Rule::Volume(volume))) => match self.ladder(version, term) {
                    Some(ladder) => VersionRule::Volume(VolumeRule {
                        ladder,
                        method: volume.method,
                        qualifier_measure: volume.qualifier,
                        base_measure: volume.base,
                        same_measure: volume.qualifier == volume.base,
                        carry: self.carry,
                        qualifier: qualifier_like((volume.qualifier, volume.unit.as_deref())),
                    }),
                    None => VersionRule::Gone,
                },
                (_, Some(Rule::Fixed(rule))) => VersionRule::Fixed(rule),
                _ => VersionRule::Gone,
            })
            .collect();
        let Measures { qualifier: measure, base, unit, .. } = self.newest_term.rule.measures();
        let uncapped =
            measured.iter().filter_map(|m| Some(value(self.versions[m.version].term?.rule.measures().base, BASE, &m.entry.sums)));
        Totals {
            rules,
            qualifier: qualifier_like((measure, unit)),
            base: snap(base, measured.iter().map(|m| m.amounts.base).sum()),
            uncapped_base: snap(base, uncapped.sum()),
            lines: measured.iter().map(|m| m.entry.sums.lines).sum(),
        }
    }

    /// The unrounded benefit of each entry, in order.
    fn benefits(&self, measured: &[MeasuredEntry], totals: &Totals<'_>, lumps_by_base: bool) -> Vec<Fine> {
        let mut parts: Vec<Fine> = Vec::with_capacity(measured.len());
        let mut so_far = Amounts::default();
        let mut lines = 0;
        // What each version's rule had earned by position before the entry.
        let last_version = measured.iter().map(|m| m.version).max();
        let mut lump_total = Fine::ZERO;
        for part in measured {
            let before = (so_far, lines);
            so_far.qualifier += part.amounts.qualifier;
            so_far.base += part.amounts.base;
            lines += part.entry.sums.lines;
            // Where nothing counts yet nothing is earned, although zero reaches a tier from 0.
            let until = |rule: &VolumeRule<'_>, at: Amounts, lines: i64| {
                if lines == 0 { Fine::ZERO } else { rule.earned_until(at) }
            };
            let by_position = |rule: &VersionRule<'_>| match rule {
                VersionRule::Volume(rule) => until(rule, so_far, lines) - until(rule, before.0, before.1),
                VersionRule::Fixed(rule) => fixed::due(rule, lines, so_far.base) - fixed::due(rule, before.1, before.0.base),
                VersionRule::Gone => Fine::ZERO,
            };
            let own = &totals.rules[part.version];
            let is_lump = |rule: &VersionRule<'_>| match rule {
                VersionRule::Volume(rule) => rule.is_lump(),
                VersionRule::Fixed(_) => true,
                VersionRule::Gone => false,
            };
            let by_itself = match own {
                VersionRule::Volume(rule) => rule.earned_by(before.0.base, so_far.base),
                VersionRule::Fixed(_) | VersionRule::Gone => Fine::ZERO,
            };
            // An amount for the whole period is paid once: by the newest version that ruled a line.
            let newest = last_version.map(|v| &totals.rules[v]);
            let lump = newest.filter(|rule| is_lump(rule)).map_or(Fine::ZERO, by_position);
            let stepped = if is_lump(own) { Fine::ZERO } else { by_position(own) };
            if lumps_by_base {
                lump_total += lump;
                parts.push(by_itself + stepped);
            } else {
                parts.push(by_itself + stepped + lump);
            }
        }
        if lumps_by_base && !lump_total.is_zero() {
            let bases = || measured.iter().map(|m| m.amounts.base.clamp_positive());
            let whole: Exact = bases().sum();
            for (part, base) in parts.iter_mut().zip(bases()) {
                *part += lump_total.share(base, whole);
            }
        }
        parts
    }

    fn evaluate(&self, entries: &[Entry]) -> Result<Evaluation, TooLarge> {
        self.fits(entries)?;
        let mut partners: Vec<i64> = Vec::new();
        let mut places: HashMap<i64, usize> = HashMap::new();
        for entry in entries {
            places.entry(entry.partner_id).or_insert_with(|| {
                partners.push(entry.partner_id);
                partners.len() - 1
            });
        }
        let place = |id: i64| places.get(&id).copied();
        let started = |number: u32| self.versions.iter().find(|v| v.agreement.version == number).map(|v| v.agreement.valid_from);
        let mut ordered: Vec<Entry> = entries.to_vec();
        ordered.sort_by_key(|e| (e.bucket, started(e.version), e.version, place(e.partner_id)));
        let measured = self.measure(&ordered);
        let totals = self.totals(&measured);
        let parts = self.benefits(&measured, &totals, false);
        let mut steps = vec![Step::Qualifier { measure: self.newest_term.rule.measures().qualifier, figure: totals.qualifier }];
        if totals.base != totals.uncapped_base {
            steps.push(Step::BaseCap { counted: totals.uncapped_base, kept: totals.base });
        }

        let versions = self.version_figures(&measured, &totals, &parts, &mut steps);
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
        let figures = self.partner_figures(&partners, &by_partner, &measured, &parts, unrounded, earned, digits)?;
        let mut buckets: Vec<(NaiveDate, Micros)> = Vec::new();
        for share in figures.iter().flat_map(|f| &f.buckets) {
            match buckets.iter_mut().find(|b| b.0 == share.bucket) {
                Some(known) => known.1 += share.earned,
                None => buckets.push((share.bucket, share.earned)),
            }
        }
        buckets.sort_by_key(|b| b.0);
        let newest_ladder = self.ladder(&self.versions[self.term_version], self.newest_term);
        Ok(Evaluation {
            qualifier: totals.qualifier,
            base: totals.base,
            lines: totals.lines,
            versions,
            unrounded,
            earned,
            buckets,
            partners: figures,
            next_tier: newest_ladder.and_then(|ladder| ladder.next(totals.qualifier)),
            steps,
        })
    }

    fn version_figures(
        &self,
        measured: &[MeasuredEntry],
        totals: &Totals<'_>,
        parts: &[Fine],
        steps: &mut Vec<Step>,
    ) -> Vec<VersionFigure> {
        let mut figures = Vec::new();
        for (index, (version, rule)) in self.versions.iter().zip(&totals.rules).enumerate() {
            let own = || measured.iter().zip(parts).filter(|(m, _)| m.version == index);
            if own().next().is_none() {
                continue;
            }
            let number = version.agreement.version;
            let measure = version.term.map_or(Measure::NetAmount, |t| t.rule.measures().base);
            let base = snap(measure, own().map(|(m, _)| m.amounts.base).sum());
            let unrounded: Fine = own().map(|(_, part)| *part).sum();
            let (qualifier, tier) = match rule {
                VersionRule::Volume(rule) => {
                    let tier = rule.tier().map(|index| TierReached { index, from: rule.ladder.bound(index) });
                    steps.push(Step::Tier {
                        version: number,
                        qualifier: rule.qualifier,
                        bound: version.agreement.bound,
                        tier,
                        next: rule.ladder.next(rule.qualifier),
                    });
                    (rule.qualifier, tier)
                }
                VersionRule::Fixed(_) | VersionRule::Gone => (totals.qualifier, None),
            };
            steps.push(match rule {
                VersionRule::Volume(rule) if rule.method == crate::core::agreement::Method::Marginal => Step::Slices {
                    version: number,
                    base,
                    slices: rule
                        .ladder
                        .slices(if rule.same_measure { totals.base } else { rule.qualifier }, rule.carry)
                        .into_iter()
                        .filter_map(|(tier, slice)| Some((slice, rule.ladder.tier(tier)?.benefit.clone())))
                        .collect(),
                    unrounded,
                },
                VersionRule::Volume(rule) => Step::Benefit { version: number, base, benefit: rule.benefit().cloned(), unrounded },
                VersionRule::Fixed(fixed) => Step::Fixed { version: number, amount: fixed.amount, unrounded },
                VersionRule::Gone => continue,
            });
            figures.push(VersionFigure { version: number, qualifier, base, tier, unrounded });
        }
        figures
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

/// How a bound is worded.
pub(super) fn bound_word(bound: Bound) -> &'static str {
    match bound {
        Bound::Reached => "reached",
        Bound::Exceeded => "exceeded",
        Bound::NthUnit => "reached (n-th unit)",
    }
}
