//! A stream of submits: what has arrived is submitted together, and read on only when it is durable.
//!
//! That is the back-pressure: a client that sends faster than the disk fills its stream's window and waits.

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, stream};
use leasehold_proto::v1;
use leasehold_telemetry::{TraceContext, set_parent};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::{Instrument as _, Span};

use super::{intake::Intake, task::check_batch, turnstile::Client};
use crate::{handle::Unavailable, refusal::Refusal};

/// What is submitted together at most, unless a single message holds more: the journal writes about as much at once.
const GATHERED_TASKS_MAX: usize = 1_000;
const GATHERED_BYTES_MAX: usize = 1 << 20;

/// What a task takes beside its payload, roughly: to measure each exactly takes as long as to read it.
const TASK_BYTES: usize = 256;

/// One stream of submits.
pub(super) struct SubmitStream {
    pub(super) intake: Intake,
    pub(super) requests: Streaming<v1::StreamSubmitTasksRequest>,
    /// The caller's trace, if it named one.
    pub(super) caller: Option<TraceContext>,
    /// Who submits.
    pub(super) client: Client,
    pub(super) stopping: CancellationToken,
}

impl SubmitStream {
    /// The answers, in order.
    pub(super) fn answers(
        self,
    ) -> impl Stream<Item = Result<v1::StreamSubmitTasksResponse, Status>> {
        stream::unfold(Some(self), async |open| {
            let mut open = open?;
            match open.next().await {
                Ok(answer) => answer.map(|answer| (Ok(answer), Some(open))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// The next answer; none when the client has said everything.
    async fn next(&mut self) -> Result<Option<v1::StreamSubmitTasksResponse>, Status> {
        let Some(messages) = self.gather().await? else { return Ok(None) };
        // One span for what is submitted together: one over the stream would last as long as the client likes.
        let span = span();
        if let Some(caller) = &self.caller {
            set_parent(&span, caller);
        }
        let outcomes = self.submit(messages, &span).instrument(span.clone()).await?;
        Ok(Some(v1::StreamSubmitTasksResponse { outcomes }))
    }

    /// Waits for one message and takes those that are there too.
    async fn gather(&mut self) -> Result<Option<Vec<Vec<v1::SubmitTaskRequest>>>, Status> {
        let first = tokio::select! {
            message = self.requests.message() => message?,
            () = self.stopping.cancelled() => return Err(Unavailable::ShuttingDown.into()),
        };
        let Some(first) = first else { return Ok(None) };
        check_batch(first.requests.len())?;
        let (mut tasks, mut bytes) = (first.requests.len(), size(&first));
        let mut gathered = vec![first.requests];
        while tasks < GATHERED_TASKS_MAX && bytes < GATHERED_BYTES_MAX {
            // An error or the end comes again with the next call.
            let Some(Ok(Some(more))) = self.requests.message().now_or_never() else { break };
            check_batch(more.requests.len())?;
            tasks += more.requests.len();
            bytes += size(&more);
            gathered.push(more.requests);
        }
        Ok(Some(gathered))
    }

    async fn submit(
        &self,
        messages: Vec<Vec<v1::SubmitTaskRequest>>,
        span: &Span,
    ) -> Result<Vec<v1::SubmitOutcome>, Status> {
        let trace = TraceContext::of_span(span).or_else(|| self.caller.clone());
        let trace = trace.unwrap_or_else(TraceContext::generate);
        let count = messages.iter().map(Vec::len).sum();
        let outcomes = match self.intake.submit(messages, &trace, &self.client).await {
            Ok(outcomes) => outcomes,
            // Nobody knows what was accepted before the engine went away.
            Err(Unavailable::Stopped) => return Err(Unavailable::Stopped.into()),
            // Nothing was. The stream outlives a full disk.
            Err(refused) => vec![Err(Refusal::from(refused)); count],
        };
        Ok(self.intake.answer(outcomes))
    }
}

/// How large a message is, roughly.
fn size(message: &v1::StreamSubmitTasksRequest) -> usize {
    let payload = |it: &v1::SubmitTaskRequest| {
        let said = it.spec.as_ref().map(|spec| &spec.payload);
        said.or(it.alike_payload.as_ref()).map_or(0, Bytes::len)
    };
    message.requests.iter().map(|request| TASK_BYTES + payload(request)).sum()
}

fn span() -> Span {
    tracing::info_span!(
        "rpc",
        otel.name = "leasehold.v1.TaskService/StreamSubmitTasks",
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = "leasehold.v1.TaskService/StreamSubmitTasks",
    )
}
