//! Units: exact fractions and the way from one unit to another (case 19).
//!
//! A factor is never rounded and never guessed; several steps multiply as fractions. A chain whose
//! fraction or quantity does not fit is told as such, never wrapped.

use super::{Conversion, latest};
use crate::core::number::{Exact, Factor, Micros, mul_div};
use chrono::NaiveDate;

/// A quantity factor as an exact fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    num: i128,
    den: i128,
}

impl Ratio {
    /// One to one.
    pub const ONE: Ratio = Ratio { num: 1, den: 1 };

    fn new(num: i128, den: i128) -> Self {
        let (mut a, mut b) = (num, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = a.max(1);
        Ratio { num: num / divisor, den: den / divisor }
    }
    /// `None` where the fraction of a long chain is too fine to be held exactly.
    fn times(self, other: Ratio) -> Option<Ratio> {
        let left = Ratio::new(self.num, other.den);
        let right = Ratio::new(other.num, self.den);
        Some(Ratio::new(left.num.checked_mul(right.num)?, left.den.checked_mul(right.den)?))
    }
    /// The quantity in the other unit; half away from zero in the 16th decimal where a division
    /// does not come out even. `None` past the range.
    pub fn apply(self, quantity: Micros) -> Option<Exact> {
        mul_div(quantity.exact().0, self.num, self.den).map(Exact)
    }
    /// The quantity in the other unit times a weight per unit; `None` past the range.
    pub fn apply_weight(self, quantity: Micros, weight: Micros) -> Option<Exact> {
        // Micro-units twice are 10^-12; the running sums hold 10^-16.
        let scaled = self.times(Ratio::new(10i128.pow(Exact::SCALE - 2 * Micros::SCALE), 1))?;
        mul_div(i128::from(quantity.0) * i128::from(weight.0), scaled.num, scaled.den).map(Exact)
    }
}

/// Shortest way through the conversions valid on the day; earlier lists win.
pub(super) fn find_ratio(lists: &[&[Conversion]], from: &str, to: &str, day: NaiveDate) -> Option<Ratio> {
    let mut reached: Vec<(&str, Ratio)> = vec![(from, Ratio::ONE)];
    let mut next = 0;
    while let Some((unit, so_far)) = reached.get(next).copied() {
        next += 1;
        for list in lists {
            let mut index = 0;
            while index < list.len() {
                // One run of the list is one pair of units by ascending first valid day.
                let first = &list[index];
                let run =
                    list[index..].iter().take_while(|c| c.from_unit == first.from_unit && c.to_unit == first.to_unit).count();
                let valid = latest(&list[index..index + run], day, |c| c.valid_from);
                index += run;
                let Some(conversion) = valid else { continue };
                let factor = Ratio::new(i128::from(conversion.factor.0), i128::from(Factor::ONE.0));
                let step = if &*conversion.from_unit == unit {
                    Some((&*conversion.to_unit, so_far.times(factor)))
                } else if &*conversion.to_unit == unit {
                    Some((&*conversion.from_unit, so_far.times(Ratio { num: factor.den, den: factor.num })))
                } else {
                    None
                };
                if let Some((other, Some(ratio))) = step {
                    if other == to {
                        return Some(ratio);
                    }
                    if !reached.iter().any(|(u, _)| *u == other) {
                        reached.push((other, ratio));
                    }
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_that_lead_back_to_their_start_end_the_search() {
        let conversion = |from: &str, to: &str, factor: &str| Conversion {
            item_id: None,
            from_unit: from.into(),
            to_unit: to.into(),
            valid_from: NaiveDate::default(),
            factor: Factor::parse(factor).expect("factor"),
        };
        let mut circle = [conversion("BOX", "EA", "12"), conversion("EA", "PAL", "0.01"), conversion("PAL", "BOX", "8")];
        circle.sort_by(|a, b| (&a.from_unit, &a.to_unit).cmp(&(&b.from_unit, &b.to_unit)));
        let day = NaiveDate::default();
        assert_eq!(find_ratio(&[&circle], "BOX", "NOWHERE", day), None);
        assert_eq!(find_ratio(&[&circle], "BOX", "EA", day), Some(Ratio::new(12, 1)), "the shortest way counts");
    }
}
