//! Trace context across a call.

use tonic::metadata::{MetadataMap, MetadataValue};

use crate::TraceContext;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

fn metadata(pairs: &[(&'static str, &'static str)]) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (name, value) in pairs {
        metadata.append(*name, MetadataValue::from_static(value));
    }
    metadata
}

#[track_caller]
fn check(pairs: &[(&'static str, &'static str)], expected: Option<(&str, &str)>) {
    let context = TraceContext::from_metadata(&metadata(pairs));
    let read = context.as_ref().map(|c| (c.traceparent(), c.tracestate()));
    let read = read.as_ref().map(|(parent, state)| (parent.as_str(), *state));
    assert_eq!(read, expected, "{pairs:?}");
}

#[test]
fn the_callers_context_is_read() {
    check(&[], None);
    check(&[("traceparent", PARENT)], Some((PARENT, "")));
    check(&[("traceparent", PARENT), ("tracestate", "a=1")], Some((PARENT, "a=1")));
    check(
        &[("tracestate", "a=1"), ("traceparent", PARENT), ("tracestate", "b=2")],
        Some((PARENT, "a=1,b=2")),
    );
}

#[test]
fn a_context_that_cannot_be_trusted_is_none() {
    check(&[("tracestate", "a=1")], None);
    check(&[("traceparent", "garbage")], None);
    check(&[("traceparent", PARENT), ("traceparent", OTHER)], None);
    check(&[("traceparent", PARENT), ("tracestate", "A=1")], Some((PARENT, "")));
}

#[test]
fn bytes_that_are_no_text_are_none() {
    let mut metadata = metadata(&[("traceparent", PARENT)]);
    let opaque = MetadataValue::try_from(b"a=\xff".as_slice()).expect("opaque bytes are allowed");
    metadata.append("tracestate", opaque.clone());
    let context = TraceContext::from_metadata(&metadata).expect("the parent is valid");
    assert_eq!(context.tracestate(), "");
    metadata.insert("traceparent", opaque);
    assert_eq!(TraceContext::from_metadata(&metadata), None);
}

#[test]
fn what_is_injected_is_what_is_read() {
    let context = TraceContext::parse(PARENT, "a=1").expect("valid");
    let mut metadata = metadata(&[
        ("traceparent", OTHER),
        ("traceparent", OTHER),
        ("tracestate", "b=2"),
        ("other", "stays"),
    ]);
    context.inject(&mut metadata);
    assert_eq!(TraceContext::from_metadata(&metadata), Some(context.clone()));
    assert_eq!(metadata.get("other").map(MetadataValue::as_bytes), Some(b"stays".as_slice()));

    let stateless = TraceContext::generate();
    stateless.inject(&mut metadata);
    assert_eq!(TraceContext::from_metadata(&metadata), Some(stateless));
    assert!(!metadata.contains_key("tracestate"), "the replaced context's state went with it");
}
