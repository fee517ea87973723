//! What differs between two configurations, key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Config, ConfigError};

/// How much of a value is shown.
const VALUE_CHARS_MAX: usize = 64;

/// What is shown of a key that is not there.
const ABSENT: &str = "unset";

/// One key that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, such as `limits.open_tasks`.
    pub key: String,
    /// Its value before, cut to what a line holds.
    pub from: String,
    /// Its value after.
    pub to: String,
    /// Whether the key is read at the start only.
    pub needs_restart: bool,
}

/// Every key that differs, by key.
pub fn changes(from: &Config, to: &Config) -> Result<Vec<Change>, ConfigError> {
    let [before, after, live] = [from, to, &from.without_restart(to)].map(leaves);
    let (before, after, live) = (before?, after?, live?);
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let keys = after.keys().chain(gone);
    let differs = keys.filter(|key| before.get(*key) != after.get(*key));
    let change = |key: &String| Change {
        key: key.clone(),
        from: shown(before.get(key)),
        to: shown(after.get(key)),
        needs_restart: live.get(key) != after.get(key),
    };
    Ok(differs.map(change).collect())
}

/// Every key that has a value of its own, by its path.
fn leaves(config: &Config) -> Result<BTreeMap<String, Value>, ConfigError> {
    let whole = serde_json::to_value(config);
    let whole = whole.map_err(|error| ConfigError::Unprintable(error.to_string()))?;
    let mut leaves = BTreeMap::new();
    gather("", whole, &mut leaves);
    Ok(leaves)
}

fn gather(path: &str, value: Value, leaves: &mut BTreeMap<String, Value>) {
    let Value::Object(map) = value else {
        leaves.insert(path.to_owned(), value);
        return;
    };
    for (key, value) in map {
        // A queue's name may have dots.
        let key = if key.contains('.') { format!("{key:?}") } else { key };
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        gather(&path, value, leaves);
    }
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => ABSENT.to_owned(),
        Some(Value::String(text)) if text.is_empty() => "\"\"".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    let head: String = text.chars().take(VALUE_CHARS_MAX).collect();
    format!("{head}...")
}
