//! Sharing a rounded total so that the parts add up: largest remainder (`calculation.md` section 6).

use crate::core::number::{Exact, Fine, Micros};

/// Shares `total` (a whole number of minor units) over `parts` in their given order.
///
/// Every part gets its unrounded share cut down toward minus infinity; the missing minor units go
/// one each to the largest cut-off remainders, ties to the earlier part. The result always adds
/// up to `total`. A cap made `total` smaller than the sum of the parts: they are scaled down first. A
/// floor made it larger: what it adds is shared by size, since scaling parts that nearly cancel
/// would make shares of any size.
pub fn share(total: Micros, parts: &[Fine], minor_digits: u32) -> Vec<Micros> {
    if parts.is_empty() {
        return Vec::new();
    }
    let sum: Fine = parts.iter().copied().sum();
    let scaled: Vec<Fine> =
        if sum.round(minor_digits) == total || sum.is_zero() { parts.to_vec() } else { scale(total.fine(), sum, parts) };
    let unit = Micros(10i64.pow(Micros::SCALE - minor_digits));
    let mut cut: Vec<(Micros, Fine)> = scaled.iter().map(|p| p.floor(minor_digits)).collect();
    let given: Micros = cut.iter().map(|c| c.0).sum();
    let mut missing = (total - given).0 / unit.0;
    let mut order: Vec<usize> = (0..cut.len()).collect();
    order.sort_by(|a, b| cut[*b].1.cmp(&cut[*a].1).then(a.cmp(b)));
    let count = i64::try_from(cut.len()).unwrap_or(i64::MAX);
    // A total that is far from the sum (all parts zero, say) is spread evenly before the remainders.
    let even = missing.div_euclid(count);
    if even != 0 {
        for part in &mut cut {
            part.0 += Micros(unit.0 * even);
        }
        missing -= even * count;
    }
    for index in order.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        cut[index].0 += unit;
    }
    cut.into_iter().map(|c| c.0).collect()
}

fn scale(total: Fine, sum: Fine, parts: &[Fine]) -> Vec<Fine> {
    if total.0.unsigned_abs() <= sum.0.unsigned_abs() {
        return parts.iter().map(|p| total.share(Exact(p.0), Exact(sum.0))).collect();
    }
    let added = total - sum;
    let whole: Fine = parts.iter().map(|p| p.abs()).sum();
    parts.iter().map(|p| *p + added.share(Exact(p.abs().0), Exact(whole.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(shares: &[Micros]) -> Vec<String> {
        shares.iter().map(|s| s.to_text(2)).collect()
    }
    fn fine(text: &str) -> Fine {
        Fine::parse(text).expect("test number")
    }

    #[test]
    fn case_07_missing_cents_go_to_the_largest_remainders() {
        let parts = [fine("0.8325"), fine("0.8325"), fine("0.8325"), fine("1.4375")];
        assert_eq!(texts(&share(Micros(3_940_000), &parts, 2)), ["0.84", "0.83", "0.83", "1.44"]);
        let thirds = [Fine(10i128.pow(26) / 3); 3];
        assert_eq!(texts(&share(Micros(100_000_000), &thirds, 2)), ["33.34", "33.33", "33.33"]);
    }

    #[test]
    fn a_floor_over_parts_that_nearly_cancel_makes_no_shares_of_millions() {
        let parts = [fine("10000"), fine("-9999.9999")];
        // 24.9999 more, by size: half each.
        assert_eq!(texts(&share(Micros(25_000_000), &parts, 2)), ["10012.50", "-9987.50"]);
        assert_eq!(texts(&share(Micros(25_000_000), &[fine("1"), fine("4")], 2)), ["5.00", "20.00"]);
    }

    proptest! {
        #[test]
        fn parts_add_up(parts in prop::collection::vec(-10_000_000_000i64..10_000_000_000, 1..40), digits in 0u32..4, scale in 0i128..3) {
            let parts: Vec<Fine> = parts.into_iter().map(|p| Fine(i128::from(p) * 10i128.pow(14))).collect();
            let total = Fine(parts.iter().copied().sum::<Fine>().0 * scale / 2).round(digits);
            let shares = share(total, &parts, digits);
            prop_assert_eq!(shares.iter().copied().sum::<Micros>(), total);
        }
    }
}
