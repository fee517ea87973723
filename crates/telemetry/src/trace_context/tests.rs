//! What is a trace context, and what merely looks like one.

use super::TraceContext;

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What a `traceparent` is passed on as; `None` if it is refused.
#[track_caller]
fn check(traceparent: &str, expected: Option<&str>) {
    let parsed = TraceContext::parse(traceparent, "").map(|context| context.traceparent());
    assert_eq!(parsed.as_deref(), expected, "{traceparent:?}");
}

/// What a `tracestate` is passed on as.
#[track_caller]
fn check_state(tracestate: &str, expected: &str) {
    let parsed = TraceContext::parse(VALID, tracestate).expect("the parent is valid");
    assert_eq!(parsed.tracestate(), expected, "{tracestate:?}");
    assert_eq!(parsed.traceparent(), VALID, "a bad tracestate costs only itself");
}

#[test]
fn valid_parents_are_read() {
    for flags in ["00", "01", "02", "03"] {
        let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        check(&parent, Some(&parent));
    }
    let smallest = "00-00000000000000000000000000000001-0000000000000001-00";
    check(smallest, Some(smallest));
}

#[test]
fn flags_nobody_defined_are_cleared() {
    let parent = |flags: &str| VALID.replace("-01", &format!("-{flags}"));
    check(&parent("ff"), Some(&parent("03")));
    check(&parent("04"), Some(&parent("00")));
}

#[test]
fn later_versions_are_read_as_far_as_they_are_known() {
    let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    check(&format!("01-{ids}"), Some(VALID));
    check(&format!("fe-{ids}-what-the-future-will-be-like"), Some(VALID));
    check(&format!("cc-{ids}.what-the-future-will-not-be-like"), None);
    check(&format!("cc-{ids}0"), None);
}

#[test]
fn anything_else_is_no_context() {
    let refused = [
        "",
        "00",
        "00-",
        // Too short, too long, or something behind the end.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47366-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b77-01",
        // Ids of zeros, and the version that is none.
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // Upper case.
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
        "0A-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // Not hexadecimal, where a lenient parser would take a sign.
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // Other separators, and space around it.
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
        // A character of several bytes, across each boundary that is cut at.
        "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0é-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
    ];
    for traceparent in refused {
        check(traceparent, None);
    }
}

#[test]
fn valid_states_are_carried_as_they_are() {
    check_state("", "");
    check_state("rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7");
    check_state("rojo=1,congo=t61rcWkgMzE", "rojo=1,congo=t61rcWkgMzE");
    check_state("  a=1 ,\tb=2 ", "a=1 ,\tb=2");
    check_state("a=1,,b=2", "a=1,,b=2");
    check_state("fw529a3039@dt=FfAAAAAAA,0a-_*/=x y", "fw529a3039@dt=FfAAAAAAA,0a-_*/=x y");
    let longest = format!("a={},b={}", "x".repeat(253), "y".repeat(254));
    assert_eq!(longest.len(), 512);
    check_state(&longest, &longest);
}

#[test]
fn invalid_states_are_dropped() {
    let refused = [
        "a".to_owned(),
        "=1".to_owned(),
        "a=".to_owned(),
        "a=1=2".to_owned(),
        "a=1,a=2".to_owned(),
        "A=1".to_owned(),
        "_a=1".to_owned(),
        "a =1".to_owned(),
        "a=é".to_owned(),
        "a=\u{7f}".to_owned(),
        "a=1\nb=2".to_owned(),
        format!("{}=1", "k".repeat(257)),
        format!("a={}", "v".repeat(257)),
        format!("a={},b={},c=", "x".repeat(250), "y".repeat(250)),
        format!("a={},b={},c=1", "x".repeat(253), "y".repeat(253)),
        (0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(","),
    ];
    for tracestate in refused {
        check_state(&tracestate, "");
    }
}

#[test]
fn what_it_writes_it_reads_back() {
    for _ in 0..1_000 {
        let context = TraceContext::generate();
        let again = TraceContext::parse(&context.traceparent(), context.tracestate());
        assert_eq!(again.as_ref(), Some(&context));
        assert!(context.is_sampled());
        let traceparent = context.traceparent();
        let ids = format!("00-{}-{}-03", context.trace_id(), context.span_id());
        assert_eq!(traceparent, ids);
    }
}

#[test]
fn a_child_is_another_span_of_the_same_trace() {
    let parent = TraceContext::parse(VALID, "a=1").expect("valid");
    let child = parent.child();
    assert_eq!(child.trace_id(), parent.trace_id());
    assert_eq!(child.is_sampled(), parent.is_sampled());
    assert_eq!(child.tracestate(), "a=1");
    assert_ne!(child.span_id(), parent.span_id());
}
