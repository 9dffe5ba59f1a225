//! Typed values from text: dates, instants, numbers, words. Strict and exact; the text given here is
//! trimmed and not empty. How a source writes its figures is `transform`'s matter, not this file's.

use crate::core::agreement::words;
use crate::core::line::{DocumentStatus, DocumentType, LineKind};
use crate::core::master::{MergeHistory, StockKind};
use crate::core::money::Currency;
use crate::core::number::{Factor, Micros, NumberError, Rate};
use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

/// Why a text is not a value of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

words! {
    /// What a column holds.
    Kind {
        /// A code: text whose every character counts.
        Code = "code",
        /// Free text.
        Text = "text",
        /// A plain date, `2026-03-31`.
        Date = "date",
        /// An instant, RFC 3339 with offset.
        Instant = "instant",
        /// An exact figure with at most six decimals.
        Amount = "amount",
        /// An exact factor with at most ten decimals.
        Factor = "factor",
        /// A share, `25%`.
        Rate = "rate",
        /// A whole number.
        Integer = "integer",
        /// Texts with `;` between.
        List = "list",
        /// An ISO 4217 code.
        Currency = "currency",
        /// One of a fixed set of words.
        Word = "word",
    } default Text
}

/// A property of a draft that text can fill.
pub(crate) trait Field {
    /// Whether a row without it is no row.
    const REQUIRED: bool;
    fn fill(&mut self, text: &str) -> Result<(), Fault>;
}

/// Parses a type from text that is trimmed and not empty.
pub(crate) trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, Fault>;
}

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, Fault> {
        Ok(text.to_owned())
    }
}
impl FromText for NaiveDate {
    fn from_text(text: &str) -> Result<Self, Fault> {
        iso_date(text)
    }
}
impl FromText for DateTime<Utc> {
    fn from_text(text: &str) -> Result<Self, Fault> {
        instant(text)
    }
}
impl FromText for Micros {
    fn from_text(text: &str) -> Result<Self, Fault> {
        amount(text)
    }
}
impl FromText for Factor {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let factor = Factor::parse(text).map_err(|error| number_fault(text, error))?;
        if factor.0 <= 0 {
            return Err(Fault::new("bad-number", format!("`{text}` is not greater than zero")));
        }
        Ok(factor)
    }
}
impl FromText for i64 {
    fn from_text(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| Fault::new("bad-number", format!("`{text}` is not a whole number")))
    }
}
impl FromText for Currency {
    fn from_text(text: &str) -> Result<Self, Fault> {
        Currency::parse(text).ok_or_else(|| Fault::new("unknown-currency", format!("`{text}` is not an ISO 4217 currency code")))
    }
}

macro_rules! word_fields {
    ($($word:ty => $what:literal),+) => {$(
        impl FromText for $word {
            fn from_text(text: &str) -> Result<Self, Fault> {
                Self::from_word(text).ok_or_else(|| {
                    let known: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
                    Fault::new("unknown-word", format!("`{text}` is not a {}", $what)).help(format!("use one of: {}", known.join(", ")))
                })
            }
        }
        impl Field for $word {
            const REQUIRED: bool = false;
            fn fill(&mut self, text: &str) -> Result<(), Fault> {
                *self = Self::from_text(text)?;
                Ok(())
            }
        }
    )+};
}
word_fields!(DocumentType => "document type", LineKind => "line kind", DocumentStatus => "document status");

impl FromText for MergeHistory {
    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::from_word(text).ok_or_else(|| {
            Fault::new("unknown-word", format!("`{text}` is not a merge history")).help("use one of: stays, moves")
        })
    }
}

impl FromText for StockKind {
    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::from_word(text).ok_or_else(|| {
            Fault::new("unknown-word", format!("`{text}` is not a kind of stock row")).help("use one of: count, receipt")
        })
    }
}

impl FromText for Rate {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if !text.ends_with('%') {
            return Err(Fault::new("bad-number", format!("`{text}` is not a share")).help("write shares as 25%"));
        }
        Rate::parse_percent(text).map_err(|error| number_fault(text, error))
    }
}

macro_rules! required_fields {
    ($($kind:ty),+) => {$(
        impl Field for $kind {
            const REQUIRED: bool = true;
            fn fill(&mut self, text: &str) -> Result<(), Fault> {
                *self = Self::from_text(text)?;
                Ok(())
            }
        }
    )+};
}
required_fields!(String, NaiveDate, Micros, Factor, Currency);

impl<T: FromText> Field for Option<T> {
    const REQUIRED: bool = false;
    fn fill(&mut self, text: &str) -> Result<(), Fault> {
        *self = Some(T::from_text(text)?);
        Ok(())
    }
}
impl Field for Vec<String> {
    const REQUIRED: bool = false;
    fn fill(&mut self, text: &str) -> Result<(), Fault> {
        *self = text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Ok(())
    }
}

/// `2026-03-31`, by hand: this is read a million times a night.
pub(crate) fn iso_date(text: &str) -> Result<NaiveDate, Fault> {
    let digits = |range: std::ops::Range<usize>| {
        text.as_bytes()[range]
            .iter()
            .try_fold(0u32, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
    };
    let bytes = text.as_bytes();
    if bytes.len() == 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && let (Some(year), Some(month), Some(day)) = (digits(0..4), digits(5..7), digits(8..10))
    {
        return NaiveDate::from_ymd_opt(i32::try_from(year).unwrap_or(0), month, day).ok_or_else(|| no_such_date(text));
    }
    Err(Fault::new("bad-date", format!("`{text}` is not a date")).help("write dates as 2026-03-31"))
}

pub(crate) fn no_such_date(text: &str) -> Fault {
    Fault::new("no-such-date", format!("there is no date `{text}`"))
}

/// As fine as every store keeps an instant: microseconds. Two places of one delivery must not differ by
/// what a store rounds.
pub(crate) fn stored(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.trunc_subsecs(6)
}

/// An instant with its offset, RFC 3339.
pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, Fault> {
    DateTime::parse_from_rfc3339(text).map(|instant| stored(instant.with_timezone(&Utc))).map_err(|_| {
        Fault::new("bad-instant", format!("`{text}` is not an instant with an offset"))
            .help("write instants as 2026-03-31T22:30:00Z")
    })
}

/// Plain decimal text to micro-units; short ones by a narrow path.
pub(crate) fn amount(text: &str) -> Result<Micros, Fault> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        _ => (false, bytes),
    };
    if (1..=13).contains(&digits.len()) {
        let (mut value, mut decimals, mut point) = (0i64, 0u32, false);
        let plain = digits.iter().all(|&byte| match byte {
            b'0'..=b'9' => {
                value = value * 10 + i64::from(byte - b'0');
                decimals += u32::from(point);
                true
            }
            b'.' if !point => {
                point = true;
                true
            }
            _ => false,
        });
        if plain && decimals <= 6 && (!point || decimals > 0) {
            // At most 13 digits before scaling by at most 10^6: `checked_mul` covers the rest.
            if let Some(micros) = value.checked_mul(10i64.pow(6 - decimals)) {
                return Ok(Micros(if negative { -micros } else { micros }));
            }
        }
    }
    Micros::parse(text).map_err(|error| number_fault(text, error))
}

pub(crate) fn number_fault(text: &str, error: NumberError) -> Fault {
    let fault = Fault::new("bad-number", format!("`{text}` is not usable: {error}"));
    match error {
        NumberError::NotDecimal => fault.help("write numbers as -1234.56: no separators, no exponent"),
        NumberError::TooFine(_) => fault.help("nothing is rounded on the way in: give fewer decimals"),
        NumberError::TooLarge => fault,
    }
}

/// Whether a spreadsheet has turned a code into a number or cut it from view.
pub(crate) fn damaged_by_spreadsheet(code: &str) -> bool {
    let Some(at) = memchr::memchr3(b'E', b'e', b'#', code.as_bytes()) else { return false };
    if code.bytes().all(|byte| byte == b'#') {
        return code.len() >= 3;
    }
    let (mantissa, exponent) = code.split_at(at);
    let Some(power) = exponent[1..].strip_prefix('+') else { return false };
    let mut points = 0;
    !power.is_empty()
        && power.bytes().all(|byte| byte.is_ascii_digit())
        && mantissa.starts_with(|first: char| first.is_ascii_digit())
        && mantissa.bytes().all(|byte| {
            points += usize::from(matches!(byte, b'.' | b','));
            matches!(byte, b'0'..=b'9' | b'.' | b',')
        })
        && points <= 1
}

/// Text as it must be: not every database can hold a NUL character, and no source means one.
pub(crate) fn no_nul(text: &str) -> Result<(), Fault> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Fault::new("nul-character", "there is a NUL character in the text")
            .help("remove it in the source; it is often the mark of a damaged field"));
    }
    Ok(())
}

/// A code as it must be: refused when a spreadsheet has damaged it.
pub(crate) fn check_code(code: &str) -> Result<(), Fault> {
    if damaged_by_spreadsheet(code) {
        return Err(Fault::new("damaged-code", format!("the code `{code}` was damaged by a spreadsheet"))
            .help("format the column as text before the file is written; the lost digits cannot be restored"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_no_finer_than_any_store_keeps_them() {
        let instant = instant("2026-04-02T09:00:00.1234567+02:00").expect("an instant");
        assert_eq!(instant.to_rfc3339(), "2026-04-02T07:00:00.123456+00:00");
    }

    #[test]
    fn a_code_with_a_spreadsheet_exponent_is_damaged_and_others_are_not() {
        for damaged in ["4,01234E+12", "4.01234E+12", "1E+05", "4,01234e+12", "#####"] {
            assert!(damaged_by_spreadsheet(damaged), "{damaged}");
        }
        for fine in ["0012", "1E5", "E+12", "AE+1", "A,1E+2", "1.2.3E+4", "C#", "#1", "Reel 5", "12E+"] {
            assert!(!damaged_by_spreadsheet(fine), "{fine}");
        }
    }

    #[test]
    fn dates_are_taken_as_written_or_refused() {
        assert_eq!(iso_date("2024-02-29").unwrap().to_string(), "2024-02-29");
        assert_eq!(iso_date("2026-02-29").unwrap_err().code, "no-such-date");
        assert_eq!(iso_date("2026-2-9").unwrap_err().code, "bad-date");
        assert_eq!(iso_date("2026-03-31T00:00:00Z").unwrap_err().code, "bad-date");
        assert_eq!(iso_date("२०२६-०३-०१").unwrap_err().code, "bad-date");
    }

    proptest! {
        #[test]
        fn the_narrow_number_path_agrees_with_the_wide_one(text in "[+-]?[0-9]{0,8}[.,]?[0-9]{0,8}[e0]?") {
            prop_assert_eq!(amount(&text).ok(), Micros::parse(&text).ok());
        }
        #[test]
        fn no_text_makes_a_date_panic(text in ".{0,12}") {
            let _ = iso_date(&text);
        }
    }
}
