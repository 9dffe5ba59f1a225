//! Fiscal months from a company's own table.

use super::fiscal::{FiscalCalendar, Made, Months};
use super::{LAST_DAY, Period};
use chrono::{Days, NaiveDate};

/// One fiscal month of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiscalMonth {
    /// Number of the fiscal year.
    pub year: i32,
    /// Number in the year, from 1.
    pub month: u32,
    /// Its days.
    pub days: Period,
}

/// What is wrong with a table, at the index of a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFault {
    /// Index of the month.
    pub at: usize,
    /// Stable code: `calendar-gap`, `calendar-overlap`, `calendar-order`, `calendar-year`.
    pub code: &'static str,
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// How to mend it.
    pub help: &'static str,
}

impl FiscalCalendar {
    /// Fiscal months as a company lists them: years one after the other, each with twelve months or
    /// each with thirteen (the thirteenth belongs to the last quarter), without a gap.
    ///
    /// # Errors
    /// Every fault of the table.
    pub fn of_table(table: &[FiscalMonth]) -> Result<Self, Vec<TableFault>> {
        let mut faults = Vec::new();
        let per_year = if table.get(12).is_some_and(|m| m.month == 13) { 13 } else { 12 };
        let first_year = table.first().map_or(0, |m| m.year);
        let mut expected = (first_year, 1);
        let mut next_day: Option<NaiveDate> = None;
        for (at, month) in table.iter().enumerate() {
            let mut fault = |code, message, help| faults.push(TableFault { at, code, message, help });
            if (month.year, month.month) != expected {
                fault(
                    "calendar-order",
                    format!(
                        "month {} of {} stands where month {} of {} belongs",
                        month.month, month.year, expected.1, expected.0
                    ),
                    "list the months in order, each year with months 1 to 12 or each with 1 to 13",
                );
            }
            match next_day {
                Some(next) if month.days.from > next => fault(
                    "calendar-gap",
                    format!("the days from {next} to {} are in no month", month.days.from - Days::new(1)),
                    "start each month on the day after the one before ends",
                ),
                Some(next) if month.days.from < next => fault(
                    "calendar-overlap",
                    format!(
                        "the days from {} to {} are in two months",
                        month.days.from,
                        (next - Days::new(1)).min(month.days.to)
                    ),
                    "start each month on the day after the one before ends",
                ),
                _ => {}
            }
            next_day = month.days.to.min(LAST_DAY).checked_add_days(Days::new(1));
            let last_of_year = usize::try_from(month.month).is_ok_and(|m| m >= per_year);
            expected = if last_of_year { (month.year + 1, 1) } else { (month.year, month.month + 1) };
        }
        match table.last() {
            None => faults.push(TableFault {
                at: 0,
                code: "calendar-year",
                message: "the table has no month".to_owned(),
                help: "list every fiscal month with its first and last day",
            }),
            Some(last) if expected.1 != 1 => faults.push(TableFault {
                at: table.len() - 1,
                code: "calendar-year",
                message: format!("the year {} ends with month {}", last.year, last.month),
                help: "list whole years only",
            }),
            Some(_) => {}
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let starts = table.iter().map(|m| m.days.from).chain(next_day).collect();
        Ok(Self::of(Months { made: Made::Table, starts, first_year, per_year }))
    }
}
