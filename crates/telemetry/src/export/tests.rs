//! Spans as a collector sees them: a real OTLP service behind a real socket.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tracing::subscriber::with_default;
use tracing::{Subscriber, info_span};

use super::Export;
use crate::settings::LogFormat;
use crate::sink::Sink;
use crate::telemetry::{Output, Telemetry, subscriber};
use crate::{TraceContext, add_link, set_parent};

/// Requests a test may leave unread.
const REQUESTS_MAX: usize = 16;

/// How long a shutdown may take: its own bound and room for a busy machine.
const SHUTDOWN_MAX: Duration = Duration::from_secs(4);

struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.send(request.into_inner()).await.expect("the test is listening");
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector on a free port; it ends with the runtime.
async fn collector(
    tasks: &mut tokio::task::JoinSet<()>,
) -> (SocketAddr, mpsc::Receiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (requests, received) = mpsc::channel(REQUESTS_MAX);
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(requests)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tasks.spawn(async move { server.await.expect("the server runs") });
    (address, received)
}

fn process(endpoint: &str) -> (Telemetry, impl Subscriber + Send + Sync + use<>) {
    let export = Export::to(endpoint, "leasehold-test", |_| None).expect("the endpoint is valid");
    let output = Output {
        format: LogFormat::Text,
        timer: (),
        writer: io::sink,
        is_coloured: false,
        field: None,
    };
    let filter = "off".parse().expect("a filter");
    let (subscriber, refilter) = subscriber(export.provider.as_ref(), filter, output);
    let (_, lines) = Sink::start(1, io::sink(), |_| {});
    (Telemetry { export, lines, refilter }, subscriber)
}

fn spans(exported: &[ResourceSpans]) -> Vec<Span> {
    let scopes = exported.iter().flat_map(|resource| &resource.scope_spans);
    let mut spans: Vec<Span> = scopes.flat_map(|scope| scope.spans.clone()).collect();
    spans.sort_by_key(|span| span.start_time_unix_nano);
    spans
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_collector_gets_the_spans_with_their_ids_parents_and_links() {
    let mut tasks = tokio::task::JoinSet::new();
    let (address, mut received) = collector(&mut tasks).await;
    let (telemetry, subscriber) = process(&format!("http://{address}"));
    assert!(telemetry.is_exporting());

    let caller = TraceContext::generate();
    let earlier = TraceContext::generate();
    let (attempt, step) = with_default(subscriber, || {
        let span = info_span!(
            "process emails",
            otel.kind = "consumer",
            otel.status_code = "error",
            task_id = "t1"
        );
        set_parent(&span, &caller);
        add_link(&span, &earlier);
        let _entered = span.enter();
        let step = info_span!("step");
        (
            TraceContext::of_span(&span).expect("traced"),
            TraceContext::of_span(&step).expect("traced"),
        )
    });
    // It blocks this thread; the collector runs on another one.
    telemetry.shutdown();

    let request = received.try_recv().expect("one batch");
    let resource = request.resource_spans[0].resource.as_ref().expect("a resource");
    let service = resource.attributes.iter().find(|pair| pair.key == "service.name");
    assert!(format!("{service:?}").contains("leasehold-test"), "{service:?}");

    let exported = spans(&request.resource_spans);
    let [process, inner] = exported.as_slice() else { panic!("two spans, not {exported:?}") };
    assert_eq!(process.name, "process emails");
    assert_eq!(process.kind(), SpanKind::Consumer);
    assert_eq!(process.status.as_ref().expect("a status").code(), StatusCode::Error);
    assert_eq!(hex(&process.trace_id), caller.trace_id());
    assert_eq!(hex(&process.parent_span_id), caller.span_id());
    assert_eq!(hex(&process.span_id), attempt.span_id());
    assert_eq!(hex(&process.links[0].trace_id), earlier.trace_id());
    assert_eq!(hex(&process.links[0].span_id), earlier.span_id());
    assert!(process.attributes.iter().any(|pair| pair.key == "task_id"));
    assert_eq!(hex(&inner.trace_id), caller.trace_id());
    assert_eq!(hex(&inner.parent_span_id), attempt.span_id());
    assert_eq!(hex(&inner.span_id), step.span_id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_trace_its_caller_does_not_record_is_not_exported() {
    let mut tasks = tokio::task::JoinSet::new();
    let (address, mut received) = collector(&mut tasks).await;
    let (telemetry, subscriber) = process(&format!("http://{address}"));
    with_default(subscriber, || {
        let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let span = info_span!("unsampled");
        set_parent(&span, &TraceContext::parse(unsampled, "").expect("valid"));
        drop(span.entered());
        drop(info_span!("sampled").entered());
    });
    telemetry.shutdown();
    let request = received.try_recv().expect("one batch");
    let names: Vec<String> =
        spans(&request.resource_spans).into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["sampled"]);
}

/// Drops a span into an export to `endpoint` and ends the process: it must neither hang nor panic.
#[track_caller]
fn check_end(endpoint: &str) {
    let (telemetry, subscriber) = process(endpoint);
    with_default(subscriber, || {
        let span = info_span!("lost").entered();
        assert!(TraceContext::current().is_some(), "ids do not need a collector");
        drop(span);
    });
    let begun = Instant::now();
    telemetry.shutdown();
    assert!(begun.elapsed() < SHUTDOWN_MAX, "{endpoint}: {:?}", begun.elapsed());
}

#[test]
fn a_process_ends_in_time_although_nobody_listens() {
    // Bound and dropped: nobody listens on this port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    check_end(&format!("http://{address}"));
}

#[test]
fn a_process_ends_in_time_although_the_collector_is_silent() {
    // It accepts connections, through the backlog, and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    check_end(&format!("http://{}", listener.local_addr().expect("bound")));
}

#[tokio::test(flavor = "current_thread")]
async fn a_process_ends_in_time_inside_a_runtime_of_one_thread() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    check_end(&format!("http://{}", listener.local_addr().expect("bound")));
}

#[test]
fn an_endpoint_that_is_none_is_refused() {
    for endpoint in ["localhost:4317", "not a uri", "https://collector:4317"] {
        let error = Export::to(endpoint, "test", |_| None).err();
        assert!(matches!(error, Some(super::ExportError::Endpoint(_))), "{endpoint:?}: {error:?}");
    }
}
