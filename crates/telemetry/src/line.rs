//! One log line: an event, the fields of every span around it, and the trace they belong to.
//!
//! Both formats print the same flat list of fields, so that `trace_id` and `task_id` are found
//! under the same name whether the event or a span around it carries them.

mod fields;
mod json;
mod kept;
mod text;

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::Value;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use self::fields::Fields;
pub(crate) use self::kept::KeptFields;
use crate::LogFormat;
use crate::places::{self, Places};

const TRACE_ID: &str = "trace_id";

/// Writes events as lines; the spans around them keep their fields as text ([`KeptFields`]).
pub(crate) struct LineFormat<T> {
    pub(crate) format: LogFormat,
    pub(crate) timer: T,
    /// What every line says beside its own.
    pub(crate) field: Option<(&'static str, String)>,
    /// Whether spans have their places in traces by themselves, and not by a tracer.
    pub(crate) places: Option<Places>,
}

/// What a line says, in either format.
struct Line<'a> {
    time: String,
    level: Level,
    target: &'a str,
    message: String,
    /// The event's own fields, then those of its spans from the innermost outwards; names are
    /// unique.
    fields: Vec<(String, Value)>,
}

impl<S, T> FormatEvent<S, KeptFields> for LineFormat<T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    T: FormatTime,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, KeptFields>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        self.timer.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        add_span_fields(&mut fields, context, event);
        if self.places.is_none() {
            add_trace_id(&mut fields);
        } else if let Some(place) = context.lookup_current().and_then(|span| places::of(&span)) {
            fields.add(TRACE_ID, Value::from(place.trace_id()));
        }
        if let Some((name, value)) = &self.field {
            fields.add(name, Value::from(value.as_str()));
        }
        let (message, fields) = fields.into_parts();
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let line = Line { time, level, target, message, fields };
        match self.format {
            LogFormat::Text => text::write(&line, writer),
            LogFormat::Json => json::write(&line, writer),
        }
    }
}

fn add_span_fields<S>(
    fields: &mut Fields,
    context: &FmtContext<'_, S, KeptFields>,
    event: &Event<'_>,
) where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let parent = event.parent().and_then(|id| context.span(id));
    let innermost = parent.or_else(|| context.lookup_current());
    for span in innermost.into_iter().flat_map(|span| span.scope()) {
        if let Some(text) = span.extensions().get::<FormattedFields<KeptFields>>() {
            fields.add_kept(text);
        }
    }
}

/// A line inside a span names its trace even if no field does.
fn add_trace_id(fields: &mut Fields) {
    let context = opentelemetry::Context::current();
    let span = context.span();
    if span.span_context().is_valid() {
        fields.add(TRACE_ID, Value::from(span.span_context().trace_id().to_string()));
    }
}

#[cfg(test)]
mod tests;
