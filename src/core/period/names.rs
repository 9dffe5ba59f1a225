//! Names of periods: `2026`, `2026-H1`, `2026-Q1`, `2026-06`, `2026-P03`.
//!
//! A fiscal month of calendar months has the name of the calendar month in which it starts; any
//! other is counted from the start of its fiscal year. Years, halves and quarters are fiscal and
//! have the number that the calendar gives the fiscal year.

use super::Period;
use super::fiscal::{FiscalCalendar, Made};
use chrono::{Datelike, NaiveDate};

/// How many letters a year has.
const YEAR: usize = 4;

/// Parses the names people use for periods: those of the calendar, `2026-01-01..2026-03-31`, or one day.
pub fn parse_period(text: &str, calendar: &FiscalCalendar) -> Option<Period> {
    let date = |t: &str| NaiveDate::parse_from_str(t, "%Y-%m-%d").ok();
    if let Some((from, to)) = text.split_once("..") {
        return Period::new(date(from)?, date(to)?);
    }
    if let Some(day) = date(text) {
        return Some(Period { from: day, to: day });
    }
    let (year, part) = text.split_once('-').map_or((text, None), |(y, p)| (y, Some(p)));
    if year.len() != YEAR {
        return None;
    }
    let year: i32 = year.parse().ok()?;
    let months = &calendar.months;
    let start = usize::try_from(year.checked_sub(months.first_year)?).ok()?.checked_mul(months.per_year)?;
    let known = |start: usize| start + months.per_year < months.starts.len();
    let numbered = |n: &str, size: usize, last: usize| -> Option<Period> {
        let number: usize = n.parse().ok().filter(|number| known(start) && (1..=last).contains(number))?;
        Some(months.days(months.block(start + (number - 1) * size, size)))
    };
    let Some(part) = part else { return known(start).then(|| months.days(months.block(start, 12))) };
    match (part.as_bytes().first()?, part.get(1..)?, months.made) {
        (b'Q', n, _) => numbered(n, 3, 4),
        (b'H', n, _) => numbered(n, 6, 2),
        (b'P', n, _) => numbered(n, 1, months.per_year),
        (_, _, Made::CalendarMonths { start_day }) => {
            let month = part.parse().ok().filter(|_| part.len() == 2)?;
            NaiveDate::from_ymd_opt(year, month, start_day).map(|day| calendar.month(day))
        }
        _ => None,
    }
}

/// `2026-Q1`, `2026-06`, `2026-P03`, `2026` where the period is one of the calendar's own, else `from..to`.
pub fn period_label(period: Period, calendar: &FiscalCalendar) -> String {
    let months = &calendar.months;
    if let Some(index) = months.at(period.from) {
        let year = i32::try_from(index / months.per_year).unwrap_or_default() + months.first_year;
        let number = index % months.per_year;
        for (size, name) in [(12, ""), (6, "-H"), (3, "-Q")] {
            if months.days(months.block(index, size)) == period {
                return if size == 12 { format!("{year}") } else { format!("{year}{name}{}", number / size + 1) };
            }
        }
        if months.days((index, index + 1)) == period {
            return match months.made {
                Made::CalendarMonths { .. } => format!("{:04}-{:02}", period.from.year(), period.from.month()),
                Made::Weeks(_) | Made::Table => format!("{year}-P{:02}", number + 1),
            };
        }
    }
    if period.from == period.to { period.from.to_string() } else { period.to_string() }
}

/// How a month, a quarter and a year are written in this calendar, for messages.
pub fn period_names(calendar: &FiscalCalendar) -> &'static str {
    match calendar.months.made {
        Made::CalendarMonths { .. } => "2026-01, 2026-Q1 or 2026",
        Made::Weeks(_) | Made::Table => "2026-P01, 2026-Q1 or 2026",
    }
}
