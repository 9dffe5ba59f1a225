//! Who we are to the other system: nobody, basic, bearer, or a session that is renewed.
//!
//! Invariant: secrets leave this file only inside a request; messages are scrubbed before they
//! reach an error.

use super::config::{ConnectorConfig, read_table};
use super::template::{Holes, render, render_text};
use crate::core::problem::Problem;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// A call as a connector file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Method name.
    pub method: String,
    /// Parameters with holes.
    #[serde(default)]
    pub params: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthTable {
    #[serde(rename = "type", default = "none")]
    kind: String,
    user: Option<String>,
    /// `session`: the call that logs in; holes `{user}` and `{password}`.
    login: Option<Call>,
    /// `session`: first word of the `Authorization` header.
    scheme: Option<String>,
    /// `session`: what follows; holes `{user}` and `{result...}`.
    value: Option<String>,
    /// `session`: send `value` as base64.
    #[serde(default)]
    base64: bool,
}

fn none() -> String {
    "none".into()
}

/// How a connector authorizes its calls.
pub struct Auth {
    user: String,
    secrets: BTreeMap<String, SecretString>,
    way: Way,
}

enum Way {
    Fixed(Option<HeaderValue>),
    Session { login: Call, scheme: String, value: String, base64: bool, current: Mutex<Option<HeaderValue>> },
}

impl Auth {
    /// Reads `[auth]`.
    pub fn open(connector: &ConnectorConfig) -> Result<Self, Problem> {
        let table: AuthTable = read_table(&connector.name, "auth", &Value::Object(connector.auth.clone()))?;
        let problem = |message: &str| Problem::new("connector-file", format!("connector `{}`: auth: {message}", connector.name));
        let user = table.user.unwrap_or_default();
        let secret = |key: &str| connector.secrets.get(key).ok_or_else(|| problem(&format!("`{key}` is missing")));
        let header = |text: String| {
            let mut header =
                HeaderValue::try_from(text).map_err(|_| problem("contains a character that a header cannot carry"))?;
            header.set_sensitive(true);
            Ok::<_, Problem>(header)
        };
        let way = match table.kind.as_str() {
            "none" => Way::Fixed(None),
            "basic" => {
                let pair = format!("{user}:{}", secret("password")?.expose_secret());
                Way::Fixed(Some(header(format!("Basic {}", BASE64_STANDARD.encode(pair)))?))
            }
            "bearer" => Way::Fixed(Some(header(format!("Bearer {}", secret("token")?.expose_secret()))?)),
            "session" => {
                secret("password")?;
                Way::Session {
                    login: table.login.ok_or_else(|| problem("`login` is missing"))?,
                    scheme: table.scheme.unwrap_or_else(|| "Session".into()),
                    value: table.value.ok_or_else(|| problem("`value` is missing"))?,
                    base64: table.base64,
                    current: Mutex::new(None),
                }
            }
            other => {
                return Err(problem(&format!("type `{other}` is not known")).help("types are none, basic, bearer and session"));
            }
        };
        Ok(Self { user, secrets: connector.secrets.clone(), way })
    }

    /// Whether a 401 can be answered by logging in again.
    pub fn renews(&self) -> bool {
        matches!(self.way, Way::Session { .. })
    }

    /// The header to send. A session is opened by `log_in` when there is none, or when the one at
    /// hand is `stale`; others wait meanwhile, so that one expiry costs one log-in.
    pub async fn header<E, F>(
        &self,
        stale: Option<&HeaderValue>,
        log_in: impl FnOnce(String, Value) -> F,
    ) -> Result<Option<HeaderValue>, E>
    where
        F: Future<Output = Result<Value, E>>,
        E: From<String>,
    {
        let (login, scheme, value, base64, current) = match &self.way {
            Way::Fixed(header) => return Ok(header.clone()),
            Way::Session { login, scheme, value, base64, current } => (login, scheme, value, *base64, current),
        };
        let mut current = current.lock().await;
        if let Some(header) = current.as_ref().filter(|header| stale != Some(*header)) {
            return Ok(Some(header.clone()));
        }
        *current = None;
        let mut holes = Holes::new().with("user", self.user.as_str());
        let secret = self.secrets.get("password").map(|s| s.expose_secret().to_owned()).unwrap_or_default();
        let params = render(&login.params, &holes.clone().with("password", secret)).map_err(E::from)?;
        let result = log_in(login.method.clone(), params).await?;
        if result.is_null() {
            return Err(E::from("the log-in gave no session".to_owned()));
        }
        holes.set("result", result);
        let text = render_text(value, &holes).map_err(E::from)?;
        let text = if base64 { BASE64_STANDARD.encode(text) } else { text };
        let mut header = HeaderValue::try_from(format!("{scheme} {text}"))
            .map_err(|_| E::from("the session key cannot be sent".to_owned()))?;
        header.set_sensitive(true);
        *current = Some(header.clone());
        Ok(Some(header))
    }

    /// A message without our secrets, should the other side repeat one.
    pub fn scrub(&self, message: &str) -> String {
        let mut clean = message.to_owned();
        for secret in self.secrets.values() {
            let secret = secret.expose_secret();
            if !secret.is_empty() {
                clean = clean.replace(secret, "***");
            }
        }
        clean
    }
}
