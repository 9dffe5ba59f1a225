//! Growth: what lies above the baseline of the whole accumulation period (`calculation.md` section 5,
//! cases 10 and 11).
//!
//! Percentages are never divided out: a bound of 10 % is a tenth of the baseline, and the increase is
//! compared with that. A decline reaches no tier, and growth is never negative.

use crate::core::agreement::{Growth, GrowthBase, GrowthOf, NewPartner, PriceRise};
use crate::core::number::{Exact, Rate};
use crate::core::period::{FiscalCalendar, Period};

/// One period beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The baseline before it is raised.
    pub baseline: Exact,
    /// After `baseline_uplift`.
    pub raised: Exact,
    /// The figure of the period less the raised baseline.
    pub increase: Exact,
    /// Whether there is anything to compare with.
    pub usable: bool,
    /// Points that price rises add to bounds in percent: numerator and denominator of a fraction.
    pub points: (i128, i128),
}

impl Comparison {
    /// Compares the figure of a period with its baseline.
    pub fn new(rule: &Growth, current: Exact, baseline: Exact, period: Period, calendar: &FiscalCalendar) -> Self {
        let usable = baseline > Exact::ZERO || (baseline.is_zero() && rule.new_partner == NewPartner::ZeroBaseline);
        let raised = baseline + baseline.share(Exact(i128::from(rule.uplift.0)), Exact(i128::from(Rate::ONE.0)));
        Self { baseline, raised, increase: current - raised, usable, points: points(&rule.price_rises, period, calendar) }
    }
    /// Whether it can reach a tier at all.
    pub fn grows(&self) -> bool {
        self.usable && self.increase >= Exact::ZERO
    }
    /// What was there before and earns nothing, where only the increase is paid.
    pub fn above(&self, rule: &Growth) -> Option<Exact> {
        (rule.base == GrowthBase::Increase).then_some(self.raised)
    }
    /// Whether the bounds of the rule are fractions of the baseline.
    pub fn in_percent(rule: &Growth) -> bool {
        rule.of == GrowthOf::Percent
    }
}

/// What price rises lift the bounds by: each its percentage in proportion to the months that are left of the
/// period, days of a month that it cuts included (GRO-06: 10 % from 1 July of a year are 5 points).
fn points(rises: &[PriceRise], period: Period, calendar: &FiscalCalendar) -> (i128, i128) {
    let mut sum = (0i128, 1i128);
    for rise in rises.iter().filter(|r| r.on <= period.to) {
        let from = rise.on.max(period.from);
        let (mut months, mut left) = ((0i128, 1i128), (0i128, 1i128));
        let mut day = period.from;
        loop {
            let month = calendar.month(day);
            let days = i128::from(month.days());
            let share = |inside: Option<Period>| (inside.map_or(0, |p| i128::from(p.days())), days);
            months = add(months, share(month.intersect(&period)));
            left = add(left, share(month.intersect(&Period { from, to: period.to })));
            match month.to.succ_opt() {
                Some(next) if next <= period.to => day = next,
                _ => break,
            }
        }
        let part = (i128::from(rise.percent.0) * left.0 * months.1, i128::from(Rate::ONE.0) * left.1 * months.0);
        sum = add(sum, reduced(part));
    }
    sum
}

fn add(a: (i128, i128), b: (i128, i128)) -> (i128, i128) {
    reduced((a.0 * b.1 + b.0 * a.1, a.1 * b.1))
}

fn reduced((mut a, mut b): (i128, i128)) -> (i128, i128) {
    let fraction = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let common = a.abs().max(1);
    (fraction.0 / common, fraction.1 / common)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::number::Rate;

    #[test]
    fn gro_06_a_price_rise_lifts_the_target_by_the_rest_of_the_year() {
        let day = |text: &str| text.parse().expect("day");
        let year = Period { from: day("2026-01-01"), to: day("2026-12-31") };
        let rise = |on: &str| PriceRise { on: day(on), percent: Rate::parse_percent("10%").expect("rate") };
        let calendar = FiscalCalendar::default();
        // 10 x 6/12 = 5 points; the whole year 10; half of June more: 6.5 / 12.
        assert_eq!(points(&[rise("2026-07-01")], year, &calendar), (1, 20));
        assert_eq!(points(&[rise("2025-03-01")], year, &calendar), (1, 10));
        assert_eq!(points(&[rise("2026-06-16")], year, &calendar), (13, 240));
        assert_eq!(points(&[rise("2027-01-01")], year, &calendar), (0, 1));
        assert_eq!(points(&[rise("2026-07-01"), rise("2026-10-01")], year, &calendar), (3, 40));
    }
}
