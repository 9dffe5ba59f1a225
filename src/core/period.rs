//! Plain dates, periods and the fiscal calendar.
//!
//! Periods are built from fiscal months and stored with both days included; nothing subtracts
//! 365 days (case 11). A business day is a plain date in the company's zone (case 13).

mod business;
mod fiscal;
mod names;
mod table;
#[cfg(test)]
mod tests;
mod weeks;

pub use business::BusinessDays;
pub use fiscal::{FiscalCalendar, YearName};
pub use names::{parse_period, period_label, period_names};
pub use table::{FiscalMonth, TableFault};
pub use weeks::{WeekYear, WeeksPerMonth, YearEnd};

use chrono::NaiveDate;
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
    /// Monday to Sunday; the weeks of the fiscal year where it consists of weeks.
    Week,
    /// Fiscal month.
    Month,
    /// Three fiscal months.
    Quarter,
    /// Six fiscal months.
    HalfYear,
    /// Fiscal year.
    Year,
    /// Twelve calendar months from the agreement's first valid day.
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
