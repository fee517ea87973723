//! Durations as people write them: `1.5s`, `200ms`, `5m`, `1h30m`. Exact, without floating point.

use std::time::Duration;

/// Units from the longest name to the shortest prefix, in nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];

/// Digits behind the point beyond which a number has no place in any unit.
const FRACTION_DIGITS_MAX: usize = 9;

/// Reads a duration.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = |why: &str| format!("{text:?} {why}; write it like 1.5s, 200ms, 5m, 1h30m or 24h");
    if text.starts_with('-') {
        return Err(wrong("is negative"));
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest).map_err(&wrong)?;
        nanos = nanos.checked_add(part).ok_or_else(|| wrong("is too long"))?;
        rest = after;
    }
    if text.is_empty() {
        return Err(wrong("is no duration"));
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| wrong("is too long"))?;
    let subsecond = u32::try_from(nanos % 1_000_000_000).unwrap_or_default();
    Ok(Duration::new(seconds, subsecond))
}

/// Reads one number with its unit, in nanoseconds, and gives back the rest.
fn parse_part(text: &str) -> Result<(u128, &str), &'static str> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, rest) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
    let (unit, rest) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
    if number.is_empty() {
        return Err("does not begin with a number");
    }
    if unit.is_empty() {
        return Err("has no unit");
    }
    let (_, unit_nanos) =
        UNITS.iter().find(|(name, _)| *name == unit).ok_or("has an unknown unit")?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err("is no number");
    }
    if fraction.len() > FRACTION_DIGITS_MAX {
        return Err("has too many digits behind the point");
    }
    let digits = |text: &str| -> Result<u128, &'static str> {
        if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| "is too long") }
    };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
    let whole = digits(whole)?.checked_mul(*unit_nanos).ok_or("is too long")?;
    let nanos = whole.checked_add(digits(fraction)? * unit_nanos / scale).ok_or("is too long")?;
    Ok((nanos, rest))
}

/// A duration for a glance: the two largest units that say something.
pub(crate) fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.is_zero() => "0s".to_owned(),
        0 if duration.as_millis() == 0 => format!("{}us", duration.as_micros()),
        0 => format!("{}ms", duration.as_millis()),
        1..10 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds / 60 % 60, "m"),
        _ => pair(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit}{small:02}{small_unit}"),
    }
}

#[cfg(test)]
mod tests;
