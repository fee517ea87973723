//! A line for machines: one flat JSON object, the line's own keys first.

use std::fmt;

use serde_json::Value;
use tracing_subscriber::fmt::format::Writer;

use super::Line;

pub(super) fn write(line: &Line<'_>, mut writer: Writer<'_>) -> fmt::Result {
    let own = [
        ("timestamp", line.time.as_str()),
        ("level", line.level.as_str()),
        ("target", line.target),
        ("message", line.message.as_str()),
    ];
    for (index, (name, value)) in own.into_iter().enumerate() {
        writer.write_char(if index == 0 { '{' } else { ',' })?;
        write_member(name, &Value::from(value), &mut writer)?;
    }
    for (name, value) in &line.fields {
        writer.write_char(',')?;
        write_member(name, value, &mut writer)?;
    }
    writeln!(writer, "}}")
}

fn write_member(name: &str, value: &Value, writer: &mut Writer<'_>) -> fmt::Result {
    let member = format!("{}:{value}", Value::from(name));
    // JSON escapes the first 32 control characters by itself. The others can start a terminal
    // escape just as well, and they can stand only inside a string, where an escape may replace
    // them.
    for c in member.chars() {
        if c.is_control() {
            write!(writer, "\\u{:04x}", u32::from(c))?;
        } else {
            writer.write_char(c)?;
        }
    }
    Ok(())
}
