//! One call: its deadline, its trace, and its repetitions within the deadline.

use std::time::Duration;

use tokio::time::{self, Instant};
use tonic::{Request, Response, Status};

use leasehold_telemetry::TraceContext;
use tracing::{Instrument as _, Span};

use crate::{
    ClientOptions, Error,
    outage::{Outage, Repeat},
};

/// A unary call to be made.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    options: &'a ClientOptions,
    repeat: Repeat,
    timeout: Duration,
    span: Span,
}

impl<'a> Call<'a> {
    /// A call of `span`, whose trace travels with it.
    pub(crate) fn new(options: &'a ClientOptions, repeat: Repeat, span: Span) -> Self {
        Self { options, repeat, timeout: options.call_timeout, span }
    }

    /// Gives the call this much time in place of the client's own timeout.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the call until it is answered, refused for good, or out of time.
    pub(crate) async fn unary<Req, Res, Sent>(
        &self,
        message: Req,
        send: impl Fn(Request<Req>) -> Sent,
    ) -> Result<Res, Error>
    where
        Req: Clone,
        Sent: Future<Output = Result<Response<Res>, Status>>,
    {
        self.repeated(message, send).instrument(self.span.clone()).await
    }

    async fn repeated<Req, Res, Sent>(
        &self,
        message: Req,
        send: impl Fn(Request<Req>) -> Sent,
    ) -> Result<Res, Error>
    where
        Req: Clone,
        Sent: Future<Output = Result<Response<Res>, Status>>,
    {
        let start = Instant::now();
        let mut outage = Outage::new(self.options.retry, self.timeout).since(start);
        let mut previous = None;
        loop {
            let left = self.timeout.saturating_sub(start.elapsed());
            let error = match self.once(message.clone(), left, &send).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let now = Instant::now();
            let Some(wait) = outage.wait(&error, self.repeat, now, fastrand::u64(..)) else {
                let previous = previous.filter(|_| self.repeat == Repeat::Safe);
                return Err(more_telling(error, previous));
            };
            tracing::debug!(error = %error, wait_ms = wait.as_millis(), "call is repeated");
            previous = Some(error);
            time::sleep(wait).await;
        }
    }

    /// The call's span, for what is said about its answer.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Makes the call once.
    pub(crate) async fn unrepeated<Req, Res, Sent>(
        &self,
        message: Req,
        send: impl Fn(Request<Req>) -> Sent,
    ) -> Result<Res, Error>
    where
        Sent: Future<Output = Result<Response<Res>, Status>>,
    {
        self.once(message, self.timeout, &send).instrument(self.span.clone()).await
    }

    /// Makes the call once, with `left` of its time.
    async fn once<Req, Res, Sent>(
        &self,
        message: Req,
        left: Duration,
        send: &impl Fn(Request<Req>) -> Sent,
    ) -> Result<Res, Error>
    where
        Sent: Future<Output = Result<Response<Res>, Status>>,
    {
        let mut request = signed(message, self.options);
        request.set_timeout(left);
        match time::timeout(left, send(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Error::from_status(status, &self.options.address, self.timeout)),
            Err(_elapsed) => Err(Error::NoAnswer {
                address: self.options.address.clone(),
                timeout: self.timeout,
            }),
        }
    }
}

/// A last try that ran out of the call's time says less than what went wrong before it. Of a call that must not be carried out
/// twice it is what matters: nobody knows whether it was.
fn more_telling(error: Error, previous: Option<Error>) -> Error {
    match (error, previous) {
        (Error::NoAnswer { .. }, Some(previous)) => previous,
        (error, _) => error,
    }
}

/// A request that carries the trace of the current span, or a new one, and the client's name if it has one.
pub(crate) fn signed<T>(message: T, options: &ClientOptions) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(name) = Some(&options.client_name).filter(|name| !name.is_empty())
        // It was checked when the client was made.
        && let Ok(name) = name.parse()
    {
        request.metadata_mut().insert("leasehold-client", name);
    }
    let trace = TraceContext::current().unwrap_or_else(TraceContext::generate);
    trace.inject(request.metadata_mut());
    request
}

/// The span of a call to `method`, written `package.Service/Method`.
pub(crate) fn call_span(method: &'static str) -> Span {
    tracing::info_span!(
        "call",
        otel.name = method,
        otel.kind = "client",
        rpc.system.name = "grpc",
        rpc.method = method,
    )
}

/// The span of a submit to `queue`: its context is what the task carries on.
pub(crate) fn submit_span(queue: &str) -> Span {
    let queue = if queue.is_empty() { "default" } else { queue };
    tracing::info_span!(
        "submit",
        otel.name = format!("submit {queue}"),
        otel.kind = "producer",
        messaging.system = "leasehold",
        messaging.operation.name = "submit",
        messaging.operation.type = "send",
        messaging.destination.name = queue,
    )
}
