//! Golden lines in both formats.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;
use tracing::{debug, error, field, info, info_span, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::export::Export;
use crate::settings::LogFormat;
use crate::telemetry::{Output, subscriber};
use crate::{TraceContext, set_parent};

/// Keeps what is written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Paper {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A clock that stands.
struct Noon;

impl FormatTime for Noon {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str("2026-11-23T12:00:00Z")
    }
}

/// What `scene` writes, with every line's constant start cut to `*`: the same with a tracer and without.
fn written(format: LogFormat, filter: &str, scene: impl Fn()) -> String {
    let [traced, untraced] = [Some("parentbased_always_on"), None].map(|sampler| {
        let paper = Paper::default();
        let output =
            Output { format, timer: Noon, writer: paper.clone(), is_coloured: false, field: None };
        drawn_by(sampler, &paper, output, filter, &scene)
    });
    assert_eq!(traced, untraced);
    traced
}

fn drawn(paper: &Paper, output: Output<Noon, Paper>, filter: &str, scene: impl Fn()) -> String {
    drawn_by(None, paper, output, filter, scene)
}

fn drawn_by(
    sampler: Option<&str>,
    paper: &Paper,
    output: Output<Noon, Paper>,
    filter: &str,
    scene: impl Fn(),
) -> String {
    let filter = filter.parse().expect("a filter");
    let export = Export::nowhere("test", |_| sampler.map(str::to_owned));
    with_default(subscriber(export.provider.as_ref(), filter, output).0, scene);
    let bytes = paper.0.lock().expect("nobody panics while writing").clone();
    let text = String::from_utf8(bytes).expect("lines are text");
    let json = "{\"timestamp\":\"2026-11-23T12:00:00Z\",";
    text.replace(json, "*").replace("2026-11-23T12:00:00Z ", "*")
}

#[track_caller]
fn check(scene: impl Fn(), text: &str, json: &str) {
    assert_eq!(written(LogFormat::Text, "info", &scene), text);
    assert_eq!(written(LogFormat::Json, "info", &scene), json);
    for line in json.lines() {
        let whole = line.replacen('*', "{", 1);
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&whole);
        assert!(parsed.is_ok_and(|v| v.is_object()), "{line}");
    }
}

#[test]
fn an_event_says_what_when_and_where() {
    check(
        || {
            info!(target: "t", port = 7171_u16, ready = true, share = 0.5, "listening");
            error!(target: "t", "broken");
        },
        "* INFO t: listening port=7171 ready=true share=0.5\n*ERROR t: broken\n",
        "*\"level\":\"INFO\",\"target\":\"t\",\"message\":\"listening\",\
         \"port\":7171,\"ready\":true,\"share\":0.5}\n\
         *\"level\":\"ERROR\",\"target\":\"t\",\"message\":\"broken\"}\n",
    );
}

/// The heart of it: a line about a task names the task and its trace, whoever set them.
#[test]
fn fields_of_spans_stand_beside_those_of_the_event() {
    check(
        || {
            let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let span = info_span!("process", otel.kind = "consumer", task_id = "t1", attempt = 2);
            set_parent(&span, &TraceContext::parse(parent, "").expect("valid"));
            let _process = span.enter();
            let _inner = info_span!("inner", attempt = 3, step = field::Empty).entered();
            warn!(target: "t", fencing_token = 9, "retrying");
        },
        "* WARN t: retrying fencing_token=9 attempt=3 task_id=t1 \
         trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n",
        "*\"level\":\"WARN\",\"target\":\"t\",\"message\":\"retrying\",\"fencing_token\":9,\
         \"attempt\":3,\"task_id\":\"t1\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}\n",
    );
}

#[test]
fn a_trace_named_by_a_field_is_the_one_that_counts() {
    check(
        || {
            let span = info_span!(parent: None, "s", trace_id = "outer", late = field::Empty);
            span.record("late", 1);
            info!(target: "t", parent: &span, "with a parent");
            info!(target: "t", trace_id = "own", "without a span");
        },
        "* INFO t: with a parent late=1 trace_id=outer\n* INFO t: without a span trace_id=own\n",
        "*\"level\":\"INFO\",\"target\":\"t\",\"message\":\"with a parent\",\"late\":1,\
         \"trace_id\":\"outer\"}\n\
         *\"level\":\"INFO\",\"target\":\"t\",\"message\":\"without a span\",\
         \"trace_id\":\"own\"}\n",
    );
}

#[test]
fn hostile_text_stays_inside_its_line_and_field() {
    check(
        || info!(target: "t", name = "a=\"b\"\n\u{1b}[2J\u{9b}31m", level = "mine", "x\r\ny\u{1b}"),
        "* INFO t: x\\r\\ny\\u{1b} name=\"a=\\\"b\\\"\\n\\u{1b}[2J\\u{9b}31m\" level_=mine\n",
        "*\"level\":\"INFO\",\"target\":\"t\",\"message\":\"x\\r\\ny\\u001b\",\
         \"name\":\"a=\\\"b\\\"\\n\\u001b[2J\\u009b31m\",\"level_\":\"mine\"}\n",
    );
}

#[test]
fn hostile_text_of_a_span_is_kept_as_it_was() {
    check(
        || {
            let name = "a=\"b\"\\\n\u{1b}[2J\u{9b}31m\u{7f}";
            let span = info_span!(parent: None, "s", name, n = -1, half = 0.5, none = f64::NAN);
            info!(target: "t", parent: &span, "x");
        },
        "* INFO t: x half=0.5 n=-1 name=\"a=\\\"b\\\"\\\\\\n\\u{1b}[2J\\u{9b}31m\\u{7f}\" none=null\n",
        "*\"level\":\"INFO\",\"target\":\"t\",\"message\":\"x\",\"half\":0.5,\"n\":-1,\
         \"name\":\"a=\\\"b\\\"\\\\\\n\\u001b[2J\\u009b31m\\u007f\",\"none\":null}\n",
    );
}

#[test]
fn an_error_names_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot append")]
    struct Append(#[source] io::Error);

    check(
        || {
            let error = Append(io::Error::other("disk full"));
            info!(target: "t", error = &error as &dyn std::error::Error, empty = "", "failed");
        },
        "* INFO t: failed error=\"cannot append: disk full\" empty=\"\"\n",
        "*\"level\":\"INFO\",\"target\":\"t\",\"message\":\"failed\",\
         \"error\":\"cannot append: disk full\",\"empty\":\"\"}\n",
    );
}

#[test]
fn a_filter_hides_events_but_never_the_span_that_names_the_task() {
    let scene = || {
        let _process =
            info_span!(parent: None, "process", trace_id = "x", task_id = "t1").entered();
        debug!(target: "t", "hidden");
        info!(target: "t", "hidden");
        warn!(target: "t", "shown");
    };
    let shown = written(LogFormat::Text, "warn", scene);
    assert_eq!(shown, "* WARN t: shown task_id=t1 trace_id=x\n");
    assert_eq!(written(LogFormat::Text, "off", scene), "");
    assert_eq!(written(LogFormat::Text, "debug", scene).lines().count(), 3);
}

#[test]
fn only_the_level_is_coloured() {
    let paper = Paper::default();
    let writer = paper.clone();
    let output =
        Output { format: LogFormat::Text, timer: Noon, writer, is_coloured: true, field: None };
    let shown = drawn(&paper, output, "info", || info!(target: "t", "\u{1b}[31mred"));
    assert_eq!(shown, "*\u{1b}[32m INFO\u{1b}[0m t: \\u{1b}[31mred\n");
}

#[test]
fn a_field_of_the_process_is_on_every_line() {
    for (format, expected) in [
        (LogFormat::Text, " INFO leasehold_telemetry::line::tests: up tasks=1 worker=p-1\n"),
        (LogFormat::Json, "\"tasks\":1,\"worker\":\"p-1\"}\n"),
    ] {
        let paper = Paper::default();
        let field = Some(("worker", "p-1".to_owned()));
        let output =
            Output { format, timer: Noon, writer: paper.clone(), is_coloured: false, field };
        let text = drawn(&paper, output, "info", || info!(tasks = 1, "up"));
        assert!(text.ends_with(expected), "{text}");
    }
}

#[test]
fn an_event_that_no_line_is_written_of_costs_no_look_at_its_fields() {
    let scene = || {
        let looked = std::cell::Cell::new(0);
        let look = || looked.replace(looked.get() + 1);
        for _ in 0..2 {
            info!(target: "t", look = look(), "hidden");
            let _process = info_span!(parent: None, "process", task_id = "t1").entered();
            info!(target: "t", look = look(), "hidden");
            debug!(target: "t", look = look(), "hidden");
        }
        assert_eq!(looked.get(), 0);
    };
    assert_eq!(written(LogFormat::Text, "warn", scene), "");
}
