//! Ladders: which tier a qualifier reaches and what a tier pays (`calculation.md` section 4).
//!
//! Bounds are compared by multiplication, never by dividing and rounding. Only lower bounds exist;
//! how they are compared is the agreement's choice (case 01).

use crate::core::agreement::{Benefit, Bound, Tier};
use crate::core::number::{Exact, Fine, Micros};
use crate::core::period::Period;

/// A ladder with the agreement's way of comparing.
#[derive(Clone, Copy, Debug)]
pub struct Ladder<'a> {
    tiers: &'a [Tier],
    bound: Bound,
    scale: Scale,
}

/// What a written bound is multiplied with.
#[derive(Clone, Copy, Debug)]
enum Scale {
    /// `part / whole`: the days of a clipped period; 1 / 1 as written.
    Days(i64, i64),
    /// Bounds are fractions of a figure, each lifted by the same points (a fraction of two whole numbers).
    Of { whole: Exact, points: (i128, i128) },
}

/// The next tier and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextTier {
    /// Index of the tier.
    pub tier: usize,
    /// Its bound in the period.
    pub from: Exact,
    /// What is missing; with `bound = "exceeded"` a little more than that.
    pub distance: Exact,
}

fn one_unit() -> Exact {
    Micros::ONE.exact()
}

impl<'a> Ladder<'a> {
    /// A ladder whose bounds hold as written.
    pub fn new(tiers: &'a [Tier], bound: Bound) -> Self {
        Self { tiers, bound, scale: Scale::Days(1, 1) }
    }
    /// The same ladder with bounds in proportion to the days of a clipped period.
    pub fn prorated(mut self, clipped: Period, whole: Period) -> Self {
        self.scale = Scale::Days(clipped.days(), whole.days());
        self
    }
    /// The same ladder with bounds that are fractions of `whole`: `0.2` of 5,000 is 1,000. `points` (numerator
    /// and denominator) are added to each fraction. The figure that is compared is a part of the same whole, so
    /// nothing is divided.
    pub fn of(mut self, whole: Exact, points: (i128, i128)) -> Self {
        self.scale = Scale::Of { whole, points };
        self
    }
    /// The tier of an index.
    pub fn tier(&self, index: usize) -> Option<&'a Tier> {
        self.tiers.get(index)
    }
    /// Bound of a tier in this period.
    pub fn bound(&self, index: usize) -> Exact {
        let written = self.tiers.get(index).map_or(Exact::ZERO, |t| t.from.exact());
        match self.scale {
            Scale::Days(part, whole) => written.share(Exact(i128::from(part)), Exact(i128::from(whole))),
            Scale::Of { whole, points: (points, per) } => {
                whole.share(written, Exact::ONE) + whole.share(Exact(points), Exact(per))
            }
        }
    }
    /// The tiers with their bounds in this period, rounded to micro-units where days do not divide them.
    pub fn tiers_in_period(&self) -> Vec<Tier> {
        let bounds = (0..self.tiers.len()).map(|i| self.bound(i).to_micros());
        self.tiers.iter().zip(bounds).map(|(tier, from)| Tier { from, ..tier.clone() }).collect()
    }
    /// Whether the qualifier reaches a tier.
    pub fn reached(&self, qualifier: Exact, index: usize) -> bool {
        let Some(tier) = self.tiers.get(index) else { return false };
        let (have, want) = match self.scale {
            Scale::Days(part, whole) if part == whole => (Some(qualifier.0), Some(tier.from.exact().0)),
            Scale::Days(part, whole) => {
                let scaled = |figure: Exact, days: i64| figure.0.checked_mul(i128::from(days));
                (scaled(qualifier, whole), scaled(tier.from.exact(), part))
            }
            // from / 10^6 + points / per of the whole, times 10^6 x per.
            Scale::Of { whole, points: (points, per) } => {
                let micro = i128::from(Micros::ONE.0);
                let fraction = i128::from(tier.from.0).checked_mul(per).and_then(|f| f.checked_add(points.checked_mul(micro)?));
                (qualifier.0.checked_mul(micro).and_then(|q| q.checked_mul(per)), fraction.and_then(|f| whole.0.checked_mul(f)))
            }
        };
        let (Some(have), Some(want)) = (have, want) else { return qualifier >= self.bound(index) };
        match self.bound {
            Bound::Reached | Bound::NthUnit => have >= want,
            Bound::Exceeded => have > want,
        }
    }
    /// The highest tier that the qualifier reaches. With `carry`, a negative qualifier stands on a
    /// first tier that starts at zero, so that returns can earn what they take back.
    pub fn tier_at(&self, qualifier: Exact, carry: bool) -> Option<usize> {
        let highest = (0..self.tiers.len()).rev().find(|i| self.reached(qualifier, *i));
        highest.or_else(|| (carry && qualifier.is_negative() && self.starts_at_zero()).then_some(0))
    }
    fn starts_at_zero(&self) -> bool {
        self.tiers.first().is_some_and(|t| t.from <= Micros::ZERO)
    }
    /// The first tier above the qualifier.
    pub fn next(&self, qualifier: Exact) -> Option<NextTier> {
        let tier = (0..self.tiers.len()).find(|i| !self.reached(qualifier, *i))?;
        let from = self.bound(tier);
        Some(NextTier { tier, from, distance: from - qualifier })
    }
    /// Where a tier's own slice starts: at the bound, or one unit below when the bound names the
    /// first unit at the new rate.
    fn cut(&self, index: usize) -> Exact {
        let bound = self.bound(index);
        match self.bound {
            Bound::Reached | Bound::Exceeded => bound,
            Bound::NthUnit => (bound - one_unit()).clamp_positive(),
        }
    }
    /// The slices of a marginal ladder up to `total`, each with its tier.
    ///
    /// The highest tier reached that goes back to the first one takes everything below it.
    pub fn slices(&self, total: Exact, carry: bool) -> Vec<(usize, Exact)> {
        if total.is_negative() {
            return if carry && self.starts_at_zero() { vec![(0, total)] } else { Vec::new() };
        }
        let back = (0..self.tiers.len()).rev().find(|i| self.tiers[*i].back_to_first && self.reached(total, *i));
        let first = back.unwrap_or(0);
        let mut slices = Vec::new();
        for index in first..self.tiers.len() {
            let lower = if back == Some(index) { Exact::ZERO } else { self.cut(index) };
            if total <= lower && !self.reached(total, index) {
                break;
            }
            let upper = if index + 1 < self.tiers.len() { total.min(self.cut(index + 1)) } else { total };
            slices.push((index, (upper - lower).clamp_positive()));
        }
        slices
    }
    /// What a marginal ladder pays on everything up to `total`.
    pub fn marginal(&self, total: Exact, carry: bool) -> Fine {
        self.slices(total, carry).into_iter().map(|(index, slice)| pay(&self.tiers[index].benefit, slice)).sum()
    }
}

/// What a benefit pays on a base.
pub fn pay(benefit: &Benefit, base: Exact) -> Fine {
    match benefit {
        Benefit::Rate(rate) => base.times(*rate),
        Benefit::PerUnit(price) => base.times_price(*price),
        Benefit::Amount(amount) => amount.fine(),
        Benefit::PerIncrement { every, amount, started, .. } => multiply(amount.fine(), increments(base, *every, *started)),
        Benefit::FreeGoods { every, quantity, unit_value } => {
            multiply(quantity.exact().times_price(*unit_value), increments(base, *every, false))
        }
    }
}

/// Goods without charge that a benefit gives on a base.
pub fn free_goods(benefit: &Benefit, base: Exact) -> Exact {
    match benefit {
        Benefit::FreeGoods { every, quantity, .. } => {
            Exact(quantity.exact().0.checked_mul(increments(base, *every, false)).expect("goods overflow"))
        }
        _ => Exact::ZERO,
    }
}

/// Complete or started increments of a base; a negative base gives back complete ones only.
pub fn increments(base: Exact, every: Micros, started: bool) -> i128 {
    let every = every.exact().0;
    if every <= 0 {
        return 0;
    }
    let whole = base.0 / every;
    if started && base.0 > 0 && base.0 % every != 0 { whole + 1 } else { whole }
}

fn multiply(amount: Fine, times: i128) -> Fine {
    Fine(amount.0.checked_mul(times).expect("benefit overflow"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::number::Rate;

    fn tiers(list: &[(&str, &str)]) -> Vec<Tier> {
        list.iter()
            .map(|(from, rate)| Tier {
                from: Micros::parse(from).expect("bound"),
                benefit: Benefit::Rate(Rate::parse_percent(rate).expect("rate")),
                back_to_first: false,
            })
            .collect()
    }
    fn exact(text: &str) -> Exact {
        Exact::parse(text).expect("figure")
    }

    #[test]
    fn case_01_a_bound_is_reached_or_must_be_exceeded() {
        let tiers = tiers(&[("0", "0%"), ("50000", "2%"), ("100000", "3%")]);
        let reached = Ladder::new(&tiers, Bound::Reached);
        let exceeded = Ladder::new(&tiers, Bound::Exceeded);
        assert_eq!(reached.tier_at(exact("49999.99"), false), Some(0));
        assert_eq!(reached.tier_at(exact("100000"), false), Some(2));
        assert_eq!(exceeded.tier_at(exact("100000"), false), Some(1));
        assert_eq!(exceeded.tier_at(exact("100000.0000000000000001"), false), Some(2));
        assert_eq!(reached.tier_at(exact("-1200"), false), None);
        assert_eq!(reached.tier_at(exact("-1200"), true), Some(0));
    }

    #[test]
    fn case_02_each_band_pays_at_its_own_rate() {
        let tiers = tiers(&[("0", "1%"), ("20000", "2%"), ("60000", "4%")]);
        let ladder = Ladder::new(&tiers, Bound::Reached);
        for (total, expected) in
            [("75000", "1600"), ("20000", "200"), ("20000.01", "200.0002"), ("60000", "1000"), ("0", "0"), ("-5", "0")]
        {
            assert_eq!(ladder.marginal(exact(total), false).to_text(0), expected, "{total}");
        }
    }

    #[test]
    fn vol_20_and_21_the_nth_unit_is_the_first_at_the_new_rate() {
        let mut cases = tiers(&[("1", "0%"), ("250", "0%"), ("400", "0%")]);
        for (tier, price) in cases.iter_mut().zip(["1.50", "2.00", "3.00"]) {
            tier.benefit = Benefit::PerUnit(Micros::parse(price).expect("price"));
        }
        assert_eq!(Ladder::new(&cases, Bound::NthUnit).marginal(exact("300"), false).to_text(2), "475.50");
        cases[1].back_to_first = true;
        assert_eq!(Ladder::new(&cases, Bound::NthUnit).marginal(exact("300"), false).to_text(2), "600.00");
        let pieces = tiers(&[("0", "10%"), ("15", "20%")]);
        assert_eq!(Ladder::new(&pieces, Bound::NthUnit).marginal(exact("26"), false).to_text(2), "3.80");
        assert_eq!(Ladder::new(&pieces, Bound::Reached).marginal(exact("26"), false).to_text(2), "3.70");
    }

    #[test]
    fn prorated_bounds_are_compared_without_dividing() {
        let tiers = tiers(&[("0", "1%"), ("100000", "2%")]);
        let period = |to: &str| Period::new("2026-01-01".parse().expect("day"), to.parse().expect("day")).expect("period");
        let ladder = Ladder::new(&tiers, Bound::Reached).prorated(period("2026-03-31"), period("2026-12-31"));
        // 100,000 x 90 / 365 is 24,657.534246...: no decimal of it is the bound.
        assert_eq!(ladder.tier_at(exact("24657.534246"), false), Some(0));
        assert_eq!(ladder.tier_at(exact("24657.534247"), false), Some(1));
    }

    #[test]
    fn increments_are_complete_or_started() {
        let count = |base: &str, started| increments(exact(base), Micros(10_000_000), started);
        assert_eq!((count("25", false), count("25", true), count("20", true), count("0", true)), (2, 3, 2, 0));
    }
}
