//! Units: exact fractions and the way from one unit to another (case 19).
//!
//! A factor is never rounded and never guessed; several steps multiply as fractions. A chain whose
//! fraction or quantity does not fit is told as such, never wrapped.

use super::{Conversion, latest};
use crate::core::number::{Exact, Factor, Micros, mul_div};
use chrono::NaiveDate;
use std::collections::BTreeSet;

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
    /// Whether a written factor is this one but for a thousandth. Past the range nobody can tell.
    fn is_near(self, factor: Factor) -> bool {
        let exact = self.num.checked_mul(i128::from(Factor::ONE.0));
        let written = self.den.checked_mul(i128::from(factor.0));
        let Some((exact, written)) = exact.zip(written) else { return true };
        (exact - written).checked_mul(1000).is_none_or(|apart| apart.abs() <= written.abs())
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

impl std::fmt::Display for Ratio {
    /// A decimal where it has an end, else a fraction: `12`, `0.5`, `1/12`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = Exact::ONE.0;
        match self.num.checked_mul(one).filter(|scaled| scaled % self.den == 0) {
            Some(scaled) => write!(f, "{}", Exact(scaled / self.den)),
            None => write!(f, "{}/{}", self.num, self.den),
        }
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

/// Conversions that say something else than those before them in the list, together, say of the same two
/// units: by more than a thousandth, since factors are written with few decimals.
pub(super) fn disagreeing(list: &[Conversion]) -> Vec<Conversion> {
    let mut found: Vec<Conversion> = Vec::new();
    // What is valid changes on these days only.
    let days: BTreeSet<NaiveDate> = list.iter().map(|c| c.valid_from).collect();
    for day in days.into_iter().filter(|_| list.len() > 1) {
        let mut valid: Vec<Conversion> = Vec::new();
        for run in list.chunk_by(|a, b| (&a.from_unit, &a.to_unit) == (&b.from_unit, &b.to_unit)) {
            valid.extend(latest(run, day, |c| c.valid_from).cloned());
        }
        for (index, conversion) in valid.iter().enumerate() {
            let known = |c: &Conversion| (&c.from_unit, &c.to_unit) == (&conversion.from_unit, &conversion.to_unit);
            let other = find_ratio(&[&valid[..index]], &conversion.from_unit, &conversion.to_unit, day);
            if other.is_some_and(|other| !other.is_near(conversion.factor)) && !found.iter().any(known) {
                found.push(conversion.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_written_as_a_decimal_where_it_has_an_end() {
        let text = |num, den| Ratio::new(num, den).to_string();
        assert_eq!([text(12, 1), text(1, 8), text(1, 12), text(24, 36)], ["12", "0.125", "1/12", "2/3"]);
    }

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

    #[test]
    fn conversions_that_say_two_things_of_the_same_units_are_found() {
        let conversion = |from: &str, to: &str, factor: &str, day: &str| Conversion {
            item_id: None,
            from_unit: from.into(),
            to_unit: to.into(),
            valid_from: day.parse().expect("day"),
            factor: Factor::parse(factor).expect("factor"),
        };
        let told = |mut list: Vec<Conversion>| {
            list.sort_by(|a, b| (&a.from_unit, &a.to_unit, a.valid_from).cmp(&(&b.from_unit, &b.to_unit, b.valid_from)));
            disagreeing(&list).into_iter().map(|c| format!("{} {}", c.from_unit, c.to_unit)).collect::<Vec<_>>()
        };
        let box_of_12 = || conversion("BOX", "EA", "12", "2026-01-01");
        assert_eq!(told(vec![box_of_12(), conversion("EA", "BOX", "0.0833", "2026-01-01")]), Vec::<String>::new());
        assert_eq!(told(vec![box_of_12(), conversion("EA", "BOX", "0.1", "2026-01-01")]), ["EA BOX"]);
        // A third way round, and only from July on.
        let pallets =
            || vec![box_of_12(), conversion("PAL", "BOX", "40", "2026-01-01"), conversion("PAL", "EA", "480", "2026-01-01")];
        assert_eq!(told(pallets()), Vec::<String>::new());
        let july = [pallets(), vec![conversion("BOX", "EA", "10", "2026-07-01")]].concat();
        assert_eq!(told(july), ["PAL EA"]);
    }
}
