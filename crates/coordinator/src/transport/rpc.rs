//! What holds for every call: a span, a count, a deadline that makes sense, a bound, and no panic beyond it.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use http::{Request, Response};
use leasehold_telemetry::{TraceContext, set_parent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status, body::Body, metadata::MetadataMap};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use super::{
    deadline::CallDeadline,
    method::{self, Kind, Method},
};
use crate::{
    metrics::Metrics,
    refusal::{self, Reason, Refusal, Scope},
};

/// Calls that are worked on at once. Each may hold a message of 4 MiB; the engine answers thousands a second.
const CALLS_MAX: u32 = 1_024;

/// How long a call may be worked on, the arrival of its message included: a peer that does not send the rest of one
/// must not hold a place for good.
const CALL_MAX: Duration = Duration::from_secs(30);

/// Lays [`Rpc`] around a service.
#[derive(Clone, Debug)]
pub(super) struct RpcLayer {
    metrics: Metrics,
    room: Arc<Semaphore>,
    /// How long a call may take that neither waits nor streams.
    call_max: Duration,
}

impl RpcLayer {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, room: Arc::new(Semaphore::new(CALLS_MAX as usize)), call_max: CALL_MAX }
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = Rpc<S>;

    fn layer(&self, inner: S) -> Rpc<S> {
        Rpc { inner, layer: self.clone() }
    }
}

/// A service whose calls are watched over.
#[derive(Clone, Debug)]
pub(super) struct Rpc<S> {
    inner: S,
    layer: RpcLayer,
}

impl<S> Service<Request<Body>> for Rpc<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = method::of(request.uri().path());
        let span = span(method, &request);
        // The clone is the one that was not asked whether it is ready.
        let spare = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, spare);
        let layer = self.layer.clone();
        let call = async move { layer.answer(ready, method, request).await };
        Box::pin(call.instrument(span))
    }
}

impl RpcLayer {
    async fn answer<S>(
        self,
        mut inner: S,
        method: Method,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let began = Instant::now();
        let (_room, deadline) = match self.admit(method, &mut request) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let status = refusal.to_status();
                self.metrics.refused(refusal.name());
                self.finish(method, status.code(), began);
                return Ok(status.into_http());
            }
        };
        let call = AssertUnwindSafe(async { inner.call(request).await }).catch_unwind();
        let call = within(self.limit(method), call);
        let response = match within(deadline.map(|CallDeadline(left)| left), call).await {
            Some(Some(Ok(response))) => response?,
            Some(Some(Err(panic))) => self.panicked(method, panic.as_ref()).into_http(),
            Some(None) => self.late().into_http(),
            // The caller has given up by then: this is for whoever is in between.
            None => Status::cancelled("the deadline of the call is over").into_http(),
        };
        let status = Status::from_header_map(response.headers());
        let code = status.as_ref().map_or(Code::Ok, Status::code);
        if let Some(why) = status.and_then(|status| status.get_details_error_info()) {
            self.metrics.refused(Reason::of_name(&why.reason).unwrap_or_default().name());
        }
        self.finish(method, code, began);
        Ok(response)
    }

    /// A place for the call and how long its caller waits, if it may go on.
    fn admit(
        &self,
        method: Method,
        request: &mut Request<Body>,
    ) -> Result<(Option<OwnedSemaphorePermit>, Option<CallDeadline>), Refusal> {
        let deadline = CallDeadline::from_headers(request.headers())?;
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        // What waits or streams has bounds of its own.
        if method.kind != Kind::Unary {
            return Ok((None, deadline));
        }
        let room = Arc::clone(&self.room).try_acquire_owned();
        room.map(|room| (Some(room), deadline))
            .map_err(|_| Refusal::overloaded("calls", Scope::Coordinator, u64::from(CALLS_MAX)))
    }

    /// How long a call may take. What waits or streams has bounds of its own.
    fn limit(&self, method: Method) -> Option<Duration> {
        (method.kind == Kind::Unary).then_some(self.call_max)
    }

    /// Nobody knows how far the call has come.
    fn late(&self) -> Status {
        Status::deadline_exceeded(format!("the call was not complete within {:?}", self.call_max))
    }

    fn panicked(&self, method: Method, panic: &(dyn Any + Send)) -> Status {
        self.metrics.panicked();
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(method = method.name, panic = said.unwrap_or("?"), "a call panicked");
        refusal::internal("the coordinator has a defect: this call panicked")
    }

    /// Counts the answer and writes it into the span.
    fn finish(&self, method: Method, code: Code, began: Instant) {
        let name = code_name(code);
        self.metrics.answered(method.name, name, began.elapsed());
        let span = Span::current();
        span.record("rpc.status_code", name);
        if is_fault(code) {
            span.record("error.type", name);
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// What comes of it within the limit, if there is one.
async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// The span of a call, a child of the caller's. Streams get none: theirs would last for hours.
fn span(method: Method, request: &Request<Body>) -> Span {
    if method.kind == Kind::Stream {
        return Span::none();
    }
    let span = tracing::info_span!(
        "rpc",
        otel.name = method.name,
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system.name = "grpc",
        rpc.method = method.name,
        rpc.status_code = field::Empty,
        error.r#type = field::Empty,
    );
    let metadata = MetadataMap::from_headers(request.headers().clone());
    if let Some(caller) = TraceContext::from_metadata(&metadata) {
        set_parent(&span, &caller);
    }
    span
}

/// Whether an answer is this side's fault: a refusal that the caller earned is no error of the server.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests;
