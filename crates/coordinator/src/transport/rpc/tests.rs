//! What holds for every call, around small services.

use std::{convert::Infallible, future::pending, time::Duration};

use futures_util::FutureExt as _;
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use super::{CALLS_MAX, RpcLayer};
use crate::{metrics::Metrics, transport::CallDeadline};

const GET: &str = "/leasehold.v1.TaskService/GetTask";

fn request(path: &str, timeout: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().uri(path);
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    request.body(Body::default()).unwrap()
}

async fn status<S>(service: S, request: Request<Body>) -> Status
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let response = service.oneshot(request).await.unwrap();
    Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
}

fn counted(metrics: &Metrics, line: &str) {
    let page = metrics.render().unwrap();
    assert!(page.contains(line), "{line:?} is missing in\n{page}");
}

#[tokio::test]
async fn a_panic_ends_one_call_only() {
    let metrics = Metrics::default();
    let service = RpcLayer::new(metrics.clone()).layer(service_fn(
        async |call: Request<Body>| -> Result<Response<Body>, Infallible> {
            panic!("slipped over {}", call.uri())
        },
    ));
    for _ in 0..2 {
        let status = status(service.clone(), request(GET, None)).await;
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("slipped"), "tells nothing of the inside");
    }
    counted(&metrics, "leasehold_panics_total 2");
    let call =
        "duration_seconds_count{method=\"leasehold.v1.TaskService/GetTask\",code=\"INTERNAL\"} 2";
    counted(&metrics, call);
}

#[tokio::test]
async fn a_deadline_is_handed_on_or_refused() {
    let service =
        RpcLayer::new(Metrics::default()).layer(service_fn(async |call: Request<Body>| {
            let deadline = call.extensions().get::<CallDeadline>();
            let said = deadline.map_or("none".to_owned(), |CallDeadline(left)| format!("{left:?}"));
            Ok::<_, Infallible>(Status::unknown(said).into_http())
        }));
    let cases = [
        (None, Code::Unknown, "none"),
        (Some("1500m"), Code::Unknown, "1.5s"),
        (Some("soon"), Code::InvalidArgument, "grpc-timeout: is malformed"),
    ];
    for (timeout, code, message) in cases {
        let status = status(service.clone(), request(GET, timeout)).await;
        assert_eq!(status.code(), code, "{timeout:?}");
        assert!(status.message().starts_with(message), "{}", status.message());
    }
}

#[tokio::test]
async fn calls_have_a_bound_and_waits_do_not_count() {
    let metrics = Metrics::default();
    let service = RpcLayer::new(metrics.clone())
        .layer(service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>()));
    let begin = |path: &str| {
        let mut call = Box::pin(service.clone().oneshot(request(path, None)));
        let answer = call.as_mut().now_or_never();
        (call, answer)
    };
    let mut open = Vec::new();
    for _ in 0..CALLS_MAX {
        let (call, answer) = begin(GET);
        assert!(answer.is_none());
        open.push(call);
    }
    let (_, refused) = begin(GET);
    let response = refused.unwrap().unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert!(status.get_details_retry_info().is_some());
    counted(&metrics, "leasehold_refusals_total{reason=\"OVERLOADED\"} 1");
    for path in ["/leasehold.v1.TaskService/AwaitTask", "/leasehold.v1.WorkerService/Connect"] {
        assert!(begin(path).1.is_none(), "{path} has bounds of its own");
    }
    open.pop();
    assert!(begin(GET).1.is_none(), "a place is free again");
}

#[tokio::test]
async fn a_call_that_does_not_get_on_gives_its_place_back() {
    let call_max = Duration::from_millis(20);
    let service = RpcLayer { call_max, ..RpcLayer::new(Metrics::default()) }
        .layer(service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>()));
    let stalled = (0..CALLS_MAX).map(|_| service.clone().oneshot(request(GET, None)));
    for response in futures_util::future::join_all(stalled).await {
        let status = Status::from_header_map(response.unwrap().headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
    let wait = service.oneshot(request("/leasehold.v1.TaskService/AwaitTask", None));
    let waited = tokio::time::timeout(call_max * 2, wait).await;
    assert!(waited.is_err(), "a wait has bounds of its own");
}

#[tokio::test]
async fn a_call_ends_with_the_deadline_of_its_caller_whatever_its_kind() {
    let metrics = Metrics::default();
    let service = RpcLayer::new(metrics.clone())
        .layer(service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>()));
    let kinds = [GET, "/leasehold.v1.TaskService/AwaitTask", "/leasehold.v1.WorkerService/Connect"];
    for path in kinds {
        let status = status(service.clone(), request(path, Some("20m"))).await;
        assert_eq!(status.code(), Code::Cancelled, "{path}");
        let method = path.trim_start_matches('/');
        counted(&metrics, &format!("method=\"{method}\",code=\"CANCELLED\"}} 1"));
    }
}

#[tokio::test]
async fn refusals_of_services_are_counted_by_reason() {
    let metrics = Metrics::default();
    let service = RpcLayer::new(metrics.clone()).layer(service_fn(async |_: Request<Body>| {
        let refusal = crate::refusal::Refusal::no_queue("q");
        Ok::<_, Infallible>(refusal.to_status().into_http())
    }));
    assert_eq!(status(service, request("/x/y", None)).await.code(), Code::NotFound);
    counted(&metrics, "leasehold_refusals_total{reason=\"QUEUE_NOT_FOUND\"} 1");
    counted(&metrics, "duration_seconds_count{method=\"_OTHER\",code=\"NOT_FOUND\"} 1");
}
