//! What counts as equal between our settlement and somebody else's memo (case 31): exact decimals,
//! the limit itself is allowed, nothing is divided.

use crate::core::number::{Micros, Rate};

/// Largest accepted difference: the larger of an amount and a share of ours, never more than a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Absolute amount.
    pub amount: Micros,
    /// Share of our amount.
    pub percent: Rate,
    /// Limit of both; `None` for no limit.
    pub at_most: Option<Micros>,
}

/// Our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ours<'a> {
    /// Amount.
    pub amount: Micros,
    /// Currency code.
    pub currency: &'a str,
}

/// Their side.
pub type Theirs<'a> = Ours<'a>;

/// Result of one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Within the tolerance; the difference is recorded.
    Agrees {
        /// Without its sign.
        difference: Micros,
        /// Largest one accepted.
        limit: Micros,
    },
    /// Past the tolerance.
    Differs {
        /// Without its sign.
        difference: Micros,
        /// Largest one accepted.
        limit: Micros,
    },
    /// Opposite signs.
    Sign,
    /// Other currency.
    Currency,
    /// Ours is not there.
    Missing,
    /// Ours was there, and somebody cancelled it: the partner is no longer credited.
    Cancelled,
    /// Ours is confirmed, and no source shows memos of where it went.
    NotShown,
    /// Theirs carries a reference that we never gave.
    NotOurs,
    /// Theirs is there although ours was never sent: after a restored backup, for instance.
    NotSent,
    /// Theirs is there more than once.
    Duplicate,
    /// Theirs carries no reference: a credit note of the ERP's own, which nothing pairs with ours.
    NoReference,
}

impl Outcome {
    /// `agrees`, `not-shown`, `no-reference`, or the exception's code.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agrees { .. } => "agrees",
            Self::Differs { .. } => "memo-differs",
            Self::Sign => "memo-sign",
            Self::Currency => "memo-currency",
            Self::Missing => "memo-missing",
            Self::Cancelled => "memo-cancelled",
            Self::NotShown => "not-shown",
            Self::NotOurs => "memo-not-ours",
            Self::NotSent => "memo-not-sent",
            Self::Duplicate => "memo-duplicate",
            Self::NoReference => "no-reference",
        }
    }
}

/// Compares a pair that was found by reference. Amounts alone never make a pair.
pub fn compare(ours: Option<&Ours<'_>>, theirs: Option<&Theirs<'_>>, tolerance: &Tolerance) -> Outcome {
    let (ours, theirs) = match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours, theirs),
        (Some(_), None) => return Outcome::Missing,
        (None, _) => return Outcome::NotOurs,
    };
    if ours.currency != theirs.currency {
        return Outcome::Currency;
    }
    if ours.amount.is_negative() != theirs.amount.is_negative() && !theirs.amount.is_zero() && !ours.amount.is_zero() {
        return Outcome::Sign;
    }
    // As stored amounts go, a difference may be twice as large as an amount.
    let between = (i128::from(ours.amount.0) - i128::from(theirs.amount.0)).abs();
    let difference = Micros(i64::try_from(between).unwrap_or(i64::MAX));
    // difference <= |amount| * percent, compared as products on the scale 10^-14.
    let by_percent = i128::from(ours.amount.0).abs() * i128::from(tolerance.percent.0);
    let unit = 10i128.pow(Rate::SCALE);
    let limit_scaled = by_percent.max(i128::from(tolerance.amount.0) * unit);
    let limit_scaled = tolerance.at_most.map_or(limit_scaled, |most| limit_scaled.min(i128::from(most.0) * unit));
    let limit = Micros(i64::try_from(limit_scaled / unit).unwrap_or(i64::MAX));
    if between * unit <= limit_scaled { Outcome::Agrees { difference, limit } } else { Outcome::Differs { difference, limit } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Micros {
        Micros::parse(text).expect("test amount")
    }
    fn standard() -> Tolerance {
        Tolerance { amount: amount("0.05"), percent: Rate::parse_percent("0.10%").expect("rate"), at_most: Some(amount("5.00")) }
    }
    fn word(ours: (&str, &str), theirs: (&str, &str), tolerance: &Tolerance) -> &'static str {
        compare(
            Some(&Ours { amount: amount(ours.0), currency: ours.1 }),
            Some(&Theirs { amount: amount(theirs.0), currency: theirs.1 }),
            tolerance,
        )
        .word()
    }

    #[test]
    fn case_31_every_row() {
        let t = standard();
        assert_eq!(word(("1210.00", "EUR"), ("1210.05", "EUR"), &t), "agrees");
        assert_eq!(word(("10.00", "EUR"), ("10.05", "EUR"), &t), "agrees");
        assert_eq!(word(("10.00", "EUR"), ("10.06", "EUR"), &t), "memo-differs");
        assert_eq!(word(("9000.00", "EUR"), ("9005.00", "EUR"), &t), "agrees");
        assert_eq!(word(("9000.00", "EUR"), ("9005.01", "EUR"), &t), "memo-differs");
        assert_eq!(word(("100.00", "EUR"), ("-100.00", "EUR"), &t), "memo-sign");
        assert_eq!(word(("250.00", "USD"), ("250.00", "EUR"), &t), "memo-currency");
        assert_eq!(compare(Some(&Ours { amount: amount("500.00"), currency: "EUR" }), None, &t), Outcome::Missing);
        assert_eq!(compare(None, Some(&Theirs { amount: amount("75.00"), currency: "EUR" }), &t), Outcome::NotOurs);
    }

    #[test]
    fn a_difference_of_exactly_two_percent_agrees_under_a_two_percent_rule() {
        let two_percent = Tolerance { amount: Micros::ZERO, percent: Rate::parse_percent("2%").expect("rate"), at_most: None };
        assert_eq!(word(("1210.00", "EUR"), ("1185.80", "EUR"), &two_percent), "agrees");
        assert_eq!(word(("1210.00", "EUR"), ("1185.79", "EUR"), &two_percent), "memo-differs");
    }
}
