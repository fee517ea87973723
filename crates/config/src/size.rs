//! Sizes as people write them: `512`, `64KiB`, `1MiB`, `4GiB`. A number without a unit is bytes.

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// The units and their sizes, largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a size; none if it is none or does not fit.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// Writes a size so that [`parse`] reads the same.
pub(super) fn print(value: u64) -> String {
    let whole = |(_, bytes): &&(&str, u64)| value != 0 && value.is_multiple_of(*bytes);
    match UNITS.iter().find(whole) {
        Some((name, bytes)) => format!("{}{name}", value / bytes),
        None => "0B".to_owned(),
    }
}

/// The same for a size that may be left out.
pub(super) mod optional {
    use super::{Deserializer, Serializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<Option<u64>, D::Error> {
        super::deserialize(source).map(Some)
    }

    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<u64>,
        sink: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, sink),
            None => sink.serialize_none(),
        }
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    let text = String::deserialize(source)?;
    let bytes = text.trim().parse().ok().or_else(|| parse(&text));
    bytes.ok_or_else(|| {
        D::Error::custom(format_args!(
            "{text:?} is no size: write bytes, or a whole number of KiB, MiB or GiB, such as 1MiB"
        ))
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
pub(super) fn serialize<S: Serializer>(value: &u64, sink: S) -> Result<S::Ok, S::Error> {
    sink.serialize_str(&print(*value))
}
