//! Configurations as JSON: what holds, what differs, what is wrong. The field names and their order are the contract's.

use leasehold_client::v1::{
    ConfigChange, ConfigRefusal, DiffConfigResponse, GetConfigResponse, ReloadConfigResponse,
};
use leasehold_config::Violation;
use serde::Serialize;

use super::{Text, Time};

/// A `GetConfigResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigJson<'a> {
    yaml: &'a str,
    hash: &'a str,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    apply_time: Option<Time>,
    pending_changes: Vec<ChangeJson<'a>>,
    omitted_change_count: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<RefusalJson<'a>>,
}

/// A `DiffConfigResponse` or a `ReloadConfigResponse`, which has one hash.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangesJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    changes: Vec<ChangeJson<'a>>,
    omitted_change_count: i32,
}

/// A `ConfigChange`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeJson<'a> {
    key: &'a str,
    from_value: &'a str,
    to_value: &'a str,
    needs_restart: bool,
}

/// A `ConfigRefusal`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusalJson<'a> {
    hash: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
    message: &'a str,
    violations: Vec<FieldJson<'a>>,
}

/// A `FieldViolation`.
#[derive(Debug, Serialize)]
struct FieldJson<'a> {
    field: &'a str,
    description: &'a str,
}

/// What a check has found.
#[derive(Debug, Serialize)]
pub(crate) struct ViolationsJson<'a> {
    file: &'a str,
    violations: Vec<ViolationJson<'a>>,
}

/// One thing that is wrong with a file.
#[derive(Debug, Serialize)]
struct ViolationJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    key: &'a str,
    problem: &'a str,
}

impl<'a> ViolationsJson<'a> {
    /// What is wrong with this file; nothing, if it is right.
    pub(crate) fn new(file: &'a str, violations: &'a [Violation]) -> Self {
        let violations = violations.iter().map(|Violation { key, place, problem }| ViolationJson {
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            key,
            problem,
        });
        Self { file, violations: violations.collect() }
    }
}

impl<'a> From<&'a ConfigChange> for ChangeJson<'a> {
    fn from(change: &'a ConfigChange) -> Self {
        Self {
            key: &change.key,
            from_value: &change.from_value,
            to_value: &change.to_value,
            needs_restart: change.needs_restart,
        }
    }
}

impl<'a> From<&'a GetConfigResponse> for ConfigJson<'a> {
    fn from(config: &'a GetConfigResponse) -> Self {
        Self {
            yaml: &config.yaml,
            hash: &config.hash,
            file: &config.file,
            apply_time: config.apply_time.map(Text),
            pending_changes: config.pending_changes.iter().map(ChangeJson::from).collect(),
            omitted_change_count: config.omitted_change_count,
            refusal: config.refusal.as_ref().map(RefusalJson::from),
        }
    }
}

impl<'a> From<&'a ConfigRefusal> for RefusalJson<'a> {
    fn from(refusal: &'a ConfigRefusal) -> Self {
        let violation = |it: &'a leasehold_client::v1::FieldViolation| FieldJson {
            field: &it.field,
            description: &it.description,
        };
        Self {
            hash: &refusal.hash,
            time: refusal.time.map(Text),
            message: &refusal.message,
            violations: refusal.violations.iter().map(violation).collect(),
        }
    }
}

impl<'a> From<&'a DiffConfigResponse> for ChangesJson<'a> {
    fn from(diff: &'a DiffConfigResponse) -> Self {
        Self {
            from_hash: Some(&diff.from_hash),
            to_hash: Some(&diff.to_hash),
            hash: None,
            changes: diff.changes.iter().map(ChangeJson::from).collect(),
            omitted_change_count: diff.omitted_change_count,
        }
    }
}

impl<'a> From<&'a ReloadConfigResponse> for ChangesJson<'a> {
    fn from(reloaded: &'a ReloadConfigResponse) -> Self {
        Self {
            from_hash: None,
            to_hash: None,
            hash: Some(&reloaded.hash),
            changes: reloaded.changes.iter().map(ChangeJson::from).collect(),
            omitted_change_count: reloaded.omitted_change_count,
        }
    }
}
