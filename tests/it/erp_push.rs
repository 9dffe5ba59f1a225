//! Case 24 on the push state machine alone, with an ERP that follows a script. The same against a
//! real ERP is in the end-to-end tests.

use chrono::{DateTime, Duration, Utc};
use rebated::clock::Clock;
use rebated::core::memo::{MemoLine, MemoRequest, RemoteMemo, StepOutcome};
use rebated::core::money::Currency;
use rebated::core::number::Micros;
use rebated::core::period::Period;
use rebated::core::problem::Problem;
use rebated::delivery::erp_push::{ErpPush, MemoChange, MemoPort, MemoRow, MemoRows, PushPauses, PushReport, PushState};
use rebated::drivers::{DriverError, PushError};
use std::collections::BTreeMap;
use std::sync::Mutex;

const DELAY: std::time::Duration = std::time::Duration::from_secs(60);

fn start() -> DateTime<Utc> {
    "2026-04-01T01:30:00Z".parse().unwrap()
}

fn request(reference: &str, agreement: &str, amount: &str) -> MemoRequest {
    let amount = Micros::parse(amount).unwrap();
    MemoRequest {
        reference: reference.into(),
        agreement: agreement.into(),
        agreement_version: 1,
        payee: "C5".into(),
        period: Period::new("2026-01-01".parse().unwrap(), "2026-03-31".parse().unwrap()).unwrap(),
        date: "2026-03-31".parse().unwrap(),
        currency: Currency::parse("EUR").unwrap(),
        amount,
        description: "Rebate".into(),
        lines: vec![MemoLine { description: "Rebate".into(), amount, gl_expense: None }],
        gl_expense: None,
        gl_liability: None,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the process died here")]
struct Died;

/// The store: rows that survive, and a process that can die after any commit.
#[derive(Default)]
struct Rows {
    rows: Mutex<BTreeMap<i64, (MemoRow, MemoRequest, Option<String>)>>,
    dies_before_commit: Mutex<Option<u32>>,
}

impl Rows {
    fn with(settlements: &[(&str, &str, &str)]) -> Self {
        let rows = Rows::default();
        for (id, (reference, agreement, amount)) in (1..).zip(settlements) {
            let row = MemoRow {
                settlement_id: id,
                connector: "erp".into(),
                reference: (*reference).into(),
                state: PushState::Planned,
                remote_id: None,
                attempts: 0,
                not_before: None,
            };
            rows.rows.lock().unwrap().insert(id, (row, request(reference, agreement, amount), None));
        }
        rows
    }
    fn state(&self, id: i64) -> (PushState, Option<String>) {
        let rows = self.rows.lock().unwrap();
        (rows[&id].0.state, rows[&id].2.clone())
    }
    fn attempts(&self, id: i64) -> u32 {
        self.rows.lock().unwrap()[&id].0.attempts
    }
    fn set(&self, id: i64, change: impl Fn(&mut MemoRow)) {
        change(&mut self.rows.lock().unwrap().get_mut(&id).unwrap().0);
    }
}

impl MemoRows for Rows {
    type Error = Died;
    async fn open(&self) -> Result<Vec<MemoRow>, Died> {
        let open = [PushState::Planned, PushState::Sent, PushState::Unknown];
        Ok(self.rows.lock().unwrap().values().map(|r| r.0.clone()).filter(|r| open.contains(&r.state)).collect())
    }
    async fn request(&self, row: &MemoRow) -> Result<MemoRequest, Died> {
        Ok(self.rows.lock().unwrap()[&row.settlement_id].1.clone())
    }
    async fn change(&self, id: i64, from: PushState, change: &MemoChange) -> Result<bool, Died> {
        if let Some(left) = self.dies_before_commit.lock().unwrap().as_mut() {
            if *left == 0 {
                return Err(Died);
            }
            *left -= 1;
        }
        let mut rows = self.rows.lock().unwrap();
        let (row, _, document) = rows.get_mut(&id).unwrap();
        if row.state != from {
            return Ok(false);
        }
        row.state = change.state;
        row.remote_id = change.remote_id.clone();
        row.attempts = change.attempts;
        row.not_before = change.not_before;
        *document = change.document.clone().or(document.take());
        Ok(true)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    /// Created, then the connection breaks.
    AnswerLost,
    /// The connection breaks on the way there.
    RequestLost,
    Busy,
    Refused,
    /// "reference already used".
    Taken,
    /// Created, but look-ups show it only later.
    ShownLate(u32),
}

/// An ERP without unique references: two creates make two memos.
#[derive(Default)]
struct Erp {
    memos: Mutex<Vec<RemoteMemo>>,
    hidden: Mutex<BTreeMap<String, u32>>,
    at_create: Mutex<BTreeMap<String, Vec<Trouble>>>,
    at_post: Mutex<BTreeMap<String, Vec<Trouble>>>,
    lookups_down: Mutex<BTreeMap<String, u32>>,
    creates: Mutex<u32>,
    next_number: Mutex<u32>,
}

impl Erp {
    fn trouble(self, reference: &str, trouble: &[Trouble]) -> Self {
        self.at_create.lock().unwrap().insert(reference.into(), trouble.to_vec());
        self
    }
    fn posted(&self) -> Vec<(String, String)> {
        let memos = self.memos.lock().unwrap();
        memos.iter().filter(|m| m.done).map(|m| (m.reference.clone(), m.amount.to_text(2))).collect()
    }
    fn count(&self) -> usize {
        self.memos.lock().unwrap().len()
    }
    fn holds(&self, reference: &str, amount: &str, done: bool) {
        let number = {
            let mut next = self.next_number.lock().unwrap();
            *next += 1;
            *next
        };
        self.memos.lock().unwrap().push(RemoteMemo {
            id: number.to_string(),
            document: done.then(|| format!("CM-{}", 7000 + number)),
            state: if done { "posted" } else { "draft" }.into(),
            done,
            next_step: if done { None } else { Some(1) },
            amount: Micros::parse(amount).unwrap(),
            currency: "EUR".into(),
            partner: "C5".into(),
            reference: reference.into(),
        });
    }
    fn next(script: &Mutex<BTreeMap<String, Vec<Trouble>>>, reference: &str) -> Option<Trouble> {
        let mut script = script.lock().unwrap();
        let list = script.get_mut(reference)?;
        if list.is_empty() { None } else { Some(list.remove(0)) }
    }
}

impl MemoPort for Erp {
    async fn lookup(&self, reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        if let Some(left) = self.lookups_down.lock().unwrap().get_mut(reference).filter(|left| **left > 0) {
            *left -= 1;
            return Err(DriverError::Unavailable { connector: "erp".into(), message: "502".into() });
        }
        if let Some(left) = self.hidden.lock().unwrap().get_mut(reference).filter(|left| **left > 0) {
            *left -= 1;
            return Ok(vec![]);
        }
        Ok(self.memos.lock().unwrap().iter().filter(|m| m.reference == reference).cloned().collect())
    }
    async fn run_step(&self, step: usize, memo: &MemoRequest, remote_id: Option<&str>) -> Result<StepOutcome, PushError> {
        let refused = |code: &str, text: &str| Err(PushError::Refused(Problem::new(code, text)));
        if step == 0 {
            let trouble = Erp::next(&self.at_create, &memo.reference);
            match trouble {
                Some(Trouble::RequestLost) => return Err(PushError::Unknown("reset".into())),
                Some(Trouble::Busy) => return Err(PushError::Busy("could not obtain lock".into())),
                Some(Trouble::Refused) => return refused("erp-refused", "the period is closed"),
                Some(Trouble::Taken) => return refused("erp-refused", "reference already used"),
                Some(Trouble::ShownLate(times)) => {
                    self.hidden.lock().unwrap().insert(memo.reference.clone(), times);
                }
                Some(Trouble::AnswerLost) | None => {}
            }
            *self.creates.lock().unwrap() += 1;
            self.holds(&memo.reference, &memo.amount.to_string(), false);
            let id = self.memos.lock().unwrap().last().unwrap().id.clone();
            return match trouble {
                Some(Trouble::AnswerLost | Trouble::ShownLate(_)) => Err(PushError::Unknown("connection reset by peer".into())),
                _ => Ok(StepOutcome { remote_id: Some(id) }),
            };
        }
        match Erp::next(&self.at_post, &memo.reference) {
            Some(Trouble::RequestLost) => return Err(PushError::Unknown("reset".into())),
            Some(Trouble::Refused) => return refused("erp-refused", "the period is closed"),
            _ => {}
        }
        let mut memos = self.memos.lock().unwrap();
        let memo = memos.iter_mut().find(|m| Some(m.id.as_str()) == remote_id).unwrap();
        memo.done = true;
        memo.next_step = None;
        memo.state = "posted".into();
        memo.document = Some(format!("CM-{}", 7000 + memo.id.parse::<u32>().unwrap()));
        Ok(StepOutcome::default())
    }
    fn steps(&self) -> usize {
        2
    }
    fn lookup_delay(&self) -> std::time::Duration {
        DELAY
    }
}

fn ports(erp: Erp) -> BTreeMap<String, Erp> {
    BTreeMap::from([("erp".to_owned(), erp)])
}

async fn pass(rows: &Rows, ports: &BTreeMap<String, Erp>, now: DateTime<Utc>) -> PushReport {
    ErpPush { rows, ports, pauses: PushPauses::default() }.pass(now).await.unwrap()
}

const S1: (&str, &str, &str) = ("REB-A1-C5-2026Q1-1", "A1", "500.00");
const S2: (&str, &str, &str) = ("REB-A2-C5-2026Q1-1", "A2", "240.00");
const S3: (&str, &str, &str) = ("REB-A3-C5-2026Q1-1", "A3", "500.00");

/// S1 pushed, S2 unknown with or without a memo in the ERP, S3 waiting: steps 1 to 3.
async fn after_step_three(trouble: Trouble) -> (Rows, BTreeMap<String, Erp>) {
    let rows = Rows::with(&[S1, S2, S3]);
    let ports = ports(Erp::default().trouble(S2.0, &[trouble]));
    // The kill before S3: S1 takes three commits, S2 two.
    *rows.dies_before_commit.lock().unwrap() = Some(5);
    let died = ErpPush { rows: &rows, ports: &ports, pauses: PushPauses::default() }.pass(start()).await;
    assert!(died.is_err());
    *rows.dies_before_commit.lock().unwrap() = None;
    assert_eq!(rows.state(1), (PushState::Confirmed, Some("CM-7001".into())));
    assert_eq!(rows.state(2), (PushState::Unknown, None), "neither failed nor pushed");
    assert_eq!(rows.state(3), (PushState::Planned, None), "still waiting");
    (rows, ports)
}

#[tokio::test]
async fn case_24_a_lost_answer_a_kill_and_a_restart_pay_each_settlement_once() {
    let (rows, ports) = after_step_three(Trouble::AnswerLost).await;
    let erp = &ports["erp"];
    let report = pass(&rows, &ports, start()).await;
    assert_eq!(report.confirmed, 2, "{report:?}");
    assert_eq!(rows.state(2), (PushState::Confirmed, Some("CM-7002".into())));
    assert_eq!(rows.state(3), (PushState::Confirmed, Some("CM-7003".into())), "not taken for a duplicate of S1");
    assert_eq!(erp.count(), 3);
    assert_eq!(*erp.creates.lock().unwrap(), 3, "no second create for S2");
    let total: Micros = erp.memos.lock().unwrap().iter().map(|m| m.amount).sum();
    assert_eq!(total, Micros::parse("1240").unwrap());

    let again = pass(&rows, &ports, start()).await;
    assert_eq!((again, erp.count()), (PushReport::default(), 3), "step 5: nothing is posted");
}

#[tokio::test]
async fn case_24_a_memo_with_another_amount_is_an_exception_and_nothing_is_posted() {
    let (rows, ports) = after_step_three(Trouble::RequestLost).await;
    ports["erp"].holds(S2.0, "204.00", false);
    let report = pass(&rows, &ports, start()).await;
    let problem = &report.problems[&2];
    assert_eq!(problem.code, "memo-differs");
    assert!(problem.message.contains("204.00 instead of 240.00"), "{problem}");
    assert_eq!(rows.state(2).0, PushState::Unknown);
    assert_eq!(ports["erp"].posted().iter().filter(|m| m.0 == S2.0).count(), 0, "the draft is left alone");
    assert_eq!(rows.state(3).0, PushState::Confirmed);
}

#[tokio::test]
async fn case_24_nothing_found_waits_and_looks_again_before_posting_under_the_same_reference() {
    let (rows, ports) = after_step_three(Trouble::RequestLost).await;
    let report = pass(&rows, &ports, start()).await;
    assert_eq!(report.next_due, Some(start() + Duration::seconds(60)));
    assert_eq!(ports["erp"].posted().len(), 2, "S1 and S3");
    let early = pass(&rows, &ports, start() + Duration::seconds(59)).await;
    assert_eq!(early.problems[&2].code, "memo-waiting");
    assert_eq!(ports["erp"].count(), 2);
    let late = pass(&rows, &ports, start() + Duration::seconds(60)).await;
    assert_eq!(late.confirmed, 1);
    assert_eq!(ports["erp"].posted().last().unwrap(), &(S2.0.to_owned(), "240.00".to_owned()));
}

#[tokio::test]
async fn case_24_a_memo_that_the_erp_shows_late_is_adopted() {
    let (rows, ports) = after_step_three(Trouble::ShownLate(1)).await;
    pass(&rows, &ports, start()).await;
    assert_eq!(rows.state(2).0, PushState::Unknown);
    let late = pass(&rows, &ports, start() + Duration::seconds(60)).await;
    assert_eq!(late.confirmed, 1);
    assert_eq!(*ports["erp"].creates.lock().unwrap(), 3, "S1, S2 once, S3");
}

#[tokio::test]
async fn case_24_a_look_up_that_fails_leaves_it_unknown_and_the_others_go_on() {
    let (rows, ports) = after_step_three(Trouble::AnswerLost).await;
    ports["erp"].lookups_down.lock().unwrap().insert(S2.0.into(), 1);
    let report = pass(&rows, &ports, start()).await;
    assert_eq!(report.problems[&2].code, "memo-lookup-failed");
    assert_eq!(rows.state(2).0, PushState::Unknown);
    assert_eq!(rows.state(3).0, PushState::Confirmed);
    assert_eq!(pass(&rows, &ports, start()).await.confirmed, 1);
    assert_eq!(ports["erp"].count(), 3);
}

#[tokio::test]
async fn case_24_reference_already_used_is_looked_up_and_equal_means_success() {
    let rows = Rows::with(&[S2]);
    let ports = ports(Erp::default().trouble(S2.0, &[Trouble::Taken]));
    // The memo becomes visible between our look-up and our create.
    ports["erp"].holds(S2.0, "240.00", true);
    ports["erp"].hidden.lock().unwrap().insert(S2.0.into(), 1);
    assert_eq!(pass(&rows, &ports, start()).await.confirmed, 1);
    assert_eq!(ports["erp"].count(), 1);

    let rows = Rows::with(&[S2]);
    let other = self::ports(Erp::default().trouble(S2.0, &[Trouble::Taken]));
    other["erp"].holds(S2.0, "204.00", true);
    other["erp"].hidden.lock().unwrap().insert(S2.0.into(), 1);
    assert_eq!(pass(&rows, &other, start()).await.problems[&1].code, "memo-differs");
}

#[tokio::test]
async fn a_refusal_is_final_for_one_and_does_not_stop_the_others() {
    let rows = Rows::with(&[S1, S2]);
    let ports = ports(Erp::default().trouble(S1.0, &[Trouble::Refused]));
    let report = pass(&rows, &ports, start()).await;
    assert_eq!(report.problems[&1].code, "memo-refused");
    assert!(report.problems[&1].message.contains("the period is closed"));
    assert_eq!((rows.state(1).0, rows.state(2).0), (PushState::Refused, PushState::Confirmed));
    assert_eq!(pass(&rows, &ports, start()).await, PushReport::default(), "not tried again by itself");
}

#[tokio::test]
async fn busy_is_tried_again_after_a_pause() {
    let rows = Rows::with(&[S1]);
    let ports = ports(Erp::default().trouble(S1.0, &[Trouble::Busy, Trouble::Busy]));
    let clock = Clock::manual_at(start());
    let push = ErpPush { rows: &rows, ports: &ports, pauses: PushPauses::default() };
    let report = push.until(&clock, Duration::minutes(5)).await.unwrap();
    assert_eq!((report.confirmed, report.problems.len()), (1, 0));
    assert_eq!(rows.attempts(1), 3);
    assert_eq!(clock.now(), start() + Duration::seconds(60));
}

#[tokio::test]
async fn a_draft_whose_posting_was_cut_is_posted_and_not_created_again() {
    let rows = Rows::with(&[S1]);
    let ports = ports(Erp::default());
    ports["erp"].at_post.lock().unwrap().insert(S1.0.into(), vec![Trouble::RequestLost]);
    assert_eq!(pass(&rows, &ports, start()).await.problems[&1].code, "memo-unknown");
    assert_eq!(pass(&rows, &ports, start()).await.confirmed, 1);
    assert_eq!((ports["erp"].count(), *ports["erp"].creates.lock().unwrap()), (1, 1));
}

#[tokio::test]
async fn two_memos_with_our_reference_are_shown_to_a_person() {
    let rows = Rows::with(&[S1]);
    let ports = ports(Erp::default());
    ports["erp"].holds(S1.0, "500.00", true);
    ports["erp"].holds(S1.0, "500.00", true);
    assert_eq!(pass(&rows, &ports, start()).await.problems[&1].code, "memo-duplicate");
    assert_eq!(ports["erp"].count(), 2);
}

#[tokio::test]
async fn a_record_that_the_erp_took_but_no_longer_finds_is_never_created_again() {
    let rows = Rows::with(&[S1]);
    let ports = ports(Erp::default());
    rows.set(1, |row| {
        row.state = PushState::Unknown;
        row.remote_id = Some("99".into());
    });
    let push = ErpPush { rows: &rows, ports: &ports, pauses: PushPauses::default() };
    let report = push.until(&Clock::manual_at(start()), Duration::hours(1)).await.unwrap();
    assert_eq!(report.problems[&1].code, "memo-vanished");
    assert_eq!(ports["erp"].count(), 0);
}

/// The n-th fault loop: the process dies before its n-th commit, for every n, under each trouble;
/// a restart must end where the undisturbed run ends.
#[tokio::test]
async fn dying_before_any_commit_never_pays_twice() {
    for trouble in [None, Some(Trouble::AnswerLost), Some(Trouble::RequestLost), Some(Trouble::Busy), Some(Trouble::ShownLate(1))]
    {
        for commits in 0.. {
            let rows = Rows::with(&[S1, S2]);
            let ports = ports(Erp::default().trouble(S1.0, &trouble.into_iter().collect::<Vec<_>>()));
            let push = ErpPush { rows: &rows, ports: &ports, pauses: PushPauses::default() };
            let clock = Clock::manual_at(start());
            *rows.dies_before_commit.lock().unwrap() = Some(commits);
            let died = push.until(&clock, Duration::minutes(10)).await.is_err();
            *rows.dies_before_commit.lock().unwrap() = None;
            push.until(&clock, Duration::minutes(10)).await.unwrap();
            assert_eq!(
                (rows.state(1).0, rows.state(2).0),
                (PushState::Confirmed, PushState::Confirmed),
                "died before commit {commits}"
            );
            let mut posted = ports["erp"].posted();
            posted.sort();
            assert_eq!(posted, [(S1.0.to_owned(), "500.00".to_owned()), (S2.0.to_owned(), "240.00".to_owned())]);
            assert_eq!(ports["erp"].count(), 2, "died before commit {commits}");
            if !died {
                assert!(commits >= 6, "the loop has to pass every commit of the undisturbed run");
                break;
            }
        }
    }
}
