//! Fiscal years of whole weeks: 4-4-5, 5-4-4 and 4-5-4, with 52 or 53 weeks.
//!
//! The year ends on a day of the week at or near the end of a month. Each quarter has thirteen
//! weeks; a fifty-third week goes to the last month.

use super::fiscal::{FROM_YEAR, FiscalCalendar, Made, Months, TO_YEAR, YearName};
use chrono::{Datelike, Days, Months as CalendarMonths, NaiveDate, Weekday};

/// Weeks of the three fiscal months of a quarter.
pub type WeeksPerMonth = [u8; 3];

/// Which day of the week ends the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YearEnd {
    /// The last one in the month.
    Last,
    /// The one nearest to the month's last day, which may lie in the next month.
    Nearest,
}

/// A year of weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekYear {
    /// Weeks of the months of a quarter: `[4, 4, 5]`.
    pub weeks: WeeksPerMonth,
    /// Last day of every week and of the year.
    pub day: Weekday,
    /// Month at whose end the year ends, 1 to 12.
    pub month: u32,
    /// At its end or near it.
    pub end: YearEnd,
    /// Number of the year. A year that ends in December has that of its December either way.
    pub named: YearName,
}

impl WeekYear {
    /// Last day of the fiscal year that ends in or near the month of a calendar year.
    fn last_day(&self, year: i32) -> Option<NaiveDate> {
        let month_end = NaiveDate::from_ymd_opt(year, self.month, 1)?.checked_add_months(CalendarMonths::new(1))?.pred_opt()?;
        let back = month_end.weekday().days_since(self.day);
        match self.end {
            YearEnd::Nearest if back > 3 => month_end.checked_add_days(Days::new(u64::from(7 - back))),
            _ => month_end.checked_sub_days(Days::new(u64::from(back))),
        }
    }
}

impl FiscalCalendar {
    /// Years of 52 or 53 weeks.
    pub fn of_weeks(rule: WeekYear) -> Self {
        let mut starts = Vec::new();
        let years = || (FROM_YEAR..=TO_YEAR).filter_map(|year| rule.last_day(year));
        for (before, last) in years().zip(years().skip(1)) {
            let mut start = before + Days::new(1);
            for month in 0..12 {
                starts.push(start);
                start = start + Days::new(7 * u64::from(rule.weeks[month % 3]));
            }
            debug_assert!(start == last + Days::new(1) || start + Days::new(7) == last + Days::new(1));
        }
        starts.extend(years().next_back().map(|last| last + Days::new(1)));
        // The first year ends in the second calendar year; if not in December, it nominally starts in the first.
        let first_year = if rule.named == YearName::Start && rule.month != 12 { FROM_YEAR } else { FROM_YEAR + 1 };
        Self::of(Months { made: Made::Weeks(rule.day.succ()), starts, first_year, per_year: 12 })
    }
}
