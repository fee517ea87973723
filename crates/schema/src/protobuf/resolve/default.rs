//! What a reader sees where a field is not there, in a text of which there is one for each value.

use super::{Kind, Scalar, descriptor};
use crate::{
    Error,
    protobuf::pool::{Definition, Pool},
};

/// The default of a field. None: the zero of its kind, or a message.
pub(super) fn default(
    pool: &Pool<'_>,
    place: &str,
    field: &descriptor::Field,
    kind: &Kind,
) -> Result<Option<String>, Error> {
    let said = field.default_value.as_deref();
    let value = match kind {
        Kind::Message(_) | Kind::Group(_) => return Ok(None),
        Kind::Enum(name) => enum_default(pool, name, said),
        Kind::Scalar(scalar) => match said {
            None => return Ok(None),
            Some(text) => scalar_default(*scalar, text),
        },
    };
    let value = value.ok_or_else(|| {
        Error::new(format!(
            "{place} has a default that is no {kind}: {:?}",
            said.unwrap_or_default()
        ))
    })?;
    Ok(Some(value).filter(|it| !is_zero(kind, it)))
}

/// Enums without a default have their first value, whatever its number.
fn enum_default(pool: &Pool<'_>, name: &str, said: Option<&str>) -> Option<String> {
    let Some(Definition::Enum(found, _)) = pool.get(name) else {
        // What is not there is reported where the closure looks for it.
        return Some("0".to_owned());
    };
    let value = match said {
        None => found.value.first()?,
        Some(said) => found.value.iter().find(|it| it.name.as_deref() == Some(said))?,
    };
    Some(value.number.unwrap_or_default().to_string())
}

fn scalar_default(scalar: Scalar, text: &str) -> Option<String> {
    Some(match scalar {
        Scalar::Double => {
            let value: f64 = text.parse().ok()?;
            let value = if value.is_nan() { f64::NAN } else { value };
            format!("{:016x}", value.to_bits())
        }
        Scalar::Float => {
            let value: f32 = text.parse().ok()?;
            let value = if value.is_nan() { f32::NAN } else { value };
            format!("{:08x}", value.to_bits())
        }
        Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => text.parse::<i32>().ok()?.to_string(),
        Scalar::Int64 | Scalar::Sint64 | Scalar::Sfixed64 => text.parse::<i64>().ok()?.to_string(),
        Scalar::Uint32 | Scalar::Fixed32 => text.parse::<u32>().ok()?.to_string(),
        Scalar::Uint64 | Scalar::Fixed64 => text.parse::<u64>().ok()?.to_string(),
        Scalar::Bool => u8::from(text.parse::<bool>().ok()?).to_string(),
        Scalar::String | Scalar::UncheckedString => hex(text.as_bytes()),
        Scalar::Bytes => hex(&unescaped(text)?),
    })
}

/// Whether a default is what a reader has where nothing is said.
fn is_zero(kind: &Kind, value: &str) -> bool {
    match kind {
        Kind::Scalar(Scalar::Double | Scalar::Float) => value.bytes().all(|it| it == b'0'),
        Kind::Scalar(Scalar::String | Scalar::UncheckedString | Scalar::Bytes) => value.is_empty(),
        Kind::Scalar(_) | Kind::Enum(_) | Kind::Message(_) | Kind::Group(_) => value == "0",
    }
}

pub(in crate::protobuf) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |text, it| text + &format!("{it:02x}"))
}

/// Bytes that a descriptor holds in the escapes of C.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let (&escape, after) = after.split_first()?;
        let (byte, length) = match escape {
            b'a' => (7, 0),
            b'b' => (8, 0),
            b't' => (b'\t', 0),
            b'n' => (b'\n', 0),
            b'v' => (11, 0),
            b'f' => (12, 0),
            b'r' => (b'\r', 0),
            b'\\' | b'\'' | b'"' | b'?' => (escape, 0),
            b'x' | b'X' => digits(after, 16, 2)?,
            b'0'..=b'7' => {
                let (byte, length) =
                    digits(after.get(..after.len().min(2))?, 8, 2).unwrap_or_default();
                let first = u32::from(escape - b'0') << (3 * u32::try_from(length).ok()?);
                (u8::try_from(first + u32::from(byte)).ok()?, length)
            }
            _ => return None,
        };
        bytes.push(byte);
        rest = after.get(length..)?;
    }
    Some(bytes)
}

/// The number that up to so many digits say, and how many they are. None: not one.
fn digits(text: &[u8], radix: u32, most: usize) -> Option<(u8, usize)> {
    let values = text.iter().take(most).map_while(|it| char::from(*it).to_digit(radix));
    let values: Vec<u32> = values.collect();
    let value = values.iter().fold(0, |sum, it| sum * radix + it);
    (!values.is_empty()).then_some((u8::try_from(value).ok()?, values.len()))
}

#[cfg(test)]
mod tests;
