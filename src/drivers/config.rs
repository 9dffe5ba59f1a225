//! What a driver is told: one connector file after variables were put in and secrets taken aside.
//!
//! The workspace layer (`config::connector_file`) reads and checks the file and owns its shape;
//! here is how a driver reads its own tables of it.

pub use crate::config::connector_file::{ConnectorConfig, Limits, SECRET_KEYS};
use crate::core::problem::{Place, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::time::Duration;

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
