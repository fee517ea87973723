//! The JSON Schema of the file, for editors and CI. It is made from the types, so that it cannot say anything else.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::{Config, RateLimit};

/// The schema of a coordinator's file, with every key, unit and default. The rules between values are not in it: those
/// are [`Config::check`]'s.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Config>().to_value()
}

/// A duration as it is written.
pub(super) struct Time;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Numbers with units, written together: d, h, m, s, ms, us, ns. At most 365d.",
            "pattern": r"^\s*([0-9]+(\.[0-9]+)?(d|h|m|s|ms|us|ns))+\s*$",
            "examples": ["200ms", "1.5s", "1h30m"],
        })
    }
}

/// A size as it is written.
pub(super) struct Size;

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "description": "Bytes, or a whole number of KiB, MiB or GiB.",
            "minimum": 0,
            "pattern": r"^\s*[0-9]+\s*(B|KiB|MiB|GiB)?\s*$",
            "examples": [512, "64KiB", "1MiB"],
        })
    }
}

/// A rate as it is written.
pub(super) struct Speed;

impl JsonSchema for Speed {
    fn schema_name() -> Cow<'static, str> {
        "Speed".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "How many in a second, minute, hour or day, and with another burst if that is said; or `unlimited`.",
            "pattern": r"^\s*([0-9]+/[smhd]( +burst +[0-9]+)?|unlimited)\s*$",
            "examples": ["10/s", "500/m burst 1000", "unlimited"],
        })
    }
}

impl JsonSchema for RateLimit {
    fn schema_name() -> Cow<'static, str> {
        "RateLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "How many in a second, minute, hour or day, and with another burst if that is said.",
            "pattern": r"^\s*[0-9]+/[smhd]( +burst +[0-9]+)?\s*$",
            "examples": ["10/s", "500/m burst 1000"],
        })
    }
}

/// An address to listen on as it is written.
pub(super) struct Address;

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An IP address and a port; port 0 takes any free one.",
            "pattern": r"^(\[[0-9A-Fa-f:.%]+\]|[0-9.]+):[0-9]{1,5}$",
            "examples": ["127.0.0.1:7171", "[::1]:7171"],
        })
    }
}
