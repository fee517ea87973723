//! Spans and the contexts they stand for.

use std::io;

use tracing::subscriber::with_default;
use tracing::{Span, info_span, trace_span};

use super::{add_link, place, set_parent};
use crate::TraceContext;
use crate::export::Export;
use crate::settings::LogFormat;
use crate::telemetry::{Output, subscriber};

/// Runs `test` in a process that traces, logs nothing and exports nothing: with a tracer, and without.
fn traced(test: impl Fn()) {
    for sampler in [Some("parentbased_always_on"), None] {
        let output = Output {
            format: LogFormat::Text,
            timer: (),
            writer: io::sink,
            is_coloured: false,
            field: None,
        };
        let filter = "off".parse().expect("a filter");
        let export = Export::nowhere("test", |_| sampler.map(str::to_owned));
        assert_eq!(export.provider.is_some(), sampler.is_some());
        with_default(subscriber(export.provider.as_ref(), filter, output).0, &test);
    }
}

fn remote(traceparent: &str) -> TraceContext {
    TraceContext::parse(traceparent, "vendor=1").expect("valid")
}

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[test]
fn a_span_continues_the_trace_of_its_remote_parent() {
    traced(|| {
        for parent in [remote(SAMPLED), remote(UNSAMPLED)] {
            let span = info_span!("process");
            set_parent(&span, &parent);
            let context = TraceContext::of_span(&span).expect("the span is traced");
            assert_eq!(context.trace_id(), parent.trace_id());
            assert_ne!(context.span_id(), parent.span_id());
            assert_eq!(context.is_sampled(), parent.is_sampled());
            assert_eq!(context.tracestate(), "vendor=1");
        }
    });
}

#[test]
fn a_span_that_is_given_its_place_has_it_from_then_on() {
    traced(|| {
        for parent in [remote(SAMPLED), remote(UNSAMPLED)] {
            let span = info_span!("process");
            let placed = place(&span, &parent);
            assert_eq!(placed.trace_id(), parent.trace_id());
            assert_ne!(placed.span_id(), parent.span_id());
            assert_eq!(placed.is_sampled(), parent.is_sampled());
            assert_eq!(placed.tracestate(), "vendor=1");
            assert_eq!(TraceContext::of_span(&span).as_ref(), Some(&placed));
            // Somebody has seen it: another parent comes too late.
            assert_eq!(place(&span, &placed), placed);
            assert_eq!(span.in_scope(TraceContext::current), Some(placed));
        }
    });
}

#[test]
fn a_span_that_nothing_traces_is_placed_all_the_same() {
    let placed = place(&info_span!("untraced"), &remote(SAMPLED));
    assert_eq!(placed.trace_id(), remote(SAMPLED).trace_id());
    assert_ne!(placed.span_id(), remote(SAMPLED).span_id());
    traced(|| {
        // Below the traced level it belongs to the span around it.
        let span = trace_span!("ignored");
        assert_eq!(place(&span, &remote(SAMPLED)).trace_id(), remote(SAMPLED).trace_id());
    });
}

#[test]
fn a_span_without_a_parent_starts_a_trace_of_its_own() {
    traced(|| {
        let one = TraceContext::of_span(&info_span!("one")).expect("traced");
        let other = TraceContext::of_span(&info_span!("other")).expect("traced");
        assert_ne!(one.trace_id(), other.trace_id());
        assert!(one.is_sampled());
    });
}

#[test]
fn the_current_context_is_that_of_the_innermost_span() {
    traced(|| {
        assert_eq!(TraceContext::current(), None);
        let outer = info_span!("outer");
        set_parent(&outer, &remote(SAMPLED));
        let _outer = outer.enter();
        let outside = TraceContext::current().expect("traced");
        let inside = info_span!("inner").in_scope(|| TraceContext::current().expect("traced"));
        assert_eq!(outside, TraceContext::of_span(&outer).expect("traced"));
        assert_eq!(inside.trace_id(), outside.trace_id());
        assert_ne!(inside.span_id(), outside.span_id());
        // A span below the traced level is no span: its work belongs to the one around it.
        let ignored = trace_span!("ignored").in_scope(TraceContext::current);
        assert_eq!(ignored, Some(outside));
    });
}

#[test]
fn a_started_span_keeps_its_parent() {
    traced(|| {
        let span = info_span!("started");
        let before = TraceContext::of_span(&span);
        set_parent(&span, &remote(SAMPLED));
        assert_eq!(TraceContext::of_span(&span), before);
    });
}

#[test]
fn a_link_leaves_the_trace_alone() {
    traced(|| {
        let span = info_span!("attempt");
        add_link(&span, &remote(SAMPLED));
        let context = TraceContext::of_span(&span).expect("traced");
        assert_ne!(context.trace_id(), remote(SAMPLED).trace_id());
    });
}

#[test]
fn where_nothing_traces_there_is_no_context() {
    let span = info_span!("untraced");
    set_parent(&span, &remote(SAMPLED));
    add_link(&span, &remote(SAMPLED));
    assert_eq!(TraceContext::of_span(&span), None);
    assert_eq!(TraceContext::of_span(&Span::none()), None);
    assert_eq!(span.in_scope(TraceContext::current), None);
}

#[test]
fn code_that_knows_only_opentelemetry_is_understood() {
    use opentelemetry::trace::TraceContextExt as _;
    let context = opentelemetry::Context::new().with_remote_span_context((&remote(SAMPLED)).into());
    let _attached = context.attach();
    assert_eq!(TraceContext::current(), Some(remote(SAMPLED)));
}
