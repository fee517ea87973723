//! Every rule of a submit, one case each.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use leasehold_policy::Jitter;
use leasehold_proto::v1;
use leasehold_queue::{
    Admission, Exclusivity, Guarantee, LeaseTerms, SchemaPrint, Size, TaskId, TaskSpec,
};
use leasehold_telemetry::TraceContext;
use prost_types::{Duration as Span, Timestamp};

use super::{CallTrace, Rules, States, Templates, digest, templates};
use crate::{
    config::Config,
    handle::OpenState,
    queues::Queues,
    refusal::{Reason, Refusal},
};

const NOW_S: i64 = 1_800_000_000;
const YEAR_S: i64 = 31_536_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S.unsigned_abs())
}

fn call() -> TraceContext {
    TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "").unwrap()
}

/// A submit of a task type, as `change` makes it.
fn request(change: impl FnOnce(&mut v1::TaskSpec)) -> v1::SubmitTaskRequest {
    let mut spec = v1::TaskSpec { task_type: "resize".to_owned(), ..v1::TaskSpec::default() };
    change(&mut spec);
    v1::SubmitTaskRequest { spec: Some(spec.into()), ..v1::SubmitTaskRequest::default() }
}

fn parse(request: v1::SubmitTaskRequest) -> Result<TaskSpec, Refusal> {
    submit_to(&Rules::new(Arc::default(), Templates::default()), request)
}

/// The only request of its message.
fn submit_to(rules: &Rules, request: v1::SubmitTaskRequest) -> Result<TaskSpec, Refusal> {
    rules.message(now(), &CallTrace::new(&call())).task(request)
}

#[expect(clippy::unnecessary_wraps, reason = "every field it fills is optional")]
fn seconds(seconds: i64) -> Option<Span> {
    Some(Span { seconds, nanos: 0 })
}

fn timeouts(change: impl FnOnce(&mut v1::Timeouts)) -> v1::SubmitTaskRequest {
    let mut timeouts = v1::Timeouts::default();
    change(&mut timeouts);
    request(|spec| spec.timeouts = Some(timeouts))
}

fn retry(change: impl FnOnce(&mut v1::RetryPolicy)) -> v1::SubmitTaskRequest {
    let mut retry = v1::RetryPolicy::default();
    change(&mut retry);
    request(|spec| spec.retry = Some(retry))
}

fn key(key: &str) -> v1::SubmitTaskRequest {
    v1::SubmitTaskRequest { idempotency_key: key.to_owned(), ..request(|_| ()) }
}

fn label(name: &str, value: &str) -> v1::SubmitTaskRequest {
    let labels = [(name.to_owned(), value.to_owned())];
    request(|spec| spec.labels = labels.into())
}

fn resource(name: &str, amount: i64) -> v1::SubmitTaskRequest {
    request(|spec| spec.resources = [(name.to_owned(), amount)].into())
}

#[test]
fn what_is_left_out_has_its_default() {
    let spec = parse(request(|_| ())).unwrap();
    let defaults = Config::default().defaults;
    assert_eq!((&*spec.queue, &*spec.task_type), ("default", "resize"));
    assert_eq!((spec.priority, spec.initial_delay()), (5, Duration::ZERO));
    assert_eq!(spec.start_timeout, defaults.start_timeout);
    assert_eq!(spec.attempt_timeout, defaults.attempt_timeout);
    assert_eq!(spec.total_timeout, defaults.total_timeout.into());
    assert_eq!(spec.kill_grace, defaults.kill_grace);
    assert_eq!(spec.retry.max_attempts, 5);
    assert_eq!(spec.retry.backoff.initial, Duration::from_secs(1));
    assert_eq!(spec.retry.backoff.cap, Duration::from_mins(5));
    assert_eq!(spec.retry.backoff.jitter, Jitter::Full);
    assert_eq!(spec.terms, LeaseTerms::default());
    assert!(spec.key().is_none() && spec.labels().is_empty());
    assert_eq!(&*spec.trace.unwrap().parent, call().traceparent());
}

#[test]
fn what_is_said_is_taken() {
    let spec = parse(v1::SubmitTaskRequest {
        idempotency_key: "k".to_owned(),
        ..request(|spec| {
            spec.queue = "thumbs.eu-1_b".to_owned();
            spec.task_type = "image/resize".to_owned();
            spec.payload = "input".into();
            spec.content_type = "text/plain".to_owned();
            spec.priority = Some(0);
            spec.guarantee = v1::Guarantee::AtMostOnce.into();
            spec.timeouts = Some(v1::Timeouts {
                progress: seconds(1),
                queue: seconds(9),
                ..v1::Timeouts::default()
            });
            spec.exclusivity = v1::Exclusivity::BestEffort.into();
            spec.payload_schema = "0a".repeat(32);
            spec.initial_delay = Some(Span { seconds: 1, nanos: 500_000_000 });
            spec.labels = [("b", "2"), ("a", "1")].map(|(k, v)| (k.into(), v.into())).into();
            spec.fairness_key = "customer 7".to_owned();
            spec.worker_selector =
                [("z", ""), ("y", "1")].map(|(k, v)| (k.into(), v.into())).into();
            spec.slots = 10_000;
            spec.resources = [("gpu", 1), ("a", 1 << 53)].map(|(k, v)| (k.into(), v)).into();
            spec.retry = Some(v1::RetryPolicy {
                max_attempts: Some(1),
                initial: seconds(2),
                factor: Some(1.0),
                cap: seconds(3),
                jitter: v1::Jitter::None.into(),
            });
        })
    })
    .unwrap();
    assert_eq!((&*spec.queue, &*spec.task_type), ("thumbs.eu-1_b", "image/resize"));
    assert_eq!((&spec.payload, &*spec.content_type), (&"input".into(), "text/plain"));
    assert_eq!((spec.priority, spec.initial_delay()), (0, Duration::from_millis(1_500)));
    let (guarantee, exclusivity) = (Guarantee::AtMostOnce, Exclusivity::BestEffort);
    let (queue_timeout, progress_timeout) =
        (Some(Duration::from_secs(9)), Some(Duration::from_secs(1)));
    let terms = LeaseTerms { guarantee, exclusivity, queue_timeout, progress_timeout };
    assert_eq!(spec.terms, terms);
    assert_eq!(spec.shape.schema, Some(SchemaPrint([10; 32])));
    let labels: Vec<_> = spec.labels().iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(labels, [("a", "1"), ("b", "2")], "in the order of their keys");
    let selector = vec![("y".into(), "1".into()), ("z".into(), "".into())];
    assert_eq!((&*spec.fairness_key, &spec.shape.selector), ("customer 7", &selector));
    let resources = vec![("a".into(), 1 << 53), ("gpu".into(), 1)];
    assert_eq!(spec.shape.size, Size { slots: 10_000, resources });
    let backoff = spec.retry.backoff;
    assert_eq!((spec.retry.max_attempts, backoff.jitter), (1, Jitter::None));
    assert_eq!((backoff.initial.as_secs(), backoff.cap.as_secs()), (2, 3));
    let key = spec.key().unwrap();
    assert_eq!((&*key.name, key.digest), ("k", digest("image/resize", b"input")));
}

/// Who may have a task at the same time, if its queue says so and if it says otherwise itself.
#[test]
fn a_queue_says_what_its_tasks_do_not() {
    let text = "queues: { settings: { loose: { exclusivity: best-effort } } }";
    let config = Arc::new(Config::parse(text, Path::new("test.yaml")).unwrap());
    let check = |queue: &str, said: v1::Exclusivity, expected: Exclusivity| {
        let request = request(|spec| {
            spec.queue = queue.to_owned();
            spec.exclusivity = said.into();
        });
        let rules = Rules::new(Arc::clone(&config), Templates::default());
        let spec = submit_to(&rules, request).unwrap();
        assert_eq!(spec.terms.exclusivity, expected, "{queue} {said:?}");
    };
    check("loose", v1::Exclusivity::Unspecified, Exclusivity::BestEffort);
    check("loose", v1::Exclusivity::Strict, Exclusivity::Strict);
    check("", v1::Exclusivity::Unspecified, Exclusivity::Strict);
    check("", v1::Exclusivity::BestEffort, Exclusivity::BestEffort);
}

/// Whether it is reckoned how a task will fare.
#[test]
fn only_who_names_a_time_is_told_that_it_is_too_short() {
    let check = |said: v1::Admission, total: Option<Span>, deadline: bool, expected: Admission| {
        let request = request(|spec| {
            let later = Timestamp::from(now() + Duration::from_mins(1));
            let deadline = deadline.then_some(later);
            spec.timeouts = Some(v1::Timeouts { total, deadline, ..v1::Timeouts::default() });
            spec.admission = said.into();
        });
        let spec = parse(request).unwrap();
        assert_eq!(spec.admission, expected, "{said:?} {total:?} {deadline}");
    };
    let (unsaid, best, strict) =
        (v1::Admission::Unspecified, v1::Admission::BestEffort, v1::Admission::Strict);
    check(unsaid, None, false, Admission::Unasked);
    check(best, None, false, Admission::Unasked);
    check(unsaid, seconds(9), false, Admission::BestEffort);
    check(best, None, true, Admission::BestEffort);
    check(strict, None, false, Admission::Strict);
    check(strict, seconds(9), true, Admission::Strict);
}

/// Requests that break one rule, the field that is named and a part of what is said.
#[test]
fn broken_rules_are_named() {
    let long = "x".repeat(129);
    let cases: Vec<(v1::SubmitTaskRequest, &str, &str)> = vec![
        (v1::SubmitTaskRequest::default(), "spec.task_type", "is missing"),
        (request(|s| s.task_type.clear()), "spec.task_type", "is missing"),
        (request(|s| s.task_type.clone_from(&long)), "spec.task_type", "129 bytes: at most 128"),
        (request(|s| s.task_type = "a b".into()), "spec.task_type", "\"a b\" has characters"),
        (request(|s| s.queue.clone_from(&long)), "spec.queue", "129 bytes: at most 128"),
        (request(|s| s.queue = "a/b".into()), "spec.queue", "outside"),
        (request(|s| s.queue = "a\nb".into()), "spec.queue", "\"a\\nb\""),
        (request(|s| s.queue = "größe".into()), "spec.queue", "outside"),
        (request(|s| s.content_type = "a\0".into()), "spec.content_type", "control characters"),
        (request(|s| s.content_type.clone_from(&long)), "spec.content_type", "at most 128"),
        (request(|s| s.priority = Some(-1)), "spec.priority", "-1 is not 0"),
        (request(|s| s.priority = Some(10)), "spec.priority", "10 is not 0"),
        (request(|s| s.priority = Some(i32::MIN)), "spec.priority", "is not 0"),
        (request(|s| s.initial_delay = seconds(-1)), "spec.initial_delay", "negative"),
        (request(|s| s.initial_delay = seconds(YEAR_S + 1)), "spec.initial_delay", "one year"),
        (request(|s| s.initial_delay = seconds(i64::MAX)), "spec.initial_delay", "one year"),
        (timeouts(|t| t.start = seconds(0)), "spec.timeouts.start", "is zero"),
        (timeouts(|t| t.attempt = seconds(-5)), "spec.timeouts.attempt", "negative"),
        (
            timeouts(|t| t.attempt = Some(Span { seconds: 1, nanos: -1 })),
            "spec.timeouts.attempt",
            "no valid duration",
        ),
        (
            timeouts(|t| t.attempt = Some(Span { seconds: 0, nanos: i32::MAX })),
            "spec.timeouts.attempt",
            "no valid duration",
        ),
        (timeouts(|t| t.total = seconds(YEAR_S + 1)), "spec.timeouts.total", "one year"),
        (timeouts(|t| t.progress = seconds(0)), "spec.timeouts.progress", "is zero"),
        (
            timeouts(|t| t.progress = Some(Span { seconds: 0, nanos: 999_000_000 })),
            "spec.timeouts.progress",
            "0.999 s is less than 1 s",
        ),
        (timeouts(|t| t.queue = seconds(0)), "spec.timeouts.queue", "is zero"),
        (timeouts(|t| t.queue = seconds(YEAR_S + 1)), "spec.timeouts.queue", "one year"),
        (timeouts(|t| t.kill_grace = seconds(0)), "spec.timeouts.kill_grace", "is zero"),
        (
            timeouts(|t| t.deadline = Some(Timestamp { seconds: NOW_S - 2, nanos: 0 })),
            "spec.timeouts.deadline",
            "in the past by 2.000 s",
        ),
        (
            timeouts(|t| t.deadline = Some(Timestamp { seconds: NOW_S, nanos: 0 })),
            "spec.timeouts.deadline",
            "in the past",
        ),
        (
            timeouts(|t| t.deadline = Some(Timestamp { seconds: i64::MAX, nanos: 0 })),
            "spec.timeouts.deadline",
            "",
        ),
        (
            timeouts(|t| t.deadline = Some(Timestamp { seconds: NOW_S + YEAR_S + 1, nanos: 0 })),
            "spec.timeouts.deadline",
            "one year",
        ),
        (retry(|r| r.max_attempts = Some(0)), "spec.retry.max_attempts", "0 is not 1 to 1000"),
        (retry(|r| r.max_attempts = Some(1_001)), "spec.retry.max_attempts", "1001 is not"),
        (retry(|r| r.factor = Some(0.9)), "spec.retry.factor", "0.9 is not"),
        (retry(|r| r.factor = Some(f64::NAN)), "spec.retry.factor", "NaN is not"),
        (retry(|r| r.factor = Some(100.1)), "spec.retry.factor", "100.1 is not"),
        (retry(|r| r.cap = seconds(0)), "spec.retry.cap", "is zero"),
        (retry(|r| r.initial = seconds(301)), "spec.retry.initial", "more than spec.retry.cap"),
        (retry(|r| r.jitter = 3), "spec.retry.jitter", "3 is no known jitter"),
        (request(|s| s.guarantee = 3), "spec.guarantee", "3 is no known guarantee"),
        (request(|s| s.exclusivity = -1), "spec.exclusivity", "-1 is no known exclusivity"),
        (label("", "v"), "spec.labels[\"\"]", "empty key"),
        (
            label(&"k".repeat(64), "v"),
            "spec.labels[\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\"...]",
            "at most 63",
        ),
        (label("k", &"v".repeat(256)), "spec.labels[\"k\"]", "at most 255"),
        (label("k", "\u{7f}"), "spec.labels[\"k\"]", "control characters"),
        (request(|s| s.fairness_key = "f".repeat(129)), "spec.fairness_key", "at most 128"),
        (request(|s| s.fairness_key = "\n".into()), "spec.fairness_key", "control characters"),
        (
            request(|s| s.worker_selector = [(String::new(), "v".to_owned())].into()),
            "spec.worker_selector[\"\"]",
            "empty key",
        ),
        (
            request(|s| {
                s.worker_selector = (0..9).map(|n| (n.to_string(), String::new())).collect();
            }),
            "spec.worker_selector",
            "9 labels: at most 8",
        ),
        (
            request(|s| s.labels = (0..17).map(|n| (n.to_string(), String::new())).collect()),
            "spec.labels",
            "17 labels: at most 16",
        ),
        (request(|s| s.slots = -1), "spec.slots", "-1 is not 1 to 10000"),
        (request(|s| s.slots = 10_001), "spec.slots", "10001 is not 1 to 10000"),
        (resource("", 1), "spec.resources[\"\"]", "no name of a resource: 1 to 63 characters"),
        (resource("gpu", 0), "spec.resources[\"gpu\"]", "not 1 to 2^53 (9007199254740992)"),
        (resource("gpu", (1 << 53) + 1), "spec.resources[\"gpu\"]", "not 1 to 2^53"),
        (resource("g\n", 1), "spec.resources[\"g\\n\"]", "characters of A-Z a-z 0-9 . _ / -"),
        (resource("g=1,h", 1), "spec.resources[\"g=1,h\"]", "no name of a resource"),
        (
            resource(&"g".repeat(64), 1),
            "spec.resources[\"gggggggggggggggggggggggggggggggggggggggg\"...]",
            "1 to 63 characters",
        ),
        (
            request(|s| s.resources = (0..9).map(|n| (n.to_string(), 1)).collect()),
            "spec.resources",
            "9 resources: at most 8",
        ),
        (request(|s| s.payload_schema = "abc".into()), "spec.payload_schema", "64 lower-case"),
        (
            request(|s| s.payload_schema = "A".repeat(64)),
            "spec.payload_schema",
            "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"... is no fingerprint",
        ),
        (key(&"k".repeat(257)), "idempotency_key", "257 bytes: at most 256"),
        (key("a\tb"), "idempotency_key", "control characters"),
    ];
    for (request, field, part) in cases {
        let refusal = parse(request.clone()).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidField, "{request:?}");
        let [violation] = refusal.violations.as_slice() else { panic!("{request:?}: {refusal:?}") };
        assert_eq!(violation.field, field);
        assert!(violation.description.contains(part), "{field}: {}", violation.description);
    }
}

#[test]
fn limits_themselves_are_allowed() {
    let cases = [
        request(|s| s.task_type = "x".repeat(128)),
        request(|s| s.payload = vec![0; 1 << 20].into()),
        request(|s| s.initial_delay = seconds(YEAR_S)),
        request(|s| s.initial_delay = seconds(0)),
        timeouts(|t| t.total = seconds(YEAR_S)),
        timeouts(|t| t.start = Some(Span { seconds: 0, nanos: 1 })),
        retry(|r| r.max_attempts = Some(1_000)),
        retry(|r| r.factor = Some(100.0)),
        key(&"k".repeat(256)),
        label(&"k".repeat(63), &"v".repeat(255)),
    ];
    for request in cases {
        let said = parse(request).map(|_| ());
        assert_eq!(said, Ok(()));
    }
}

#[test]
fn a_payload_too_large_has_its_own_reason() {
    let refusal = parse(request(|spec| {
        spec.payload = vec![0; (1 << 20) + 1].into();
        spec.priority = Some(77);
    }))
    .unwrap_err();
    assert_eq!(refusal.reason, Reason::PayloadTooLarge);
    let fields: Vec<_> = refusal.violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["spec.payload", "spec.priority"]);
}

#[test]
fn all_violations_come_at_once() {
    let refusal = parse(v1::SubmitTaskRequest {
        spec: Some(
            v1::TaskSpec {
                queue: "?".to_owned(),
                priority: Some(10),
                timeouts: Some(v1::Timeouts { start: seconds(0), ..v1::Timeouts::default() }),
                retry: Some(v1::RetryPolicy {
                    max_attempts: Some(0),
                    ..v1::RetryPolicy::default()
                }),
                ..v1::TaskSpec::default()
            }
            .into(),
        ),
        idempotency_key: "\n".to_owned(),
        namespace: "a/b".to_owned(),
        ..v1::SubmitTaskRequest::default()
    })
    .unwrap_err();
    assert_eq!(refusal.violations.len(), 7, "{refusal:?}");
}

#[test]
fn the_earlier_of_total_and_deadline_wins() {
    let at = |seconds| Some(Timestamp { seconds: NOW_S + seconds, nanos: 0 });
    let cases = [
        (seconds(60), None, 60),
        (None, at(90), 90),
        (None, at(3 * 86_400), 3 * 86_400),
        (seconds(60), at(90), 60),
        (seconds(90), at(60), 60),
    ];
    for (total, deadline, expected_s) in cases {
        let request = timeouts(|t| (t.total, t.deadline) = (total, deadline));
        let spec = parse(request).unwrap();
        assert_eq!(spec.total_timeout, Duration::from_secs(expected_s).into());
    }
}

#[test]
fn a_low_cap_lowers_the_default_it_would_contradict() {
    let spec = parse(retry(|r| r.cap = Some(Span { seconds: 0, nanos: 1_000_000 }))).unwrap();
    assert_eq!(spec.retry.backoff.initial, Duration::from_millis(1));
}

#[test]
fn the_trace_is_the_tasks_own_or_the_calls() {
    let own = "00-11111111111111111111111111111111-2222222222222222-01";
    let same = "00-0af7651916cd43dd8448eb211c80319c-2222222222222222-01";
    let cases = [
        (None, call().traceparent()),
        (Some((own, "a=b")), own.to_owned()),
        (Some((same, "")), call().traceparent()),
        (Some(("garbage", "")), call().traceparent()),
        (Some(("", "")), call().traceparent()),
    ];
    for (context, expected) in cases {
        let trace_context = context.map(|(parent, state)| v1::TraceContext {
            traceparent: parent.to_owned(),
            tracestate: state.to_owned(),
        });
        let spec = parse(request(|spec| spec.trace_context = trace_context)).unwrap();
        assert_eq!(*spec.trace.unwrap().parent, *expected);
    }
}

#[test]
fn a_digest_separates_type_and_payload() {
    assert_eq!(digest("a", b"b"), digest("a", b"b"));
    assert_ne!(digest("a", b"b"), digest("ab", b""));
    assert_ne!(digest("a", b"b"), digest("a", b"c"));
    // The first half of SHA-256 of "a", zero, "b".
    let bytes = [0x61, 0x00, 0x62];
    let whole = <sha2::Sha256 as sha2::Digest>::digest(bytes);
    assert_eq!(digest("a", b"b")[..], whole[..16]);
}

#[test]
fn ids_pages_and_generations() {
    let id = TaskId::from_u128(0x0195_a1b2_c3d4_7000_8000_0000_0000_0001);
    assert_eq!(super::task_id("task_id", &id.to_string()), Ok(id));
    for wrong in ["", "7", "0195a1b2c3d470008000000000000001", &"x".repeat(10_000)] {
        let refusal = super::task_id("task_id", wrong).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidField);
        assert!(refusal.message.len() < 200, "a bad value is cut");
    }
    for (asked, expected) in [(0, Ok(100)), (1, Ok(1)), (1_000, Ok(1_000)), (1_001, Err(()))] {
        assert_eq!(super::page_size(asked).map_err(|_| ()), expected);
    }
    assert!(super::page_size(-1).is_err());
    assert_eq!(super::page_token(""), Ok(TaskId::from_u128(0)));
    assert_eq!(super::page_token(&super::next_page_token(Some(id))), Ok(id));
    assert_eq!(super::next_page_token(None), "");
    for wrong in ["x", "+0000000000000000000000000000001", &"0".repeat(33), &"A".repeat(32)] {
        assert!(super::page_token(wrong).is_err(), "{wrong}");
    }
    assert_eq!(super::generation("generation", 0), Ok(None));
    assert_eq!(super::generation("generation", 3), Ok(Some(3)));
    assert!(super::generation("generation", -1).is_err());
}

#[test]
fn queues_that_are_named() {
    for (queue, space, known) in
        [("q", "", "q"), ("q", "default", "q"), ("q", "team", "team/q"), ("a.b", "c.d", "c.d/a.b")]
    {
        assert_eq!(super::queue_name(queue, space).as_deref(), Ok(known));
        assert_eq!(super::queues(queue, space), Ok(Queues::One(known.into())));
    }
    assert_eq!(super::queues("", ""), Ok(Queues::Of("default".into())));
    assert_eq!(super::queues("", "team"), Ok(Queues::Of("team".into())));
    let long = "n".repeat(64);
    for (queue, space) in [("", "team"), ("a b", ""), ("a/b", ""), ("q", "a/b"), ("q", &long)] {
        assert!(super::queue_name(queue, space).is_err(), "{queue} of {space}");
    }
    assert!(super::queues("", "a b").is_err() && super::namespace(&long).is_err());
    assert!(super::task_type_filter("task_type", "a/b").is_ok());
}

#[test]
fn states_are_sorted_by_where_they_are() {
    use v1::TaskState::{Cancelled, Failed, Running, Succeeded};
    let read = |states: &[v1::TaskState]| {
        let numbers: Vec<i32> = states.iter().map(|state| i32::from(*state)).collect();
        States::read("states", &numbers).unwrap()
    };
    let places =
        |states: &States| (states.wants_open(), states.wants_finished(), states.wants_failed());
    assert_eq!(places(&read(&[])), (true, true, true));
    assert_eq!(places(&read(&[Running])), (true, false, false));
    assert_eq!(read(&[Running]).open, [OpenState::Running]);
    assert_eq!(places(&read(&[Failed])), (false, false, true));
    assert_eq!(places(&read(&[Succeeded])), (false, true, false));
    assert!(read(&[Succeeded]).class().is_some());
    assert!(read(&[Succeeded, Cancelled]).class().is_none());
    assert!(read(&[]).class().is_none());
    for wrong in [0, -1, 99] {
        assert!(States::read("states", &[wrong]).is_err());
    }
    assert!(States::read("states", &[1; 17]).is_err());
}

#[test]
fn what_tasks_have_in_common_is_read_once() {
    let config = Arc::new(Config::default());
    let rules = Rules::new(Arc::clone(&config), Templates::default());
    let said = |payload: &'static str, change: fn(&mut v1::TaskSpec)| {
        request(|spec| {
            spec.payload = payload.into();
            change(spec);
        })
    };
    let first = submit_to(&rules, said("1", |_| ())).unwrap();
    let is_shared = |rules: &Rules, request| {
        let fresh = parse(v1::SubmitTaskRequest::clone(&request)).unwrap();
        let task = submit_to(rules, request).unwrap();
        assert_eq!(task, fresh, "it is what it would have been alone");
        Arc::ptr_eq(&task.template, &first.template)
    };
    // What is a task's own.
    assert!(is_shared(&rules, said("2", |_| ())));
    assert!(is_shared(&rules, said("2", |spec| spec.initial_delay = seconds(1))));
    assert!(is_shared(&rules, said("2", |spec| spec.labels = [("a".into(), "b".into())].into())));
    let keyed = v1::SubmitTaskRequest { idempotency_key: "k".into(), ..said("2", |_| ()) };
    assert!(is_shared(&rules, keyed));
    // What is not.
    assert!(!is_shared(&rules, said("1", |spec| spec.priority = Some(4))));
    assert!(!is_shared(&rules, said("1", |spec| spec.queue = "other".into())));
    let timed = v1::Timeouts { total: seconds(9), ..v1::Timeouts::default() };
    assert!(!is_shared(&rules, timeouts(|it| *it = timed)));
    let elsewhere = v1::SubmitTaskRequest { namespace: "a".into(), ..said("1", |_| ()) };
    assert!(!is_shared(&rules, elsewhere));
    // It is still known behind the others, but not to another configuration.
    assert!(is_shared(&rules, said("3", |_| ())));
    let later = Rules { config: Arc::default(), ..rules.clone() };
    assert!(!is_shared(&later, said("3", |_| ())));
}

#[test]
fn what_breaks_a_rule_is_not_remembered_and_what_is_known_is_still_checked() {
    let rules = Rules::new(Arc::default(), Templates::default());
    let submit = |request| submit_to(&rules, request);
    for _ in 0..2 {
        submit(request(|spec| spec.slots = -1)).unwrap_err();
    }
    submit(request(|_| ())).unwrap();
    submit(request(|spec| spec.initial_delay = seconds(-1))).unwrap_err();
    submit(key(&"k".repeat(257))).unwrap_err();
    let deadline = Some(Timestamp { seconds: NOW_S - 1, nanos: 0 });
    submit(timeouts(|it| it.deadline = deadline)).unwrap_err();
}

#[test]
fn the_oldest_of_many_templates_is_forgotten() {
    let rules = Rules::new(Arc::default(), Templates::default());
    let submit = |at: usize| {
        let request = request(|spec| spec.queue = format!("q{at}"));
        submit_to(&rules, request).unwrap().template
    };
    let first = submit(0);
    for at in 1..templates::KNOWN_MAX {
        submit(at);
    }
    assert!(Arc::ptr_eq(&first, &submit(0)));
    // It is the newest now: as many others and it is gone.
    for at in 1..=templates::KNOWN_MAX {
        submit(100 + at);
    }
    assert!(!Arc::ptr_eq(&first, &submit(0)));
}

/// A request that says only its payload and its key.
fn alike(payload: &'static str, key: &str) -> v1::SubmitTaskRequest {
    v1::SubmitTaskRequest {
        alike_payload: Some(payload.into()),
        idempotency_key: key.to_owned(),
        ..v1::SubmitTaskRequest::default()
    }
}

#[test]
fn a_request_that_is_like_the_one_before_it_is_read_as_if_it_said_the_same() {
    let said = |payload: &'static str, key: &str| v1::SubmitTaskRequest {
        namespace: "team".to_owned(),
        idempotency_key: key.to_owned(),
        ..request(|spec| {
            spec.queue = "files".to_owned();
            spec.payload = payload.into();
            spec.initial_delay = seconds(3);
            spec.labels = [("a".into(), "b".into())].into();
            let total = seconds(60);
            spec.timeouts = Some(v1::Timeouts { total, ..v1::Timeouts::default() });
        })
    };
    let (rules, call) = (Rules::new(Arc::default(), Templates::default()), call());
    let trace = CallTrace::new(&call);
    let mut message = rules.message(now(), &trace);
    let first = message.task(said("1", "first")).unwrap();
    for (payload, key) in [("2", ""), ("", "k"), ("3", "l")] {
        let task = message.task(alike(payload, key)).unwrap();
        assert_eq!(task, parse(said(payload, key)).unwrap(), "{payload} {key}");
        assert!(Arc::ptr_eq(&task.template, &first.template));
    }
    let other = message.task(request(|spec| spec.queue = "other".to_owned())).unwrap();
    assert_eq!(message.task(alike("", "")).unwrap(), other, "it is like the last one");
}

/// Whoever gives a task another field says here what it is alike in, too: each is said alone, and all of them together.
#[test]
fn a_request_is_like_the_one_before_it_in_every_field_that_a_task_has() {
    let text = "rates: { mail: 10/s burst 20 }\nbreakers: { dependencies: { bank: {} } }";
    let config = Arc::new(Config::parse(text, Path::new("test.yaml")).unwrap());
    let whole = v1::TaskSpec {
        queue: "files".to_owned(),
        task_type: "resize".to_owned(),
        payload: "first".into(),
        content_type: "text/plain".to_owned(),
        priority: Some(3),
        initial_delay: seconds(3),
        timeouts: Some(v1::Timeouts {
            start: seconds(2),
            attempt: seconds(40),
            total: seconds(600),
            deadline: Some(Timestamp { seconds: NOW_S + 500, nanos: 0 }),
            kill_grace: seconds(4),
            progress: seconds(5),
            queue: seconds(6),
        }),
        retry: Some(v1::RetryPolicy {
            max_attempts: Some(2),
            initial: seconds(2),
            factor: Some(3.0),
            cap: seconds(7),
            jitter: v1::Jitter::None.into(),
        }),
        labels: [("a".into(), "b".into())].into(),
        trace_context: Some(v1::TraceContext {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            tracestate: "a=b".to_owned(),
        }),
        guarantee: v1::Guarantee::AtMostOnce.into(),
        exclusivity: v1::Exclusivity::BestEffort.into(),
        fairness_key: "ann".to_owned(),
        worker_selector: [("zone".into(), "eu".into())].into(),
        payload_schema: "0a".repeat(32),
        slots: 2,
        resources: [("gpu".into(), 1)].into(),
        concurrency_keys: vec!["ann".to_owned()],
        admission: v1::Admission::Strict.into(),
        rate_charges: vec![v1::RateCharge { key: "mail".to_owned(), tokens: Some(2) }],
        dependencies: vec!["bank".to_owned()],
        fail_fast: true,
    };
    let kept: [fn(&mut v1::TaskSpec, &v1::TaskSpec); 21] = [
        |spec, all| spec.queue.clone_from(&all.queue),
        |spec, all| spec.content_type.clone_from(&all.content_type),
        |spec, all| spec.priority = all.priority,
        |spec, all| spec.initial_delay = all.initial_delay,
        |spec, all| spec.timeouts = all.timeouts,
        |spec, all| spec.retry = all.retry,
        |spec, all| spec.labels.clone_from(&all.labels),
        |spec, all| spec.trace_context.clone_from(&all.trace_context),
        |spec, all| spec.guarantee = all.guarantee,
        |spec, all| spec.exclusivity = all.exclusivity,
        |spec, all| spec.fairness_key.clone_from(&all.fairness_key),
        |spec, all| spec.worker_selector.clone_from(&all.worker_selector),
        |spec, all| spec.payload_schema.clone_from(&all.payload_schema),
        |spec, all| spec.slots = all.slots,
        |spec, all| spec.resources.clone_from(&all.resources),
        |spec, all| spec.concurrency_keys.clone_from(&all.concurrency_keys),
        |spec, all| spec.admission = all.admission,
        |spec, all| spec.rate_charges.clone_from(&all.rate_charges),
        |spec, all| {
            spec.dependencies.clone_from(&all.dependencies);
            spec.fail_fast = all.fail_fast;
        },
        |spec, _| spec.task_type = "other".to_owned(),
        |spec, all| spec.clone_from(all),
    ];
    let call = call();
    let trace = CallTrace::new(&call);
    let plain = |name: &str| v1::SubmitTaskRequest {
        idempotency_key: name.to_owned(),
        ..request(|spec| spec.payload = "own".into())
    };
    let mut seen = ["l", ""].map(|name| parse(plain(name)).unwrap()).to_vec();
    for (at, keep) in kept.into_iter().enumerate() {
        let rules = Rules::new(Arc::clone(&config), Templates::default());
        let request = |payload: &'static str, name: &str| v1::SubmitTaskRequest {
            idempotency_key: name.to_owned(),
            ..request(|spec| {
                keep(spec, &whole);
                spec.payload = payload.into();
            })
        };
        let mut message = rules.message(now(), &trace);
        message.task(request("first", "k")).unwrap();
        for (payload, name) in [("own", "l"), ("own", "")] {
            let task = message.task(alike(payload, name)).unwrap();
            let full = submit_to(&rules, request(payload, name)).unwrap();
            assert_eq!(task, full, "field {at}");
            assert!(!seen.contains(&task), "field {at} is read");
            seen.push(task);
        }
    }
}

#[test]
fn a_request_that_is_like_the_one_before_it_breaks_the_same_rules_and_its_own() {
    let (rules, call) = (Rules::new(Arc::default(), Templates::default()), call());
    let trace = CallTrace::new(&call);
    let fields = |refused: Result<TaskSpec, Refusal>| -> Vec<String> {
        refused.unwrap_err().violations.into_iter().map(|it| it.field).collect()
    };
    let first = |request| fields(rules.message(now(), &trace).task(request));
    assert_eq!(first(alike("1", "")), ["alike_payload"], "there is none before it");

    let mut message = rules.message(now(), &trace);
    let wrong = request(|spec| spec.priority = Some(10));
    assert_eq!(fields(message.task(wrong)), ["spec.priority"]);
    assert_eq!(fields(message.task(alike("1", ""))), ["spec.priority"]);
    assert_eq!(fields(message.task(alike("1", "\n"))), ["spec.priority", "idempotency_key"]);

    // Only its own payload and key were wrong: what is like it is not.
    message.task(key("\n")).unwrap_err();
    message.task(alike("1", "k")).unwrap();
    assert_eq!(fields(message.task(alike("1", "\n"))), ["idempotency_key"]);

    // Nor is it too large because the one before it was, and no less too large itself.
    let large = || "x".repeat((1 << 20) + 1);
    let beyond = |refused: Result<TaskSpec, Refusal>| {
        let refusal = refused.unwrap_err();
        assert_eq!(refusal.reason, Reason::PayloadTooLarge);
        assert_eq!(refusal.violations.len(), 1, "{refusal:?}");
    };
    beyond(message.task(request(|spec| spec.payload = large().into())));
    message.task(alike("1", "")).unwrap();
    let alike_and_large =
        v1::SubmitTaskRequest { alike_payload: Some(large().into()), ..alike("", "") };
    beyond(message.task(alike_and_large));
    message.task(alike("1", "")).unwrap();

    for both in [
        v1::SubmitTaskRequest { alike_payload: Some("1".into()), ..request(|_| ()) },
        v1::SubmitTaskRequest { namespace: "team".to_owned(), ..alike("1", "") },
    ] {
        message.task(request(|_| ())).unwrap();
        assert_eq!(fields(message.task(both)), ["alike_payload"]);
        assert_eq!(fields(message.task(alike("1", ""))), ["alike_payload"], "like what?");
    }
}
