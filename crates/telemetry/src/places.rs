//! The place of each span in its trace, where no collector wants spans: found when somebody asks for it, and kept from then on.
//!
//! A span that nobody asks about costs nothing. Whoever continues its trace, in a call or a log line, finds what a tracer would
//! have given it.

use tracing::{Dispatch, Span, Subscriber};
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use tracing_subscriber::{Layer, Registry};

use crate::TraceContext;
use crate::lazy::Lazily;
use crate::telemetry::TRACED;

/// Says to a subscriber that its spans have their places here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places;

impl<S: Subscriber> Layer<S> for Places {}

/// What a span keeps.
enum Place {
    /// Nobody has asked for its own yet. This is its parent, in another process.
    Below(TraceContext),
    /// Somebody has.
    Own(TraceContext),
}

/// The place of a span; `None` where spans have none.
pub(crate) fn of_span(span: &Span) -> Option<TraceContext> {
    let found = span.with_subscriber(|(id, dispatch)| of(&registry(dispatch)?.span(id)?));
    found.flatten()
}

/// Puts a span below another one, unless somebody has seen its place. `None`: spans have no places here.
pub(crate) fn set_parent(span: &Span, parent: &TraceContext) -> Option<()> {
    let put = span.with_subscriber(|(id, dispatch)| {
        let span = registry(dispatch)?.span(id)?;
        let mut kept = span.extensions_mut();
        if !matches!(kept.get_mut(), Some(Place::Own(_))) {
            kept.replace(Place::Below(parent.clone()));
        }
        Some(())
    });
    put.flatten()
}

/// The same, and where that is: with one look at the span.
pub(crate) fn place(span: &Span, parent: &TraceContext) -> Option<TraceContext> {
    let placed = span.with_subscriber(|(id, dispatch)| {
        let span = registry(dispatch)?.span(id)?;
        // One that is not traced has no place of its own.
        if TRACED < *span.metadata().level() {
            return None;
        }
        let mut kept = span.extensions_mut();
        if let Some(Place::Own(own)) = kept.get_mut() {
            return Some(own.clone());
        }
        let own = parent.child();
        kept.replace(Place::Own(own.clone()));
        Some(own)
    });
    placed.flatten()
}

/// Gives a span this place, which it had before it began.
pub(crate) fn give(span: &Span, own: &TraceContext) {
    span.with_subscriber(|(id, dispatch)| {
        let span = registry(dispatch)?.span(id)?;
        span.extensions_mut().replace(Place::Own(own.clone()));
        Some(())
    });
}

/// Where spans are that have their places here.
fn registry(dispatch: &Dispatch) -> Option<&Registry> {
    let subscriber = dispatch.downcast_ref::<Lazily>()?;
    subscriber.part::<Places>()?;
    subscriber.part()
}

/// The place of a span, or of the one around it if it is below the traced level.
pub(crate) fn of<'a, R: LookupSpan<'a>>(span: &SpanRef<'a, R>) -> Option<TraceContext> {
    let span = span.scope().find(|span| *span.metadata().level() <= TRACED)?;
    // Locked until it is known, so that all who ask at once hear the same. A child is locked before its parent.
    let mut kept = span.extensions_mut();
    let parent = match kept.remove() {
        Some(Place::Own(own)) => {
            kept.insert(Place::Own(own.clone()));
            return Some(own);
        }
        Some(Place::Below(parent)) => Some(parent),
        None => span.parent().and_then(|parent| of(&parent)),
    };
    let own = parent.map_or_else(TraceContext::generate, |parent| parent.child());
    kept.insert(Place::Own(own.clone()));
    Some(own)
}
