//! Trace context of spans: reading it from a span and giving it to one.

use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr as _;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{TraceContext, places};

/// Makes `span` a child of `parent`, which may live in another process.
///
/// It must come before the span is entered and before [`TraceContext::of_span`]: a span whose id
/// somebody has seen keeps its parent.
pub fn set_parent(span: &Span, parent: &TraceContext) {
    if places::set_parent(span, parent).is_some() {
        return;
    }
    let context = opentelemetry::Context::new().with_remote_span_context(parent.into());
    // It fails where nothing traces (there is no parent to set then) and for a span that has
    // already started, which the caller is told not to pass.
    drop(span.set_parent(context));
}

/// The same, and says which place in the trace the span has: where nothing traces, the one that it would have.
pub fn place(span: &Span, parent: &TraceContext) -> TraceContext {
    places::place(span, parent).unwrap_or_else(|| {
        set_parent(span, parent);
        TraceContext::of_span(span).unwrap_or_else(|| parent.child())
    })
}

/// Gives `span` the place that was told of it before it began, where spans can wait for that.
pub fn give_place(span: &Span, own: &TraceContext) {
    places::give(span, own);
}

/// Links `span` to `other`: related work that did not cause it, or caused it long ago.
pub fn add_link(span: &Span, other: &TraceContext) {
    span.add_link(other.into());
}

impl TraceContext {
    /// The context of the span that is entered here, or of OpenTelemetry's own current context
    /// where code without `tracing` set that.
    pub fn current() -> Option<Self> {
        Self::of_span(&Span::current()).or_else(|| {
            Self::of_span_context(opentelemetry::Context::current().span().span_context())
        })
    }

    /// The context of `span`; `None` where nothing traces. Starts the span if it has not started.
    pub fn of_span(span: &Span) -> Option<Self> {
        places::of_span(span)
            .or_else(|| Self::of_span_context(span.context().span().span_context()))
    }

    fn of_span_context(context: &SpanContext) -> Option<Self> {
        Some(Self::from_parts(
            NonZeroU128::new(u128::from_be_bytes(context.trace_id().to_bytes()))?,
            NonZeroU64::new(u64::from_be_bytes(context.span_id().to_bytes()))?,
            context.trace_flags().to_u8(),
            &context.trace_state().header(),
        ))
    }
}

impl From<&TraceContext> for SpanContext {
    fn from(context: &TraceContext) -> Self {
        Self::new(
            TraceId::from(context.trace_id.get()),
            SpanId::from(context.span_id.get()),
            TraceFlags::new(context.flags),
            true,
            TraceState::from_str(context.tracestate()).unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests;
