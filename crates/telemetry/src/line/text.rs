//! A line for people: `time LEVEL target: message key=value`.
//!
//! Logged text cannot break out of its line: control characters, and with them line ends and
//! terminal escapes, are written as escapes.

use std::fmt;

use serde_json::Value;
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;

use super::Line;

pub(super) fn write(line: &Line<'_>, mut writer: Writer<'_>) -> fmt::Result {
    write!(writer, "{} ", line.time)?;
    write_level(line.level, &mut writer)?;
    write!(writer, " {}: ", line.target)?;
    for c in line.message.chars() {
        write_char(c, &mut writer)?;
    }
    for (name, value) in &line.fields {
        write!(writer, " {name}=")?;
        write_value(value, &mut writer)?;
    }
    writeln!(writer)
}

fn write_level(level: Level, writer: &mut Writer<'_>) -> fmt::Result {
    if !writer.has_ansi_escapes() {
        return write!(writer, "{:>5}", level.as_str());
    }
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    write!(writer, "\u{1b}[{colour}m{:>5}\u{1b}[0m", level.as_str())
}

fn write_char(c: char, writer: &mut Writer<'_>) -> fmt::Result {
    if c.is_control() { write!(writer, "{}", c.escape_debug()) } else { writer.write_char(c) }
}

/// A value that could be taken for something else is quoted.
fn write_value(value: &Value, writer: &mut Writer<'_>) -> fmt::Result {
    let Value::String(text) = value else { return write!(writer, "{value}") };
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '=');
    if !text.is_empty() && text.chars().all(is_plain) {
        writer.write_str(text)
    } else {
        write!(writer, "{text:?}")
    }
}
