//! The fields of a span, kept as text until a line inside it wants them: most spans never meet one.
//!
//! The text is a JSON object for each time that fields were recorded. It is written as it comes, without a value in between:
//! a span begins with every task.

use std::fmt::{self, Write as _};

use serde_json::{Deserializer, Map, Value};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::fields::INSTRUCTIONS;

/// As many bytes as the fields of a task's span take, and some more.
const TEXT_BYTES: usize = 512;

/// Writes the fields of spans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptFields;

impl<'a> FormatFields<'a> for KeptFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        let mut members = Members { text: String::with_capacity(TEXT_BYTES), result: Ok(()) };
        fields.record(&mut members);
        let Members { mut text, result } = members;
        result?;
        if !text.is_empty() {
            text.push('}');
        }
        // All of it at once: the writer's own text grows to the very size.
        writer.write_str(&text)
    }
}

/// What was kept: of two values of a name the later one.
pub(super) fn read(text: &str) -> Map<String, Value> {
    let recorded = Deserializer::from_str(text).into_iter::<Map<String, Value>>();
    recorded.map_while(Result::ok).flatten().collect()
}

/// Writes an object member by member.
struct Members {
    text: String,
    result: fmt::Result,
}

impl Members {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut String) -> fmt::Result) {
        // Nobody reads those from here.
        if self.result.is_err() || field.name().starts_with(INSTRUCTIONS) {
            return;
        }
        self.text.push_str(if self.text.is_empty() { "{\"" } else { ",\"" });
        self.text.push_str(field.name());
        self.text.push_str("\":");
        self.result = value(&mut self.text);
    }

    fn string(&mut self, field: &Field, value: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        self.member(field, |text| {
            text.push('"');
            value(&mut Escaped(text))?;
            text.push('"');
            Ok(())
        });
    }
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.string(field, |text| write!(text, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, |text| text.write_str(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |text| write!(text, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |text| write!(text, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |text| write!(text, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |text| write!(text, "{}", Value::from(value)));
    }
}

/// The inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |c: u8| c != b'"' && c != b'\\' && !c.is_ascii_control();
        // To the end in any case: many bytes at once are faster than to stop at the first that is not.
        if text.bytes().fold(true, |so_far, c| so_far & is_plain(c)) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            if c.is_ascii() && !u8::try_from(c).is_ok_and(is_plain) {
                write!(self.0, "\\u{:04x}", u32::from(c))?;
            } else {
                self.0.push(c);
            }
        }
        Ok(())
    }
}
