//! Exact numbers: what is stored, what is summed, what is multiplied.
//!
//! Three fixed scales, all integers, so that sums are exact and free of order:
//! [`Micros`] (10^-6, `i64`) is what files and the store hold; [`Exact`] (10^-16, `i128`) is a
//! micro amount times a 10^-10 factor (exchange rate, unit conversion) and is what accumulators
//! add; [`Fine`] (10^-24, `i128`) is an `Exact` times a 10^-8 [`Rate`] and is an unrounded benefit.
//! A decimal type with a floating point position rounds silently past 28 digits, which would make
//! a sum depend on the order of its parts; these never round, they overflow loudly.
//! The one rounding site of the product is [`Fine::round`].

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

/// Why a text is not a number of the wanted scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not plain decimal digits with an optional sign and point.
    #[error("not a decimal number")]
    NotDecimal,
    /// More decimals than the scale holds; nothing is rounded on the way in.
    #[error("more than {0} decimals")]
    TooFine(u32),
    /// Larger than the scale holds.
    #[error("number too large")]
    TooLarge,
}

const fn pow10(n: u32) -> i128 {
    10i128.pow(n)
}

/// Parses `[+-]digits[.digits]` into an integer of `scale` decimals. No exponent, no separators.
fn parse_scaled(text: &str, scale: u32) -> Result<i128, NumberError> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || digits.ends_with('.') {
        return Err(NumberError::NotDecimal);
    }
    let mut value: i128 = 0;
    let mut decimals = 0;
    for (byte, is_fraction) in whole.bytes().map(|b| (b, false)).chain(fraction.bytes().map(|b| (b, true))) {
        if !byte.is_ascii_digit() {
            return Err(NumberError::NotDecimal);
        }
        if is_fraction {
            if decimals == scale {
                if byte == b'0' {
                    continue;
                }
                return Err(NumberError::TooFine(scale));
            }
            decimals += 1;
        }
        value = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(byte - b'0'))).ok_or(NumberError::TooLarge)?;
    }
    value = value.checked_mul(pow10(scale - decimals)).ok_or(NumberError::TooLarge)?;
    Ok(if negative { -value } else { value })
}

/// Plain decimal text of an integer with `scale` decimals, at least `min` of them shown.
fn format_scaled(value: i128, scale: u32, min: u32) -> String {
    let magnitude = value.unsigned_abs();
    let unit = pow10(scale).unsigned_abs();
    let mut fraction = format!("{:0width$}", magnitude % unit, width = scale as usize);
    while fraction.len() > min as usize && fraction.ends_with('0') {
        fraction.pop();
    }
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{}", magnitude / unit) } else { format!("{sign}{}.{fraction}", magnitude / unit) }
}

/// Divides, half away from zero.
pub(crate) fn div_half_away(value: i128, by: i128) -> i128 {
    let quotient = value / by;
    let rest = value % by;
    if rest.unsigned_abs() * 2 >= by.unsigned_abs() { quotient + if (value < 0) == (by < 0) { 1 } else { -1 } } else { quotient }
}

macro_rules! scaled {
    ($(#[$doc:meta])* $name:ident, $int:ty, $scale:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// Decimals of the scale.
            pub const SCALE: u32 = $scale;
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// One.
            pub const ONE: Self = Self(pow10($scale) as $int);

            /// Parses plain decimal text; refuses more decimals than the scale holds. The range is
            /// symmetric, so that every figure read has a negative.
            pub fn parse(text: &str) -> Result<Self, NumberError> {
                match <$int>::try_from(parse_scaled(text, $scale)?) {
                    Ok(value) if value != <$int>::MIN => Ok(Self(value)),
                    _ => Err(NumberError::TooLarge),
                }
            }
            /// Whether it is zero.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
            /// Whether it is below zero.
            pub const fn is_negative(self) -> bool {
                self.0 < 0
            }
            /// The larger of it and zero.
            pub fn clamp_positive(self) -> Self {
                Self(self.0.max(0))
            }
            /// Without its sign.
            pub const fn abs(self) -> Self {
                Self(self.0.checked_abs().expect(concat!(stringify!($name), " overflow")))
            }
            /// Plain decimal text with at least `min` decimals.
            pub fn to_text(self, min: u32) -> String {
                #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
                format_scaled(self.0 as i128, $scale, min)
            }
            /// Sum, or `None` past the range.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_text(0))
            }
        }
        // Overflow is a bug or an attack, never a figure: stop loudly, in release builds too.
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.checked_add(other.0).expect(concat!(stringify!($name), " overflow")))
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.checked_sub(other.0).expect(concat!(stringify!($name), " overflow")))
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(self.0.checked_neg().expect(concat!(stringify!($name), " overflow")))
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Add::add)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NumberError;
            fn from_str(text: &str) -> Result<Self, NumberError> {
                Self::parse(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

scaled!(
    /// An amount or quantity as files and the store hold it: 10^-6, range about +-9.2 trillion.
    Micros, i64, 6
);
scaled!(
    /// A factor with ten decimals: exchange rate, unit conversion.
    Factor, i64, 10
);
scaled!(
    /// A benefit rate as a fraction with eight decimals: `3.5%` is `0.035`.
    Rate, i64, 8
);
scaled!(
    /// An exact sum: micro amounts times factors, 10^-16.
    Exact, i128, 16
);
scaled!(
    /// An unrounded benefit: exact sum times rate, 10^-24.
    Fine, i128, 24
);

impl Micros {
    /// The same figure on the accumulators' scale.
    pub fn exact(self) -> Exact {
        Exact(i128::from(self.0) * pow10(Exact::SCALE - Self::SCALE))
    }
    /// Times a factor, exactly.
    pub fn times(self, factor: Factor) -> Exact {
        Exact(i128::from(self.0) * i128::from(factor.0))
    }
    /// The same figure on the benefit scale.
    pub fn fine(self) -> Fine {
        self.exact().fine()
    }
    /// A fraction in percent: `0.125` is `12.5%`.
    pub fn to_percent(self) -> String {
        Rate(self.0 * (Rate::ONE.0 / Self::ONE.0)).to_percent()
    }
    /// Whether it has no more than `digits` decimals.
    pub fn fits_digits(self, digits: u32) -> bool {
        digits >= Self::SCALE || i128::from(self.0) % pow10(Self::SCALE - digits) == 0
    }
}

impl Exact {
    /// Times a benefit rate, exactly.
    pub fn times(self, rate: Rate) -> Fine {
        Fine(self.0.checked_mul(i128::from(rate.0)).expect("benefit overflow"))
    }
    /// Times a price per unit, exactly.
    pub fn times_price(self, price: Micros) -> Fine {
        Fine(self.0.checked_mul(i128::from(price.0)).and_then(|v| v.checked_mul(pow10(2))).expect("benefit overflow"))
    }
    /// The same figure on the benefit scale.
    pub fn fine(self) -> Fine {
        Fine(self.0.checked_mul(pow10(Fine::SCALE - Self::SCALE)).expect("benefit overflow"))
    }
    /// `self * part / whole`, half away from zero in the last place; zero when `whole` is zero.
    pub fn share(self, part: Exact, whole: Exact) -> Exact {
        self.checked_share(part, whole).expect("share overflow")
    }
    /// The same, or `None` past the range: a small whole of parts that nearly cancel makes shares
    /// of any size.
    pub fn checked_share(self, part: Exact, whole: Exact) -> Option<Exact> {
        if whole.0 == 0 {
            return Some(Exact::ZERO);
        }
        mul_div(self.0, part.0, whole.0).map(Exact)
    }
    /// Cut to micro-units for display and storage of reported sums, half away from zero.
    pub fn to_micros(self) -> Micros {
        self.checked_micros().expect("reported sum out of range")
    }
    /// The same, or `None` where a reported sum cannot hold it.
    pub fn checked_micros(self) -> Option<Micros> {
        i64::try_from(div_half_away(self.0, pow10(Self::SCALE - Micros::SCALE))).ok().map(Micros)
    }
}

/// `a * b / c`, half away from zero, with a 256-bit intermediate; `None` where the result does not
/// fit. `c` is not zero.
pub(crate) fn mul_div(a: i128, b: i128, c: i128) -> Option<i128> {
    if let Some(product) = a.checked_mul(b)
        && product != i128::MIN
    {
        return Some(div_half_away(product, c));
    }
    let negative = (a < 0) ^ (b < 0) ^ (c < 0);
    let (a, b, c) = (a.unsigned_abs(), b.unsigned_abs(), c.unsigned_abs());
    // Schoolbook: a*b as four 64-bit limbs, then bit-by-bit long division.
    let mask = u128::from(u64::MAX);
    let (ah, al, bh, bl) = (a >> 64, a & mask, b >> 64, b & mask);
    let low = al * bl;
    let mid1 = ah * bl + (low >> 64);
    let mid2 = al * bh + (mid1 & mask);
    let high = ah * bh + (mid1 >> 64) + (mid2 >> 64);
    let low = (mid2 << 64) | (low & mask);
    let (mut rest, mut quotient) = (0u128, 0u128);
    for bit in (0..256).rev() {
        let incoming = if bit >= 128 { (high >> (bit - 128)) & 1 } else { (low >> bit) & 1 };
        let carry = rest >> 127;
        rest = (rest << 1) | incoming;
        quotient = quotient.checked_mul(2)?;
        if carry == 1 || rest >= c {
            rest = rest.wrapping_sub(c);
            quotient += 1;
        }
    }
    if rest >= c - rest {
        quotient = quotient.checked_add(1)?;
    }
    let value = i128::try_from(quotient).ok()?;
    Some(if negative { -value } else { value })
}

impl Fine {
    /// THE rounding of the product: half away from zero to a currency's minor unit
    /// (`calculation.md` section 6). Everything booked, paid or printed went through here.
    pub fn round(self, minor_digits: u32) -> Micros {
        let step = pow10(Self::SCALE - minor_digits);
        let minor = div_half_away(self.0, step);
        let micros = minor * pow10(Micros::SCALE - minor_digits);
        Micros(i64::try_from(micros).expect("benefit out of range"))
    }
    /// Cut down toward minus infinity to the minor unit, with what was cut off (never negative).
    pub fn floor(self, minor_digits: u32) -> (Micros, Fine) {
        let step = pow10(Self::SCALE - minor_digits);
        let minor = self.0.div_euclid(step);
        let micros = minor * pow10(Micros::SCALE - minor_digits);
        (Micros(i64::try_from(micros).expect("benefit out of range")), Fine(self.0.rem_euclid(step)))
    }
    /// `self * part / whole`; zero when `whole` is zero.
    pub fn share(self, part: Exact, whole: Exact) -> Fine {
        self.checked_share(part, whole).expect("share overflow")
    }
    /// The same, or `None` past the range.
    pub fn checked_share(self, part: Exact, whole: Exact) -> Option<Fine> {
        if whole.0 == 0 {
            return Some(Fine::ZERO);
        }
        mul_div(self.0, part.0, whole.0).map(Fine)
    }
}

impl Rate {
    /// Parses `3.5%` (percent) or a plain fraction.
    pub fn parse_percent(text: &str) -> Result<Self, NumberError> {
        match text.trim().strip_suffix('%') {
            Some(percent) => {
                let scaled = parse_scaled(percent.trim(), Self::SCALE - 2)?;
                i64::try_from(scaled).map(Self).map_err(|_| NumberError::TooLarge)
            }
            None => Self::parse(text.trim()),
        }
    }
    /// `3.5%`.
    pub fn to_percent(self) -> String {
        format!("{}%", format_scaled(i128::from(self.0), Self::SCALE - 2, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fine(text: &str) -> Fine {
        Fine::parse(text).expect("test number")
    }

    #[test]
    fn half_way_amounts_go_away_from_zero() {
        for (exact, expected) in [
            ("0.125", "0.13"),
            ("0.225", "0.23"),
            ("25.025", "25.03"),
            ("15.015", "15.02"),
            ("4.9975", "5"),
            ("-0.125", "-0.13"),
            ("-25.025", "-25.03"),
        ] {
            assert_eq!(fine(exact).round(2).to_string(), Micros::parse(expected).expect("number").to_string());
        }
        assert_eq!(fine("1543.2125").round(0).to_string(), "1543");
        assert_eq!(fine("1.5432125").round(3).to_string(), "1.543");
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(Micros::parse("1.2345678"), Err(NumberError::TooFine(6)));
        assert_eq!(Micros::parse("1.23450000000"), Ok(Micros(1_234_500)));
        for bad in ["NaN", "Infinity", "1e5", "1,234.5", "", "-", ".", "1.", "--1", " 1"] {
            assert_eq!(Micros::parse(bad), Err(NumberError::NotDecimal), "{bad}");
        }
        assert_eq!(Micros::parse("99999999999999"), Err(NumberError::TooLarge));
        // -2^63 has no positive twin: its magnitude would wrap.
        assert_eq!(Micros::parse("-9223372036854.775808"), Err(NumberError::TooLarge));
        assert_eq!(Micros::parse("-9223372036854.775807").map(Micros::abs), Ok(Micros(i64::MAX)));
    }

    #[test]
    fn what_does_not_fit_128_bits_is_told_and_never_wraps() {
        let (large, ten) = (10i128.pow(37), 10i128.pow(12));
        assert_eq!(mul_div(large, ten, ten), Some(large));
        assert_eq!(mul_div(-large, ten, 1), None);
        assert_eq!(mul_div(i128::MAX, 2, 4), Some(i128::MAX / 2 + 1));
    }

    #[test]
    fn percent_text() {
        assert_eq!(Rate::parse_percent("3.5%"), Ok(Rate(3_500_000)));
        assert_eq!(Rate(3_500_000).to_percent(), "3.5%");
        assert_eq!(Rate::parse_percent("0.035"), Ok(Rate(3_500_000)));
    }

    proptest! {
        #[test]
        fn rounding_is_symmetric(value in any::<i64>(), digits in 0u32..4) {
            let value = Fine(i128::from(value) * 1_000_000_007);
            prop_assert_eq!((-value).round(digits), -(value.round(digits)));
        }
        #[test]
        fn text_round_trips(value in any::<i64>()) {
            prop_assert_eq!(Micros::parse(&Micros(value).to_string()), Ok(Micros(value)));
        }
        #[test]
        fn wide_share_equals_narrow_share(a in -1_000_000_000_000i128..1_000_000_000_000, b in 0i128..1_000_000_000_000, c in 1i128..1_000_000_000_000) {
            let narrow = div_half_away(a * b, c);
            // Scaling both b and c by 10^15 forces the 256-bit road and changes nothing.
            prop_assert_eq!(mul_div(a * 1_000_000_000, b * 1_000_000_000_000_000, c * 1_000_000_000_000_000_000_000_000), Some(narrow));
        }
    }
}
