//! A stream of submits: many tasks on one call, a window of them unanswered at a time.
//!
//! Nothing runs in the background: the stream moves while somebody asks it for the next answer.

use std::{future, pin::Pin, task::Poll, time::Duration};

use leasehold_proto::{
    ALIKE, FEATURES_METADATA,
    v1::{StreamSubmitTasksRequest, StreamSubmitTasksResponse},
};
use prost::Message as _;
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Status, Streaming};

use super::{
    Receipt, keyed, read_outcome,
    window::{Window, Wording},
};
use crate::{
    Client, Error, TaskSpec,
    call::signed,
    outage::{Outage, Repeat},
    spec::Likeness,
};

/// How many messages wait for the connection: enough to keep it busy while the next are gathered.
const OUTBOUND_BOUND: usize = 4;

/// The most tasks the coordinator takes in one message.
const BATCH_TASKS_MAX: usize = 1_000;

/// What a message adds to the only task in it: a tag, and a length of up to five bytes.
const ENVELOPE_BYTES: usize = 6;

/// How much longer than for its first task a stream pauses for those that are refused behind it.
const GATHERED_WAIT_MAX: Duration = Duration::from_secs(1);

/// How long the end of a call is waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a [`SubmitStream`] paces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// How many tasks may be unanswered at a time, as long as they take no more than 16 MiB. Default 16,384.
    pub window_tasks: usize,
    /// How many tasks one message holds at most: 1 to 1,000. Default 1,000.
    pub batch_tasks: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { window_tasks: 16_384, batch_tasks: 1_000 }
    }
}

/// The answers to a stream of tasks: exactly one for each task taken from the input, in its order.
///
/// The call is opened with the first task. After a break, tasks that have an idempotency key are sent again on a new call. Refusals that name
/// a time to try again make the stream pause and try again, for as long as something is accepted
/// within [`ClientOptions::outage_max`](crate::ClientOptions::outage_max). When the stream
/// must give up, every task without an answer gets the error, and nothing more is taken from the input.
#[derive(Debug)]
pub struct SubmitStream<S> {
    client: Client,
    /// `None`: exhausted, or given up.
    input: Option<S>,
    likeness: Likeness,
    window: Window,
    call: Option<OpenCall>,
    outage: Outage,
    /// Nothing is sent before this time.
    resume_at: Option<Instant>,
}

/// The call the tasks go out and the answers come in on.
#[derive(Debug)]
struct OpenCall {
    requests: mpsc::Sender<StreamSubmitTasksRequest>,
    responses: Streaming<StreamSubmitTasksResponse>,
    wording: Wording,
}

/// What happened next.
enum Event {
    Answered(Result<Option<StreamSubmitTasksResponse>, Status>),
    Input(TaskSpec),
    InputEnded,
    Sent,
    Resumed,
    Silence,
}

impl Client {
    /// Submits tasks as they come; see [`SubmitStream`].
    pub fn submit_stream<S>(&self, input: S, options: StreamOptions) -> SubmitStream<S>
    where
        S: Stream<Item = TaskSpec> + Unpin,
    {
        let batch_tasks = options.batch_tasks.clamp(1, BATCH_TASKS_MAX);
        SubmitStream {
            client: self.clone(),
            input: Some(input),
            likeness: Likeness::default(),
            window: Window::new(options.window_tasks.max(1), batch_tasks),
            call: None,
            outage: self.outage(),
            resume_at: None,
        }
    }
}

impl<S> SubmitStream<S>
where
    S: Stream<Item = TaskSpec> + Unpin,
{
    /// The answer to the next task; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Receipt, Error>> {
        loop {
            if let Some(answer) = self.window.pop() {
                return Some(answer);
            }
            if self.input.is_none() && self.window.is_empty() {
                self.close().await;
                return None;
            }
            if let Err(error) = self.advance().await {
                self.recover(error).await;
            }
        }
    }

    /// Ends the call in order, so that the coordinator does not see it reset.
    async fn close(&mut self) {
        let Some(OpenCall { requests, mut responses, .. }) = self.call.take() else { return };
        drop(requests);
        // Every task has its answer; what this wait brings, or that it is too long, is of no interest.
        drop(time::timeout(CLOSE_TIMEOUT, responses.message()).await);
    }

    /// Lets the next thing happen.
    async fn advance(&mut self) -> Result<(), Error> {
        let event = self.event().await?;
        match event {
            Event::Answered(answer) => self.read_answer(answer),
            Event::Input(spec) => {
                self.take_in(spec);
                self.take_in_what_is_there().await;
                Ok(())
            }
            Event::InputEnded => {
                self.input = None;
                Ok(())
            }
            Event::Resumed => {
                self.resume_at = None;
                Ok(())
            }
            Event::Sent => Ok(()),
            Event::Silence => Err(Error::NoAnswer {
                address: self.client.address().to_owned(),
                timeout: self.client.options().call_timeout,
            }),
        }
    }

    /// Waits for the next thing. Answers come first, then input until a message is full, then sending.
    async fn event(&mut self) -> Result<Event, Error> {
        if self.call.is_none() && self.window.has_waiting() && self.resume_at.is_none() {
            self.call = Some(open(&self.client).await?);
            self.outage.reached();
        }
        let may_take = self.may_take();
        let (requests, responses, wording) = match &mut self.call {
            Some(OpenCall { requests, responses, wording }) => {
                (Some(&*requests), Some(responses), *wording)
            }
            None => (None, None, Wording::Full),
        };
        let window = &mut self.window;
        let may_send = window.has_waiting() && self.resume_at.is_none();
        let silence = self.client.options().call_timeout;
        let event = tokio::select! {
            biased;
            answer = next_answer(responses) => Event::Answered(answer),
            spec = next_spec(&mut self.input), if may_take => {
                spec.map_or(Event::InputEnded, Event::Input)
            }
            permit = next_permit(requests), if may_send => {
                let namespace = &self.client.options().namespace;
                let requests = window.take_batch(namespace, wording);
                permit.send(StreamSubmitTasksRequest { requests });
                Event::Sent
            }
            () = resume(self.resume_at) => Event::Resumed,
            () = time::sleep(silence), if window.has_sent() => Event::Silence,
        };
        Ok(event)
    }

    /// Whether the next message has room for another task.
    fn may_take(&self) -> bool {
        self.window.has_room() && !self.window.has_batch()
    }

    /// Takes in what the input has at once: to look at the call between one task and the next costs more than the task.
    async fn take_in_what_is_there(&mut self) {
        // A stream may rest though it has more, as those of tokio do after 32 items: it is asked again as long as something comes.
        let mut has_come = true;
        while self.may_take() {
            match ready_spec(&mut self.input).await {
                Some(Some(spec)) => {
                    self.take_in(spec);
                    has_come = true;
                }
                Some(None) => self.input = None,
                None if has_come => has_come = false,
                None => return,
            }
        }
    }

    /// Takes a task in, or answers it at once when no message could carry it.
    fn take_in(&mut self, spec: TaskSpec) {
        let options = self.client.options();
        let mut spec = keyed(spec, options);
        let bytes = self.likeness.take_in(&mut spec, &options.namespace);
        // Only what might be too long is measured.
        let fits = options.check_size(bytes + ENVELOPE_BYTES).or_else(|_| {
            options.check_size(spec.message(&options.namespace).encoded_len() + ENVELOPE_BYTES)
        });
        match fits {
            Ok(()) => self.window.push(spec, bytes),
            Err(error) => self.window.push_answered(Err(error)),
        }
    }

    /// Hands each outcome to the task it belongs to.
    fn read_answer(
        &mut self,
        answer: Result<Option<StreamSubmitTasksResponse>, Status>,
    ) -> Result<(), Error> {
        let response = match answer {
            Ok(Some(response)) => response,
            Ok(None) => {
                return Err(failure(&self.client, Status::unavailable("the call was closed")));
            }
            Err(status) => return Err(failure(&self.client, status)),
        };
        for outcome in response.outcomes {
            let client = &self.client;
            let answer = read_outcome(outcome, || client.malformed("an outcome for each task"));
            let is_expected = if self.pause_after(&answer) {
                self.window.postpone()
            } else {
                self.window.answer(answer)
            };
            if !is_expected {
                return Err(self.client.malformed("a task that each outcome belongs to"));
            }
        }
        Ok(())
    }

    /// Whether a task is to be sent once more, after a pause of the whole stream.
    fn pause_after(&mut self, answer: &Result<Receipt, Error>) -> bool {
        let Err(error) = answer else {
            self.outage.over();
            return false;
        };
        let now = Instant::now();
        if let (Some(at), Some(asked)) = (self.resume_at, error.retry_after()) {
            // What is refused behind it may have to wait for longer: all of it comes back once, not one task at a time.
            self.resume_at = Some(at.max(now + asked.min(GATHERED_WAIT_MAX)));
            return true;
        }
        let wait = self.sit_out(error, Repeat::OnlyIfRefused, now);
        self.resume_at = wait.map(|wait| now + wait).or(self.resume_at);
        wait.is_some()
    }

    /// How long to wait before the next try. Whoever waits for answers that do not come is told why, once.
    fn sit_out(&mut self, error: &Error, repeat: Repeat, now: Instant) -> Option<Duration> {
        let is_first = !self.outage.is_under_way();
        let wait = self.outage.wait(error, repeat, now, fastrand::u64(..))?;
        if is_first {
            let most_s = self.outage.limit().as_secs();
            tracing::warn!(error = %error, most_s, "submits wait, and are tried again");
        }
        Some(wait)
    }

    /// After a break: pauses and goes on with a new call, or gives up.
    async fn recover(&mut self, error: Error) {
        self.call = None;
        // However the call ended, what was sent on it may have been accepted.
        let wait = if self.window.has_sent_without_key() {
            None
        } else {
            self.sit_out(&error, Repeat::Safe, Instant::now())
        };
        let Some(wait) = wait else {
            self.input = None;
            self.window.fail(&error);
            return;
        };
        self.window.rewind();
        time::sleep(wait).await;
    }
}

/// Opens the call. The coordinator answers its headers before the first task.
async fn open(client: &Client) -> Result<OpenCall, Error> {
    client.check_namespace().await?;
    let (requests, outbound) = mpsc::channel(OUTBOUND_BOUND);
    let timeout = client.options().call_timeout;
    let mut service = client.task_service();
    let opening =
        service.stream_submit_tasks(signed(ReceiverStream::new(outbound), client.options()));
    match time::timeout(timeout, opening).await {
        Ok(Ok(response)) => {
            let features = response.metadata().get(FEATURES_METADATA);
            let features = features.and_then(|it| it.to_str().ok()).unwrap_or_default();
            let knows_alike = features.split(',').any(|it| it.trim() == ALIKE);
            let wording = if knows_alike { Wording::Brief } else { Wording::Full };
            Ok(OpenCall { requests, responses: response.into_inner(), wording })
        }
        Ok(Err(status)) => Err(failure(client, status)),
        Err(_elapsed) => Err(Error::NoAnswer { address: client.address().to_owned(), timeout }),
    }
}

fn failure(client: &Client, status: Status) -> Error {
    Error::from_status(status, client.address(), client.options().call_timeout)
}

/// The next answer; never, when there is no call.
async fn next_answer(
    responses: Option<&mut Streaming<StreamSubmitTasksResponse>>,
) -> Result<Option<StreamSubmitTasksResponse>, Status> {
    match responses {
        Some(responses) => responses.message().await,
        None => future::pending().await,
    }
}

/// Room for the next message; never, when there is no call, or one that has ended: its answers say why.
async fn next_permit(
    requests: Option<&mpsc::Sender<StreamSubmitTasksRequest>>,
) -> mpsc::Permit<'_, StreamSubmitTasksRequest> {
    match requests.map(mpsc::Sender::reserve) {
        Some(permit) => match permit.await {
            Ok(permit) => permit,
            Err(_closed) => future::pending().await,
        },
        None => future::pending().await,
    }
}

/// The next task of the input; never, when there is no input any more.
async fn next_spec<S>(input: &mut Option<S>) -> Option<TaskSpec>
where
    S: Stream<Item = TaskSpec> + Unpin,
{
    match input {
        Some(input) => input.next().await,
        None => future::pending().await,
    }
}

/// The next task of the input if it is there already.
async fn ready_spec<S>(input: &mut Option<S>) -> Option<Option<TaskSpec>>
where
    S: Stream<Item = TaskSpec> + Unpin,
{
    let input = input.as_mut()?;
    future::poll_fn(|cx| match Pin::new(&mut *input).poll_next(cx) {
        Poll::Ready(next) => Poll::Ready(Some(next)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits until the end of a pause; forever, when there is none.
async fn resume(at: Option<Instant>) {
    match at {
        Some(at) => time::sleep_until(at).await,
        None => future::pending().await,
    }
}
