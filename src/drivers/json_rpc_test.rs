//! `connector test` for JSON calls: reads only, and says what it saw in an admin's words.
//!
//! Not the unit tests. Invariant: nothing here changes anything in the other system, apart from
//! the session that a log-in opens.

use super::json_rpc::{JsonRpcDriver, Reply};
use super::template::{render, walk};
use super::{Check, DriverError};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Clocks further apart than this make change times doubtful.
const MOST_SKEW_SECONDS: i64 = 60;
/// A reference that no memo carries.
const NO_REFERENCE: &str = "RBT-CONNECTOR-TEST";

fn check(name: &str, outcome: Result<String, String>) -> Check {
    let ok = outcome.is_ok();
    Check { name: name.to_owned(), ok, detail: outcome.unwrap_or_else(|message| message) }
}

impl JsonRpcDriver {
    pub(super) async fn run_checks(&self, now: DateTime<Utc>) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(call) = &self.options.test.address {
            let reply = match render(&call.params, &self.holes()) {
                Ok(params) => self
                    .call_openly(self.options.test.address_path.as_deref(), &call.method, &params)
                    .await
                    .map_err(|e| self.words(e.into_driver_error(&self.name))),
                Err(message) => Err(message),
            };
            let reached = reply.is_ok();
            if let Ok(reply) = &reply {
                checks.push(clock(reply, now));
            }
            checks.insert(0, check("address", reply.map(|reply| format!("answers {}", short(&reply.result)))));
            if !reached {
                return checks;
            }
        }
        let mut logged_in = None;
        for name in self.feeds.keys() {
            let probed = self.probe_feed(name).await;
            if logged_in.is_none() {
                let refused = matches!(&probed, Err(DriverError::Auth { .. }));
                logged_in = Some(!refused);
                let outcome =
                    if refused { Err("the user or password is not accepted".to_owned()) } else { Ok("accepted".to_owned()) };
                checks.push(check("log-in", outcome));
                if refused {
                    return checks;
                }
            }
            let outcome = probed.map_err(|e| self.words(e)).and_then(|(count, bytes)| self.describe(name, count, &bytes));
            checks.push(check(&format!("feed {name}"), outcome));
        }
        for right in &self.options.test.rights {
            let outcome = match render(&right.params, &self.holes()) {
                Ok(params) => self.read(&right.method, &params).await.map_err(|e| self.words(e.into_driver_error(&self.name))),
                Err(message) => Err(message),
            };
            let outcome = outcome.and_then(|reply| {
                for (path, accepted) in &right.expect {
                    let found = reply.result.pointer(&format!("/{path}")).unwrap_or(&Value::Null);
                    if !accepted.contains(found) {
                        return Err(format!("not granted: `{path}` is {found}"));
                    }
                }
                Ok("granted".to_owned())
            });
            checks.push(check(&right.name, outcome));
        }
        for name in self.pushes.keys() {
            let outcome = self.lookup_memo(name, NO_REFERENCE).await.map_err(|e| self.words(e));
            checks.push(check(
                &format!("push {name}"),
                outcome.map(|found| format!("lookup works, {} memos carry {NO_REFERENCE}", found.len())),
            ));
        }
        checks
    }

    fn words(&self, error: DriverError) -> String {
        self.auth.scrub(&error.to_string())
    }

    fn describe(&self, name: &str, count: u64, bytes: &[u8]) -> Result<String, String> {
        if count == 0 {
            return Ok("readable, no records yet".into());
        }
        let page: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let record = walk(&page, "result.0").unwrap_or(&Value::Null);
        let fields = self.feeds.get(name).map(|feed| feed.fields()).unwrap_or_default();
        let absent = |field: &&String| {
            let first = field.split('.').next().unwrap_or(field);
            record.is_object() && record.get(first).is_none() && record.get(format!("{first}.")).is_none()
        };
        let missing: Vec<&str> = fields.iter().filter(absent).map(String::as_str).collect();
        if missing.is_empty() {
            Ok(format!("readable, {} fields", fields.len()))
        } else {
            Err(format!("fields missing in the answer: {}", missing.join(", ")))
        }
    }
}

fn clock(reply: &Reply, now: DateTime<Utc>) -> Check {
    let Some(server) = reply.date else { return check("clock", Ok("the server does not say its time".into())) };
    let skew = (server - now).num_seconds();
    let text = format!("server and this machine differ by {} s", skew.abs());
    check("clock", if skew.abs() > MOST_SKEW_SECONDS { Err(format!("{text}; set the clocks")) } else { Ok(text) })
}

fn short(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(60).collect()
}
