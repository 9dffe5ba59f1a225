//! `[company]`: the fiscal calendar and the business days, with the tables they may come from.
//!
//! Not here: what a calendar answers (`core::period`). Invariant: a calendar exists only when the
//! keys agree with one another and every table is whole.

use crate::config::reader::Section;
use crate::config::shape::{Key, Kind, Shape};
use crate::config::value;
use crate::core::period::{BusinessDays, FiscalCalendar, FiscalMonth, Period, WeekYear, YearEnd, YearName};
use crate::core::problem::{Place, Problem, Problems};
use chrono::{NaiveDate, Weekday};

const WEEKDAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: &[&str] =
    &["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

/// The key `calendar`.
pub(super) const CALENDAR: Key = Key::new(
    "calendar",
    Kind::Word(&["4-4-5", "5-4-4", "4-5-4"]),
    "weeks of the fiscal months of a quarter, for years of 52 or 53 weeks; a fifty-third week goes to the last month",
);
/// The key `year_end`.
pub(super) const YEAR_END: Key = Key::new("year_end", Kind::Table(&YEAR_END_SHAPE), "on which day a year of 52 or 53 weeks ends");
/// The key `year_name`.
pub(super) const YEAR_NAME: Key = Key::new(
    "year_name",
    Kind::Word(&["start", "end"]),
    "whether a fiscal year has the number of the calendar year in which it starts or ends; one of weeks that ends in \
     December has the number of that December either way",
)
.default("start");
/// The key `calendar_file`.
pub(super) const CALENDAR_FILE: Key = Key::new(
    "calendar_file",
    Kind::Name,
    "a CSV table of fiscal months with the columns year, month, from, to; a relative path starts at the workspace",
);
/// The key `weekend`.
pub(super) const WEEKEND: Key =
    Key::new("weekend", Kind::List(&Kind::Word(WEEKDAYS)), "days of the week on which no business is done")
        .default("saturday, sunday");
/// The key `holidays`.
pub(super) const HOLIDAYS: Key = Key::new(
    "holidays",
    Kind::Name,
    "a CSV table of days without business with the columns date and, if you like, name; a relative path starts at the workspace",
);

static YEAR_END_SHAPE: Shape = Shape::new(
    "`year_end`",
    "Last day of a fiscal year of 52 or 53 weeks, and of each of its weeks.",
    &[
        Key::new("day", Kind::Word(WEEKDAYS), "day of the week").default("saturday"),
        Key::new("choose", Kind::Word(&["last", "nearest"]), "the last such day of the month, or the one nearest to its end")
            .default("last"),
        Key::new("month", Kind::Word(MONTHS), "the month").default("december"),
    ],
);

/// Reads a file beside `rebated.toml`; `None` when it cannot be read, which is a problem already.
pub type ReadFile<'a> = dyn FnMut(&str) -> Option<String> + 'a;

fn weekday(word: &str) -> Option<Weekday> {
    let index = WEEKDAYS.iter().position(|w| *w == word)?;
    Weekday::try_from(u8::try_from(index).ok()?).ok()
}

/// The company's calendar; what a check has refused is missing and gives `None`.
pub(super) fn read(table: Section<'_>, files: &mut ReadFile<'_>, problems: &mut Problems) -> Option<FiscalCalendar> {
    let months = months(table, files, problems);
    let business = business_days(table, files, problems);
    Some(months?.with_business_days(business?))
}

fn months(table: Section<'_>, files: &mut ReadFile<'_>, problems: &mut Problems) -> Option<FiscalCalendar> {
    let start = table.text("fiscal_year_start").and_then(value::month_day);
    if start.is_some_and(|(_, day)| day > 28) {
        problems.push(
            table
                .problem(
                    "out-of-range",
                    "fiscal_year_start",
                    "a fiscal month cannot start on day 29, 30 or 31: some months have none",
                )
                .help("use a day from 01 to 28"),
        );
        return None;
    }
    let named = table.word("year_name", |w| Some(if w == "end" { YearName::End } else { YearName::Start }));
    let (weeks, file) = (table.has("calendar"), table.has("calendar_file"));
    if weeks && file {
        problems.push(
            table
                .problem(
                    "conflicting-keys",
                    "calendar_file",
                    "`calendar` and `calendar_file` both say what the fiscal months are",
                )
                .help("keep one of them"),
        );
        return None;
    }
    if (weeks || file) && start.is_some_and(|start| start != (1, 1)) {
        let other = if weeks { "calendar" } else { "calendar_file" };
        problems.push(
            table
                .problem("conflicting-keys", "fiscal_year_start", format!("`fiscal_year_start` says nothing beside `{other}`"))
                .help("remove it; `year_end` says when a year of weeks ends"),
        );
    }
    if !weeks && table.has("year_end") {
        problems.push(
            table
                .problem("conflicting-keys", "year_end", "`year_end` is for years of weeks")
                .help("add calendar = \"4-4-5\", \"5-4-4\" or \"4-5-4\", or use `fiscal_year_start`"),
        );
    }
    if file {
        return of_file(table, files, problems);
    }
    if !weeks {
        let (month, day) = start?;
        return Some(FiscalCalendar::of_calendar_months(month, day, named?));
    }
    let weeks = table.word("calendar", |w| match w {
        "4-4-5" => Some([4, 4, 5]),
        "5-4-4" => Some([5, 4, 4]),
        "4-5-4" => Some([4, 5, 4]),
        _ => None,
    })?;
    let ends = table.table("year_end");
    let month = |w: &str| MONTHS.iter().position(|m| *m == w).and_then(|m| u32::try_from(m + 1).ok());
    let choose = |w: &str| Some(if w == "nearest" { YearEnd::Nearest } else { YearEnd::Last });
    let (day, month, end) = match ends {
        Some(ends) => (ends.word("day", weekday)?, ends.word("month", month)?, ends.word("choose", choose)?),
        None => (Weekday::Sat, 12, YearEnd::Last),
    };
    Some(FiscalCalendar::of_weeks(WeekYear { weeks, day, month, end, named: named? }))
}

/// A row of a small table of ours: its line and its cells, in the order of the columns asked for.
struct Row {
    line: u32,
    cells: Vec<String>,
}

fn at_line(name: &str, line: u32) -> Place {
    Place::source(name).at_line(line)
}

/// The rows of a table with these columns, of which so many must be there; `None` after a problem.
fn rows(name: &str, text: &str, columns: &[&str], required: usize, problems: &mut Problems) -> Option<Vec<Row>> {
    let mut lines = (1u32..).zip(text.trim_start_matches('\u{feff}').lines());
    let cells =
        |line: &str| -> Vec<String> { line.split(',').map(|cell| cell.trim().trim_matches('"').trim().to_owned()).collect() };
    let (at, header) = lines.next().map_or((1, Vec::new()), |(at, line)| (at, cells(line)));
    let position: Vec<Option<usize>> = columns.iter().map(|c| header.iter().position(|h| h == c)).collect();
    let missing: Vec<&str> = columns[..required].iter().zip(&position).filter(|(_, p)| p.is_none()).map(|(c, _)| *c).collect();
    let strange = header.iter().find(|h| !columns.contains(&h.as_str()));
    if !missing.is_empty() || strange.is_some() {
        let (code, message) = match strange {
            Some(column) if missing.is_empty() => ("unknown-column", format!("the table has no column `{column}`")),
            _ => ("missing-column", format!("the column `{}` is missing", missing.join("`, `"))),
        };
        problems.push(Problem::new(code, message).at(at_line(name, at)).help(format!("the first line is {}", columns.join(","))));
        return None;
    }
    let mut rows = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let cells = cells(text);
        if cells.len() != header.len() {
            problems.push(
                Problem::new("ragged-row", format!("the row has {} cells, the header {}", cells.len(), header.len()))
                    .at(at_line(name, line))
                    .help("one cell for each column, with commas between them"),
            );
            return None;
        }
        let cells = position.iter().map(|p| p.map_or_else(String::new, |index| cells[index].clone())).collect();
        rows.push(Row { line, cells });
    }
    Some(rows)
}

fn date(name: &str, row: &Row, column: &str, text: &str, problems: &mut Problems) -> Option<NaiveDate> {
    let day = value::date(text);
    if day.is_none() {
        problems.push(
            Problem::new("bad-date", format!("`{column}`: `{text}` is not a date of the calendar"))
                .at(at_line(name, row.line))
                .help("write year, month, day as 2026-01-31"),
        );
    }
    day
}

fn of_file(table: Section<'_>, files: &mut ReadFile<'_>, problems: &mut Problems) -> Option<FiscalCalendar> {
    let name = table.text("calendar_file")?;
    let text = files(name)?;
    let rows = rows(name, &text, &["year", "month", "from", "to"], 4, problems)?;
    let before = problems.0.len();
    let mut months: Vec<FiscalMonth> = Vec::new();
    for row in &rows {
        let [year, month, from, to] = row.cells.as_slice() else { continue };
        let mut number = |column: &str, text: &str, most: u32| {
            let number = text.parse::<u32>().ok().filter(|n| (1..=most).contains(n));
            if number.is_none() {
                problems.push(
                    Problem::new("out-of-range", format!("`{column}`: `{text}` is no {column} here"))
                        .at(at_line(name, row.line))
                        .help(format!("use 1 to {most}")),
                );
            }
            number
        };
        let (year, month) = (number("year", year, 9999), number("month", month, 13));
        let (from, to) = (date(name, row, "from", from, problems), date(name, row, "to", to, problems));
        let (Some(year), Some(month), Some(from), Some(to)) = (year, month, from, to) else { continue };
        match Period::new(from, to) {
            Some(days) => months.push(FiscalMonth { year: i32::try_from(year).unwrap_or_default(), month, days }),
            None => problems.push(
                Problem::new("bad-period", format!("the month ends on {to}, before it starts on {from}"))
                    .at(at_line(name, row.line))
                    .help("both days are included"),
            ),
        }
    }
    if problems.0.len() > before {
        return None;
    }
    match FiscalCalendar::of_table(&months) {
        Ok(calendar) => Some(calendar),
        Err(faults) => {
            for fault in faults {
                let line = rows.get(fault.at).map_or(1, |row| row.line);
                problems.push(Problem::new(fault.code, fault.message).at(at_line(name, line)).help(fault.help));
            }
            None
        }
    }
}

fn business_days(table: Section<'_>, files: &mut ReadFile<'_>, problems: &mut Problems) -> Option<BusinessDays> {
    let weekend: Vec<Weekday> = table.texts("weekend").into_iter().filter_map(weekday).collect();
    if WEEKDAYS.iter().filter_map(|w| weekday(w)).all(|day| weekend.contains(&day)) {
        problems.push(
            table
                .problem("out-of-range", "weekend", "business would be done on no day")
                .help("name the days of the weekend only"),
        );
        return None;
    }
    let mut holidays = Vec::new();
    if let Some(name) = table.text("holidays") {
        let text = files(name)?;
        for row in rows(name, &text, &["date", "name"], 1, problems)? {
            holidays.push(date(name, &row, "date", row.cells.first().map_or("", String::as_str), problems)?);
        }
    }
    Some(BusinessDays::new(&weekend, holidays))
}
