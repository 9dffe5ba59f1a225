//! The outbox of mails: at most once, and never to the wrong partner (case 27).
//!
//! A row is committed as `sending` before the attempt and gets its outcome afterwards. A row found
//! in `sending` when a run starts has an unknown fate and becomes `uncertain`, which only a person
//! leaves (by [`MailState::may_become`]). For statements a missing mail that is reported is better
//! than a second one that is not. How a mail is built and sent is the business of `mail`.

use crate::core::agreement::words;
use crate::core::period::Period;
use crate::core::problem::{Place, Problem};
use crate::delivery::mail::{MailTransport, OutgoingMail, SendOutcome};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use std::future::Future;

words! {
    /// State of a mail.
    MailState {
        /// Written, not tried.
        Planned = "planned",
        /// An attempt is under way.
        Sending = "sending",
        /// The server took it.
        Sent = "sent",
        /// The server asked to come back, or was not reachable.
        Later = "later",
        /// It may or may not have arrived; a person decides.
        Uncertain = "uncertain",
        /// Refused for good.
        Refused = "refused",
        /// Came back after it was sent.
        Bounced = "bounced",
    } default Planned
}

impl MailState {
    /// Whether only a person can say what becomes of it.
    pub const fn waits_for_a_person(self) -> bool {
        matches!(self, Self::Uncertain | Self::Refused | Self::Bounced)
    }
    /// Whether the step is allowed. `Uncertain`, `Refused` and `Bounced` go back to `Planned` only
    /// when a person asks for it; the message id stays the same.
    pub fn may_become(self, next: MailState) -> bool {
        use MailState::{Bounced, Later, Planned, Refused, Sending, Sent, Uncertain};
        matches!(
            (self, next),
            (Planned | Later, Sending | Refused)
                | (Sending, Sent | Later | Uncertain | Refused | Planned)
                | (Sent, Bounced)
                | (Uncertain, Planned | Sent | Bounced)
                | (Refused | Bounced, Planned)
        )
    }
}

/// One mail to one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRow {
    /// Row id.
    pub id: i64,
    /// What it is: `statement`.
    pub kind: String,
    /// Partner whose figures it carries.
    pub partner_code: String,
    /// Period stated.
    pub period: Period,
    /// Revision of the statement.
    pub revision: i64,
    /// Address.
    pub contact: String,
    /// Fixed message id with angle brackets.
    pub message_id: String,
    /// State.
    pub state: MailState,
    /// Times it was handed to a server.
    pub attempts: u32,
    /// When to try again, in state `later`.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What the server said, or why it said nothing.
    pub last_answer: Option<String>,
}

/// A row before it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// What it is.
    pub kind: String,
    /// Partner.
    pub partner_code: String,
    /// Period.
    pub period: Period,
    /// Revision.
    pub revision: i64,
    /// Address.
    pub contact: String,
    /// Fixed message id; unique in the store.
    pub message_id: String,
}

/// A change of state, as it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailChange {
    /// New state.
    pub state: MailState,
    /// Times handed to a server.
    pub attempts: u32,
    /// When to try again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What the server said.
    pub last_answer: Option<String>,
}

/// The store's part. Every method commits before it returns.
pub trait MailRows: Sync {
    /// What it may fail with.
    type Error: std::error::Error + Send + Sync + 'static;
    /// Rows in the state `sending`.
    fn sending(&self) -> impl Future<Output = Result<Vec<MailRow>, Self::Error>> + Send;
    /// Rows to try: `planned`, and `later` whose time has come; in a fixed order.
    fn due(&self, now: DateTime<Utc>) -> impl Future<Output = Result<Vec<MailRow>, Self::Error>> + Send;
    /// Earliest `next_attempt_at` of the rows in `later`.
    fn next_due(&self) -> impl Future<Output = Result<Option<DateTime<Utc>>, Self::Error>> + Send;
    /// Whether the process was asked to stop: nothing new is begun, what was begun is written down.
    fn stopping(&self) -> bool {
        false
    }
    /// Changes the row if it still is in state `from`; `false` when somebody else was faster.
    fn change(&self, id: i64, from: MailState, change: &MailChange) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// What a mail says and who may get it, asked for at the moment of sending.
pub trait MailContent: Sync {
    /// What it may fail with.
    type Error: std::error::Error + Send + Sync + 'static;
    /// The partner's contacts as they are now.
    fn contacts(&self, partner_code: &str) -> impl Future<Output = Result<Vec<String>, Self::Error>> + Send;
    /// The message of a row, with the partner whose figures it carries.
    fn compose(&self, row: &MailRow) -> impl Future<Output = Result<Composed, Self::Error>> + Send;
}

/// A composed mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// Partner code that the figures inside belong to.
    pub partner_code: String,
    /// The message.
    pub mail: OutgoingMail,
}

/// Why a pass of the outbox stopped.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError<R: std::error::Error, C: std::error::Error> {
    /// The store failed. An attempt whose outcome could not be written stays `sending`.
    #[error("the outbox could not be read or written: {0}")]
    Rows(#[source] R),
    /// The partners' contacts could not be read.
    #[error("the contacts of a partner could not be read: {0}")]
    Content(#[source] C),
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxReport {
    /// Sent now.
    pub sent: u32,
    /// To be tried again.
    pub later: u32,
    /// Uncertain.
    pub uncertain: u32,
    /// Refused for good.
    pub refused: u32,
    /// What a person has to look at, with the row id.
    pub problems: Vec<(i64, Problem)>,
    /// Why the server could not be used at all.
    pub server: Option<Problem>,
}

impl OutboxReport {
    /// Adds another pass.
    pub fn merge(&mut self, other: OutboxReport) {
        self.sent += other.sent;
        self.later = other.later;
        self.uncertain += other.uncertain;
        self.refused += other.refused;
        self.problems.extend(other.problems);
        self.server = other.server;
    }
}

/// When to try again, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailPauses {
    /// Pause before each retry after a temporary refusal; their number is the number of retries.
    pub after_refusal: Vec<Duration>,
    /// Pause when no server could be reached.
    pub unreachable: Duration,
    /// Mails in a row that may meet no server before the pass gives up.
    pub give_up_after: u32,
}

impl Default for MailPauses {
    fn default() -> Self {
        Self {
            after_refusal: [1, 5, 15, 60, 240].into_iter().map(Duration::minutes).collect(),
            unreachable: Duration::minutes(5),
            give_up_after: 3,
        }
    }
}

/// The rows for one statement: one for each contact, or the exception that there is none.
///
/// `sender` is the `from` address whose domain the message ids bear. Contacts that are the same
/// address in another spelling get one mail.
pub fn plan_statement(
    company: &str,
    sender: &str,
    partner_code: &str,
    period: Period,
    revision: i64,
    contacts: &[String],
) -> Result<Vec<NewMail>, Problem> {
    let mut rows: Vec<NewMail> = Vec::new();
    for contact in contacts.iter().map(|c| c.trim()).filter(|c| !c.is_empty()) {
        if rows.iter().any(|row| same_address(&row.contact, contact)) {
            continue;
        }
        let fields = ["statement", company, partner_code, &period.to_string(), &revision.to_string(), &contact.to_lowercase()];
        let message_id = crate::delivery::mail::message_id(sender, &fields)
            .map_err(|e| Problem::new("mail-sender", e.to_string()).help("set `from` under [mail] in rebated.toml"))?;
        rows.push(NewMail {
            kind: "statement".to_owned(),
            partner_code: partner_code.to_owned(),
            period,
            revision,
            contact: contact.to_owned(),
            message_id,
        });
    }
    if rows.is_empty() {
        return Err(Problem::new(
            "no-recipient",
            format!("partner {partner_code} has no mail address; the statement for {period} is stored but not sent"),
        )
        .help("add an address to the partner, then send the statement"));
    }
    Ok(rows)
}

/// Whether two spellings are one address.
pub fn same_address(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// Sends what is due.
pub struct Outbox<'a, R, C> {
    /// The rows.
    pub rows: &'a R,
    /// The messages.
    pub content: &'a C,
    /// The way out.
    pub transport: &'a MailTransport,
    /// Pauses.
    pub pauses: MailPauses,
}

impl<R: MailRows, C: MailContent> Outbox<'_, R, C> {
    /// To be called once at the start, under the run's lease, before anything is sent: attempts
    /// that nobody finished become `uncertain`.
    pub async fn recover(&self) -> Result<OutboxReport, OutboxError<R::Error, C::Error>> {
        let mut report = OutboxReport::default();
        for row in self.rows.sending().await.map_err(OutboxError::Rows)? {
            let reason = "the process ended during the attempt";
            self.finish(&row, MailState::Uncertain, row.attempts, None, reason, &mut report).await?;
        }
        Ok(report)
    }

    /// One pass over what is due now. The clock is read for each mail by `now`.
    pub async fn pass(&self, now: impl Fn() -> DateTime<Utc> + Sync) -> Result<OutboxReport, OutboxError<R::Error, C::Error>> {
        let mut report = OutboxReport::default();
        let mut unreachable = 0;
        for row in self.rows.due(now()).await.map_err(OutboxError::Rows)? {
            if self.rows.stopping() {
                break;
            }
            match self.attempt(&row, now(), &mut report).await? {
                Reached::Server => unreachable = 0,
                Reached::Nobody(reason) => {
                    unreachable += 1;
                    report.server = Some(
                        Problem::new("mail-server", format!("mail could not be handed over: {reason}"))
                            .help("the mails stay in the outbox and are tried again"),
                    );
                }
            }
            if unreachable >= self.pauses.give_up_after {
                break;
            }
        }
        self.transport.close().await;
        Ok(report)
    }

    async fn attempt(
        &self,
        row: &MailRow,
        now: DateTime<Utc>,
        report: &mut OutboxReport,
    ) -> Result<Reached, OutboxError<R::Error, C::Error>> {
        let contacts = self.content.contacts(&row.partner_code).await.map_err(OutboxError::Content)?;
        if !contacts.iter().any(|contact| same_address(contact, &row.contact)) {
            let problem = Problem::new(
                "mail-not-a-contact",
                format!("{} is not a contact of partner {} any more", row.contact, row.partner_code),
            )
            .help("send the statement to the partner's present contacts");
            return self.refuse_unsent(row, problem, report).await;
        }
        let composed = match self.content.compose(row).await {
            Ok(composed) => composed,
            Err(error) => {
                // One statement that cannot be written out does not stop the others.
                let problem = Problem::new("mail-content", format!("the mail to {} could not be composed: {error}", row.contact))
                    .help("the mail stays planned; mend the cause and run again");
                report.problems.push((row.id, problem.at(place(row))));
                return Ok(Reached::Server);
            }
        };
        if composed.partner_code != row.partner_code || !same_address(&address_of(&composed.mail.to), &row.contact) {
            let problem = Problem::new(
                "mail-wrong-partner",
                format!("the mail for {} was composed for {}; it was not sent", row.partner_code, composed.partner_code),
            );
            return self.refuse_unsent(row, problem, report).await;
        }
        let mail = OutgoingMail { message_id: row.message_id.clone(), ..composed.mail };
        let built = match mail.build() {
            Ok(built) => built,
            Err(error) => {
                let problem = Problem::new("mail-address", error.to_string()).help("correct the partner's mail address");
                return self.refuse_unsent(row, problem, report).await;
            }
        };
        let begin = MailChange {
            state: MailState::Sending,
            attempts: row.attempts + 1,
            next_attempt_at: None,
            last_answer: row.last_answer.clone(),
        };
        if !self.rows.change(row.id, row.state, &begin).await.map_err(OutboxError::Rows)? {
            return Ok(Reached::Server);
        }
        let handed = MailRow { state: MailState::Sending, attempts: begin.attempts, ..row.clone() };
        match self.transport.send(&built).await {
            SendOutcome::Sent { queue_id } => {
                self.finish(&handed, MailState::Sent, handed.attempts, None, &queue_id, report).await?;
            }
            SendOutcome::Refused { answer } => {
                self.finish(&handed, MailState::Refused, handed.attempts, None, &answer, report).await?;
            }
            SendOutcome::Later { answer } => {
                let pause = usize::try_from(row.attempts).ok().and_then(|done| self.pauses.after_refusal.get(done));
                match pause {
                    Some(pause) => {
                        self.finish(&handed, MailState::Later, handed.attempts, Some(now + *pause), &answer, report).await?;
                    }
                    None => {
                        let answer = format!("given up after {} attempts: {answer}", handed.attempts);
                        self.finish(&handed, MailState::Refused, handed.attempts, None, &answer, report).await?;
                    }
                }
            }
            SendOutcome::NotSent { reason } => {
                // Not handed over, so it does not count as an attempt.
                let again = now + self.pauses.unreachable;
                self.finish(&handed, MailState::Later, row.attempts, Some(again), &reason, report).await?;
                return Ok(Reached::Nobody(reason));
            }
            SendOutcome::Uncertain { reason } => {
                self.finish(&handed, MailState::Uncertain, handed.attempts, None, &reason, report).await?;
            }
        }
        Ok(Reached::Server)
    }

    async fn refuse_unsent(
        &self,
        row: &MailRow,
        problem: Problem,
        report: &mut OutboxReport,
    ) -> Result<Reached, OutboxError<R::Error, C::Error>> {
        let change = MailChange {
            state: MailState::Refused,
            attempts: row.attempts,
            next_attempt_at: None,
            last_answer: Some(problem.message.clone()),
        };
        if self.rows.change(row.id, row.state, &change).await.map_err(OutboxError::Rows)? {
            report.refused += 1;
            report.problems.push((row.id, problem.at(place(row))));
        }
        Ok(Reached::Server)
    }

    async fn finish(
        &self,
        row: &MailRow,
        state: MailState,
        attempts: u32,
        next_attempt_at: Option<DateTime<Utc>>,
        answer: &str,
        report: &mut OutboxReport,
    ) -> Result<(), OutboxError<R::Error, C::Error>> {
        let change = MailChange { state, attempts, next_attempt_at, last_answer: Some(answer.to_owned()) };
        if !self.rows.change(row.id, row.state, &change).await.map_err(OutboxError::Rows)? {
            return Ok(());
        }
        match state {
            MailState::Sent => report.sent += 1,
            MailState::Later => report.later += 1,
            MailState::Uncertain => report.uncertain += 1,
            MailState::Refused => report.refused += 1,
            MailState::Planned | MailState::Sending | MailState::Bounced => {}
        }
        if let Some(problem) = problem_of(row, state, answer) {
            report.problems.push((row.id, problem));
        }
        Ok(())
    }
}

enum Reached {
    Server,
    Nobody(String),
}

/// Codes of the exceptions that a mail may raise and that sending it again settles.
pub const PROBLEMS: &[&str] = &[
    "mail-uncertain",
    "mail-refused",
    "mail-bounced",
    "mail-address",
    "mail-not-a-contact",
    "mail-wrong-partner",
    "mail-content",
];

/// The exception that a state raises, if any.
pub fn problem_of(row: &MailRow, state: MailState, answer: &str) -> Option<Problem> {
    let (code, message, help) = match state {
        MailState::Uncertain => (
            "mail-uncertain",
            format!("the mail to {} may or may not have arrived: {answer}", row.contact),
            "ask the recipient; if it is not there, `rebated statement resend`, else confirm this exception",
        ),
        MailState::Refused => (
            "mail-refused",
            format!("the mail to {} was refused: {answer}", row.contact),
            "mend the cause that the answer names, then `rebated statement resend`; with a new address `rebated statement send`",
        ),
        MailState::Bounced => (
            "mail-bounced",
            format!("the mail to {} came back: {answer}", row.contact),
            "correct the address, then `rebated statement send`",
        ),
        MailState::Planned | MailState::Sending | MailState::Sent | MailState::Later => return None,
    };
    Some(Problem::new(code, message).at(place(row)).help(help))
}

fn place(row: &MailRow) -> Place {
    Place::source(format!("{} {} {} revision {}", row.kind, row.partner_code, row.period, row.revision))
        .at_path(row.contact.clone())
}

/// Whether a partner's contact is an address that a mail could go to.
pub fn is_address(text: &str) -> bool {
    crate::delivery::mail::message::mailbox(text).is_ok()
}

/// The bare address of `name <address>`.
fn address_of(text: &str) -> String {
    crate::delivery::mail::message::mailbox(text).map_or_else(|_| text.to_owned(), |m| m.email.to_string())
}
