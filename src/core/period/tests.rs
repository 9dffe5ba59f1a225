//! What holds for every calendar, and the dates that real companies publish.

use super::*;
use chrono::{Days, Weekday};
use proptest::prelude::*;

fn day(text: &str) -> NaiveDate {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").expect("test date")
}
fn period(from: &str, to: &str) -> Period {
    Period::new(day(from), day(to)).expect("test period")
}
fn all() -> Period {
    period("2020-01-01", "2039-12-31")
}
fn months_from(month: u32, day: u32) -> FiscalCalendar {
    FiscalCalendar::of_calendar_months(month, day, YearName::Start)
}
/// The calendar of American retailers: the Saturday nearest to the end of January.
fn retail() -> FiscalCalendar {
    FiscalCalendar::of_weeks(WeekYear {
        weeks: [4, 5, 4],
        day: Weekday::Sat,
        month: 1,
        end: YearEnd::Nearest,
        named: YearName::Start,
    })
}

#[test]
fn case_11_fiscal_year_that_ends_on_the_last_day_of_february() {
    let march = months_from(3, 1);
    assert_eq!(march.period(Span::Year, day("2024-02-29"), all()), period("2023-03-01", "2024-02-29"));
    assert_eq!(march.period(Span::Year, day("2024-03-01"), all()), period("2024-03-01", "2025-02-28"));
}

#[test]
fn case_11_the_year_before_keeps_months_whole_and_never_subtracts_365_days() {
    let gregorian = FiscalCalendar::default();
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
        assert_eq!(gregorian.prior_year(period(from, to)), period(prior_from, prior_to), "{from}..{to}");
    }
    assert_eq!(months_from(3, 1).prior_year(period("2024-03-01", "2025-02-28")), period("2023-03-01", "2024-02-29"));
    assert_eq!(months_from(2, 15).prior_year(period("2028-02-15", "2028-03-14")), period("2027-02-15", "2027-03-14"));
}

#[test]
fn a_year_has_the_number_of_its_start_or_its_end() {
    let year = period("2023-03-01", "2024-02-29");
    let by_end = FiscalCalendar::of_calendar_months(3, 1, YearName::End);
    assert_eq!(period_label(year, &months_from(3, 1)), "2023");
    assert_eq!(period_label(year, &by_end), "2024");
    assert_eq!(parse_period("2024", &by_end), Some(year));
    assert_eq!(parse_period("2024-Q4", &by_end), Some(period("2023-12-01", "2024-02-29")));
    // A month of calendar months is the calendar's.
    assert_eq!(parse_period("2024-02", &by_end), Some(period("2024-02-01", "2024-02-29")));
    assert_eq!(parse_period("2024-P12", &by_end), Some(period("2024-02-01", "2024-02-29")));
    let calendar_year = FiscalCalendar::of_calendar_months(1, 1, YearName::End);
    assert_eq!(period_label(period("2026-01-01", "2026-12-31"), &calendar_year), "2026");
}

#[test]
fn names_of_periods_round_trip() {
    let calendar = FiscalCalendar::default();
    for name in ["2026", "2026-H2", "2026-Q1", "2026-Q4", "2026-06", "2026-02-03"] {
        let parsed = parse_period(name, &calendar).expect("period");
        assert_eq!(period_label(parsed, &calendar), name);
    }
    for wrong in ["2026-Q5", "2026-Q0", "2026-13", "2026-P13", "2026-H3", "26", "1812", "2026-6"] {
        assert_eq!(parse_period(wrong, &calendar), None, "{wrong}");
    }
    for name in ["2025", "2025-H2", "2025-Q1", "2025-P01", "2025-P12"] {
        assert_eq!(period_label(parse_period(name, &retail()).expect("period"), &retail()), name);
    }
    assert_eq!(parse_period("2025-06", &retail()), None, "a calendar month is no fiscal month here");
}

#[test]
fn weeks_start_on_monday_and_with_the_fiscal_year_where_it_has_weeks() {
    assert_eq!(FiscalCalendar::default().period(Span::Week, day("2026-11-25"), all()), period("2026-11-23", "2026-11-29"));
    assert_eq!(retail().period(Span::Week, day("2026-11-25"), all()), period("2026-11-22", "2026-11-28"));
}

#[test]
fn the_retail_year_2023_has_a_53rd_week_in_its_last_month() {
    let retail = retail();
    let year = |d| retail.period(Span::Year, day(d), all());
    assert_eq!(year("2023-06-01"), period("2023-01-29", "2024-02-03"));
    assert_eq!(year("2024-02-04"), period("2024-02-04", "2025-02-01"));
    assert_eq!(year("2026-01-31"), period("2025-02-02", "2026-01-31"));
    assert_eq!(year("2023-06-01").days(), 53 * 7);
    assert_eq!(parse_period("2023-P12", &retail), Some(period("2023-12-31", "2024-02-03")));
    assert_eq!(parse_period("2025-P01", &retail), Some(period("2025-02-02", "2025-03-01")));
    assert_eq!(parse_period("2025-P02", &retail), Some(period("2025-03-02", "2025-04-05")));
    assert_eq!(parse_period("2025-Q1", &retail), Some(period("2025-02-02", "2025-05-03")));
    // The last month of 2024 has four weeks; a whole month is compared with a whole month.
    assert_eq!(retail.prior_year(period("2025-01-05", "2025-02-01")), period("2023-12-31", "2024-02-03"));
    assert_eq!(retail.prior_year(year("2024-06-01")), year("2023-06-01"));
    // The second day of a fiscal month is compared with the second day of the same month.
    assert_eq!(retail.prior_year(period("2025-02-02", "2025-02-03")), period("2024-02-04", "2024-02-05"));
}

#[test]
fn a_year_that_ends_on_the_last_saturday_of_december_has_that_december_s_number() {
    let weeks = |month, named| {
        FiscalCalendar::of_weeks(WeekYear { weeks: [4, 4, 5], day: Weekday::Sat, month, end: YearEnd::Last, named })
    };
    let december = weeks(12, YearName::Start);
    assert_eq!(parse_period("2026", &december), Some(period("2025-12-28", "2026-12-26")));
    assert_eq!(parse_period("2026-P03", &december), Some(period("2026-02-22", "2026-03-28")));
    // Years that end on the last Saturday of September, 53 weeks to 30 September 2023.
    assert_eq!(parse_period("2023", &weeks(9, YearName::End)), Some(period("2022-09-25", "2023-09-30")));
    assert_eq!(parse_period("2023", &weeks(9, YearName::Start)), Some(period("2023-10-01", "2024-09-28")));
}

/// A table of years with months of `lengths` days each, from a first day.
fn table(first: &str, lengths: &[&[u64]]) -> Vec<FiscalMonth> {
    let mut from = day(first);
    let mut months = Vec::new();
    for (year, lengths) in (2025..).zip(lengths) {
        for (month, length) in (1..).zip(*lengths) {
            let to = from + Days::new(length - 1);
            months.push(FiscalMonth { year, month, days: Period { from, to } });
            from = to + Days::new(1);
        }
    }
    months
}

#[test]
fn a_table_with_thirteen_months_has_a_long_last_quarter_and_ends_where_it_ends() {
    let calendar = FiscalCalendar::of_table(&table("2024-12-29", &[&[28; 13], &[28; 13]])).expect("a table");
    assert_eq!(parse_period("2025-Q4", &calendar), Some(period("2025-09-07", "2025-12-27")));
    assert_eq!(parse_period("2025-P13", &calendar), Some(period("2025-11-30", "2025-12-27")));
    assert_eq!(parse_period("2026-H1", &calendar), Some(period("2025-12-28", "2026-06-13")));
    assert_eq!(calendar.covered(), period("2024-12-29", "2026-12-26"));
    assert!(!calendar.covers(day("2026-12-27")));
    // What lies beyond the table is never over.
    assert_eq!(calendar.month(day("2027-03-01")), Period { from: day("2026-12-27"), to: LAST_DAY });
    assert_eq!(calendar.year(day("2024-12-28")).to, day("2024-12-28"));
}

#[test]
fn a_table_with_a_gap_an_overlap_a_strange_order_or_half_a_year_is_refused_at_its_place() {
    let good = table("2025-01-01", &[&[30; 12], &[30; 12]]);
    assert!(FiscalCalendar::of_table(&good).is_ok());
    let refused = |months: &[FiscalMonth]| -> Vec<(usize, &'static str)> {
        FiscalCalendar::of_table(months).expect_err("refused").iter().map(|f| (f.at, f.code)).collect()
    };
    let mut gap = good.clone();
    gap[3].days.from = gap[3].days.from + Days::new(2);
    assert_eq!(refused(&gap), [(3, "calendar-gap")]);
    let message = &FiscalCalendar::of_table(&gap).expect_err("refused")[0].message;
    assert_eq!(message, "the days from 2025-04-01 to 2025-04-02 are in no month");
    let mut overlap = good.clone();
    overlap[5].days.to = overlap[5].days.to + Days::new(1);
    assert_eq!(refused(&overlap), [(6, "calendar-overlap")]);
    let mut order = good.clone();
    order[12].month = 2;
    assert_eq!(refused(&order), [(12, "calendar-order"), (13, "calendar-order")]);
    assert_eq!(refused(&good[..18]), [(17, "calendar-year")]);
    assert_eq!(refused(&[]), [(0, "calendar-year")]);
}

/// Calendars of every kind.
fn calendars() -> impl Strategy<Value = FiscalCalendar> {
    let months = (1u32..=12, 1u32..=28, prop::bool::ANY).prop_map(|(month, day, end)| {
        FiscalCalendar::of_calendar_months(month, day, if end { YearName::End } else { YearName::Start })
    });
    let patterns = prop::sample::select(vec![[4u8, 4, 5], [5, 4, 4], [4, 5, 4]]);
    let weeks = (patterns, 0u8..7, 1u32..=12, prop::bool::ANY, prop::bool::ANY).prop_map(|(weeks, day, month, near, by_end)| {
        FiscalCalendar::of_weeks(WeekYear {
            weeks,
            day: Weekday::try_from(day).expect("a weekday"),
            month,
            end: if near { YearEnd::Nearest } else { YearEnd::Last },
            named: if by_end { YearName::End } else { YearName::Start },
        })
    });
    let lengths = prop::collection::vec(20u64..45, 12..=13);
    let tables = (lengths, 1usize..6).prop_map(|(lengths, years)| {
        FiscalCalendar::of_table(&table("2024-12-01", &vec![lengths.as_slice(); years])).expect("a table")
    });
    prop_oneof![months, weeks, tables]
}

/// Whether the calendar knows the fiscal year before the one that holds the day.
fn has_year_before(calendar: &FiscalCalendar, day: NaiveDate) -> bool {
    calendar.covers(day) && calendar.covers(calendar.year(day).from - Days::new(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_day_lies_in_exactly_one_month_quarter_half_year_and_year(calendar in calendars(), start in 0i64..3650) {
        let first = day("2021-01-01") + chrono::TimeDelta::days(start);
        for span in [Span::Week, Span::Month, Span::Quarter, Span::HalfYear, Span::Year] {
            let mut held = calendar.period(span, first, all());
            for n in 0..800 {
                let day = first + chrono::TimeDelta::days(n);
                let of_day = calendar.period(span, day, all());
                prop_assert!(of_day.contains(day), "{span:?} {of_day} has {day}");
                if held.contains(day) {
                    prop_assert_eq!(of_day, held);
                } else {
                    prop_assert_eq!(of_day.from, held.to + Days::new(1));
                    held = of_day;
                }
                // Shorter periods lie inside longer ones.
                let month = calendar.month(day);
                prop_assert_eq!(calendar.month_start(day), month.from);
                if span != Span::Week {
                    prop_assert!(of_day.from <= month.from && month.to <= of_day.to);
                }
            }
        }
    }

    #[test]
    fn years_of_weeks_have_52_or_53_weeks_and_twelve_months(
        weeks in prop::sample::select(vec![[4u8, 4, 5], [5, 4, 4], [4, 5, 4]]),
        last in 0u8..7, month in 1u32..=12, near in prop::bool::ANY, year in 1950i32..2150,
    ) {
        let weekday = Weekday::try_from(last).expect("a weekday");
        let end = if near { YearEnd::Nearest } else { YearEnd::Last };
        let calendar = FiscalCalendar::of_weeks(WeekYear { weeks, day: weekday, month, end, named: YearName::Start });
        let days = calendar.year(NaiveDate::from_ymd_opt(year, 6, 15).expect("a date"));
        prop_assert!([52 * 7, 53 * 7].contains(&days.days()));
        prop_assert_eq!(chrono::Datelike::weekday(&days.to), weekday);
        // It ends within a week of the month's end.
        let distance = (0..=6i64).find(|n| {
            [days.to + chrono::TimeDelta::days(*n), days.to - chrono::TimeDelta::days(*n)]
                .iter()
                .any(|d| chrono::Datelike::month(d) == month && chrono::Datelike::month(&(*d + Days::new(1))) != month)
        });
        prop_assert!(distance.is_some_and(|n| n <= if near { 3 } else { 6 }), "{days}");
        let mut start = days.from;
        for index in 0..12 {
            let month = calendar.month(start);
            let extra = i64::from(index == 11) * (days.days() - 52 * 7);
            prop_assert_eq!(month.days(), i64::from(weeks[index % 3]) * 7 + extra);
            start = month.to + Days::new(1);
        }
        prop_assert_eq!(start, days.to + Days::new(1));
    }

    #[test]
    fn periods_without_a_gap_have_prior_years_without_one(
        calendar in calendars(), start in 0i64..4000, first in 1i64..400, second in 2i64..400,
    ) {
        let at = |n: i64| day("2022-01-01") + chrono::TimeDelta::days(n);
        let one = Period { from: at(start), to: at(start + first - 1) };
        let two = Period { from: at(start + first), to: at(start + first + second - 1) };
        // Where a table ends there is no year before to be had.
        prop_assume!(has_year_before(&calendar, one.from - Days::new(1)) && calendar.covers(two.to));
        let (before_one, before_two) = (calendar.prior_year(one), calendar.prior_year(two));
        prop_assert!(before_two.from == before_one.to + Days::new(1) || before_two.from == before_two.to);
    }

    #[test]
    fn the_year_before_a_fiscal_period_is_the_same_fiscal_period(calendar in calendars(), start in 0i64..3000) {
        let today = day("2026-01-01") + chrono::TimeDelta::days(start);
        prop_assume!(has_year_before(&calendar, today) && calendar.covers(today));
        for span in [Span::Month, Span::Quarter, Span::HalfYear, Span::Year] {
            let now = calendar.period(span, today, all());
            let before = calendar.prior_year(now);
            prop_assert_eq!(before, calendar.period(span, before.from, all()));
            let (label, earlier) = (period_label(now, &calendar), period_label(before, &calendar));
            prop_assert_eq!(&label[4..], &earlier[4..]);
            prop_assert_eq!(label[..4].parse::<i32>().expect("a year"), earlier[..4].parse::<i32>().expect("a year") + 1);
            prop_assert_eq!(parse_period(&label, &calendar), Some(now));
        }
    }
}
