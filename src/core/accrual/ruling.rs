//! The rules of a term's versions with the totals of one period, and what each entry earns by them.

use super::evaluate::{Rules, VersionTerm};
use super::evaluation::{TierReached, VersionFigure};
use super::gather::{Gathered, MeasuredEntry};
use super::steps::Step;
use crate::core::agreement::{Fixed, Measure, Measures, Mix, Rule, Term};
use crate::core::matching::facet;
use crate::core::number::{Exact, Fine};
use crate::core::terms::fixed;
use crate::core::terms::growth::Comparison;
use crate::core::terms::ladder::{Ladder, NextTier, free_goods};
use crate::core::terms::mix::{Figures, Reached, pays_on_part};
use crate::core::terms::volume::{Amounts, ItemIncrements, VolumeRule, snap};

/// Totals of a period, and every version's rule that knows them.
pub(super) struct Totals<'a> {
    pub rules: Vec<VersionRule<'a>>,
    pub qualifier: Exact,
    pub base: Exact,
    pub uncapped_base: Exact,
    pub lines: i64,
    /// What the bounds of the newest term are fractions of, and the points that lift them.
    pub scale: Option<(Exact, (i128, i128))>,
    /// The newest term's growth.
    pub compared: Option<Comparison>,
    /// Conditions of the newest term beside its ladder.
    pub conditions: Vec<Step>,
}

/// What becomes of amounts and increments, which no line earns by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lumps {
    /// They belong to the line or month that reaches them.
    ByPosition,
    /// They are shared by base.
    ByBase,
    /// They are left out.
    LeftOut,
}

pub(super) enum VersionRule<'a> {
    /// Everything that reads a ladder.
    Ladder(VolumeRule<'a>),
    Fixed(&'a Fixed),
    /// The base is what was decided.
    Decided,
    Gone,
}

impl VersionRule<'_> {
    /// The next tier and what is missing.
    pub fn next_tier(&self) -> Option<NextTier> {
        match self {
            VersionRule::Ladder(rule) => rule.ladder.next(rule.qualifier),
            VersionRule::Fixed(_) | VersionRule::Decided | VersionRule::Gone => None,
        }
    }
    /// Goods without charge that the tier reached gives on a base.
    pub fn free_goods(&self, base: Exact) -> Exact {
        match self {
            VersionRule::Ladder(rule) if base > Exact::ZERO => {
                rule.benefit().map_or(Exact::ZERO, |benefit| free_goods(benefit, snap(rule.base_measure, base)))
            }
            _ => Exact::ZERO,
        }
    }
}

/// What the ladder of one version is read at.
struct Reading {
    qualifier: Exact,
    scale: Option<(Exact, (i128, i128))>,
    holds: bool,
    above: Option<Exact>,
    /// What is subtracted from a running qualifier.
    shift: Exact,
    by_line: bool,
    same_measure: bool,
    compared: Option<Comparison>,
    conditions: Vec<Step>,
}

impl<'a> Rules<'a> {
    /// The ladder with the bounds that hold in the period, before fractions are made amounts.
    pub fn written_ladder(&self, version: &VersionTerm<'a>, term: &'a Term) -> Ladder<'a> {
        let ladder = Ladder::new(term.rule.tiers(), version.agreement.bound);
        if term.prorate_bounds { ladder.prorated(self.period, self.whole_period) } else { ladder }
    }

    /// Sums the period up and reads every version's rule at it.
    pub fn totals(&self, gathered: &Gathered) -> Totals<'a> {
        let measured = &gathered.measured;
        let mut conditions = Vec::new();
        let (mut compared, mut scale, mut of_newest) = (None, None, None);
        let mut rules = Vec::with_capacity(self.versions.len());
        for (index, version) in self.versions.iter().enumerate() {
            rules.push(match (version.term, version.term.map(|t| &t.rule)) {
                (_, Some(Rule::Fixed(rule))) => VersionRule::Fixed(rule),
                (_, Some(rule)) if rule.is_decided() => VersionRule::Decided,
                (Some(term), Some(rule)) => {
                    let reading = self.read(rule, gathered);
                    let measures = rule.measures();
                    let ladder = self.written_ladder(version, term);
                    let ladder = reading.scale.map_or(ladder, |(whole, points)| ladder.of(whole, points));
                    if index == self.term_version {
                        (compared, scale) = (reading.compared, reading.scale);
                        conditions = reading.conditions;
                        of_newest = Some(reading.qualifier);
                    }
                    VersionRule::Ladder(VolumeRule {
                        ladder,
                        method: rule.method(),
                        qualifier_measure: measures.qualifier,
                        base_measure: measures.base,
                        same_measure: reading.same_measure,
                        carry: self.carry,
                        qualifier: reading.qualifier,
                        holds: reading.holds,
                        above: reading.above,
                        shift: reading.shift,
                        by_line: reading.by_line,
                    })
                }
                _ => VersionRule::Gone,
            });
        }
        let Measures { qualifier, base, unit, .. } = self.newest_term.rule.measures();
        let mut paid = snap(base, measured.iter().map(|m| m.amounts.base).sum());
        if let Some(VersionRule::Ladder(VolumeRule { above: Some(above), .. })) = rules.get(self.term_version) {
            paid = (paid - *above).clamp_positive();
        }
        let above_cap = measured.iter().any(|m| m.counted != m.amounts.base);
        Totals {
            rules,
            qualifier: of_newest.unwrap_or_else(|| self.qualifier_like(measured, (qualifier, unit))),
            base: paid,
            uncapped_base: if above_cap { snap(base, measured.iter().map(|m| m.counted).sum()) } else { paid },
            lines: measured.iter().map(|m| m.entry.sums.lines).sum(),
            scale,
            compared,
            conditions,
        }
    }

    /// The sum of what is measured alike, over all versions.
    fn qualifier_like(&self, measured: &[MeasuredEntry], wanted: (Measure, Option<&str>)) -> Exact {
        let same = measured.iter().filter(|m| {
            self.versions[m.version].term.is_some_and(|t| {
                let measures = t.rule.measures();
                (measures.qualifier, measures.unit) == wanted
            })
        });
        snap(wanted.0, same.map(|m| m.amounts.qualifier).sum())
    }

    fn read(&self, rule: &Rule, gathered: &Gathered) -> Reading {
        let measures = rule.measures();
        let qualifier = self.qualifier_like(&gathered.measured, (measures.qualifier, measures.unit));
        let plain = Reading {
            qualifier,
            scale: None,
            holds: true,
            above: None,
            shift: Exact::ZERO,
            by_line: true,
            same_measure: measures.qualifier == measures.base && measures.unit == measures.base_unit,
            compared: None,
            conditions: Vec::new(),
        };
        match rule {
            Rule::Volume(_) | Rule::Fixed(_) | Rule::ShipAndDebit(_) => plain,
            Rule::Growth(growth) => {
                let compared = Comparison::new(growth, qualifier, gathered.baseline(), self.period, &self.calendar);
                Reading {
                    qualifier: compared.increase,
                    scale: Comparison::in_percent(growth).then_some((compared.raised, compared.points)),
                    holds: compared.grows(),
                    above: compared.above(growth),
                    shift: compared.raised,
                    same_measure: true,
                    compared: Some(compared),
                    conditions: vec![Step::Growth { current: qualifier, compared }],
                    ..plain
                }
            }
            Rule::Mix(mix) => self.read_mix(mix, gathered, plain),
        }
    }

    fn read_mix(&self, mix: &Mix, gathered: &Gathered, plain: Reading) -> Reading {
        let beside = |facet: i64| gathered.beside.get(&facet).copied().unwrap_or_default();
        let by_item: Vec<Exact> =
            gathered.beside.iter().filter(|(f, _)| facet::is_by_item(**f)).map(|(_, figure)| *figure).collect();
        let reached = Reached::new(
            mix,
            Figures {
                part: plain.qualifier,
                base: gathered.measured.iter().map(|m| m.counted).sum(),
                whole: gathered.measured.iter().map(|m| m.whole).sum(),
                minimum: &|number| beside(facet::minimum(number)),
                by_item: &by_item,
            },
        );
        let mut conditions = Vec::new();
        if let Some(whole) = reached.whole {
            conditions.push(Step::Share { part: reached.qualifier, whole });
        } else if mix.count.is_some() {
            conditions.push(Step::Count { count: reached.qualifier });
        }
        conditions.extend(reached.minimums.iter().map(|(minimum, bought)| Step::Minimum {
            measure: minimum.measure,
            unit: minimum.unit.clone(),
            bought: *bought,
            at_least: minimum.at_least,
        }));
        Reading {
            qualifier: reached.qualifier,
            scale: reached.whole.map(|whole| (whole, (0, 1))),
            holds: reached.holds,
            by_line: mix.count.is_none(),
            same_measure: pays_on_part(mix),
            conditions,
            ..plain
        }
    }

    /// The unrounded benefit of each entry, in order.
    pub fn benefits(&self, gathered: &Gathered, totals: &Totals<'_>, lumps: Lumps) -> Vec<Fine> {
        let measured = &gathered.measured;
        let mut parts: Vec<Fine> = Vec::with_capacity(measured.len());
        let mut so_far = Amounts::default();
        let mut lines = 0;
        // What each version's rule had earned by position before the entry.
        let last_version = measured.iter().map(|m| m.version).max();
        let mut lump_total = Fine::ZERO;
        let newest = last_version.map(|v| &totals.rules[v]);
        let mut by_item = match newest {
            Some(VersionRule::Ladder(rule)) if rule.is_per_item() => {
                rule.benefit().map(|benefit| ItemIncrements::new(benefit, rule.base_measure))
            }
            _ => None,
        };
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
                VersionRule::Ladder(rule) => until(rule, so_far, lines) - until(rule, before.0, before.1),
                VersionRule::Fixed(rule) => fixed::due(rule, lines, so_far.base) - fixed::due(rule, before.1, before.0.base),
                VersionRule::Decided | VersionRule::Gone => Fine::ZERO,
            };
            let own = &totals.rules[part.version];
            let is_lump = |rule: &VersionRule<'_>| match rule {
                VersionRule::Ladder(rule) => rule.is_lump(),
                VersionRule::Fixed(_) => true,
                VersionRule::Decided | VersionRule::Gone => false,
            };
            let by_itself = match own {
                VersionRule::Ladder(rule) => rule.earned_by(before.0.base, so_far.base),
                VersionRule::Decided => part.amounts.base.fine(),
                VersionRule::Fixed(_) | VersionRule::Gone => Fine::ZERO,
            };
            // An amount for the whole period is paid once: by the newest version that ruled a line.
            let mut lump = newest.filter(|rule| is_lump(rule)).map_or(Fine::ZERO, by_position);
            if let Some(items) = &mut by_item {
                let before = items.total;
                for (facet, figure) in part.sides.iter().filter(|(f, _)| facet::is_by_item(*f)) {
                    items.add(*facet, *figure);
                }
                lump += items.total - before;
            }
            let stepped = if is_lump(own) { Fine::ZERO } else { by_position(own) };
            if lumps == Lumps::ByPosition {
                parts.push(by_itself + stepped + lump);
            } else {
                lump_total += lump;
                parts.push(by_itself + stepped);
            }
        }
        if lumps == Lumps::ByBase && !lump_total.is_zero() {
            let bases = || measured.iter().map(|m| m.amounts.base.clamp_positive());
            let whole: Exact = bases().sum();
            for (part, base) in parts.iter_mut().zip(bases()) {
                *part += lump_total.share(base, whole);
            }
        }
        parts
    }

    /// What each version made of its own lines.
    pub fn version_figures(
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
                VersionRule::Ladder(rule) => {
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
                VersionRule::Fixed(_) | VersionRule::Decided | VersionRule::Gone => (totals.qualifier, None),
            };
            steps.push(match rule {
                VersionRule::Ladder(rule) if rule.method == crate::core::agreement::Method::Marginal => Step::Slices {
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
                VersionRule::Ladder(rule) => Step::Benefit { version: number, base, benefit: rule.benefit().cloned(), unrounded },
                VersionRule::Decided => {
                    Step::Decided { version: number, things: own().map(|(m, _)| m.entry.sums.lines).sum(), unrounded }
                }
                VersionRule::Fixed(fixed) => Step::Fixed { version: number, amount: fixed.amount, unrounded },
                VersionRule::Gone => continue,
            });
            figures.push(VersionFigure { version: number, qualifier, base, tier, unrounded });
        }
        figures
    }
}
