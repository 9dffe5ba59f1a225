//! Plain dates, periods and the fiscal calendar.
//!
//! Periods are built from calendar months and stored with both days included; nothing subtracts
//! 365 days (case 11). A business day is a plain date in the company's zone (case 13).

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The last day that every store can compare: later than any business day.
pub const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date");

/// Days from `from` to `to`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// First day.
    pub from: NaiveDate,
    /// Last day, included.
    pub to: NaiveDate,
}

impl Period {
    /// A period; `None` when it would end before it starts.
    pub fn new(from: NaiveDate, to: NaiveDate) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }
    /// Whether the day lies inside, ends included.
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.from <= day && day <= self.to
    }
    /// The common days.
    pub fn intersect(&self, other: &Period) -> Option<Period> {
        Period::new(self.from.max(other.from), self.to.min(other.to))
    }
    /// Whether any day is common.
    pub fn overlaps(&self, other: &Period) -> bool {
        self.from <= other.to && other.from <= self.to
    }
    /// Number of days.
    pub fn days(&self) -> i64 {
        (self.to - self.from).num_days() + 1
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

/// The span over which a qualifier adds up, or the rhythm of settlements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Span {
    /// Each line by itself.
    Line,
    /// Each document by itself.
    Document,
    /// Monday to Sunday.
    Week,
    /// Fiscal month.
    Month,
    /// Three fiscal months.
    Quarter,
    /// Six fiscal months.
    HalfYear,
    /// Fiscal year.
    Year,
    /// Twelve months from the agreement's first valid day.
    AgreementYear,
    /// The agreement's whole validity.
    Agreement,
    /// Since ever.
    Lifetime,
}

impl Span {
    /// The word in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Document => "document",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::HalfYear => "half-year",
            Self::Year => "year",
            Self::AgreementYear => "agreement-year",
            Self::Agreement => "agreement",
            Self::Lifetime => "lifetime",
        }
    }
}

/// Fiscal calendar: calendar months counted from a first month and day.
///
/// `fiscal_year_start = "03-01"` makes the fiscal year run from 1 March to the last day of
/// February, leap day included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiscalCalendar {
    /// Month in which the fiscal year starts, 1 to 12.
    pub start_month: u32,
    /// Day of that month on which every fiscal month starts, 1 to 28.
    pub start_day: u32,
}

impl Default for FiscalCalendar {
    fn default() -> Self {
        Self { start_month: 1, start_day: 1 }
    }
}

fn add_months(day: NaiveDate, months: u32) -> NaiveDate {
    day.checked_add_months(Months::new(months)).unwrap_or(NaiveDate::MAX)
}
fn day_before(day: NaiveDate) -> NaiveDate {
    day.checked_sub_days(Days::new(1)).unwrap_or(NaiveDate::MIN)
}

impl FiscalCalendar {
    /// First day of the fiscal month that holds the day.
    pub fn month_start(&self, day: NaiveDate) -> NaiveDate {
        let first = day.with_day(self.start_day).unwrap_or(day);
        if first <= day { first } else { first.checked_sub_months(Months::new(1)).unwrap_or(first) }
    }
    /// First day of the fiscal year that holds the day.
    pub fn year_start(&self, day: NaiveDate) -> NaiveDate {
        let start = |year| NaiveDate::from_ymd_opt(year, self.start_month, self.start_day).unwrap_or(day);
        let this = start(day.year());
        if this <= day { this } else { start(day.year() - 1) }
    }
    /// The fiscal month that holds the day: the accounting period.
    pub fn month(&self, day: NaiveDate) -> Period {
        let from = self.month_start(day);
        Period { from, to: day_before(add_months(from, 1)) }
    }
    fn months_block(&self, day: NaiveDate, months: u32) -> Period {
        let mut from = self.year_start(day);
        loop {
            let next = add_months(from, months);
            if day < next || next == NaiveDate::MAX {
                return Period { from, to: day_before(next) };
            }
            from = next;
        }
    }
    /// The period of `span` that holds the day, before clipping to any validity.
    ///
    /// `validity` is the agreement's whole validity (for agreement years and lifetimes). Lines and
    /// documents answer with the single day.
    pub fn period(&self, span: Span, day: NaiveDate, validity: Period) -> Period {
        match span {
            Span::Line | Span::Document => Period { from: day, to: day },
            Span::Week => {
                let from = day - Days::new(u64::from(day.weekday().num_days_from_monday()));
                Period { from, to: from + Days::new(6) }
            }
            Span::Month => self.month(day),
            Span::Quarter => self.months_block(day, 3),
            Span::HalfYear => self.months_block(day, 6),
            Span::Year => self.months_block(day, 12),
            Span::AgreementYear => {
                let mut years = 0;
                loop {
                    let from = add_months(validity.from, 12 * years);
                    let next = add_months(validity.from, 12 * (years + 1));
                    if day < next || next == NaiveDate::MAX {
                        return Period { from, to: day_before(next) };
                    }
                    years += 1;
                }
            }
            Span::Agreement | Span::Lifetime => validity,
        }
    }
    /// The same months one fiscal year earlier: what growth compares with (case 11).
    ///
    /// A period that ends with a fiscal month gives one that ends with that month, leap day or not;
    /// any other last day keeps its number. Periods that follow one another without a gap give
    /// periods that do, so no day of a baseline is lost or counted twice. A period of nothing but
    /// 29 February gives 28 February.
    pub fn prior_year(&self, period: Period) -> Period {
        let to = self.year_earlier(period.to);
        let from = self.year_earlier(day_before(period.from)) + Days::new(1);
        Period { from: from.min(to), to }
    }
    /// The last day one fiscal year earlier of a period that ends on `last`.
    fn year_earlier(&self, last: NaiveDate) -> NaiveDate {
        let earlier = |day: NaiveDate| day.checked_sub_months(Months::new(12)).unwrap_or(NaiveDate::MIN);
        let month = self.month(last);
        if month.to == last { self.month(earlier(month.from)).to } else { earlier(last) }
    }
    /// The next period of the same span after `period`, unclipped.
    pub fn following(&self, span: Span, period: Period, validity: Period) -> Period {
        self.period(span, period.to + Days::new(1), validity)
    }
}

/// Parses the names people use for periods: `2026`, `2026-H1`, `2026-Q1`, `2026-06`,
/// `2026-01-01..2026-03-31`, or one day. Years, halves and quarters are fiscal, named by the
/// calendar year in which the fiscal year starts (for a January start: the calendar year).
pub fn parse_period(text: &str, calendar: &FiscalCalendar) -> Option<Period> {
    let date = |t: &str| NaiveDate::parse_from_str(t, "%Y-%m-%d").ok();
    if let Some((from, to)) = text.split_once("..") {
        return Period::new(date(from)?, date(to)?);
    }
    if let Some(day) = date(text) {
        return Some(Period { from: day, to: day });
    }
    let (year, part) = text.split_once('-').map_or((text, None), |(y, p)| (y, Some(p)));
    if year.len() != 4 {
        return None;
    }
    let start = NaiveDate::from_ymd_opt(year.parse().ok()?, calendar.start_month, calendar.start_day)?;
    let block = |months: u32, index: u32| Period {
        from: add_months(start, months * index),
        to: day_before(add_months(start, months * (index + 1))),
    };
    match part {
        None => Some(block(12, 0)),
        Some(part) => match (part.as_bytes().first()?, part.get(1..)?) {
            (b'Q', n) => n.parse().ok().filter(|n| (1..=4).contains(n)).map(|n: u32| block(3, n - 1)),
            (b'H', n) => n.parse().ok().filter(|n| (1..=2).contains(n)).map(|n: u32| block(6, n - 1)),
            _ => NaiveDate::from_ymd_opt(year.parse().ok()?, part.parse().ok().filter(|_| part.len() == 2)?, calendar.start_day)
                .map(|d| calendar.month(d)),
        },
    }
}

/// `2026-Q1`, `2026-06`, `2026` where the period is one of the calendar's own, else `from..to`.
pub fn period_label(period: Period, calendar: &FiscalCalendar) -> String {
    let year_start = calendar.year_start(period.from);
    let label_year = year_start.year();
    let offset = (period.from.year() - year_start.year()) * 12 + i32::try_from(period.from.month()).unwrap_or(0)
        - i32::try_from(year_start.month()).unwrap_or(0);
    for (months, name) in [(12u32, ""), (6, "-H"), (3, "-Q")] {
        let block = calendar.months_block(period.from, months);
        if block == period {
            let index = offset / i32::try_from(months).unwrap_or(1) + 1;
            return if months == 12 { format!("{label_year}") } else { format!("{label_year}{name}{index}") };
        }
    }
    if calendar.month(period.from) == period {
        return format!("{:04}-{:02}", period.from.year(), period.from.month());
    }
    if period.from == period.to { period.from.to_string() } else { period.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").expect("test date")
    }
    fn period(from: &str, to: &str) -> Period {
        Period::new(day(from), day(to)).expect("test period")
    }
    const ALL: fn() -> Period = || period("2020-01-01", "2039-12-31");

    #[test]
    fn case_11_fiscal_year_that_ends_on_the_last_day_of_february() {
        let march = FiscalCalendar { start_month: 3, start_day: 1 };
        assert_eq!(march.period(Span::Year, day("2024-02-29"), ALL()), period("2023-03-01", "2024-02-29"));
        assert_eq!(march.period(Span::Year, day("2024-03-01"), ALL()), period("2024-03-01", "2025-02-28"));
    }

    #[test]
    fn case_11_the_year_before_keeps_months_whole_and_never_subtracts_365_days() {
        let gregorian = FiscalCalendar::default();
        let prior = |from, to| gregorian.prior_year(period(from, to));
        for (from, to, prior_from, prior_to) in [
            // The comparison windows of the case.
            ("2028-01-01", "2028-02-29", "2027-01-01", "2027-02-28"),
            ("2029-01-01", "2029-02-28", "2028-01-01", "2028-02-29"),
            ("2028-01-01", "2028-03-01", "2027-01-01", "2027-03-01"),
            ("2028-01-01", "2028-02-28", "2027-01-01", "2027-02-28"),
            // Days between whose months have a leap day on one side only.
            ("2029-02-28", "2029-12-31", "2028-02-28", "2028-12-31"),
            ("2028-02-29", "2028-12-31", "2027-03-01", "2027-12-31"),
            ("2028-02-29", "2028-02-29", "2027-02-28", "2027-02-28"),
        ] {
            assert_eq!(prior(from, to), period(prior_from, prior_to), "{from}..{to}");
        }
        let march = FiscalCalendar { start_month: 3, start_day: 1 };
        assert_eq!(march.prior_year(period("2024-03-01", "2025-02-28")), period("2023-03-01", "2024-02-29"));
        let mid_month = FiscalCalendar { start_month: 2, start_day: 15 };
        assert_eq!(mid_month.prior_year(period("2028-02-15", "2028-03-14")), period("2027-02-15", "2027-03-14"));
    }

    proptest::proptest! {
        #[test]
        fn periods_without_a_gap_have_prior_years_without_one(
            start in 0i64..20_000, first in 1i64..400, second in 2i64..400, month in 1u32..=12, day_of in 1u32..=28,
        ) {
            let calendar = FiscalCalendar { start_month: month, start_day: day_of };
            let at = |n: i64| day("1990-01-01") + chrono::TimeDelta::days(n);
            let one = Period { from: at(start), to: at(start + first - 1) };
            let two = Period { from: at(start + first), to: at(start + first + second - 1) };
            let (before_one, before_two) = (calendar.prior_year(one), calendar.prior_year(two));
            proptest::prop_assert_eq!(before_one.to + Days::new(1), before_two.from);
        }
    }

    #[test]
    fn names_of_periods_round_trip() {
        let calendar = FiscalCalendar::default();
        for name in ["2026", "2026-H2", "2026-Q1", "2026-Q4", "2026-06", "2026-02-03"] {
            let parsed = parse_period(name, &calendar).expect("period");
            assert_eq!(period_label(parsed, &calendar), name);
        }
        assert_eq!(parse_period("2026-Q5", &calendar), None);
        assert_eq!(parse_period("2026-13", &calendar), None);
    }

    #[test]
    fn weeks_start_on_monday() {
        assert_eq!(FiscalCalendar::default().period(Span::Week, day("2026-11-25"), ALL()), period("2026-11-23", "2026-11-29"));
    }
}
