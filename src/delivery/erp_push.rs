//! Credit memos: asked for once, found again after any unclear outcome (case 24).
//!
//! The ERP usually has no idempotency key, so once-only is built here from a reference that is
//! committed before the first request, a state row for each settlement, and a look-up by reference
//! before every create. Invariants: no create without a look-up that found nothing; after an
//! unclear attempt two such look-ups, the connector's delay apart; what is found must agree in
//! amount, currency and partner, or nothing is touched and a person decides. What this cannot
//! exclude: an ERP that holds a request back longer than the delay and then obeys it. That second
//! memo is detected by the look-up after the push, and shown.

use crate::clock::Clock;
use crate::core::agreement::words;
use crate::core::memo::{MemoRequest, RemoteMemo, StepOutcome};
use crate::core::problem::{Place, Problem};
use crate::drivers::{Driver, DriverError, PushError};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;

words! {
    /// State of a push.
    PushState {
        /// Reference written, nothing tried, or certainly nothing done.
        Planned = "planned",
        /// An attempt is under way; after a crash nobody knows how far it came.
        Sent = "sent",
        /// In the ERP, booked, and read back.
        Confirmed = "confirmed",
        /// The ERP may or may not have acted.
        Unknown = "unknown",
        /// The ERP said no; a person has to act.
        Refused = "refused",
    } default Planned
}

/// One row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoRow {
    /// Settlement id.
    pub settlement_id: i64,
    /// Connector that takes the memo.
    pub connector: String,
    /// Reference, derived from the business key and never changed.
    pub reference: String,
    /// State.
    pub state: PushState,
    /// The ERP's key of the record, once known.
    pub remote_id: Option<String>,
    /// Attempts to write.
    pub attempts: u32,
    /// Not to be touched before. In state `unknown`: a look-up found nothing, and the one that may
    /// be believed comes then.
    pub not_before: Option<DateTime<Utc>>,
}

/// A change, as it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoChange {
    /// New state.
    pub state: PushState,
    /// The ERP's key.
    pub remote_id: Option<String>,
    /// The ERP's document number, once confirmed.
    pub document: Option<String>,
    /// Attempts to write.
    pub attempts: u32,
    /// Not to be touched before.
    pub not_before: Option<DateTime<Utc>>,
    /// What the ERP said, for people.
    pub last_answer: Option<String>,
}

/// The store's part. Every method commits before it returns.
pub trait MemoRows: Sync {
    /// What it may fail with.
    type Error: std::error::Error + Send + Sync + 'static;
    /// Rows in `planned`, `sent` and `unknown`, in a fixed order.
    fn open(&self) -> impl Future<Output = Result<Vec<MemoRow>, Self::Error>> + Send;
    /// The memo of a settlement, as it was approved.
    fn request(&self, row: &MemoRow) -> impl Future<Output = Result<MemoRequest, Self::Error>> + Send;
    /// Whether the process was asked to stop: nothing new is begun, what was begun is written down.
    fn stopping(&self) -> bool {
        false
    }
    /// Changes the row if it still is in state `from` and the run still holds its lease; `false`
    /// otherwise. The statement that marks `sent` is the one that checks the fencing token.
    fn change(
        &self,
        settlement_id: i64,
        from: PushState,
        change: &MemoChange,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// The ERP's part.
pub trait MemoPort: Sync {
    /// Memos that carry the reference; reads only.
    fn lookup(&self, reference: &str) -> impl Future<Output = Result<Vec<RemoteMemo>, DriverError>> + Send;
    /// Runs one step.
    fn run_step(
        &self,
        step: usize,
        memo: &MemoRequest,
        remote_id: Option<&str>,
    ) -> impl Future<Output = Result<StepOutcome, PushError>> + Send;
    /// Number of steps.
    fn steps(&self) -> usize;
    /// Wait before a look-up that finds nothing is believed.
    fn lookup_delay(&self) -> std::time::Duration;
}

/// One push table of a real connector.
pub struct DriverPort<'a> {
    driver: &'a Driver,
    push: &'a str,
    steps: usize,
}

impl<'a> DriverPort<'a> {
    /// `None` when the connector has no such push.
    pub fn new(driver: &'a Driver, push: &'a str) -> Option<Self> {
        Some(Self { driver, push, steps: driver.steps(push)?.len() })
    }
}

impl MemoPort for DriverPort<'_> {
    async fn lookup(&self, reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        self.driver.lookup(self.push, reference).await
    }
    async fn run_step(&self, step: usize, memo: &MemoRequest, remote_id: Option<&str>) -> Result<StepOutcome, PushError> {
        self.driver.run_step(self.push, step, memo, remote_id).await
    }
    fn steps(&self) -> usize {
        self.steps
    }
    fn lookup_delay(&self) -> std::time::Duration {
        self.driver.lookup_delay(self.push)
    }
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Confirmed now.
    pub confirmed: u32,
    /// What stands open, by settlement, with the reason; a later success takes it away again.
    pub problems: BTreeMap<i64, Problem>,
    /// When another pass has something to do.
    pub next_due: Option<DateTime<Utc>>,
}

impl PushReport {
    fn due(&mut self, at: DateTime<Utc>) {
        self.next_due = Some(self.next_due.map_or(at, |earliest| earliest.min(at)));
    }
}

/// Pauses that are not the connector's own.
#[derive(Clone, Copy, Debug)]
pub struct PushPauses {
    /// After `busy` answers, and after repeated unclear ones.
    pub busy: Duration,
    /// After a look-up that failed.
    pub lookup_failed: Duration,
    /// Attempts with an unclear outcome that are followed up at once; later ones after `busy`.
    pub at_once: u32,
    /// Failed look-ups in a row after which a connector is left alone for the pass.
    pub give_up_after: u32,
}

impl Default for PushPauses {
    fn default() -> Self {
        Self { busy: Duration::seconds(30), at_once: 2, lookup_failed: Duration::minutes(1), give_up_after: 5 }
    }
}

/// Pushes what is approved.
pub struct ErpPush<'a, R, P> {
    /// The rows.
    pub rows: &'a R,
    /// Ports by connector name.
    pub ports: &'a BTreeMap<String, P>,
    /// Pauses.
    pub pauses: PushPauses,
}

/// What a look-up means for a memo.
enum Found {
    Nothing,
    Done(RemoteMemo),
    Unfinished(RemoteMemo, usize),
    Person(Problem),
}

impl<R: MemoRows, P: MemoPort> ErpPush<'_, R, P> {
    /// Passes until nothing is due within `patience` of the start. A manual clock is moved forward
    /// instead of waiting.
    pub async fn until(&self, clock: &Clock, patience: Duration) -> Result<PushReport, R::Error> {
        let deadline = clock.now() + patience;
        let mut total = PushReport::default();
        loop {
            let pass = self.pass(clock.now()).await?;
            total.confirmed += pass.confirmed;
            total.problems = pass.problems;
            total.next_due = pass.next_due;
            if self.rows.stopping() {
                return Ok(total);
            }
            match pass.next_due {
                Some(due) if due <= deadline => match clock {
                    Clock::Manual(_) => clock.set(due.max(clock.now())),
                    Clock::System => {
                        let wait = (due - clock.now()).to_std().unwrap_or_default();
                        tokio::time::sleep(wait.max(std::time::Duration::from_millis(20))).await;
                    }
                },
                _ => return Ok(total),
            }
        }
    }

    /// One pass over all open rows. One connector's trouble does not stop the others; only the
    /// store's does.
    pub async fn pass(&self, now: DateTime<Utc>) -> Result<PushReport, R::Error> {
        let mut report = PushReport::default();
        let mut failures: BTreeMap<&str, u32> = BTreeMap::new();
        let open = self.rows.open().await?;
        for row in &open {
            if self.rows.stopping() {
                break;
            }
            if let Some(not_before) = row.not_before.filter(|at| *at > now) {
                report.due(not_before);
                report.problems.insert(row.settlement_id, waiting(row, not_before));
                continue;
            }
            let Some(port) = self.ports.get(&row.connector) else {
                let problem = Problem::new(
                    "memo-no-connector",
                    format!("there is no connector `{}` with a credit-memo push", row.connector),
                )
                .help("add it under connectors/, or correct `settlement.connector` of the agreement");
                report.problems.insert(row.settlement_id, problem.at(place(row)));
                continue;
            };
            let failed = failures.entry(&row.connector).or_default();
            if *failed >= self.pauses.give_up_after {
                let problem = Problem::new(
                    "memo-lookup-failed",
                    format!("connector `{}` does not answer; left alone for now", row.connector),
                );
                report.problems.insert(row.settlement_id, problem.at(place(row)));
                continue;
            }
            if self.one(row, port, now, &mut report).await? { *failed = 0 } else { *failed += 1 }
        }
        Ok(report)
    }

    /// Takes one row as far as it goes; `false` when the look-up failed.
    async fn one(&self, row: &MemoRow, port: &P, now: DateTime<Utc>, report: &mut PushReport) -> Result<bool, R::Error> {
        let memo = self.rows.request(row).await?;
        let found = match port.lookup(&row.reference).await {
            Ok(found) => judge(&memo, found),
            Err(error) => {
                if row.state == PushState::Sent {
                    self.change(row, &unknown(row, None, &error.to_string())).await?;
                }
                let problem = Problem::new("memo-lookup-failed", format!("the look-up of {} failed: {error}", row.reference))
                    .help("nothing is written before a look-up succeeds; it is tried again");
                report.problems.insert(row.settlement_id, problem.at(place(row)));
                report.due(now + self.pauses.lookup_failed);
                return Ok(false);
            }
        };
        match found {
            Found::Done(remote) => self.confirm(row, &remote, report).await?,
            Found::Unfinished(remote, step) => self.write(row, port, &memo, step, Some(remote.id), now, report).await?,
            Found::Person(problem) => {
                if row.state == PushState::Sent {
                    self.change(row, &unknown(row, None, &problem.message)).await?;
                }
                report.problems.insert(row.settlement_id, problem.at(place(row)));
            }
            Found::Nothing => {
                let certain = row.state == PushState::Planned || row.not_before.is_some() || port.lookup_delay().is_zero();
                if let (true, Some(id)) = (certain, &row.remote_id) {
                    let message = format!("the ERP took {} as record {id}, but does not find it by its reference", row.reference);
                    let problem = Problem::new("memo-vanished", message)
                        .help("look for the record in the ERP; a second one is not created");
                    report.problems.insert(row.settlement_id, problem.at(place(row)));
                } else if certain {
                    self.write(row, port, &memo, 0, None, now, report).await?;
                } else {
                    // The ERP may be slow to show it, or the request may still be on its way.
                    let again = now + Duration::from_std(port.lookup_delay()).unwrap_or(Duration::days(1));
                    self.change(row, &unknown(row, Some(again), "not found yet")).await?;
                    report.due(again);
                    report.problems.insert(row.settlement_id, waiting(row, again));
                }
            }
        }
        Ok(true)
    }

    /// Runs the steps from `step` on, then reads back.
    async fn write(
        &self,
        row: &MemoRow,
        port: &P,
        memo: &MemoRequest,
        step: usize,
        remote_id: Option<String>,
        now: DateTime<Utc>,
        report: &mut PushReport,
    ) -> Result<(), R::Error> {
        let mut row = MemoRow { remote_id, ..row.clone() };
        let begin = MemoChange {
            state: PushState::Sent,
            remote_id: row.remote_id.clone(),
            document: None,
            attempts: row.attempts + 1,
            not_before: None,
            last_answer: None,
        };
        if !self.change(&row, &begin).await? {
            return Ok(());
        }
        row.state = PushState::Sent;
        row.attempts = begin.attempts;
        let mut next = step;
        let mut adopted = false;
        while next < port.steps() {
            match port.run_step(next, memo, row.remote_id.as_deref()).await {
                Ok(outcome) => {
                    if outcome.remote_id.is_some() && outcome.remote_id != row.remote_id {
                        row.remote_id = outcome.remote_id;
                        let noted = MemoChange { remote_id: row.remote_id.clone(), ..begin.clone() };
                        if !self.change(&row, &noted).await? {
                            return Ok(());
                        }
                    }
                    next += 1;
                }
                Err(PushError::Unknown(reason)) => {
                    self.change(&row, &unknown(&row, None, &reason)).await?;
                    let problem =
                        Problem::new("memo-unknown", format!("the outcome for {} is not known: {reason}", row.reference))
                            .help("it is looked up by its reference before anything else is done");
                    report.problems.insert(row.settlement_id, problem.at(place(&row)));
                    // Looked up at once; but who never gets an answer does not ask without end.
                    report.due(if row.attempts > self.pauses.at_once { now + self.pauses.busy } else { now });
                    return Ok(());
                }
                Err(PushError::Busy(reason)) => {
                    let again = now + self.pauses.busy;
                    let change = MemoChange {
                        state: PushState::Planned,
                        not_before: Some(again),
                        last_answer: Some(reason.clone()),
                        ..unknown(&row, None, &reason)
                    };
                    self.change(&row, &change).await?;
                    report.problems.insert(row.settlement_id, Problem::new("memo-busy", reason).at(place(&row)));
                    report.due(again);
                    return Ok(());
                }
                Err(PushError::Refused(refusal)) => {
                    // The reason may be that it is there already; an ERP says so in its own words.
                    let found = if adopted { Found::Nothing } else { self.after_refusal(port, memo, &row).await };
                    match found {
                        Found::Done(remote) => return self.confirm(&row, &remote, report).await,
                        Found::Unfinished(remote, step) if row.remote_id.is_none() => {
                            adopted = true;
                            row.remote_id = Some(remote.id);
                            next = step;
                        }
                        Found::Person(problem) => {
                            self.change(&row, &unknown(&row, None, &problem.message)).await?;
                            report.problems.insert(row.settlement_id, problem.at(place(&row)));
                            return Ok(());
                        }
                        Found::Unfinished(..) | Found::Nothing => {
                            let change = MemoChange { state: PushState::Refused, ..unknown(&row, None, &refusal.message) };
                            self.change(&row, &change).await?;
                            let problem = Problem::new(
                                "memo-refused",
                                format!("{} was refused: {}", row.reference, refusal.message),
                            )
                            .help(refusal.help.as_deref().unwrap_or("mend the cause in the ERP, then push the settlement again"));
                            report.problems.insert(row.settlement_id, problem.at(place(&row)));
                            return Ok(());
                        }
                    }
                }
            }
        }
        self.read_back(&row, port, memo, now, report).await
    }

    /// What is there after a refusal. A look-up that fails says nothing, and the refusal stands.
    async fn after_refusal(&self, port: &P, memo: &MemoRequest, row: &MemoRow) -> Found {
        match port.lookup(&row.reference).await {
            Ok(found) => judge(memo, found),
            Err(_) => Found::Nothing,
        }
    }

    /// Success is what the ERP shows, not what it answered.
    async fn read_back(
        &self,
        row: &MemoRow,
        port: &P,
        memo: &MemoRequest,
        now: DateTime<Utc>,
        report: &mut PushReport,
    ) -> Result<(), R::Error> {
        let (again, problem) = match port.lookup(&row.reference).await {
            Ok(found) => match judge(memo, found) {
                Found::Done(remote) => return self.confirm(row, &remote, report).await,
                Found::Unfinished(remote, _) => {
                    let message =
                        format!("every step of {} succeeded, but the ERP shows it as `{}`", row.reference, remote.state);
                    (
                        None,
                        Problem::new("memo-not-posted", message)
                            .help("look at the document in the ERP; the next push goes on from there"),
                    )
                }
                Found::Person(problem) => (None, problem),
                Found::Nothing => {
                    let again = now + Duration::from_std(port.lookup_delay()).unwrap_or(Duration::days(1));
                    (Some(again), Problem::new("memo-unknown", format!("{} was written but is not shown yet", row.reference)))
                }
            },
            Err(error) => {
                report.due(now + self.pauses.lookup_failed);
                (None, Problem::new("memo-unknown", format!("{} was written but could not be read back: {error}", row.reference)))
            }
        };
        // Not `not_before`: that would make the next empty look-up the one that is believed.
        self.change(row, &unknown(row, None, &problem.message)).await?;
        if let Some(again) = again {
            report.due(again);
        }
        report.problems.insert(row.settlement_id, problem.at(place(row)));
        Ok(())
    }

    async fn confirm(&self, row: &MemoRow, remote: &RemoteMemo, report: &mut PushReport) -> Result<(), R::Error> {
        let change = MemoChange {
            state: PushState::Confirmed,
            remote_id: Some(remote.id.clone()),
            document: remote.document.clone(),
            attempts: row.attempts,
            not_before: None,
            last_answer: Some(remote.state.clone()),
        };
        if self.change(row, &change).await? {
            report.confirmed += 1;
            report.problems.remove(&row.settlement_id);
        }
        Ok(())
    }

    async fn change(&self, row: &MemoRow, change: &MemoChange) -> Result<bool, R::Error> {
        self.rows.change(row.settlement_id, row.state, change).await
    }
}

fn unknown(row: &MemoRow, not_before: Option<DateTime<Utc>>, answer: &str) -> MemoChange {
    MemoChange {
        state: PushState::Unknown,
        remote_id: row.remote_id.clone(),
        document: None,
        attempts: row.attempts,
        not_before,
        last_answer: Some(answer.to_owned()),
    }
}

fn waiting(row: &MemoRow, until: DateTime<Utc>) -> Problem {
    Problem::new("memo-waiting", format!("{} waits until {}", row.reference, until.format("%Y-%m-%d %H:%M:%S UTC")))
        .at(place(row))
}

fn place(row: &MemoRow) -> Place {
    Place::source(format!("settlement {}", row.reference))
}

/// Compares what is there with what was approved.
fn judge(memo: &MemoRequest, mut found: Vec<RemoteMemo>) -> Found {
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(|r| r.document.clone().unwrap_or_else(|| r.id.clone())).collect();
        return Found::Person(
            Problem::new(
                "memo-duplicate",
                format!("{} memos carry the reference {}: {}", found.len(), memo.reference, ids.join(", ")),
            )
            .help("reverse all but one in the ERP, then push again"),
        );
    }
    let Some(remote) = found.pop() else {
        return Found::Nothing;
    };
    let mut differences = Vec::new();
    if remote.amount != memo.amount {
        let digits = memo.currency.minor_digits();
        differences.push(format!("amount {} instead of {}", remote.amount.to_text(digits), memo.amount.to_text(digits)));
    }
    if remote.currency != memo.currency.code() {
        differences.push(format!("currency {} instead of {}", remote.currency, memo.currency));
    }
    if remote.partner != memo.payee {
        differences.push(format!("partner {} instead of {}", remote.partner, memo.payee));
    }
    if !differences.is_empty() {
        let shown = remote.document.as_deref().unwrap_or(&remote.id);
        return Found::Person(
            Problem::new(
                "memo-differs",
                format!("memo {shown} with reference {} exists with {}", memo.reference, differences.join(", ")),
            )
            .help(if remote.currency == memo.currency.code() && remote.partner == memo.payee {
                "nothing was posted or changed; correct the memo in the ERP, or take its amount over: rebated settlement accept"
            } else {
                "nothing was posted or changed; correct or delete the memo in the ERP, the next push looks again"
            }),
        );
    }
    if remote.done {
        return Found::Done(remote);
    }
    match remote.next_step {
        Some(step) => Found::Unfinished(remote, step),
        None => Found::Person(
            Problem::new(
                "memo-stuck",
                format!("memo {} with reference {} is `{}` in the ERP", remote.id, memo.reference, remote.state),
            )
            .help("no step leads on from this state; post or replace it in the ERP, then push again"),
        ),
    }
}
