//! The contract's messages in protobuf's JSON mapping: camelCase names, 64-bit integers as strings, bytes
//! as base64, enums by name, times in RFC 3339, durations in seconds. Fields without presence are
//! always written, so that a script can rely on them.

mod config;
mod explain;
mod operator;
mod scaling;
mod task;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

pub(crate) use config::{ChangesJson, ConfigJson, ViolationsJson};
pub(crate) use explain::{ExplanationJson, QueueExplanationJson};
pub(crate) use operator::{
    BreakerJson, BreakersJson, ClusterJson, DrainJson, NamespacesJson, QueueJson, QueuesJson,
    WorkersJson,
};
pub(crate) use scaling::ScalingJson;
pub(crate) use task::{LineReceiptJson, ReceiptJson, ReplayJson, TaskJson, TasksJson};

/// Amounts of resources, by name.
type Amounts<'a> = BTreeMap<&'a str, Int64>;

/// Sorted, so that the same amounts are always the same text.
fn amounts(map: &std::collections::HashMap<String, i64>) -> Amounts<'_> {
    map.iter().map(|(name, amount)| (name.as_str(), Int64(*amount))).collect()
}

/// Labels, by name.
pub(crate) type Labels<'a> = BTreeMap<&'a str, &'a str>;

pub(crate) fn labels(map: &std::collections::HashMap<String, String>) -> Labels<'_> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// A 64-bit integer, as a string: readers of JSON lose digits otherwise.
#[derive(Clone, Copy, Debug)]
struct Int64(i64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Something whose text form is the mapping's: a time or a duration.
#[derive(Clone, Copy, Debug)]
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

type Time = Text<prost_types::Timestamp>;
type Span = Text<prost_types::Duration>;

#[cfg(test)]
mod tests;
