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

/// Writes the fields of spans.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptFields;

impl<'a> FormatFields<'a> for KeptFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'a>, fields: R) -> fmt::Result {
        let mut members = Members { writer, count: 0, result: Ok(()) };
        fields.record(&mut members);
        let Members { mut writer, count, result } = members;
        result?;
        if count == 0 { Ok(()) } else { writer.write_char('}') }
    }
}

/// What was kept: of two values of a name the later one.
pub(super) fn read(text: &str) -> Map<String, Value> {
    let recorded = Deserializer::from_str(text).into_iter::<Map<String, Value>>();
    recorded.map_while(Result::ok).flatten().collect()
}

/// Writes an object member by member.
struct Members<'a> {
    writer: Writer<'a>,
    count: usize,
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        // Nobody reads those from here.
        if self.result.is_err() || field.name().starts_with(INSTRUCTIONS) {
            return;
        }
        let begin = if self.count == 0 { '{' } else { ',' };
        self.count += 1;
        self.result = write!(self.writer, "{begin}\"{}\":", field.name())
            .and_then(|()| value(&mut self.writer));
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |writer| {
            writer.write_char('"')?;
            write!(Escaped(writer), "{value:?}")?;
            writer.write_char('"')
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |writer| write!(writer, "{}", Value::from(value)));
    }
}

/// The inside of a JSON string.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |c: char| c != '"' && c != '\\' && !c.is_ascii_control();
        for piece in text.split_inclusive(|c| !is_plain(c)) {
            match piece.chars().next_back() {
                Some(last) if !is_plain(last) => {
                    self.0.write_str(piece.strip_suffix(last).unwrap_or_default())?;
                    write!(self.0, "\\u{:04x}", u32::from(last))?;
                }
                Some(_) | None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}
