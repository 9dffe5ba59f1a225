//! What a driver is told: one connector file after variables were put in and secrets taken aside.
//!
//! The workspace layer reads and checks the file; here is only the shape that drivers take, so
//! that a driver can be opened in a test from a few lines of TOML. Invariant: secrets are
//! [`SecretString`] and `Debug` never prints them.

use crate::core::problem::{Place, Problem};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// One connector.
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// Its name: the file's name without the ending.
    pub name: String,
    /// `files`, `json-rpc`, ...
    pub driver: String,
    /// Version of the connector file.
    pub version: u32,
    /// Where the other system is.
    pub base_url: Option<String>,
    /// `auth` without its secrets.
    pub auth: Map<String, Value>,
    /// The secrets of `auth` (`password`, `client_secret`, `token`, `key`).
    pub secrets: BTreeMap<String, SecretString>,
    /// Budgets.
    pub limits: Limits,
    /// `[feeds.NAME]` tables.
    pub feeds: BTreeMap<String, Value>,
    /// `[push.NAME]` tables.
    pub push: BTreeMap<String, Value>,
    /// Keys of the driver at the top of the file.
    pub options: Map<String, Value>,
}

/// Budgets of one connector: `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute; the rest waits.
    pub requests_per_minute: u32,
    /// Requests at the same time.
    pub concurrency: u32,
    /// Longest wait for one whole answer.
    pub timeout: Duration,
    /// Longest wait for the answer to a push step.
    pub push_timeout: Duration,
    /// How often a read is tried.
    pub attempts: u32,
    /// Longest wait before a repeat, whatever `Retry-After` says.
    pub retry_after_max: Duration,
    /// Largest answer or file, in bytes.
    pub max_bytes: u64,
    /// Most pages of one pull.
    pub max_pages: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: 300,
            concurrency: 4,
            timeout: Duration::from_secs(60),
            push_timeout: Duration::from_secs(180),
            attempts: 5,
            retry_after_max: Duration::from_secs(60),
            max_bytes: 64 * 1024 * 1024,
            max_pages: 100_000,
        }
    }
}

/// Keys of `auth` that hold secrets.
pub const SECRET_KEYS: [&str; 4] = ["password", "client_secret", "token", "key"];

impl ConnectorConfig {
    /// Takes a connector file's tree, variables already put in. Unknown keys at the top are left
    /// to the driver; the same goes for everything below `feeds` and `push`.
    pub fn from_tree(name: &str, mut tree: Map<String, Value>) -> Result<Self, Problem> {
        let problem =
            |message: String| Problem::new("connector-file", message).at(Place::source(format!("connectors/{name}.toml")));
        let mut table = |key: &str| match tree.remove(key) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map),
            Some(_) => Err(problem(format!("`{key}` must be a table"))),
        };
        let (mut auth, limits, feeds, push) = (table("auth")?, table("limits")?, table("feeds")?, table("push")?);
        let mut secrets = BTreeMap::new();
        for key in SECRET_KEYS {
            if let Some(Value::String(secret)) = auth.remove(key) {
                secrets.insert(key.to_owned(), SecretString::from(secret));
            }
        }
        let mut text = |key: &str| match tree.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(problem(format!("`{key}` must be text"))),
        };
        let (driver, base_url) = (text("driver")?, text("base_url")?);
        let version = tree.remove("version").and_then(|v| v.as_u64()).and_then(|v| u32::try_from(v).ok()).unwrap_or(1);
        Ok(Self {
            name: name.to_owned(),
            driver: driver.ok_or_else(|| problem("`driver` is missing".into()))?,
            version,
            base_url,
            auth,
            secrets,
            limits: Limits::from_table(&limits).map_err(|m| problem(format!("limits: {m}")))?,
            feeds: feeds.into_iter().collect(),
            push: push.into_iter().collect(),
            options: tree,
        })
    }
}

impl Limits {
    fn from_table(table: &Map<String, Value>) -> Result<Self, String> {
        let mut limits = Self::default();
        for (key, value) in table {
            let count = || value.as_u64().filter(|n| *n > 0).ok_or_else(|| format!("`{key}` must be a whole number above zero"));
            let count32 = || count().and_then(|n| u32::try_from(n).map_err(|_| format!("`{key}` is too large")));
            let wait =
                || value.as_str().and_then(parse_duration).ok_or_else(|| format!("`{key}` must be a time such as \"60s\""));
            match key.as_str() {
                "requests_per_minute" => limits.requests_per_minute = count32()?,
                "concurrency" => limits.concurrency = count32()?,
                "timeout" => limits.timeout = wait()?,
                "push_timeout" => limits.push_timeout = wait()?,
                "attempts" => limits.attempts = count32()?,
                "retry_after_max" => limits.retry_after_max = wait()?,
                "max_bytes" => limits.max_bytes = count()?,
                "max_pages" => limits.max_pages = count()?,
                _ => return Err(format!("`{key}` is not known")),
            }
        }
        Ok(limits)
    }
}

/// Reads a driver's own table; unknown keys and wrong types are problems that name the table.
pub fn read_table<T: DeserializeOwned>(connector: &str, path: &str, table: &Value) -> Result<T, Problem> {
    T::deserialize(table).map_err(|error| {
        let place = Place::source(format!("connectors/{connector}.toml")).at_path(path);
        Problem::new("connector-file", error.to_string()).at(place)
    })
}

/// For `#[serde(deserialize_with)]`: a time such as `"30s"`.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time such as \"30s\"")))
}

/// Reads `500ms`, `30s`, `10m`, `2h`, `7d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2d"), Some(Duration::from_secs(172_800)));
        assert_eq!(parse_duration("90"), None);
        assert_eq!(parse_duration("s"), None);
        assert_eq!(parse_duration("1w"), None);
    }

    #[test]
    fn a_password_is_taken_out_of_the_tree_and_never_printed() {
        let tree = serde_json::json!({"driver": "json-rpc", "auth": {"type": "session", "user": "u", "password": "hunter2"}});
        let config = ConnectorConfig::from_tree("erp", tree.as_object().unwrap().clone()).unwrap();
        assert!(config.secrets.contains_key("password"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn an_unknown_limit_is_refused() {
        let tree = serde_json::json!({"driver": "files", "limits": {"request_per_minute": 3}});
        let problem = ConnectorConfig::from_tree("x", tree.as_object().unwrap().clone()).unwrap_err();
        assert!(problem.message.contains("request_per_minute"), "{problem}");
    }
}
