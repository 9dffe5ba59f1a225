//! The closed set of transforms: how a source writes texts, figures and days, turned into the
//! canonical way of writing them. Text in, text out; `value` then reads the result strictly.
//!
//! The order is fixed and documented in `docs/reference/mapping.md`, so that a mapping says what is
//! done, not in which order.

use crate::mapping::value::{Fault, instant, iso_date, no_such_date, stored};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;

/// How a source writes figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberFormat {
    pub(crate) decimal: char,
    pub(crate) thousands: Option<char>,
    pub(crate) trailing_minus: bool,
    pub(crate) parentheses: bool,
}

impl Default for NumberFormat {
    fn default() -> Self {
        Self { decimal: '.', thousands: None, trailing_minus: false, parentheses: false }
    }
}

impl NumberFormat {
    fn misfit(text: &str) -> Fault {
        Fault::new("bad-number", format!("the number `{text}` does not fit the declared format"))
            .help("the mapping declares decimal mark, thousands mark and minus; nothing is guessed per row")
    }
    fn is_thousands(&self, character: char) -> bool {
        match self.thousands {
            // Writers of spaced figures use the non-breaking kinds as well.
            Some(' ') => matches!(character, ' ' | '\u{a0}' | '\u{202f}'),
            thousands => thousands == Some(character),
        }
    }
    /// Plain decimal text of a figure as the source writes it.
    pub(crate) fn plain(&self, text: &str) -> Result<String, Fault> {
        let misfit = || Self::misfit(text);
        let mut body = text.trim();
        let mut negative = false;
        if let Some(inner) = body.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            if !self.parentheses {
                return Err(misfit());
            }
            (negative, body) = (true, inner.trim());
        }
        let minus = ['-', '\u{2212}'];
        if let Some(rest) = body.strip_prefix(minus) {
            if negative {
                return Err(misfit());
            }
            (negative, body) = (true, rest.trim_start());
        } else if let Some(rest) = body.strip_prefix('+') {
            body = rest.trim_start();
        } else if let Some(rest) = body.strip_suffix(minus) {
            if !self.trailing_minus || negative {
                return Err(misfit());
            }
            (negative, body) = (true, rest.trim_end());
        }
        let (whole, fraction) = match body.split_once(self.decimal) {
            Some((_, "")) => return Err(misfit()),
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (body, None),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let groups: Vec<&str> = whole.split(|character| self.is_thousands(character)).collect();
        let grouped = groups.len() == 1 || (1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3);
        if !grouped
            || !groups.iter().all(|group| all_digits(group))
            || !fraction.is_none_or(all_digits)
            || whole.is_empty() && fraction.is_none()
        {
            return Err(misfit());
        }
        let mut plain = String::with_capacity(text.len() + 1);
        if negative {
            plain.push('-');
        }
        plain.push_str(if whole.is_empty() { "0" } else { "" });
        groups.iter().for_each(|group| plain.push_str(group));
        if let Some(fraction) = fraction {
            plain.push('.');
            plain.push_str(fraction);
        }
        Ok(plain)
    }
}

/// The figure with the opposite sign; zero stays zero.
pub(crate) fn negate(plain: &str) -> String {
    match plain.strip_prefix('-') {
        Some(rest) => rest.to_owned(),
        None if plain.bytes().all(|byte| matches!(byte, b'0' | b'.')) => plain.to_owned(),
        None => format!("-{}", plain.strip_prefix('+').unwrap_or(plain)),
    }
}

/// A figure without a decimal mark whose last `decimals` digits are decimals.
pub(crate) fn implied_decimals(plain: &str, decimals: usize) -> Result<String, Fault> {
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain), |rest| ("-", rest));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new("bad-number", format!("`{plain}` has a decimal mark although its decimals are implied"))
            .help("`scale` is for figures without a decimal mark"));
    }
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    Ok(if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// How a source writes days and instants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DateFormat {
    /// `strptime` format; ISO without it.
    pub(crate) pattern: Option<String>,
    /// Whether the value is an instant, to be moved into the company's zone, or a day as written.
    pub(crate) instant: bool,
    /// Zone of instants written without an offset.
    pub(crate) zone: Option<Tz>,
}

impl DateFormat {
    /// The day, `2026-03-31`: as written, or of the instant in the company's zone (case 13).
    pub(crate) fn day(&self, text: &str, company: Tz) -> Result<NaiveDate, Fault> {
        if self.instant {
            return Ok(self.moment(text)?.with_timezone(&company).date_naive());
        }
        match &self.pattern {
            Some(pattern) => match Written::parse(text, pattern)? {
                Written::Offset(moment) => Ok(moment.naive_local().date()),
                Written::Local(moment) => Ok(moment.date()),
                Written::Day(day) => Ok(day),
            },
            None => match text.get(..10).zip(text.get(10..)) {
                // Midnight is how some sources write a plain day; another hour is an instant.
                Some((day, time)) if is_midnight(time) => iso_date(day),
                _ => iso_date(text).map_err(|fault| match fault.code {
                    "bad-date" if text.len() > 10 => {
                        fault.help("say `instant = true` for a moment, or give the day's format with `date`")
                    }
                    _ => fault,
                }),
            },
        }
    }
    /// The instant in UTC.
    pub(crate) fn moment(&self, text: &str) -> Result<DateTime<Utc>, Fault> {
        let local = |moment: NaiveDateTime| {
            let Some(zone) = self.zone else {
                return Err(Fault::new("bad-instant", format!("`{text}` has no offset"))
                    .help("say in which zone the source writes it: timezone = \"UTC\""));
            };
            zone.from_local_datetime(&moment).single().map(|moment| stored(moment.with_timezone(&Utc))).ok_or_else(|| {
                Fault::new("bad-instant", format!("`{text}` falls into a clock change of {zone} and means no one moment"))
            })
        };
        match &self.pattern {
            Some(pattern) => match Written::parse(text, pattern)? {
                Written::Offset(moment) => Ok(stored(moment.with_timezone(&Utc))),
                Written::Local(moment) => local(moment),
                Written::Day(_) => Err(Fault::new("bad-instant", format!("`{text}` is a day, not a moment"))),
            },
            None => match instant(text) {
                Ok(moment) => Ok(moment),
                Err(fault) => match iso_local(text) {
                    Some(moment) => local(moment),
                    None => Err(fault),
                },
            },
        }
    }
    /// The instant as canonical text.
    pub(crate) fn moment_text(&self, text: &str) -> Result<String, Fault> {
        Ok(self.moment(text)?.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

fn is_midnight(time: &str) -> bool {
    let Some(clock) = time.strip_prefix(['T', ' ']) else { return false };
    let clock = clock.split(['Z', 'z', '+', '-']).next().unwrap_or(clock);
    let (hours, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    matches!(hours, "00:00" | "00:00:00") && fraction.bytes().all(|byte| byte == b'0')
}

fn iso_local(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|pattern| NaiveDateTime::parse_from_str(text, pattern).ok())
}

/// What a pattern found.
enum Written {
    Offset(DateTime<chrono::FixedOffset>),
    Local(NaiveDateTime),
    Day(NaiveDate),
}

impl Written {
    fn parse(text: &str, pattern: &str) -> Result<Self, Fault> {
        use chrono::format::{Parsed, StrftimeItems};
        let misfit = || Fault::new("bad-date", format!("`{text}` is not written as `{pattern}`"));
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, StrftimeItems::new(pattern)).map_err(|error| match error.kind() {
            chrono::format::ParseErrorKind::OutOfRange => no_such_date(text),
            _ => misfit(),
        })?;
        if let Ok(moment) = parsed.to_datetime() {
            return Ok(Self::Offset(moment));
        }
        match (parsed.to_naive_date(), parsed.to_naive_time()) {
            (Ok(day), Ok(time)) => Ok(Self::Local(day.and_time(time))),
            (Ok(day), Err(_)) => Ok(Self::Day(day)),
            (Err(error), _) => Err(match error.kind() {
                chrono::format::ParseErrorKind::OutOfRange | chrono::format::ParseErrorKind::Impossible => no_such_date(text),
                _ => misfit(),
            }),
        }
    }
}

/// Whether a date pattern is one at all: known codes, and at least a day in it.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
    use chrono::format::{Item, StrftimeItems};
    if StrftimeItems::new(pattern).any(|item| matches!(item, Item::Error)) {
        return Err(format!("`{pattern}` holds a code that is not known"));
    }
    if !pattern.contains('%') {
        return Err(format!("`{pattern}` holds no code such as %Y, %m, %d"));
    }
    Ok(())
}

/// Transforms of text, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextSteps {
    pub(crate) strip_prefix: Option<String>,
    pub(crate) strip_leading: Option<char>,
    pub(crate) replace: Vec<(String, String)>,
    pub(crate) split: Option<(String, i64)>,
    pub(crate) upper: bool,
    pub(crate) lower: bool,
    pub(crate) pad: Option<(usize, char)>,
}

impl TextSteps {
    /// The text after every step; empty text means there is no value.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut text = text.trim().to_owned();
        if let Some(rest) = self.strip_prefix.as_deref().and_then(|prefix| text.strip_prefix(prefix)) {
            text = rest.trim().to_owned();
        }
        if let Some(leading) = self.strip_leading {
            let rest = text.trim_start_matches(leading);
            // A code of nothing but zeros is still a code.
            text = if rest.is_empty() && !text.is_empty() { leading.to_string() } else { rest.to_owned() };
        }
        for (old, new) in &self.replace {
            text = text.replace(old.as_str(), new);
        }
        if let Some((on, part)) = &self.split {
            let parts: Vec<&str> = text.split(on.as_str()).collect();
            let index = usize::try_from(part.abs() - 1)
                .ok()
                .and_then(|from_end| if *part > 0 { Some(from_end) } else { parts.len().checked_sub(from_end + 1) });
            text = index.and_then(|index| parts.get(index)).map_or(String::new(), |part| part.trim().to_owned());
        }
        if self.upper {
            text = text.to_uppercase();
        }
        if self.lower {
            text = text.to_lowercase();
        }
        if let (Some((width, with)), false) = (self.pad, text.is_empty()) {
            let missing = width.saturating_sub(text.chars().count());
            text = std::iter::repeat_n(with, missing).chain(text.chars()).collect();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn german() -> NumberFormat {
        NumberFormat { decimal: ',', thousands: Some('.'), trailing_minus: true, parentheses: true }
    }

    #[test]
    fn figures_are_read_by_the_declared_marks_or_refused() {
        for (written, plain) in [
            ("12.345,67", "12345.67"),
            ("1.234", "1234"),
            ("1.200", "1200"),
            ("50,00-", "-50.00"),
            ("5-", "-5"),
            ("(120,00)", "-120.00"),
            ("\u{2212}120,00", "-120.00"),
            ("-3", "-3"),
            (",5", "0.5"),
            ("1234,5", "1234.5"),
        ] {
            assert_eq!(german().plain(written).unwrap(), plain, "{written}");
        }
        for misfit in [
            "1,234.56",
            "1.23",
            "12.34.567",
            ".234",
            "1..234",
            "1.234.",
            "1,",
            "",
            "-",
            "--1",
            "-1-",
            "(-1)",
            "1 234",
            "4,01234E+12",
            "٣",
        ] {
            assert_eq!(german().plain(misfit).unwrap_err().code, "bad-number", "{misfit}");
        }
        for undeclared in ["5-", "(5)", "1,000", "1.234,5"] {
            assert!(NumberFormat::default().plain(undeclared).is_err(), "{undeclared}");
        }
        let spaced = NumberFormat { decimal: ',', thousands: Some(' '), ..NumberFormat::default() };
        assert_eq!(spaced.plain("1\u{202f}234 567,8").unwrap(), "1234567.8");
    }

    #[test]
    fn implied_decimals_need_a_figure_without_a_mark() {
        assert_eq!(implied_decimals("12345", 2).unwrap(), "123.45");
        assert_eq!(implied_decimals("-5", 2).unwrap(), "-0.05");
        assert_eq!(implied_decimals("7", 0).unwrap(), "7");
        assert!(implied_decimals("1.5", 2).is_err());
        assert_eq!(negate("0.00"), "0.00");
        assert_eq!(negate("-5"), "5");
    }

    #[test]
    fn a_plain_day_never_moves_and_an_instant_falls_on_the_companys_day() {
        let chicago = chrono_tz::America::Chicago;
        let plain = DateFormat::default();
        let moment = DateFormat { instant: true, ..DateFormat::default() };
        for (format, written, day) in [
            (&plain, "2026-03-31", "2026-03-31"),
            (&moment, "2026-04-01T03:30:00Z", "2026-03-31"),
            (&moment, "2026-04-01T05:00:00Z", "2026-04-01"),
            (&moment, "2026-03-01T05:59:59Z", "2026-02-28"),
            (&moment, "2026-03-01T06:00:00Z", "2026-03-01"),
            (&moment, "2026-03-31T23:59:59.999-05:00", "2026-03-31"),
            (&plain, "2026-03-01T00:00:00+01:00", "2026-03-01"),
        ] {
            assert_eq!(format.day(written, chicago).unwrap().to_string(), day, "{written}");
        }
        assert_eq!(plain.day("2026-04-01T03:30:00Z", chicago).unwrap_err().code, "bad-date");
        assert_eq!(moment.day("2026-03-31T10:00:00", chicago).unwrap_err().code, "bad-instant");
        let local = DateFormat { instant: true, zone: Some(chrono_tz::UTC), pattern: Some("%Y%m%d %H%M".into()) };
        assert_eq!(local.day("20260401 0330", chicago).unwrap().to_string(), "2026-03-31");
        let twice = DateFormat { instant: true, zone: Some(chicago), pattern: None };
        assert_eq!(twice.day("2026-11-01T01:30:00", chicago).unwrap_err().code, "bad-instant");
    }

    #[test]
    fn a_pattern_is_kept_to_the_letter() {
        let format = |pattern: &str| DateFormat { pattern: Some(pattern.to_owned()), ..DateFormat::default() };
        let zone = chrono_tz::UTC;
        assert_eq!(format("%d.%m.%Y").day("03.04.2026", zone).unwrap().to_string(), "2026-04-03");
        assert_eq!(format("%d.%m.%Y").day("31.04.2026", zone).unwrap_err().code, "no-such-date");
        assert_eq!(format("%m/%d/%Y").day("13/04/2026", zone).unwrap_err().code, "no-such-date");
        assert_eq!(format("%m/%d/%Y").day("03/04/2026", zone).unwrap().to_string(), "2026-03-04");
        assert_eq!(format("%Y-%m-%dT%H:%M:%S%z").day("2026-03-01T00:30:00+01:00", zone).unwrap().to_string(), "2026-03-01");
        assert_eq!(format("%Y%m%d").day("2026-03-01", zone).unwrap_err().code, "bad-date");
        assert!(check_pattern("%Q").is_err() && check_pattern("yyyy").is_err() && check_pattern("%d.%m.%Y").is_ok());
    }

    #[test]
    fn text_steps_run_in_their_documented_order() {
        let steps = TextSteps {
            strip_prefix: Some("ART-".into()),
            strip_leading: Some('0'),
            replace: vec![("/".into(), "-".into())],
            split: Some(("-".into(), -1)),
            upper: true,
            pad: Some((4, '0')),
            ..TextSteps::default()
        };
        assert_eq!(steps.apply(" ART-00a/b7 "), "00B7");
        let zeros = TextSteps { strip_leading: Some('0'), ..TextSteps::default() };
        assert_eq!(zeros.apply("000"), "0");
        let gone = TextSteps { split: Some(("-".into(), 3)), pad: Some((3, '0')), ..TextSteps::default() };
        assert_eq!(gone.apply("a-b"), "");
    }

    proptest! {
        #[test]
        fn a_written_figure_reads_back(value in any::<i32>(), decimals in 0u32..100) {
            let (sign, magnitude) = (if value < 0 { "-" } else { "" }, value.unsigned_abs().to_string());
            let mut grouped = String::new();
            for (index, digit) in magnitude.chars().enumerate() {
                if index > 0 && (magnitude.len() - index) % 3 == 0 {
                    grouped.push('.');
                }
                grouped.push(digit);
            }
            let written = format!("{grouped},{decimals:02}{}", if value < 0 { "-" } else { "" });
            prop_assert_eq!(german().plain(&written).unwrap(), format!("{sign}{magnitude}.{decimals:02}"));
        }
        #[test]
        fn no_text_makes_a_transform_panic(text in ".{0,16}") {
            let _ = german().plain(&text);
            let _ = DateFormat::default().day(&text, chrono_tz::UTC);
            let _ = DateFormat { pattern: Some("%d.%m.%Y".into()), ..DateFormat::default() }.day(&text, chrono_tz::UTC);
            let _ = TextSteps { split: Some(("a".into(), -2)), ..TextSteps::default() }.apply(&text);
        }
    }
}
