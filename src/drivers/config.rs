//! What a driver is told: one connector file after variables were put in and secrets taken aside.
//!
//! The workspace layer (`config::connector_file`) reads and checks the file and owns its shape;
//! here is how a driver reads its own tables of it.

pub use crate::config::connector_file::{ConnectorConfig, Limits, SECRET_KEYS};
use crate::config::value;
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
    value::duration(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time such as \"30s\"")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
