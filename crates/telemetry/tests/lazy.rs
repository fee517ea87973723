//! Who looks at a span that waits finds it as if it had been there from the beginning.
//!
//! Spans wait only where the subscriber is that of the process: so the scene has a process of its own, and the audience reads what
//! that writes.

use std::{
    env,
    pin::pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use leasehold_telemetry::{LazySpan, LogFormat, Settings, TraceContext, Unseen, give_place, init};
use serde_json::Value;
use tracing::{Instrument as _, Span, debug, info, info_span, subscriber::with_default, warn};
use tracing_subscriber::Registry;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Set where the scene is played.
const ON_STAGE: &str = "LEASEHOLD_TEST_ON_STAGE";

/// A task's span, and how often it began.
struct Task {
    number: u64,
    place: TraceContext,
    begun: AtomicUsize,
}

impl Unseen for Task {
    fn begin(&self) -> Span {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let span = info_span!(parent: None, "process", task = self.number);
        give_place(&span, &self.place);
        span
    }
}

fn task(number: u64) -> (Arc<Task>, LazySpan) {
    let parent = TraceContext::parse(PARENT, "").unwrap_or_else(TraceContext::generate);
    let place = parent.child();
    let task = Arc::new(Task { number, place, begun: AtomicUsize::new(0) });
    (Arc::clone(&task), LazySpan::Unseen(task))
}

/// Whether the span of a task that does this has begun by then; never more than once.
#[track_caller]
fn begins(number: u64, work: impl Fn()) -> bool {
    let (task, mut span) = task(number);
    span.in_scope(&work);
    let begun = task.begun.load(Ordering::Relaxed);
    span.in_scope(|| {});
    assert_eq!(task.begun.load(Ordering::Relaxed), begun, "it begins only where somebody looks");
    span.in_scope(|| info!(again = true, "seen"));
    assert_eq!(task.begun.load(Ordering::Relaxed), 1, "it begins once");
    assert!(Span::current().is_none(), "it is left behind");
    0 < begun
}

/// The scene.
fn play() {
    let log_filter = Some("info".to_owned());
    let log_format = LogFormat::Json;
    let telemetry = init(&Settings { log_filter, log_format, ..Settings::new("scene") });
    assert!(telemetry.is_ok(), "it is the first here");
    assert!(LazySpan::can_wait());

    assert!(!begins(1, || {}));
    assert!(!begins(2, || debug!("hidden")));
    assert!(begins(3, || warn!("said")));
    assert!(begins(4, || info_span!("inner", step = 1).in_scope(|| info!("inside"))));
    assert!(begins(5, || assert!(!Span::current().is_none())));

    let (six, mut span) = task(6);
    assert_eq!(span.in_scope(TraceContext::current).as_ref(), Some(&six.place));

    // What goes elsewhere takes the span along.
    let (_, mut span) = task(7);
    let elsewhere = span.in_scope(|| async { info!("elsewhere") }.instrument(Span::current()));
    drop(span);
    let mut elsewhere = pin!(elsewhere);
    let polled = elsewhere.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready());

    // A span that was there before is entered inside it, not around it.
    let before = info_span!("before", before = true);
    assert!(begins(8, || {
        before.in_scope(|| info!("deeper"));
        info!("back");
    }));

    // Who works for another meanwhile says so of that alone, and then goes on with the own.
    let (outer, mut span) = task(9);
    span.in_scope(|| {
        let (inner, mut span) = task(10);
        span.in_scope(|| info!("of the inner"));
        assert_eq!(inner.begun.load(Ordering::Relaxed), 1);
        assert_eq!(outer.begun.load(Ordering::Relaxed), 0);
        info!("of the outer");
    });

    // A panic leaves it behind as well.
    let (_, mut span) = task(11);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        span.in_scope(|| {
            info!("before the panic");
            std::panic::resume_unwind(Box::new(()));
        });
    }));
    assert!(panicked.is_err() && Span::current().is_none());
    span.in_scope(|| info!("behind the panic"));

    // Where a scope has its own subscriber no span waits.
    with_default(Registry::default(), || {
        assert!(!LazySpan::can_wait());
        assert!(begins(12, || {}));
    });
    info!("of nobody");
    drop(telemetry);
}

#[test]
fn lines_inside_a_span_that_waited_name_its_task() {
    if env::var_os(ON_STAGE).is_some() {
        play();
        return;
    }
    let this = env::current_exe().expect("it runs");
    let mut scene = Command::new(this);
    scene.args(["--exact", "lines_inside_a_span_that_waited_name_its_task", "--nocapture"]);
    let output = scene.env(ON_STAGE, "1").output().expect("it runs again");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    let lines = errors.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line.get("again").is_none()).collect();
    let said: Vec<(&str, Option<u64>)> = lines
        .iter()
        .map(|line| {
            let message = line.get("message").and_then(Value::as_str).expect("a message");
            (message, line.get("task").and_then(Value::as_u64))
        })
        .collect();
    let expected = [
        ("said", Some(3)),
        ("inside", Some(4)),
        ("elsewhere", Some(7)),
        ("deeper", None),
        ("back", Some(8)),
        ("of the inner", Some(10)),
        ("of the outer", Some(9)),
        ("before the panic", Some(11)),
        ("behind the panic", Some(11)),
        ("of nobody", None),
    ];
    assert_eq!(said, expected, "{errors}");
    let of_a_trace = lines.iter().filter(|line| line.get("task").is_some());
    for line in of_a_trace {
        let trace_id = line.get("trace_id").and_then(Value::as_str);
        assert_eq!(trace_id, PARENT.split('-').nth(1), "{line}");
    }
}
