//! Volume: any measure picks the tier, any measure is the base.
//!
//! Entries are taken in their given order; each gets the part of the benefit that it adds, so that
//! the parts of a period add up to its unrounded benefit whatever the order of arrival was.

use super::ladder::{Ladder, pay};
use crate::core::agreement::{Benefit, Measure, Method};
use crate::core::number::{Exact, Fine};
use foldhash::{HashMap, HashMapExt};

/// One running sum or line, measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amounts {
    /// What picks the tier.
    pub qualifier: Exact,
    /// What the benefit multiplies, after any cap on the base.
    pub base: Exact,
}

/// Quantities converted backwards (pieces told in boxes) may differ from a whole number in the
/// last of 16 decimals; no quantity is that fine, so nine decimals count. Every figure that is compared,
/// divided or multiplied goes through here, never the single entry: three thirds of a box are a box.
pub fn snap(measure: Measure, figure: Exact) -> Exact {
    if !matches!(measure, Measure::Quantity | Measure::Weight) {
        return figure;
    }
    let step = 10_000_000;
    let rest = figure.0.rem_euclid(step);
    Exact(if rest * 2 >= step { figure.0 - rest + step } else { figure.0 - rest })
}

/// The volume rule of one version, with the period's totals.
#[derive(Clone, Copy, Debug)]
pub struct VolumeRule<'a> {
    /// The ladder.
    pub ladder: Ladder<'a>,
    /// Retrospective or marginal.
    pub method: Method,
    /// What picks the tier.
    pub qualifier_measure: Measure,
    /// What the benefit multiplies.
    pub base_measure: Measure,
    /// Qualifier and base are the same figure, so that slices can be read off the base.
    pub same_measure: bool,
    /// Whether net returns earn a negative benefit.
    pub carry: bool,
    /// The qualifier of the whole period, all versions together.
    pub qualifier: Exact,
    /// Whether the conditions beside the ladder hold; without them nothing is earned.
    pub holds: bool,
    /// What was there before: growth on the increase pays on what lies above it only.
    pub above: Option<Exact>,
    /// What is subtracted from a running qualifier: the baseline that growth starts from.
    pub shift: Exact,
    /// Whether the qualifier is reached line by line; a count or a comparison is known for the whole period only.
    pub by_line: bool,
}

impl VolumeRule<'_> {
    /// The tier reached.
    pub fn tier(&self) -> Option<usize> {
        if self.holds { self.ladder.tier_at(self.qualifier, self.carry) } else { None }
    }
    /// Whether increments are counted for each item by itself.
    pub fn is_per_item(&self) -> bool {
        self.benefit().is_some_and(Benefit::is_per_item)
    }
    /// The benefit of the tier reached, if there is one.
    pub fn benefit(&self) -> Option<&Benefit> {
        self.ladder.tier(self.tier()?).map(|t| &t.benefit)
    }

    /// Whether everything is earned by position: amounts and increments of the tier reached, which
    /// no single entry earns by itself.
    pub fn is_lump(&self) -> bool {
        self.method == Method::Retrospective && self.benefit().is_some_and(Benefit::is_lump)
    }

    /// What an entry earns by itself, given the period's totals and the running base before and
    /// after it.
    pub fn earned_by(&self, before: Exact, after: Exact) -> Fine {
        if !self.holds || self.above.is_some() {
            return Fine::ZERO;
        }
        let base = snap(self.base_measure, after) - snap(self.base_measure, before);
        let by_itself = |benefit: Option<&Benefit>| match benefit {
            Some(benefit @ (Benefit::Rate(_) | Benefit::PerUnit(_))) => pay(benefit, base),
            _ => Fine::ZERO,
        };
        match self.method {
            Method::Retrospective => by_itself(self.benefit()),
            Method::Marginal if self.same_measure => Fine::ZERO,
            // Another figure than the qualifier is paid in proportion to the qualifier's slices.
            Method::Marginal => {
                let slices = self.ladder.slices(self.qualifier, self.carry);
                let of_tier = |tier| by_itself(self.ladder.tier(tier).map(|t| &t.benefit));
                slices.into_iter().map(|(tier, slice)| of_tier(tier).share(slice, self.qualifier)).sum()
            }
        }
    }

    /// What all entries up to a running position have earned together beyond [`Self::earned_by`]:
    /// an entry's part is the difference between two positions. `so_far` adds up the entries of all
    /// versions.
    pub fn earned_until(&self, so_far: Amounts) -> Fine {
        if !self.holds {
            return Fine::ZERO;
        }
        let so_far = Amounts {
            qualifier: if self.by_line { snap(self.qualifier_measure, so_far.qualifier) - self.shift } else { self.qualifier },
            base: snap(self.base_measure, so_far.base),
        };
        let so_far = match self.above {
            Some(above) => Amounts { base: (so_far.base - above).clamp_positive(), ..so_far },
            None => so_far,
        };
        match self.method {
            Method::Retrospective => match (self.tier(), self.benefit()) {
                (Some(tier), Some(Benefit::Amount(amount))) if self.ladder.reached(so_far.qualifier, tier) => amount.fine(),
                (Some(_), Some(Benefit::Amount(_)) | None) | (None, _) => Fine::ZERO,
                // Increments of each item are counted by the caller, who knows the items.
                (Some(_), Some(benefit)) if benefit.is_per_item() => Fine::ZERO,
                (Some(_), Some(benefit)) if benefit.is_lump() || self.above.is_some() => pay(benefit, so_far.base),
                _ => Fine::ZERO,
            },
            Method::Marginal if self.same_measure => self.ladder.marginal(so_far.base, self.carry),
            Method::Marginal => {
                let slices = self.ladder.slices(so_far.qualifier, self.carry);
                let of_tier = |(tier, slice)| match self.ladder.tier(tier).map(|t| &t.benefit) {
                    Some(Benefit::Amount(amount)) => amount.fine(),
                    Some(benefit) if benefit.is_lump() => pay(benefit, so_far.base.share(slice, so_far.qualifier)),
                    _ => Fine::ZERO,
                };
                slices.into_iter().map(of_tier).sum()
            }
        }
    }
}

/// Increments of each item by itself, as lines come.
#[derive(Debug)]
pub struct ItemIncrements<'a> {
    benefit: &'a Benefit,
    measure: Measure,
    bases: HashMap<i64, Exact>,
    /// What they pay together.
    pub total: Fine,
}

impl<'a> ItemIncrements<'a> {
    /// Nothing counted yet.
    pub fn new(benefit: &'a Benefit, measure: Measure) -> Self {
        Self { benefit, measure, bases: HashMap::new(), total: Fine::ZERO }
    }
    /// Adds to the base of one item.
    pub fn add(&mut self, item: i64, figure: Exact) {
        let base = self.bases.entry(item).or_default();
        let before = pay(self.benefit, snap(self.measure, *base));
        *base += figure;
        self.total += pay(self.benefit, snap(self.measure, *base)) - before;
    }
}
