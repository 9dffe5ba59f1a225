//! When a job is due: schedules, run keys, due instants and what was missed.
//!
//! No timer, no clock, no store here: every function takes the instants it needs. Local times are
//! built from the calendar of the schedule's zone, day by day, never by adding 24 hours. What has
//! been done is decided by run keys, never by instants: planning the same window twice names the
//! same keys.

use crate::core::problem::Problem;
use chrono::{DateTime, Days, Duration, LocalResult, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, JobType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A due time that is planned later than this was missed, not merely picked up by the next tick.
pub const MISSED_AFTER: Duration = Duration::minutes(5);

/// The longest outage that is caught up key by key; what lies further back is not planned.
pub const LONGEST_CATCH_UP: Days = Days::new(400);

/// One stage of a job, in the order in which a job runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Read the connectors.
    Pull,
    /// Resolve partners, items, units, currencies and signs.
    Normalize,
    /// Find the terms of each line.
    Match,
    /// Book the difference between target and booked.
    Accrue,
    /// Ours against theirs.
    Reconcile,
    /// Propose settlements.
    Propose,
    /// Push approved settlements.
    Push,
    /// Send statements.
    Statements,
}

impl Step {
    /// All steps in running order.
    pub const ALL: [Step; 8] =
        [Step::Pull, Step::Normalize, Step::Match, Step::Accrue, Step::Reconcile, Step::Propose, Step::Push, Step::Statements];
    /// The word used in schedules and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Step::Pull => "pull",
            Step::Normalize => "normalize",
            Step::Match => "match",
            Step::Accrue => "accrue",
            Step::Reconcile => "reconcile",
            Step::Propose => "propose",
            Step::Push => "push",
            Step::Statements => "statements",
        }
    }
    /// Whether the step closes a business day: it proposes, pays, reconciles or tells partners.
    pub fn closes_the_day(self) -> bool {
        matches!(self, Step::Reconcile | Step::Propose | Step::Push | Step::Statements)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Step {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        Step::ALL.into_iter().find(|step| step.word() == text).ok_or_else(|| {
            let all: Vec<_> = Step::ALL.iter().map(|step| step.word()).collect();
            Problem::new("unknown-step", format!("unknown step `{text}`")).help(format!("use {}", all.join(", ")))
        })
    }
}

/// Which business day a run closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BusinessDayRule {
    /// The day before the local day of the due time.
    #[default]
    Previous,
    /// The local day of the due time.
    Same,
}

/// What happens to due times that passed while nothing was planning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// Every missing business day, oldest first. A job keyed by due time runs once.
    #[default]
    CatchUp,
    /// Only the latest missed one.
    RunOnce,
    /// None.
    Skip,
}

/// What happens to a due time that meets a run of the same job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is noted and carried out once afterwards.
    #[default]
    Queue,
    /// It is left out.
    Skip,
}

/// What makes a run the same run: a business day, or the due time of a job that closes no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunKey {
    /// The business day that is closed.
    Day(NaiveDate),
    /// The due instant.
    Due(DateTime<Utc>),
}

impl fmt::Display for RunKey {
    /// `2026-06-09` or `2026-06-09T14:15:00Z`; both sort as text in time order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunKey::Day(day) => write!(f, "{day}"),
            RunKey::Due(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        }
    }
}

impl FromStr for RunKey {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(RunKey::Day);
        day.or_else(|_| DateTime::parse_from_rfc3339(text).map(|at| RunKey::Due(at.to_utc()))).map_err(|_| {
            Problem::new("bad-run-key", format!("`{text}` is no run key"))
                .help("use a business day such as 2026-06-09, or the due time such as 2026-06-09T14:15:00Z")
        })
    }
}

/// One planned execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// What makes it the same run when it is planned again.
    pub key: RunKey,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// The business day it closes (or, for a job keyed by due time, works on).
    pub business_day: NaiveDate,
    /// Whether its due time had been missed when it was planned.
    pub caught_up: bool,
}

/// The calendar part of one schedule file.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Name of the job: the file's name without its ending.
    pub job: String,
    /// Zone whose calendar decides.
    pub zone: Tz,
    /// Which business day a due time closes.
    pub business_day: BusinessDayRule,
    /// What the job does, in running order and without repetition.
    pub steps: Vec<Step>,
    /// What happens to missed due times.
    pub missed: Missed,
    /// What happens to a due time that meets a run of the same job.
    pub overlap: Overlap,
    cron: Cron,
}

/// What planning a window found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be requested, oldest first.
    pub wanted: Vec<Due>,
    /// Left out by `missed` or `overlap`, oldest first.
    pub left_out: Vec<Due>,
}

/// Reads a zone name of the IANA database.
///
/// # Errors
/// `unknown-zone`: there is no such zone.
pub fn parse_zone(name: &str) -> Result<Tz, Problem> {
    name.parse().map_err(|_| {
        Problem::new("unknown-zone", format!("unknown time zone `{name}`"))
            .help("use a name of the IANA database, such as America/Chicago or Europe/Berlin")
    })
}

fn parse_cron(text: &str) -> Result<Cron, Problem> {
    let bad = |message: String| {
        Problem::new("bad-cron", message)
            .help("six fields: second minute hour day month weekday, such as `0 30 1 * * *` for every night at 01:30")
    };
    let fields = text.split_whitespace().count();
    if fields != 6 {
        return Err(bad(format!("`{text}` has {fields} fields instead of six")));
    }
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| bad(format!("`{text}` is no cron expression: {error}")))?;
    // A date that never comes is accepted by the parser.
    let start = DateTime::UNIX_EPOCH;
    cron.find_next_occurrence(&start, true).map_err(|_| bad(format!("`{text}` never comes true")))?;
    Ok(cron)
}

impl Schedule {
    /// A schedule from the words of its file.
    ///
    /// # Errors
    /// `bad-cron`: no six-field cron expression, or one that never comes true. `no-steps`: nothing
    /// to do. `more-than-once-a-day`: a job that closes business days names several times of day.
    pub fn new(
        job: &str,
        cron: &str,
        zone: Tz,
        business_day: BusinessDayRule,
        steps: &[Step],
        missed: Missed,
        overlap: Overlap,
    ) -> Result<Self, Problem> {
        let steps: Vec<Step> = steps.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if steps.is_empty() {
            return Err(Problem::new("no-steps", format!("the job `{job}` has no steps")));
        }
        let parsed = parse_cron(cron)?;
        let schedule = Self { job: job.to_owned(), zone, business_day, steps, missed, overlap, cron: parsed };
        if schedule.closes_days() && schedule.cron.determine_job_type() != JobType::FixedTime {
            return Err(Problem::new(
                "more-than-once-a-day",
                format!("the job `{job}` closes business days, but `{cron}` comes true more than once a day"),
            )
            .help(
                "give second, minute and hour one value each, or leave only pull, normalize, match and accrue among the steps",
            ));
        }
        Ok(schedule)
    }

    /// Whether runs are keyed by business day; else they are keyed by due time.
    pub fn closes_days(&self) -> bool {
        self.steps.iter().any(|step| step.closes_the_day())
    }

    /// The business day of an occurrence on a local day.
    fn business_day_of(&self, local: NaiveDate) -> NaiveDate {
        match self.business_day {
            BusinessDayRule::Same => local,
            BusinessDayRule::Previous => local.pred_opt().unwrap_or(local),
        }
    }

    /// Every due time after `after` up to and including `until`, oldest first, one for each key.
    ///
    /// A job that closes days runs once per local day: at the first instant after the gap where
    /// its local time does not exist, at the first occurrence where it exists twice.
    pub fn due(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Due> {
        if until <= after {
            return Vec::new();
        }
        if self.closes_days() { self.due_by_day(after, until) } else { self.due_by_instant(after, until) }
    }

    fn due_by_day(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Due> {
        let mut found: Vec<Due> = Vec::new();
        // Offsets change by at most a day: start early enough to see an occurrence that a gap
        // moved behind `after`.
        let last = self.zone.from_utc_datetime(&until.naive_utc()).naive_local();
        let mut cursor = self.zone.from_utc_datetime(&after.naive_utc()).naive_local() - Days::new(2);
        // The cron expression runs along wall-clock time, as if every day had 24 hours.
        while let Ok(next) = self.cron.find_next_occurrence(&cursor.and_utc(), false) {
            let wall = next.naive_utc();
            if wall > last + Days::new(1) {
                break;
            }
            if let Some(due_at) = instant_of(self.zone, wall) {
                let business_day = self.business_day_of(wall.date());
                let key = RunKey::Day(business_day);
                if due_at > after && due_at <= until && found.last().is_none_or(|due| due.key != key) {
                    found.push(Due { key, due_at, business_day, caught_up: false });
                }
            }
            cursor = wall;
        }
        found
    }

    fn due_by_instant(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Due> {
        let mut found = Vec::new();
        let mut cursor = after.with_timezone(&self.zone);
        while let Ok(next) = self.cron.find_next_occurrence(&cursor, false) {
            let due_at = next.to_utc();
            if due_at > until || due_at <= cursor.to_utc() {
                break;
            }
            let business_day = self.business_day_of(next.date_naive());
            found.push(Due { key: RunKey::Due(due_at), due_at, business_day, caught_up: false });
            cursor = next;
        }
        found
    }

    /// The first due time after an instant.
    pub fn next_due(&self, after: DateTime<Utc>) -> Option<Due> {
        // Leap days are the rarest dates a cron expression can name: at most eight years apart.
        [2u64, 40, 400, 3000].into_iter().find_map(|days| {
            let until = after.checked_add_days(Days::new(days))?;
            if self.closes_days() {
                return self.due_by_day(after, until).into_iter().next();
            }
            let next = self.cron.find_next_occurrence(&after.with_timezone(&self.zone), false).ok()?;
            self.due_by_instant(after, next.to_utc()).into_iter().next()
        })
    }

    /// What has to be requested now.
    ///
    /// `planned_until` is the instant up to which this schedule was planned before; a clock that
    /// was set back makes the window start at `now`, and then the keys alone decide. `known` says
    /// whether a run of this key exists in any state; `running` whether a run of this job is under
    /// way, and `queued` whether one is waiting to start.
    pub fn plan(
        &self,
        planned_until: DateTime<Utc>,
        now: DateTime<Utc>,
        known: impl Fn(&RunKey) -> bool,
        running: bool,
        queued: bool,
    ) -> Plan {
        let longest = now.checked_sub_days(LONGEST_CATCH_UP).unwrap_or(planned_until);
        let mut plan = Plan::default();
        let mut wanted: Vec<Due> = self.due(planned_until.max(longest), now);
        wanted.retain(|due| !known(&due.key));
        for due in &mut wanted {
            due.caught_up = now - due.due_at > MISSED_AFTER;
        }
        let latest = wanted.last().map(|due| due.key);
        let collapse = !self.closes_days();
        for due in wanted {
            let keep = match (due.caught_up, self.missed) {
                (true, Missed::Skip) => false,
                (true, Missed::RunOnce) => Some(due.key) == latest,
                _ if collapse => Some(due.key) == latest,
                _ => true,
            } && !(self.overlap == Overlap::Skip && running)
                && !(collapse && queued);
            if keep { plan.wanted.push(due) } else { plan.left_out.push(due) }
        }
        plan
    }
}

/// The instant at which a wall clock shows a time: the first occurrence if it does so twice, the
/// first instant after the gap if it never does.
fn instant_of(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    let first = |time: NaiveDateTime| match zone.from_local_datetime(&time) {
        LocalResult::Single(at) => Some(at.to_utc()),
        LocalResult::Ambiguous(earlier, _) => Some(earlier.to_utc()),
        LocalResult::None => None,
    };
    first(wall).or_else(|| {
        // Gaps end on a full minute; the longest on record is a whole day (Samoa, 2011).
        let minute = wall.with_second(0)?.with_nanosecond(0)?;
        (1..=2 * 24 * 60).find_map(|minutes| first(minute + Duration::minutes(minutes)))
    })
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
