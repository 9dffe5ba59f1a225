//! Business days: the days of a week on which business is done, less holidays.
//!
//! Counting a period takes no step per day, so a forecast may ask for every partner and term.

use super::Period;
use chrono::{Datelike, Days, NaiveDate, Weekday};

/// Which days business is done on; Monday to Friday unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessDays {
    /// Bit per day of the week, Monday first.
    working: u8,
    /// Holidays on working days, ascending.
    holidays: Vec<NaiveDate>,
}

impl Default for BusinessDays {
    fn default() -> Self {
        Self::new(&[Weekday::Sat, Weekday::Sun], Vec::new())
    }
}

const fn bit(day: Weekday) -> u8 {
    1 << day.num_days_from_monday()
}

impl BusinessDays {
    /// All days but the weekend and the holidays, which may come in any order and more than once.
    pub fn new(weekend: &[Weekday], mut holidays: Vec<NaiveDate>) -> Self {
        let working = weekend.iter().fold(0b111_1111, |days, day| days & !bit(*day));
        holidays.retain(|day| working & bit(day.weekday()) != 0);
        holidays.sort_unstable();
        holidays.dedup();
        Self { working, holidays }
    }
    /// Whether business is done on the day.
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.working & bit(day.weekday()) != 0 && self.holidays.binary_search(&day).is_err()
    }
    /// Number of business days in a period.
    pub fn count(&self, period: Period) -> i64 {
        let weeks = period.days().max(0) / 7;
        let rest = u64::try_from(period.days().max(0) % 7).unwrap_or_default();
        let in_rest = (0..rest)
            .filter_map(|n| period.to.checked_sub_days(Days::new(n)))
            .filter(|day| self.working & bit(day.weekday()) != 0)
            .count();
        let before = |day: NaiveDate| self.holidays.partition_point(|holiday| *holiday < day);
        let holidays = self.holidays.partition_point(|holiday| *holiday <= period.to).saturating_sub(before(period.from));
        weeks * i64::from(self.working.count_ones()) + i64::try_from(in_rest).unwrap_or_default()
            - i64::try_from(holidays).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("test date")
    }

    #[test]
    fn december_2026_has_21_business_days_with_christmas_and_a_holiday_on_a_saturday() {
        // Tuesday 1 to Thursday 31: 23 weekdays, less Christmas Eve and Christmas Day (Thursday and
        // Friday); Boxing Day falls on a Saturday and takes nothing away.
        let business = BusinessDays::new(
            &[Weekday::Sat, Weekday::Sun],
            vec![day("2026-12-26"), day("2026-12-25"), day("2026-12-24"), day("2026-12-25")],
        );
        let december = Period::new(day("2026-12-01"), day("2026-12-31")).expect("a period");
        assert_eq!(BusinessDays::default().count(december), 23);
        assert_eq!(business.count(december), 21);
        assert!(!business.contains(day("2026-12-25")));
        assert!(!business.contains(day("2026-12-26")));
        assert!(business.contains(day("2026-12-28")));
    }

    proptest::proptest! {
        #[test]
        fn the_count_is_the_number_of_days_that_are_business_days(
            start in 0i64..4000, length in 1i64..500, weekend in 0u8..127, holidays in proptest::collection::vec(0i64..4500, 0..40),
        ) {
            let at = |n: i64| day("2020-01-01") + chrono::TimeDelta::days(n);
            let weekend: Vec<Weekday> =
                (0..7u8).filter(|n| weekend & (1 << n) != 0).filter_map(|n| Weekday::try_from(n).ok()).collect();
            let business = BusinessDays::new(&weekend, holidays.into_iter().map(at).collect());
            let counted = (start..start + length).filter(|n| business.contains(at(*n))).count();
            let period = Period { from: at(start), to: at(start + length - 1) };
            proptest::prop_assert_eq!(business.count(period), i64::try_from(counted).expect("small"));
        }
    }
}
