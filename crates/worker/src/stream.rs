//! The stream to the coordinator: dialing it, and carrying frames both ways.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use leasehold_proto::{
    ERROR_DOMAIN,
    v1::{self, ConnectRequest, ConnectResponse, worker_service_client::WorkerServiceClient},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::session::StreamEnd;

/// How many frames wait for the network. The session makes a frame only when there is room, so that it says what is
/// true when it is sent; two keep the network busy while the next is made.
const FRAMES_WAITING_MAX: usize = 2;

/// How long a connection may take to come up.
const DIAL_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often an idle connection is probed, and how long the answer may take: a dead peer is found within ten seconds
/// even where no heartbeat is due.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// The largest frame that is read: many assignments, or one with the largest payload a coordinator may allow.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// How many bytes the coordinator may send ahead.
const WINDOW_BYTES: u32 = 4 << 20;

/// Something that happened to the stream.
pub(crate) enum StreamEvent {
    /// It is up; frames can be sent.
    Up,
    /// The coordinator said something.
    Frame(ConnectResponse),
    /// It ended, or could not be made.
    End(StreamEnd),
}

/// How a connection is made.
pub(crate) type Dial = Arc<dyn Fn(Endpoint) -> Dialing + Send + Sync>;

/// A connection that is being made.
type Dialing = Pin<Box<dyn Future<Output = Result<Channel, tonic::transport::Error>> + Send>>;

/// Over TCP.
pub(crate) fn tcp() -> Dial {
    Arc::new(|endpoint| Box::pin(async move { endpoint.connect().await }))
}

/// The stream to the coordinator, if there is one.
pub(crate) struct Stream {
    endpoint: Endpoint,
    dial: Dial,
    state: State,
}

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, StreamEnd>> + Send>>;

enum State {
    Idle,
    Dialing(Pending<Channel>),
    /// The call has been made; its answer may wait for the first frame.
    Opening(mpsc::Sender<ConnectRequest>, Pending<Streaming<ConnectResponse>>),
    Open(Option<mpsc::Sender<ConnectRequest>>, Box<Streaming<ConnectResponse>>),
}

impl Stream {
    pub(crate) fn new(endpoint: Endpoint, dial: Dial) -> Self {
        let endpoint = endpoint
            .connect_timeout(DIAL_WAIT_MAX)
            .tcp_nodelay(true)
            // One call in hours: the coordinator need not remember what headers it answered with.
            .http2_header_table_size(0)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        Self { endpoint, dial, state: State::Idle }
    }

    /// Begins a new stream; the old one is dropped.
    pub(crate) fn dial(&mut self) {
        let dialing = (self.dial)(self.endpoint.clone());
        self.state = State::Dialing(Box::pin(async move {
            dialing.await.map_err(|error| StreamEnd::Broken(chain(&error)))
        }));
    }

    /// Drops the stream.
    pub(crate) fn drop_all(&mut self) {
        self.state = State::Idle;
    }

    /// Says that no more frames follow.
    pub(crate) fn close_send(&mut self) {
        match &mut self.state {
            State::Open(sender, _) => *sender = None,
            State::Idle | State::Dialing(_) | State::Opening(..) => self.state = State::Idle,
        }
    }

    /// Waits for what happens next; for ever if there is no stream. May be dropped and called again at any time.
    pub(crate) async fn next(&mut self) -> StreamEvent {
        match &mut self.state {
            State::Idle => std::future::pending().await,
            State::Dialing(dialed) => match dialed.await {
                Ok(channel) => {
                    self.state = open(channel);
                    StreamEvent::Up
                }
                Err(end) => self.end(end),
            },
            State::Opening(_, answered) => match answered.await {
                Ok(stream) => self.opened(stream).await,
                Err(end) => self.end(end),
            },
            State::Open(_, stream) => match stream.message().await {
                Ok(Some(frame)) => StreamEvent::Frame(frame),
                Ok(None) => self.end(StreamEnd::Closed),
                Err(status) => self.end(end_of(&status)),
            },
        }
    }

    /// Waits until a frame can be sent; for ever if there is no stream.
    pub(crate) fn room(&self) -> impl Future<Output = mpsc::OwnedPermit<ConnectRequest>> + use<> {
        let sender = match &self.state {
            State::Opening(sender, _) | State::Open(Some(sender), _) => Some(sender.clone()),
            State::Idle | State::Dialing(_) | State::Open(None, _) => None,
        };
        async move {
            match sender {
                Some(sender) => match sender.reserve_owned().await {
                    Ok(permit) => permit,
                    // The call is over; `next` says why.
                    Err(_closed) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        }
    }

    async fn opened(&mut self, stream: Streaming<ConnectResponse>) -> StreamEvent {
        if let State::Opening(sender, _) = std::mem::replace(&mut self.state, State::Idle) {
            self.state = State::Open(Some(sender), Box::new(stream));
        }
        Box::pin(self.next()).await
    }

    fn end(&mut self, end: StreamEnd) -> StreamEvent {
        self.state = State::Idle;
        StreamEvent::End(end)
    }
}

fn open(channel: Channel) -> State {
    let (sender, frames) = mpsc::channel(FRAMES_WAITING_MAX);
    let mut client = WorkerServiceClient::new(channel).max_decoding_message_size(FRAME_BYTES_MAX);
    let answered = async move {
        let answer = client.connect(ReceiverStream::new(frames)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| end_of(&status))
    };
    State::Opening(sender, Box::pin(answered))
}

/// How a call ended. Only what another try cannot change is a refusal.
fn end_of(status: &Status) -> StreamEnd {
    let reason = format!("{:?}: {}", status.code(), status.message());
    // Of those that share a code with it some pass, such as a coordinator that has been superseded.
    let is_foreign = status.get_details_error_info().is_some_and(|it| {
        it.domain == ERROR_DOMAIN
            && v1::Reason::of_name(&it.reason) == Some(v1::Reason::ProtocolUnsupported)
    });
    if status.code() == Code::InvalidArgument || is_foreign {
        StreamEnd::Refused(reason)
    } else if let Some(wait) = status.get_details_retry_info().and_then(|it| it.retry_delay) {
        StreamEnd::Later(reason, wait)
    } else {
        StreamEnd::Broken(reason)
    }
}

/// An error with what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |it: &&dyn std::error::Error| (*it).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
