//! The fiscal calendar: every day lies in exactly one fiscal month, quarter, half-year and year.
//!
//! All kinds of calendars come down to one sorted list of the first days of fiscal months, a whole
//! number of years long, made once. A day finds its month by an estimate and a step or two, so the
//! matcher's inner loop neither searches nor allocates; a calendar is two pointers.
//!
//! Days before and after the list lie in one endless month each: figures there are never due
//! (`covers` tells).

use super::business::BusinessDays;
use super::{LAST_DAY, Period, Span};
use chrono::{Datelike, Days, Months as CalendarMonths, NaiveDate, Weekday};
use std::sync::{LazyLock, Mutex, PoisonError};

/// First day that every store can hold.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("a date");
/// Calendars that follow a rule are worked out for the years from here ...
pub(super) const FROM_YEAR: i32 = 1900;
/// ... to here.
pub(super) const TO_YEAR: i32 = 2200;

/// Whether a fiscal year has the number of the calendar year in which it starts or ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YearName {
    /// The year that runs from July 2025 to June 2026 is 2025.
    #[default]
    Start,
    /// It is 2026.
    End,
}

/// What a calendar is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Calendar months that start on a day of the month.
    CalendarMonths { start_day: u32 },
    /// Weeks that start on a day of the week.
    Weeks(Weekday),
    /// A table of the company's own.
    Table,
}

/// Fiscal months, quarters, half-years and years, and business days.
///
/// Calendars are few, and each lives as long as the process: equal ones are kept once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiscalCalendar {
    pub(super) months: &'static Months,
    business: &'static BusinessDays,
}

/// Fiscal months of whole years.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Months {
    pub made: Made,
    /// First days of the fiscal months, and the day after the last one.
    pub starts: Vec<NaiveDate>,
    /// Number of the first fiscal year.
    pub first_year: i32,
    /// Fiscal months per year: 12, or 13 in a table.
    pub per_year: usize,
}

static ALL_MONTHS: Mutex<Vec<&'static Months>> = Mutex::new(Vec::new());
static ALL_BUSINESS_DAYS: Mutex<Vec<&'static BusinessDays>> = Mutex::new(Vec::new());
static GREGORIAN: LazyLock<&'static Months> =
    LazyLock::new(|| kept(&ALL_MONTHS, Months::of_calendar_months(1, 1, YearName::Start)));
static MONDAY_TO_FRIDAY: LazyLock<&'static BusinessDays> = LazyLock::new(|| kept(&ALL_BUSINESS_DAYS, BusinessDays::default()));

/// The kept one that is equal, else this one from now on.
fn kept<T: PartialEq>(all: &Mutex<Vec<&'static T>>, new: T) -> &'static T {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.iter().find(|known| **known == &new) {
        return known;
    }
    let new: &'static T = Box::leak(Box::new(new));
    all.push(new);
    new
}

/// Calendar years.
impl Default for FiscalCalendar {
    fn default() -> Self {
        Self { months: &GREGORIAN, business: &MONDAY_TO_FRIDAY }
    }
}

pub(super) fn add_months(day: NaiveDate, months: u32) -> NaiveDate {
    day.checked_add_months(CalendarMonths::new(months)).unwrap_or(NaiveDate::MAX)
}
pub(super) fn day_before(day: NaiveDate) -> NaiveDate {
    day.checked_sub_days(Days::new(1)).unwrap_or(NaiveDate::MIN)
}

impl Months {
    fn of_calendar_months(start_month: u32, start_day: u32, named: YearName) -> Self {
        let first = NaiveDate::from_ymd_opt(FROM_YEAR, start_month, start_day).unwrap_or(FIRST_DAY);
        let count = u32::try_from(TO_YEAR - FROM_YEAR).unwrap_or_default() * 12;
        let ends_a_year_later = named == YearName::End && (start_month, start_day) != (1, 1);
        Self {
            made: Made::CalendarMonths { start_day },
            starts: (0..=count).map(|n| add_months(first, n)).collect(),
            first_year: FROM_YEAR + i32::from(ends_a_year_later),
            per_year: 12,
        }
    }
    fn first(&self) -> NaiveDate {
        self.starts.first().copied().unwrap_or(FIRST_DAY)
    }
    /// The day after the last one.
    fn end(&self) -> NaiveDate {
        self.starts.last().copied().unwrap_or(FIRST_DAY)
    }
    /// Index of the fiscal month that holds the day.
    pub(super) fn at(&self, day: NaiveDate) -> Option<usize> {
        let (first, end) = (self.first(), self.end());
        if day < first || end <= day {
            return None;
        }
        let days = i64::from(day.num_days_from_ce() - first.num_days_from_ce());
        let all = i64::from(end.num_days_from_ce() - first.num_days_from_ce()).max(1);
        let count = self.starts.len() - 1;
        let mut index = usize::try_from(days * i64::try_from(count).ok()? / all).ok()?.min(count - 1);
        while self.starts[index] > day {
            index -= 1;
        }
        while self.starts[index + 1] <= day {
            index += 1;
        }
        Some(index)
    }
    /// Index of the first fiscal month of the block of so many that holds a month, and of the one after the block.
    /// What does not go into blocks evenly (a thirteenth month) belongs to the year's last one.
    pub(super) fn block(&self, index: usize, months: usize) -> (usize, usize) {
        let year = index / self.per_year * self.per_year;
        let blocks = if months == 1 { self.per_year } else { (12 / months).max(1) };
        let number = ((index - year) / months).min(blocks - 1);
        let to = if number + 1 == blocks { self.per_year } else { (number + 1) * months };
        (year + number * months, year + to)
    }
    /// The days of the fiscal months `from` to before `to`.
    pub(super) fn days(&self, (from, to): (usize, usize)) -> Period {
        Period { from: self.starts[from], to: day_before(self.starts[to]) }
    }
    fn outside(&self, day: NaiveDate) -> Period {
        if day < self.first() {
            Period { from: FIRST_DAY.min(day), to: day_before(self.first()) }
        } else {
            Period { from: self.end(), to: LAST_DAY.max(day) }
        }
    }
    fn block_of(&self, day: NaiveDate, months: usize) -> Period {
        self.at(day).map_or_else(|| self.outside(day), |index| self.days(self.block(index, months)))
    }
}

impl FiscalCalendar {
    pub(super) fn of(months: Months) -> Self {
        Self { months: kept(&ALL_MONTHS, months), business: &MONDAY_TO_FRIDAY }
    }
    /// Calendar months, counted from the month (1 to 12) and day (1 to 28) on which the fiscal year starts.
    ///
    /// From 1 March the fiscal year runs to the last day of February, leap day included (case 11).
    pub fn of_calendar_months(start_month: u32, start_day: u32, named: YearName) -> Self {
        Self::of(Months::of_calendar_months(start_month, start_day, named))
    }
    /// The same months with other business days.
    #[must_use]
    pub fn with_business_days(mut self, business: BusinessDays) -> Self {
        self.business = kept(&ALL_BUSINESS_DAYS, business);
        self
    }
    /// Calendar years with the same business days.
    #[must_use]
    pub fn gregorian(self) -> Self {
        Self { months: &GREGORIAN, business: self.business }
    }
    /// Whether the calendar has a fiscal month for the day: a table of one's own ends somewhere.
    pub fn covers(&self, day: NaiveDate) -> bool {
        self.months.first() <= day && day < self.months.end()
    }
    /// First to last day that has a fiscal month.
    pub fn covered(&self) -> Period {
        Period { from: self.months.first(), to: day_before(self.months.end()) }
    }
    /// A text that differs between calendars whose months differ: what depends on months is
    /// worked out anew when it does.
    pub fn months_text(&self) -> String {
        match self.months.made {
            // The whole list says the same at greater length.
            Made::CalendarMonths { start_day } => {
                format!("calendar months from {:02}-{start_day:02}", self.months.first().month())
            }
            Made::Weeks(_) | Made::Table => self.months.starts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        }
    }

    /// The fiscal month that holds the day: the accounting period.
    pub fn month(&self, day: NaiveDate) -> Period {
        self.months.block_of(day, 1)
    }
    /// First day of the fiscal month that holds the day.
    pub fn month_start(&self, day: NaiveDate) -> NaiveDate {
        self.months.at(day).map_or_else(|| self.months.outside(day).from, |index| self.months.starts[index])
    }
    /// The fiscal quarter that holds the day.
    pub fn quarter(&self, day: NaiveDate) -> Period {
        self.months.block_of(day, 3)
    }
    /// The fiscal year that holds the day.
    pub fn year(&self, day: NaiveDate) -> Period {
        self.months.block_of(day, 12)
    }
    /// The week that holds the day: of the fiscal year where it consists of weeks, else from Monday.
    fn week(&self, day: NaiveDate) -> Period {
        let first = match self.months.made {
            Made::Weeks(first) => first,
            Made::CalendarMonths { .. } | Made::Table => Weekday::Mon,
        };
        let from = day.checked_sub_days(Days::new(u64::from(day.weekday().days_since(first)))).unwrap_or(day);
        Period { from, to: from.checked_add_days(Days::new(6)).unwrap_or(day) }
    }
    /// The period of `span` that holds the day, before clipping to any validity.
    ///
    /// `validity` is the agreement's whole validity (for agreement years and lifetimes). Lines and
    /// documents answer with the single day.
    pub fn period(&self, span: Span, day: NaiveDate, validity: Period) -> Period {
        match span {
            Span::Line | Span::Document => Period { from: day, to: day },
            Span::Week => self.week(day),
            Span::Month => self.month(day),
            Span::Quarter => self.quarter(day),
            Span::HalfYear => self.months.block_of(day, 6),
            Span::Year => self.year(day),
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
    /// The next period of the same span after `period`, unclipped.
    pub fn following(&self, span: Span, period: Period, validity: Period) -> Period {
        self.period(span, period.to + Days::new(1), validity)
    }

    /// The same fiscal months one fiscal year earlier: what growth compares with (case 11).
    ///
    /// A period that ends with a fiscal month gives one that ends with that month, leap day, fifth
    /// or fifty-third week or not; any other last day keeps its number in the month. Periods that
    /// follow one another without a gap give periods that do, so no day of a baseline is lost or
    /// counted twice. A period of nothing but 29 February gives 28 February.
    pub fn prior_year(&self, period: Period) -> Period {
        let to = self.year_earlier(period.to);
        let from = self
            .month_a_year_earlier(period.from)
            .filter(|(month, _)| month.from == period.from)
            .map_or_else(|| self.year_earlier(day_before(period.from)) + Days::new(1), |(_, earlier)| earlier.from);
        Period { from: from.min(to), to }
    }
    /// The fiscal month that holds the day and the same one a fiscal year earlier.
    fn month_a_year_earlier(&self, day: NaiveDate) -> Option<(Period, Period)> {
        let index = self.months.at(day)?;
        let earlier = index.checked_sub(self.months.per_year)?;
        Some((self.months.days((index, index + 1)), self.months.days((earlier, earlier + 1))))
    }
    /// The last day one fiscal year earlier of a period that ends on `last`.
    fn year_earlier(&self, last: NaiveDate) -> NaiveDate {
        let twelve_months = || last.checked_sub_months(CalendarMonths::new(12)).unwrap_or(FIRST_DAY);
        let Some((month, earlier)) = self.month_a_year_earlier(last) else { return twelve_months() };
        if month.to == last {
            return earlier.to;
        }
        match self.months.made {
            Made::CalendarMonths { .. } => twelve_months(),
            Made::Weeks(_) | Made::Table => (earlier.from + (last - month.from)).min(earlier.to),
        }
    }

    /// Whether business is done on the day.
    pub fn is_business_day(&self, day: NaiveDate) -> bool {
        self.business.contains(day)
    }
    /// Number of business days in a period.
    pub fn business_days(&self, period: Period) -> i64 {
        self.business.count(period)
    }
}
