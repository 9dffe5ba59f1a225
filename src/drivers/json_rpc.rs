//! JSON calls over HTTP: method and parameters out, result or error back.
//!
//! What a product's methods are called stands in its connector file; feeds are in
//! `json_rpc_feed`, pushes in `json_rpc_push`. Invariant: whether a call was carried out is told by
//! the body where there is one, and a call whose answer is missing or unreadable is never said to
//! have failed.

use super::auth::{Auth, Call};
use super::config::{ConnectorConfig, read_table};
use super::http::{Answer, Http, Kind, SendError};
use super::json_rpc_feed::{Feed, FeedTable};
use super::json_rpc_push::{Push, PushTable};
use super::template::{Holes, ValueForms, render, scalar_text, walk};
use super::{Check, DriverError, MemoRequest, PageSink, PullEnd, PushError, RemoteMemo, StepOutcome};
use crate::core::problem::Problem;
use chrono::{DateTime, Utc};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys of this driver at the top of a connector file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    /// The body of a call; holes `{id}`, `{method}`, `{params}`.
    envelope: Value,
    /// Values every call may use as holes (`{context}`, ...); a later one may use earlier ones.
    constants: Map<String, Value>,
    values: ValueForms,
    errors: ErrorForms,
    pub(super) test: TestTable,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            envelope: json!({"jsonrpc": "2.0", "id": "{id}", "method": "{method}", "params": "{params}"}),
            constants: Map::new(),
            values: ValueForms::default(),
            errors: ErrorForms::default(),
            test: TestTable::default(),
        }
    }
}

/// How the `error` member of an answer reads: `[errors]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ErrorForms {
    /// Path to the kind of error inside `error`.
    kind: String,
    /// Paths to its words, joined with a colon.
    message: Vec<String>,
    /// Kinds after which the same call may be tried again.
    changed: Vec<String>,
    /// Words after which the same call may be tried again.
    busy: Vec<String>,
    /// Kind of an error that asks a question.
    warning: Option<String>,
    /// Path to the question's name inside `error`.
    warning_name: String,
    /// The call that answers yes; hole `{warning}`.
    answer: Option<Call>,
}

impl Default for ErrorForms {
    fn default() -> Self {
        Self {
            kind: "code".into(),
            message: vec!["message".into()],
            changed: Vec::new(),
            busy: Vec::new(),
            warning: None,
            warning_name: "data.name".into(),
            answer: None,
        }
    }
}

/// What `connector test` calls: `[test]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TestTable {
    /// A call that needs no log-in.
    pub address: Option<Call>,
    /// Path of that call on the same server, where it is not the base address.
    pub address_path: Option<String>,
    /// Calls that must give certain values.
    pub rights: Vec<RightTable>,
}

/// One right that is looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RightTable {
    /// For people.
    pub name: String,
    pub method: String,
    #[serde(default)]
    pub params: Value,
    /// Path in the result, names joined by slashes -> values that will do.
    #[serde(default)]
    pub expect: BTreeMap<String, Vec<Value>>,
}

/// A result and the bytes it came in.
#[derive(Debug)]
pub(super) struct Reply {
    pub result: Value,
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub date: Option<DateTime<Utc>>,
}

/// Why a call gave no result, by what is known of the other side.
#[derive(Debug, Clone)]
pub(super) enum CallError {
    /// Not sent, or turned away before anything was done; worth another try.
    Busy { message: String, retry_after: Option<Duration> },
    /// Turned away for good.
    Refused(String),
    /// Log-in refused.
    Auth(String),
    /// A question: the call was not carried out.
    Warning { name: String, message: String },
    /// The other side may have acted.
    Unknown { message: String, retry_after: Option<Duration> },
    /// An answer too large, or none of the protocol's.
    Malformed(String),
}

impl From<String> for CallError {
    fn from(message: String) -> Self {
        Self::Refused(message)
    }
}

impl CallError {
    /// Whether a read may be repeated, and how long the server wants us to wait.
    fn passing(&self) -> Option<Option<Duration>> {
        match self {
            Self::Busy { retry_after, .. } | Self::Unknown { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
    pub(super) fn into_driver_error(self, connector: &str) -> DriverError {
        let connector = connector.to_owned();
        match self {
            Self::Busy { message, .. } | Self::Unknown { message, .. } => DriverError::Unavailable { connector, message },
            Self::Refused(message) | Self::Warning { message, .. } => DriverError::Refused { connector, message },
            Self::Auth(message) => DriverError::Auth { connector, message },
            Self::Malformed(message) => DriverError::Malformed { connector, message },
        }
    }
}

/// A system that answers JSON calls.
pub struct JsonRpcDriver {
    pub(super) name: String,
    url: String,
    http: Http,
    pub(super) auth: Auth,
    pub(super) options: Options,
    constants: Holes,
    pub(super) max_pages: u64,
    pub(super) feeds: BTreeMap<String, Feed>,
    pub(super) pushes: BTreeMap<String, Push>,
}

impl JsonRpcDriver {
    /// Reads the connector file's tables; contacts nobody.
    pub fn open(connector: &ConnectorConfig) -> Result<Self, Problem> {
        let problem = |message: String| Problem::new("connector-file", format!("connector `{}`: {message}", connector.name));
        let url = connector.base_url.clone().ok_or_else(|| problem("`base_url` is missing".into()))?;
        let parsed = url::Url::parse(&url).map_err(|e| problem(format!("base_url: {e}")))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(problem("base_url must be http or https, without user and password".into()));
        }
        let table = |kind: &str, name: &str| format!("{kind}.{name}");
        let mut feeds = BTreeMap::new();
        for (name, value) in &connector.feeds {
            let feed: FeedTable = read_table(&connector.name, &table("feeds", name), value)?;
            feeds.insert(name.clone(), Feed::new(feed));
        }
        let mut pushes = BTreeMap::new();
        for (name, value) in &connector.push {
            let push: PushTable = read_table(&connector.name, &table("push", name), value)?;
            pushes.insert(name.clone(), Push::new(push));
        }
        let options: Options = read_table(&connector.name, "", &Value::Object(connector.options.clone()))?;
        let mut constants = Holes::new();
        for (name, value) in &options.constants {
            let value = render(value, &constants).map_err(|m| problem(format!("constants.{name}: {m}")))?;
            constants.set(name, value);
        }
        Ok(Self {
            name: connector.name.clone(),
            url,
            http: Http::new(connector.limits).map_err(problem)?,
            auth: Auth::open(connector)?,
            options,
            constants,
            max_pages: connector.limits.max_pages,
            feeds,
            pushes,
        })
    }

    /// Names of the feeds.
    pub fn feeds(&self) -> Vec<&str> {
        self.feeds.keys().map(String::as_str).collect()
    }
    /// Reads what changed since the cursor.
    pub async fn pull(
        &self,
        feed: &str,
        cursor: Option<&str>,
        now: DateTime<Utc>,
        sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        self.pull_feed(feed, cursor, now, sink).await
    }
    /// Reads what changed since an instant, without a cursor.
    pub async fn sweep(
        &self,
        feed: &str,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
        sink: &mut dyn PageSink,
    ) -> Result<PullEnd, DriverError> {
        self.sweep_feed(feed, since, now, sink).await
    }
    /// Finds memos by reference.
    pub async fn lookup(&self, push: &str, reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        self.lookup_memo(push, reference).await
    }
    /// Runs one step.
    pub async fn run_step(
        &self,
        push: &str,
        step: usize,
        memo: &MemoRequest,
        remote_id: Option<&str>,
    ) -> Result<StepOutcome, PushError> {
        self.push_step(push, step, memo, remote_id).await
    }
    /// Names of the steps.
    pub fn steps(&self, push: &str) -> Option<Vec<&str>> {
        self.pushes.get(push).map(Push::step_names)
    }
    /// Wait before a lookup may be believed.
    pub fn lookup_delay(&self, push: &str) -> Duration {
        self.pushes.get(push).map_or(Duration::ZERO, Push::lookup_delay)
    }
    /// Tries what can be tried without changing anything.
    pub async fn test(&self, now: DateTime<Utc>) -> Vec<Check> {
        self.run_checks(now).await
    }

    pub(super) fn values(&self) -> &ValueForms {
        &self.options.values
    }

    /// The holes that every call may use.
    pub(super) fn holes(&self) -> Holes {
        self.constants.clone()
    }

    /// A call that changes nothing, repeated while that may help.
    pub(super) async fn read(&self, method: &str, params: &Value) -> Result<Reply, CallError> {
        self.http.repeat(|| self.call(Kind::Read, method, params), CallError::passing).await
    }

    /// One call. A refused session is renewed and the call repeated once: a 401 is given before
    /// anything is done.
    pub(super) async fn call(&self, kind: Kind, method: &str, params: &Value) -> Result<Reply, CallError> {
        let mut stale: Option<HeaderValue> = None;
        loop {
            let log_in = |login: String, params: Value| async move {
                let answer = self.exchange(Kind::Read, &self.url, None, &login, &params).await;
                match answer.map_err(not_done)? {
                    // A further try would only lengthen the server's wait for the next.
                    a if matches!(a.status, 401 | 403 | 429) => Err(CallError::Auth(format!("HTTP {}", a.status))),
                    a => self.reply(a).map(|reply| reply.result).map_err(|e| match e {
                        CallError::Unknown { message, retry_after } => CallError::Busy { message, retry_after },
                        other => other,
                    }),
                }
            };
            let header = self.auth.header(stale.as_ref(), log_in).await?;
            let answer = self.exchange(kind, &self.url, header.as_ref(), method, params).await?;
            if answer.status != 401 {
                return self.reply(answer);
            }
            if stale.is_some() || !self.auth.renews() {
                return Err(CallError::Auth("HTTP 401".into()));
            }
            stale = header;
        }
    }

    /// A call without log-in, perhaps to another path of the same server.
    pub(super) async fn call_openly(&self, path: Option<&str>, method: &str, params: &Value) -> Result<Reply, CallError> {
        let mut url = url::Url::parse(&self.url).map_err(|e| e.to_string())?;
        if let Some(path) = path {
            url.set_path(path);
        }
        self.reply(self.exchange(Kind::Read, url.as_str(), None, method, params).await?)
    }

    async fn exchange(
        &self,
        kind: Kind,
        url: &str,
        header: Option<&HeaderValue>,
        method: &str,
        params: &Value,
    ) -> Result<Answer, CallError> {
        // One id for all calls: each exchange has its own connection state, and equal pages stay
        // equal byte for byte.
        let holes = Holes::new().with("id", 1).with("method", method).with("params", params.clone());
        let body = render(&self.options.envelope, &holes)?.to_string().into_bytes();
        self.http.post_json(kind, url, header, body).await.map_err(|error| match error {
            SendError::NotSent(message) => CallError::Busy { message, retry_after: None },
            SendError::Uncertain(message) => CallError::Unknown { message, retry_after: None },
            SendError::TooLarge(_) if kind == Kind::Write => CallError::Unknown { message: error.to_string(), retry_after: None },
            SendError::TooLarge(_) => CallError::Malformed(error.to_string()),
        })
    }

    fn reply(&self, answer: Answer) -> Result<Reply, CallError> {
        let status = answer.status;
        let parsed: Option<Value> = serde_json::from_slice(&answer.body).ok();
        // These come from something in between, whatever their body says: the server behind it may have obeyed, or never heard of it.
        let from_between = matches!(status, 408 | 429 | 502..=504);
        if let Some(error) = parsed.as_ref().and_then(|v| v.get("error")).filter(|e| !from_between && !e.is_null()) {
            return Err(self.error(error));
        }
        let message = format!("HTTP {status}");
        let retry_after = answer.retry_after;
        match (status, parsed) {
            (200..=299, Some(Value::Object(mut map))) if map.contains_key("result") => Ok(Reply {
                result: map.remove("result").unwrap_or_default(),
                media_type: answer.media_type,
                date: answer.date,
                bytes: answer.body,
            }),
            (200..=299, _) => Err(CallError::Unknown { message: format!("{message} without a readable result"), retry_after }),
            (429, _) => Err(CallError::Busy { message, retry_after }),
            (401, _) => Err(CallError::Auth(message)),
            (408 | 500..=599, _) => Err(CallError::Unknown { message, retry_after }),
            _ => Err(CallError::Refused(message)),
        }
    }

    /// An `error` member: the call was not carried out.
    fn error(&self, error: &Value) -> CallError {
        let forms = &self.options.errors;
        let kind = walk(error, &forms.kind).and_then(scalar_text).unwrap_or_default();
        let words: Vec<String> = forms
            .message
            .iter()
            .filter_map(|p| walk(error, p))
            .filter_map(scalar_text)
            .filter(|t| !t.trim().is_empty())
            .collect();
        let words = if words.is_empty() { error.to_string() } else { words.join(": ") };
        let message = self.auth.scrub(words.trim());
        if forms.warning.as_ref() == Some(&kind) {
            let name = walk(error, &forms.warning_name).and_then(scalar_text).unwrap_or_default();
            return CallError::Warning { name, message };
        }
        let whole = error.to_string();
        if forms.changed.contains(&kind) || forms.busy.iter().any(|words| whole.contains(words.as_str())) {
            return CallError::Busy { message, retry_after: None };
        }
        CallError::Refused(message)
    }

    /// Answers a question with yes.
    pub(super) async fn accept_warning(&self, name: &str) -> Result<(), CallError> {
        let call = self
            .options
            .errors
            .answer
            .as_ref()
            .ok_or_else(|| CallError::Refused("the connector does not say how to answer a warning".into()))?;
        let params = render(&call.params, &self.holes().with("warning", name))?;
        self.call(Kind::Write, &call.method, &params).await.map(|_| ())
    }
}

/// For calls made on the way to the one that matters: whatever happened to them, that one was not
/// sent.
pub(super) fn not_done(error: CallError) -> CallError {
    match error {
        CallError::Unknown { message, retry_after } => CallError::Busy { message, retry_after },
        other => other,
    }
}
