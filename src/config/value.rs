//! Texts of configuration values into typed values: durations, dates, numbers, zones.
//!
//! Not here: places and messages (`reader`). Invariant: nothing is guessed; a text that could mean
//! two things is refused.

use crate::core::number::{Micros, NumberError, Rate};
use chrono::NaiveDate;
use std::time::Duration;

/// Reads `500ms`, `30s`, `10m`, `2h`, `7d`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(millis).map(Duration::from_millis)
}

/// Reads `7d`.
pub fn days(text: &str) -> Option<u32> {
    let count = text.strip_suffix('d')?;
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    count.parse().ok().filter(|days| *days <= 36_500)
}

/// Reads `2026-01-31`, exactly so.
pub fn date(text: &str) -> Option<NaiveDate> {
    let shape =
        text.len() == 10 && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    if shape { NaiveDate::parse_from_str(text, "%Y-%m-%d").ok() } else { None }
}

/// Reads `03-01`: month, day.
pub fn month_day(text: &str) -> Option<(u32, u32)> {
    let (month, day) = text.split_once('-')?;
    if text.len() != 5 || month.len() != 2 {
        return None;
    }
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    // 2023 has no leap day, so that a year can start there every year.
    NaiveDate::from_ymd_opt(2023, month, day).map(|_| (month, day))
}

/// Reads a plain decimal with at most six decimals.
///
/// # Errors
/// Why it is none.
pub fn amount(text: &str) -> Result<Micros, NumberError> {
    Micros::parse(text)
}

/// Reads `2.5%`; a plain fraction is refused, because `2` could be meant as either.
///
/// # Errors
/// Why it is none.
pub fn percent(text: &str) -> Result<Rate, NumberError> {
    match text.strip_suffix('%') {
        Some(number) if !number.ends_with(' ') => Rate::parse_percent(text),
        _ => Err(NumberError::NotDecimal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_could_mean_two_things_are_refused() {
        assert_eq!(days("7d"), Some(7));
        assert_eq!(days("7"), None);
        assert_eq!(days("d"), None);
        assert_eq!(date("2026-1-1"), None);
        assert_eq!(date("2026-02-30"), None);
        assert!(date("2026-02-28").is_some());
        assert_eq!(month_day("02-29"), None);
        assert_eq!(month_day("03-01"), Some((3, 1)));
        assert_eq!(month_day("3-01"), None);
        assert!(percent("2").is_err());
        assert_eq!(percent("2.5%"), Ok(Rate(2_500_000)));
        assert_eq!(duration("1m"), Some(Duration::from_secs(60)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        for wrong in ["60", "s", "1w"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
