//! Writing credit memos by calls: resolve, look up, and the steps from nothing to posted.
//!
//! When to look up and when to try again is `delivery`'s business; here each call says truthfully
//! what is known afterwards. Invariant: only the step's own call can have an unknown outcome;
//! trouble on the way to it (log-in, resolving codes, answering a warning) leaves it not done.

use super::auth::Call;
use super::config::duration;
use super::http::Kind;
use super::json_rpc::{CallError, JsonRpcDriver, not_done};
use super::template::{Holes, holes_in, render, render_text, scalar_text, walk};
use super::{DriverError, MemoLine, MemoRequest, PushError, RemoteMemo, StepOutcome};
use crate::core::number::Micros;
use crate::core::problem::Problem;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// `[push.NAME]` of this driver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushTable {
    #[serde(default)]
    #[allow(dead_code)]
    mapping: Option<String>,
    /// Codes turned into the other system's keys; each gives one hole.
    #[serde(default)]
    resolve: Vec<ResolveTable>,
    lookup: Call,
    read: ReadTable,
    steps: Vec<StepTable>,
    /// One line of the memo; filled once per line, gives `{lines}`.
    #[serde(default)]
    line: Value,
    /// The other system makes another kind of document of a memo with a line of the opposite sign
    /// (a set-off): such a memo gets one line over the total.
    #[serde(default)]
    one_line_if_mixed: bool,
    /// Questions that may be answered with yes: endings of their names.
    #[serde(default)]
    accept_warnings: Vec<String>,
    /// Wait before a lookup that finds nothing may be believed.
    #[serde(deserialize_with = "duration", default = "lookup_delay")]
    lookup_delay: Duration,
}

fn lookup_delay() -> Duration {
    Duration::from_secs(60)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveTable {
    /// Name of the hole.
    name: String,
    /// For people: `customer {payee}`.
    what: String,
    method: String,
    params: Value,
}

/// Where a record read back has its facts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadTable {
    #[serde(default = "id_path")]
    id: String,
    document: String,
    state: String,
    /// States that mean booked for good.
    done: Vec<String>,
    amount: String,
    /// The other system writes credits as negative amounts.
    #[serde(default)]
    negate: bool,
    currency: String,
    partner: String,
    reference: String,
}

fn id_path() -> String {
    "id".into()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    name: String,
    method: String,
    params: Value,
    /// States of a found record from which this step leads on; empty for the step that creates.
    #[serde(default)]
    from: Vec<String>,
    /// Path to the key of what was created.
    #[serde(default)]
    gives: Option<String>,
}

/// A push, ready to be used.
pub(super) struct Push {
    table: PushTable,
    known: Mutex<HashMap<String, Value>>,
}

impl Push {
    pub(super) fn new(table: PushTable) -> Self {
        Self { table, known: Mutex::new(HashMap::new()) }
    }
    pub(super) fn step_names(&self) -> Vec<&str> {
        self.table.steps.iter().map(|step| step.name.as_str()).collect()
    }
    pub(super) fn lookup_delay(&self) -> Duration {
        self.table.lookup_delay
    }
    fn recall(&self, key: &str) -> Option<Value> {
        self.known.lock().ok()?.get(key).cloned()
    }
    fn remember(&self, key: String, value: Value) {
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, value);
        }
    }
    fn forget(&self) {
        if let Ok(mut known) = self.known.lock() {
            known.clear();
        }
    }
    fn lines(&self, memo: &MemoRequest) -> Vec<MemoLine> {
        if self.table.one_line_if_mixed && memo.lines.iter().any(|line| line.amount.is_negative()) {
            return vec![MemoLine { description: memo.description.clone(), amount: memo.amount, gl_expense: None }];
        }
        memo.lines.clone()
    }
    fn accepts(&self, warning: &str) -> bool {
        self.table.accept_warnings.iter().any(|ending| warning.ends_with(ending.as_str()))
    }
}

/// A question asked again and again would otherwise be answered for ever.
const MOST_WARNINGS: usize = 5;

impl JsonRpcDriver {
    fn push_problem(&self, code: &str, message: String) -> Problem {
        Problem::new(code, format!("connector `{}`: {}", self.name, self.auth.scrub(&message)))
    }

    fn find_push(&self, name: &str) -> Result<&Push, Problem> {
        self.pushes.get(name).ok_or_else(|| self.push_problem("unknown-push", format!("no push `{name}`")))
    }

    pub(super) async fn lookup_memo(&self, push: &str, reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        let push = self.find_push(push).map_err(DriverError::Config)?;
        let config = |message: String| DriverError::Config(self.push_problem("connector-file", message));
        let lookup = &push.table.lookup;
        let params = render(&lookup.params, &self.holes().with("reference", reference)).map_err(config)?;
        let reply = self.read(&lookup.method, &params).await.map_err(|e| e.into_driver_error(&self.name))?;
        let malformed = |message: String| DriverError::Malformed { connector: self.name.clone(), message };
        let records = reply.result.as_array().ok_or_else(|| malformed("the lookup's result is not a list".into()))?;
        records.iter().map(|record| self.remote_memo(push, record).map_err(malformed)).collect()
    }

    fn remote_memo(&self, push: &Push, record: &Value) -> Result<RemoteMemo, String> {
        let read = &push.table.read;
        let text = |path: &str| walk(record, path).and_then(scalar_text);
        let needed = |path: &str| text(path).ok_or_else(|| format!("a memo without `{path}`"));
        let state = needed(&read.state)?;
        let amount = walk(record, &read.amount)
            .and_then(|v| self.values().read_amount(v))
            .ok_or_else(|| format!("a memo without `{}`", read.amount))?;
        let amount = Micros::parse(&amount).map_err(|e| format!("amount `{amount}`: {e}"))?;
        let done = read.done.contains(&state);
        let next_step = if done { None } else { push.table.steps.iter().position(|step| step.from.contains(&state)) };
        Ok(RemoteMemo {
            id: needed(&read.id)?,
            document: text(&read.document),
            done,
            next_step,
            state,
            amount: if read.negate { -amount } else { amount },
            currency: needed(&read.currency)?,
            partner: needed(&read.partner)?,
            reference: needed(&read.reference)?,
        })
    }

    pub(super) async fn push_step(
        &self,
        push: &str,
        index: usize,
        memo: &MemoRequest,
        remote_id: Option<&str>,
    ) -> Result<StepOutcome, PushError> {
        let push = self.find_push(push).map_err(PushError::Refused)?;
        let wrong = |message: String| PushError::Refused(self.push_problem("connector-file", message));
        let step = push.table.steps.get(index).ok_or_else(|| wrong(format!("there is no step {index}")))?;
        let mut holes = self.memo_holes(memo).map_err(wrong)?;
        if let Some(id) = remote_id {
            holes.set("remote_id", id.parse::<i64>().map_or_else(|_| Value::from(id), Value::from));
        }
        self.resolve(push, step, &mut holes).await?;
        if uses(&step.params, "lines") {
            let lines: Result<Vec<Value>, String> =
                push.lines(memo).iter().map(|line| self.line(push, memo, line, &holes)).collect();
            holes.set("lines", lines.map_err(wrong)?);
        }
        let params = render(&step.params, &holes).map_err(wrong)?;
        let mut answered = 0;
        loop {
            let error = match self.call(Kind::Write, &step.method, &params).await {
                Ok(reply) => {
                    let created = step.gives.as_ref().map(|path| {
                        let id = walk(&reply.result, path).and_then(scalar_text);
                        id.ok_or_else(|| PushError::Unknown(format!("step `{}` gave no key", step.name)))
                    });
                    return Ok(StepOutcome { remote_id: created.transpose()?.or_else(|| remote_id.map(str::to_owned)) });
                }
                Err(error) => error,
            };
            match &error {
                CallError::Warning { name, .. } if answered < MOST_WARNINGS && push.accepts(name) => {
                    answered += 1;
                    self.accept_warning(name).await.map_err(|e| self.push_error(push, step, not_done(e)))?;
                }
                _ => return Err(self.push_error(push, step, error)),
            }
        }
    }

    fn push_error(&self, push: &Push, step: &StepTable, error: CallError) -> PushError {
        let say = |message: &str| self.auth.scrub(&format!("{}: step `{}`: {message}", self.name, step.name));
        match error {
            CallError::Busy { message, .. } => PushError::Busy(say(&message)),
            CallError::Auth(message) => PushError::Busy(say(&format!("log-in refused: {message}"))),
            CallError::Unknown { message, .. } | CallError::Malformed(message) => PushError::Unknown(say(&message)),
            CallError::Warning { message, name } => PushError::Refused(
                Problem::new("erp-warning", say(&message))
                    .help(format!("decide in the other system, or add the end of `{name}` to accept_warnings")),
            ),
            CallError::Refused(message) => {
                // What was resolved earlier may be what is wrong now.
                push.forget();
                PushError::Refused(Problem::new("erp-refused", say(&message)))
            }
        }
    }

    fn memo_holes(&self, memo: &MemoRequest) -> Result<Holes, String> {
        let mut holes = self.holes();
        for (name, text) in [
            ("reference", &memo.reference),
            ("agreement", &memo.agreement),
            ("payee", &memo.payee),
            ("description", &memo.description),
        ] {
            holes.set(name, text.as_str());
        }
        holes.set("currency", memo.currency.code());
        holes.set("agreement_version", memo.agreement_version);
        holes.set("period_from", self.values().write_date(memo.period.from)?);
        holes.set("period_to", self.values().write_date(memo.period.to)?);
        holes.set("date", self.values().write_date(memo.date)?);
        self.amount_holes(&mut holes, memo, memo.amount)?;
        for (name, account) in [("gl_expense", &memo.gl_expense), ("gl_liability", &memo.gl_liability)] {
            match account {
                Some(account) => holes.set(name, account.as_str()),
                // The connector's own constant stands in where the agreement names none.
                None if holes.knows(name) => {}
                None => holes.leave_out(name),
            }
        }
        Ok(holes)
    }

    fn amount_holes(&self, holes: &mut Holes, memo: &MemoRequest, amount: Micros) -> Result<(), String> {
        holes.set("amount", self.values().write_amount(&memo.currency.amount_text(amount))?);
        holes.set("negative_amount", self.values().write_amount(&memo.currency.amount_text(-amount))?);
        Ok(())
    }

    fn line(&self, push: &Push, memo: &MemoRequest, line: &MemoLine, holes: &Holes) -> Result<Value, String> {
        let mut holes = holes.clone().with("line_description", line.description.as_str());
        self.amount_holes(&mut holes, memo, line.amount)?;
        render(&push.table.line, &holes)
    }

    /// Turns the codes that the step needs into the other system's keys.
    async fn resolve(&self, push: &Push, step: &StepTable, holes: &mut Holes) -> Result<(), PushError> {
        for resolve in &push.table.resolve {
            let needed =
                uses(&step.params, &resolve.name) || uses(&step.params, "lines") && uses(&push.table.line, &resolve.name);
            if !needed {
                continue;
            }
            let wrong = |message: String| PushError::Refused(self.push_problem("connector-file", message));
            let params = render(&resolve.params, holes).map_err(wrong)?;
            let key = format!("{} {params}", resolve.name);
            let found = match push.recall(&key) {
                Some(found) => found,
                None => {
                    let reply =
                        self.read(&resolve.method, &params).await.map_err(|e| self.push_error(push, step, not_done(e)))?;
                    let found = self.one(resolve, &reply.result, holes)?;
                    push.remember(key, found.clone());
                    found
                }
            };
            holes.set(&resolve.name, found);
        }
        Ok(())
    }

    fn one(&self, resolve: &ResolveTable, result: &Value, holes: &Holes) -> Result<Value, PushError> {
        let what = render_text(&resolve.what, holes).unwrap_or_else(|_| resolve.name.clone());
        let refuse = |code: &str, message: String| PushError::Refused(self.push_problem(code, message));
        match result.as_array().map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            Some([]) => Err(refuse("erp-record-missing", format!("{what} does not exist there"))),
            Some(_) => Err(refuse("erp-record-ambiguous", format!("{what} exists there more than once"))),
            None => Err(refuse("connector-file", format!("{what}: the result is not a list"))),
        }
    }
}

fn uses(template: &Value, hole: &str) -> bool {
    let mut found = Vec::new();
    holes_in(template, &mut found);
    found.iter().any(|name| name == hole)
}
