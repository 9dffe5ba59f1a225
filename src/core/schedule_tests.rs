//! Tests of the schedule maths: every row of case 25, and the planning rules behind case 26.
#![allow(clippy::unwrap_used)]

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    let full = if text.matches(':').count() == 1 { text.replace('Z', ":00Z") } else { text.to_owned() };
    DateTime::parse_from_rfc3339(&full).unwrap().to_utc()
}
fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
fn nightly(cron: &str, zone: &str, rule: BusinessDayRule) -> Schedule {
    Schedule::new("nightly", cron, parse_zone(zone).unwrap(), rule, &Step::ALL, Missed::CatchUp, Overlap::Queue).unwrap()
}
fn intraday(cron: &str, zone: &str, missed: Missed) -> Schedule {
    let steps = [Step::Pull, Step::Normalize, Step::Match, Step::Accrue];
    Schedule::new("intraday", cron, parse_zone(zone).unwrap(), BusinessDayRule::Same, &steps, missed, Overlap::Queue).unwrap()
}
fn starts(due: &[Due]) -> Vec<String> {
    due.iter().map(|due| due.due_at.to_rfc3339_opts(SecondsFormat::Secs, true)).collect()
}
fn keys(due: &[Due]) -> Vec<String> {
    due.iter().map(|due| due.key.to_string()).collect()
}

/// Walks through the days as the daemon does, tick by tick, and gives every start once.
fn starts_by_ticking(schedule: &Schedule, from: &str, to: &str, seconds: i64) -> Vec<Due> {
    let (mut planned_until, end) = (at(from), at(to));
    let mut done: Vec<Due> = Vec::new();
    while planned_until < end {
        let now = planned_until + Duration::seconds(seconds);
        let plan = schedule.plan(planned_until, now, |key| done.iter().any(|due| due.key == *key), false, false);
        assert!(plan.left_out.is_empty());
        done.extend(plan.wanted);
        planned_until = now;
    }
    done
}

#[test]
fn case_25_every_row_starts_at_its_instant_without_a_restart() {
    let rows = [
        ("0 30 2 * * *", "Europe/Berlin", "2026-03-28", "2026-03-28T01:30Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-03-29", "2026-03-29T01:00Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-03-30", "2026-03-30T00:30Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-10-24", "2026-10-24T00:30Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-10-25", "2026-10-25T00:30Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-10-26", "2026-10-26T01:30Z"),
        ("0 30 2 * * *", "America/New_York", "2026-03-07", "2026-03-07T07:30Z"),
        ("0 30 2 * * *", "America/New_York", "2026-03-08", "2026-03-08T07:00Z"),
        ("0 30 2 * * *", "America/New_York", "2026-03-09", "2026-03-09T06:30Z"),
        ("0 30 1 * * *", "America/New_York", "2026-11-01", "2026-11-01T05:30Z"),
        ("0 30 1 * * *", "America/New_York", "2026-11-02", "2026-11-02T06:30Z"),
    ];
    for (cron, zone, local_day, start) in rows {
        let schedule = nightly(cron, zone, BusinessDayRule::Same);
        // One planner lives from two days before to two days after, ticking every minute.
        let from = (at(&format!("{local_day}T12:00Z")) - Duration::days(2)).to_rfc3339();
        let to = (at(&format!("{local_day}T12:00Z")) + Duration::days(2)).to_rfc3339();
        let done = starts_by_ticking(&schedule, &from, &to, 60);
        let of_day: Vec<_> = done.iter().filter(|due| due.key == RunKey::Day(day(local_day))).copied().collect();
        assert_eq!(starts(&of_day), [at(start).to_rfc3339_opts(SecondsFormat::Secs, true)], "{cron} {zone} {local_day}");
        assert_eq!(done.len(), 4, "{cron} {zone} {local_day}: one run for each of the four days");
    }
}

#[test]
fn case_25_five_local_days_are_five_runs_in_spring_and_in_autumn() {
    let berlin = nightly("0 30 2 * * *", "Europe/Berlin", BusinessDayRule::Same);
    let spring = starts_by_ticking(&berlin, "2026-03-26T23:00Z", "2026-03-31T22:00Z", 60);
    assert_eq!(keys(&spring), ["2026-03-27", "2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31"]);
    let autumn = starts_by_ticking(&berlin, "2026-10-22T22:00Z", "2026-10-27T23:00Z", 60);
    assert_eq!(keys(&autumn), ["2026-10-23", "2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27"]);
    assert_eq!(starts(&autumn)[2], "2026-10-25T00:30:00Z");
}

#[test]
fn case_25_an_unknown_zone_is_refused() {
    assert_eq!(parse_zone("Europe/Atlantis").unwrap_err().code, "unknown-zone");
    assert_eq!(parse_zone("CET+1").unwrap_err().code, "unknown-zone");
}

#[test]
fn a_window_cut_inside_the_gap_neither_loses_nor_repeats_the_night() {
    let berlin = nightly("0 30 2 * * *", "Europe/Berlin", BusinessDayRule::Same);
    assert_eq!(starts(&berlin.due(at("2026-03-29T00:59:59Z"), at("2026-03-29T01:00Z"))), ["2026-03-29T01:00:00Z"]);
    assert_eq!(berlin.due(at("2026-03-29T01:00Z"), at("2026-03-29T23:00Z")), []);
    assert_eq!(berlin.due(at("2026-03-28T12:00Z"), at("2026-03-29T00:59:59Z")), []);
    // The second 02:30 of the autumn night, planned by a process that starts between the two.
    assert_eq!(berlin.due(at("2026-10-25T00:45Z"), at("2026-10-25T12:00Z")), []);
}

#[test]
fn midnight_that_does_not_exist_still_belongs_to_its_own_day() {
    // Cairo skips 00:00 to 01:00 on 2026-04-24.
    let cairo = nightly("0 0 0 * * *", "Africa/Cairo", BusinessDayRule::Previous);
    let due = cairo.due(at("2026-04-23T12:00Z"), at("2026-04-24T12:00Z"));
    assert_eq!(starts(&due), ["2026-04-23T22:00:00Z"]);
    assert_eq!(keys(&due), ["2026-04-23"]);
}

#[test]
fn a_local_day_that_was_left_out_still_has_its_run() {
    // Samoa went from 29 to 31 December 2011.
    let apia = nightly("0 30 2 * * *", "Pacific/Apia", BusinessDayRule::Same);
    let due = apia.due(at("2011-12-29T10:00Z"), at("2011-12-31T10:00Z"));
    assert_eq!(keys(&due), ["2011-12-29", "2011-12-30", "2011-12-31"]);
    assert!(due.is_sorted_by_key(|due| due.due_at), "{due:?}");
}

#[test]
fn the_key_is_the_business_day_that_is_closed() {
    let nightly = nightly("0 30 1 * * *", "America/Chicago", BusinessDayRule::Previous);
    let due = nightly.due(at("2026-03-01T00:00Z"), at("2026-03-02T00:00Z"));
    assert_eq!(due[0].business_day, day("2026-02-28"));
    assert_eq!(due[0].key.to_string(), "2026-02-28");
    assert_eq!(starts(&due), ["2026-03-01T07:30:00Z"]);
}

#[test]
fn a_job_that_closes_no_day_is_keyed_by_due_time_and_runs_in_both_passes_of_the_repeated_hour() {
    let quarterly = intraday("0 */30 * * * *", "Europe/Berlin", Missed::RunOnce);
    let due = quarterly.due(at("2026-10-24T23:59Z"), at("2026-10-25T02:00Z"));
    assert_eq!(starts(&due), keys(&due));
    assert_eq!(
        keys(&due),
        ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"]
    );
    let spring = quarterly.due(at("2026-03-29T00:00Z"), at("2026-03-29T02:00Z"));
    assert_eq!(keys(&spring), ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z"]);
}

#[test]
fn a_fixed_time_of_a_job_keyed_by_due_time_runs_once_in_the_autumn_night() {
    let fixed = intraday("0 30 1 * * *", "America/New_York", Missed::RunOnce);
    assert_eq!(keys(&fixed.due(at("2026-11-01T00:00Z"), at("2026-11-02T00:00Z"))), ["2026-11-01T05:30:00Z"]);
}

#[test]
fn missed_nights_are_all_wanted_oldest_first_and_known_ones_are_not() {
    let utc = nightly("0 0 2 * * *", "UTC", BusinessDayRule::Previous);
    let plan = utc.plan(at("2026-06-10T01:50Z"), at("2026-06-12T09:00Z"), |_| false, false, false);
    assert_eq!(keys(&plan.wanted), ["2026-06-09", "2026-06-10", "2026-06-11"]);
    assert!(plan.wanted.iter().all(|due| due.caught_up));
    let known = RunKey::Day(day("2026-06-10"));
    let plan = utc.plan(at("2026-06-10T01:50Z"), at("2026-06-12T09:00Z"), |key| *key == known, false, false);
    assert_eq!(keys(&plan.wanted), ["2026-06-09", "2026-06-11"]);
}

#[test]
fn missed_nights_run_once_or_not_at_all_where_the_schedule_says_so() {
    let mut utc = nightly("0 0 2 * * *", "UTC", BusinessDayRule::Previous);
    utc.missed = Missed::RunOnce;
    let plan = utc.plan(at("2026-06-10T01:50Z"), at("2026-06-12T09:00Z"), |_| false, false, false);
    assert_eq!(keys(&plan.wanted), ["2026-06-11"]);
    assert_eq!(keys(&plan.left_out), ["2026-06-09", "2026-06-10"]);
    utc.missed = Missed::Skip;
    let plan = utc.plan(at("2026-06-10T01:50Z"), at("2026-06-12T02:01Z"), |_| false, false, false);
    assert_eq!(keys(&plan.wanted), ["2026-06-11"], "what is due right now is not missed");
    assert_eq!(keys(&plan.left_out), ["2026-06-09", "2026-06-10"]);
}

#[test]
fn missed_due_times_of_a_job_keyed_by_due_time_are_carried_out_once() {
    let quarterly = intraday("0 */15 * * * *", "UTC", Missed::CatchUp);
    let plan = quarterly.plan(at("2026-06-10T01:50Z"), at("2026-06-12T09:00Z"), |_| false, false, false);
    assert_eq!(keys(&plan.wanted), ["2026-06-12T09:00:00Z"]);
    let waiting = quarterly.plan(at("2026-06-12T09:00Z"), at("2026-06-12T09:15Z"), |_| false, true, true);
    assert_eq!(waiting.wanted, [], "one that waits already stands for this one too");
}

#[test]
fn a_night_that_meets_a_running_one_is_queued_or_left_out() {
    let mut utc = nightly("0 0 2 * * *", "UTC", BusinessDayRule::Previous);
    let window = (at("2026-06-15T01:59:59Z"), at("2026-06-15T02:00Z"));
    assert_eq!(keys(&utc.plan(window.0, window.1, |_| false, true, false).wanted), ["2026-06-14"]);
    utc.overlap = Overlap::Skip;
    let plan = utc.plan(window.0, window.1, |_| false, true, false);
    assert_eq!((plan.wanted.len(), keys(&plan.left_out)), (0, vec!["2026-06-14".to_owned()]));
}

#[test]
fn a_timer_that_fires_early_finds_nothing_due_yet() {
    let utc = nightly("0 0 2 * * *", "UTC", BusinessDayRule::Previous);
    assert_eq!(utc.plan(at("2026-06-12T09:00Z"), at("2026-06-13T01:59:52Z"), |_| false, false, false).wanted, []);
    let then = utc.plan(at("2026-06-13T01:59:52Z"), at("2026-06-13T02:00Z"), |_| false, false, false).wanted;
    assert_eq!(keys(&then), ["2026-06-12"]);
}

#[test]
fn a_clock_set_back_by_a_year_plans_nothing_until_it_moves_on() {
    let utc = nightly("0 0 2 * * *", "UTC", BusinessDayRule::Previous);
    assert_eq!(utc.plan(at("2026-06-13T02:00Z"), at("2025-06-13T02:00Z"), |_| false, false, false), Plan::default());
}

#[test]
fn expressions_that_cannot_work_are_refused_when_they_are_read() {
    let zone = parse_zone("UTC").unwrap();
    let make = |cron: &str, steps: &[Step]| {
        Schedule::new("j", cron, zone, BusinessDayRule::Same, steps, Missed::CatchUp, Overlap::Queue)
            .map(|_| ())
            .map_err(|p| p.code)
    };
    for bad in ["0 2 * * *", "", "0 61 2 * * *", "0 0 2 30 2 *", "0 0 2 * * * 2026", "every night"] {
        assert_eq!(make(bad, &[Step::Push]), Err("bad-cron".to_owned()), "{bad}");
    }
    assert_eq!(make("0 0 6,18 * * *", &Step::ALL), Err("more-than-once-a-day".to_owned()));
    assert_eq!(make("0 0 6,18 * * *", &[Step::Pull]), Ok(()));
    assert_eq!(make("0 0 2 * * *", &[]), Err("no-steps".to_owned()));
    assert_eq!(make("0 30 2 * * MON-FRI", &Step::ALL), Ok(()));
}

#[test]
fn keys_are_read_back_from_their_text() {
    for text in ["2026-06-09", "2026-06-09T14:15:00Z"] {
        assert_eq!(text.parse::<RunKey>().unwrap().to_string(), text);
    }
    assert_eq!("yesterday".parse::<RunKey>().unwrap_err().code, "bad-run-key");
}

#[test]
fn the_next_due_time_is_found_however_far_away() {
    let leap = nightly("0 0 2 29 2 *", "UTC", BusinessDayRule::Same);
    assert_eq!(leap.next_due(at("2026-06-01T00:00Z")).unwrap().due_at, at("2028-02-29T02:00Z"));
    let soon = intraday("0 */15 * * * *", "UTC", Missed::CatchUp);
    assert_eq!(soon.next_due(at("2026-06-01T00:00Z")).unwrap().due_at, at("2026-06-01T00:15Z"));
}
