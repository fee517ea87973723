//! One worker stream: one task that reads what the worker says, hands it to the engine, and sends what the engine
//! says in frames.
//!
//! It never waits for the disk, keeps no lease, and decides nothing: a stream that ends takes nothing away.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use leasehold_proto::{duration::to_wire, v1};
use leasehold_queue::{Command, StreamId};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Sleep, sleep, timeout},
};
use tonic::Status as GrpcStatus;

use crate::{
    egress::{Closing, Egress, Event, Ingress},
    metrics::Metrics,
    refusal::Refusal,
    request::Liveness,
    status::Status,
    terms::SessionTerms,
};

mod frame;
mod frames;
mod hello;
pub(crate) mod simulated;
mod word;

use frame::{Leases, Wording};
use frames::{Frames, Gone};
pub(crate) use frames::{Outbound, passage};
pub(crate) use hello::WORKER_ID_RULE;
use word::violation;

/// How long a new stream may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// How many frames may wait for the transport: what it sends next while the one before is on its way.
pub(crate) const FRAMES_MAX: usize = 2;

/// How many frames with assignments and revocations may be unacknowledged. Each is about at least one lease, and a worker
/// has at most half this many slots, each of which is taken by a lease and revoked for two reasons or so.
const UNACKNOWLEDGED_MAX: usize = 40_000;

/// How many things the engine is told at once: a frame may hold a hundred thousand, and what waits for the engine is bounded
/// by how often it is told.
const TOLD_MAX: usize = 32;

/// How long a last word may take to be sent.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(1);

/// What every stream of this process shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    liveness: mpsc::Sender<Liveness>,
    status: Arc<Status>,
    metrics: Metrics,
}

/// What a hello led to.
struct Opened {
    terms: SessionTerms,
    wording: Wording,
    ingress: Ingress,
    /// What is left of the first frame: its numbers.
    rest: v1::ConnectRequest,
}

/// One stream, after its hello.
struct Session {
    shared: Shared,
    stream: StreamId,
    /// What its worker is told in the welcome.
    terms: SessionTerms,
    wording: Wording,
    frames: Frames,
    /// What is to be sent next.
    pending: VecDeque<Event>,
    /// The last frame sent.
    sent: i64,
    /// The last frame read.
    heard: i64,
    /// The last frame the worker acted upon.
    acknowledged: i64,
    /// What frames are about that the worker has not acted upon.
    unacknowledged: VecDeque<(i64, Leases)>,
    /// Over when the transport has taken nothing for too long. None: nothing waits for it.
    stuck: Option<Pin<Box<Sleep>>>,
    ingress: Ingress,
    /// Whether too much has waited to be sent, does not any more, and the engine is to be told.
    has_caught_up: bool,
}

/// Why a stream ends.
#[derive(Debug)]
enum End {
    /// The worker ended it, or the connection broke.
    Gone,
    /// The engine ends it.
    Closing(Closing),
    /// The engine hears nothing any more; it has said why, or it failed.
    Unheard,
    /// The worker broke a rule.
    Refused(Box<Refusal>),
    /// The worker sent what the transport does not take, such as too large a frame; these are its words.
    Unreadable(GrpcStatus),
}

impl Shared {
    pub(crate) const fn new(
        liveness: mpsc::Sender<Liveness>,
        status: Arc<Status>,
        metrics: Metrics,
    ) -> Self {
        Self { liveness, status, metrics }
    }

    /// Serves one stream from its first frame to its end.
    ///
    /// Most streams are idle, and there are thousands of them: a stream holds what it needs for that, once. What it needs only
    /// at its beginning and at its end has memory of its own for as long as that lasts.
    #[expect(clippy::manual_async_fn, reason = "an async function would hold its arguments twice")]
    pub(crate) fn serve<S>(
        self,
        stream: StreamId,
        mut inbound: S,
        frames: Frames,
    ) -> impl Future<Output = ()>
    where
        S: Stream<Item = Result<v1::ConnectRequest, GrpcStatus>> + Unpin,
    {
        async move {
            let mut greeted = Box::pin(self.greet(stream, &mut inbound, frames)).await;
            let Some(session) = &mut greeted else { return };
            let end = session.converse(&mut inbound).await;
            let Some(session) = greeted else { return };
            Box::pin(session.part(end)).await;
        }
    }

    /// Waits for the hello, and hears what else is said with it. None: the stream has ended.
    async fn greet<S>(self, stream: StreamId, inbound: &mut S, frames: Frames) -> Option<Session>
    where
        S: Stream<Item = Result<v1::ConnectRequest, GrpcStatus>> + Unpin,
    {
        let refused = match timeout(HELLO_WITHIN, inbound.next()).await {
            Ok(Some(Ok(first))) => match self.open(stream, first).await {
                Ok(opened) => {
                    let (mut session, rest) = Session::new(self, stream, opened, frames);
                    return match session.hear(rest).await {
                        Ok(()) => Some(session),
                        Err(end) => {
                            session.part(end).await;
                            None
                        }
                    };
                }
                Err(refusal) => refusal,
            },
            Ok(Some(Err(status))) => {
                repeat(&frames, status).await;
                return None;
            }
            Ok(None) => return None,
            Err(_) => violation("no Hello within 10 s"),
        };
        refuse(&frames, &refused).await;
        None
    }

    /// Opens the session of a stream whose first frame begins with a hello.
    async fn open(&self, stream: StreamId, first: v1::ConnectRequest) -> Result<Opened, Refusal> {
        let mut events = first.events.into_iter();
        let Some(v1::worker_event::Event::Hello(hello)) = events.next().and_then(|said| said.event)
        else {
            return Err(violation("the first event of a stream is Hello"));
        };
        let number = hello.stream_number;
        let wording = if hello.knows_alike { Wording::Brief } else { Wording::Full };
        let hello = Box::new(hello::read(stream, *hello, &self.status)?);
        let (egress, ingress) = Egress::new();
        // Together with what is said in the same frame, outcomes above all: what has ended is not leased again before that is
        // heard.
        let mut said = vec![Liveness::Hello { hello, number, egress }];
        // Until the welcome says what holds, which may be later than this.
        let terms = SessionTerms::of(&self.status.config());
        for event in events {
            match word::read(stream, event, terms.result_bytes_max)? {
                Some(word) => said.push(word),
                None => self.metrics.skipped_event(),
            }
        }
        // An engine that is gone ends the session through its egress.
        drop(self.liveness.send(Liveness::Several(said)).await);
        let rest = v1::ConnectRequest { events: Vec::new(), ..first };
        Ok(Opened { terms, wording, ingress, rest })
    }
}

impl Session {
    /// A session that was just opened, and what it has not heard of its first frame.
    fn new(
        shared: Shared,
        stream: StreamId,
        opened: Opened,
        frames: Frames,
    ) -> (Self, v1::ConnectRequest) {
        let Opened { terms, wording, ingress, rest } = opened;
        let session = Self {
            shared,
            stream,
            terms,
            wording,
            frames,
            pending: VecDeque::new(),
            sent: 0,
            heard: 0,
            acknowledged: 0,
            unacknowledged: VecDeque::new(),
            stuck: None,
            ingress,
            has_caught_up: false,
        };
        (session, rest)
    }

    async fn converse<S>(&mut self, inbound: &mut S) -> End
    where
        S: Stream<Item = Result<v1::ConnectRequest, GrpcStatus>> + Unpin,
    {
        loop {
            let has_pending = !self.pending.is_empty();
            let stuck_after = self.terms.session_ttl / 2;
            tokio::select! {
                closing = self.ingress.closing() => {
                    return closing.map_or(End::Gone, End::Closing);
                }
                frame = inbound.next() => match frame {
                    Some(Ok(frame)) => if let Err(end) = Box::pin(self.hear(frame)).await {
                        return end;
                    },
                    Some(Err(status)) => return End::Unreadable(status),
                    None => return End::Gone,
                },
                () = self.ingress.take(&mut self.pending), if !has_pending => {}
                room = room(&self.frames, &mut self.stuck, stuck_after), if has_pending => {
                    if let Err(end) = room {
                        return end;
                    }
                    let frame = self.next_frame();
                    self.frames.send_now(Ok(frame));
                    if let Err(end) = self.tell_if_caught_up().await {
                        return end;
                    }
                }
                () = self.frames.gone() => return End::Gone,
            }
        }
    }

    fn next_frame(&mut self) -> v1::ConnectResponse {
        let Self { pending, terms, wording, .. } = self;
        let frame = frame::take(pending, terms, *wording, &self.shared.status);
        if pending.is_empty() {
            // What is handed over next brings its own memory.
            *pending = VecDeque::new();
        }
        self.has_caught_up |= self.ingress.sent(frame.events.len(), frame.bytes);
        self.sent += 1;
        if !frame.leases.is_empty() {
            self.unacknowledged.push_back((self.sent, frame.leases));
        }
        self.numbered(frame.events)
    }

    const fn numbered(&self, events: Vec<v1::CoordinatorEvent>) -> v1::ConnectResponse {
        v1::ConnectResponse { frame_sequence: self.sent, ack_frame_sequence: self.heard, events }
    }

    /// Hands everything in a frame to the engine, what it acknowledges first.
    async fn hear(&mut self, frame: v1::ConnectRequest) -> Result<(), End> {
        let v1::ConnectRequest { frame_sequence, ack_frame_sequence, events } = frame;
        if frame_sequence != self.heard + 1 {
            let (next, found) = (self.heard + 1, frame_sequence);
            let message = format!("frame {next} has the number {found}");
            return Err(refused(violation(message)));
        }
        self.heard = frame_sequence;
        let room = |events: usize| Vec::with_capacity(events.min(TOLD_MAX));
        let mut events = events.into_iter();
        let mut said = room(events.len() + 2);
        self.acknowledge(ack_frame_sequence, &mut said)?;
        let result_bytes_max = self.terms.result_bytes_max;
        let mut end = Ok(());
        while let Some(event) = events.next() {
            match word::read(self.stream, event, result_bytes_max) {
                Ok(Some(word)) => said.push(word),
                Ok(None) => self.shared.metrics.skipped_event(),
                Err(refusal) => {
                    end = Err(refused(refusal));
                    break;
                }
            }
            if TOLD_MAX <= said.len() {
                let told = mem::replace(&mut said, room(events.len()));
                self.tell(Liveness::Several(told)).await?;
            }
        }
        // What was said before a rule was broken counts.
        if !said.is_empty() {
            self.tell(Liveness::Several(said)).await?;
        }
        end
    }

    /// The worker has acted upon everything up to this frame.
    fn acknowledge(&mut self, frame: i64, said: &mut Vec<Liveness>) -> Result<(), End> {
        if frame < self.acknowledged || self.sent < frame {
            let (least, most) = (self.acknowledged, self.sent);
            let message = format!("frame {frame} is acknowledged, not one of {least} to {most}");
            return Err(refused(violation(message)));
        }
        let is_answer = self.acknowledged == 0 && 0 < frame;
        self.acknowledged = frame;
        let (mut tokens, mut revocations) = (Vec::new(), Vec::new());
        while let Some((_, leases)) =
            self.unacknowledged.pop_front_if(|(number, _)| *number <= frame)
        {
            tokens.extend(leases.assigned);
            revocations.extend(leases.revoked);
        }
        if UNACKNOWLEDGED_MAX < self.unacknowledged.len() {
            return Err(refused(violation("the worker acknowledges no frames")));
        }
        let stream = self.stream;
        if is_answer || !tokens.is_empty() {
            said.push(Liveness::Event(Command::Delivered { stream, tokens }));
        }
        if !revocations.is_empty() {
            said.push(Liveness::Event(Command::Informed { stream, revocations }));
        }
        Ok(())
    }

    async fn tell_if_caught_up(&mut self) -> Result<(), End> {
        if !mem::take(&mut self.has_caught_up) {
            return Ok(());
        }
        let stream = self.stream;
        self.tell(Liveness::Event(Command::Reading { stream, is_behind: false })).await
    }

    /// Tells the engine, at once unless too much waits for it: only then does the wait take memory.
    fn tell(&self, said: Liveness) -> impl Future<Output = Result<(), End>> {
        let liveness = &self.shared.liveness;
        let told = liveness.try_send(said).map_err(|untold| match untold {
            TrySendError::Full(said) => Some(Box::pin(liveness.send(said))),
            TrySendError::Closed(_) => None,
        });
        async move {
            match told {
                Ok(()) => Ok(()),
                Err(Some(told)) => told.await.map_err(|_| End::Unheard),
                Err(None) => Err(End::Unheard),
            }
        }
    }

    /// Says the last word, ends the stream and tells the engine.
    async fn part(mut self, end: End) {
        let end = if matches!(end, End::Unheard) {
            self.ingress.closing().await.map_or(End::Gone, End::Closing)
        } else {
            end
        };
        let last = async {
            match end {
                End::Gone | End::Unheard | End::Closing(Closing::Expired) => {}
                End::Unreadable(status) => repeat(&self.frames, status).await,
                End::Refused(refusal) => refuse(&self.frames, &refusal).await,
                End::Closing(Closing::Banned { left }) => {
                    refuse(&self.frames, &Refusal::banned(left)).await;
                }
                End::Closing(Closing::Shutdown) => {
                    self.flush().await;
                    self.go_away(v1::GoAwayReason::Shutdown, "the coordinator shuts down").await;
                }
                End::Closing(Closing::Replaced) => {
                    let message = "another stream of this worker took over";
                    self.go_away(v1::GoAwayReason::Replaced, message).await;
                }
                End::Closing(Closing::SlowConsumer) => {
                    tracing::warn!(stream = self.stream.0, "a worker does not read: stream ended");
                    let message = "the worker reads too slowly";
                    self.go_away(v1::GoAwayReason::SlowConsumer, message).await;
                }
            }
        };
        // A worker that does not take it will find the stream closed.
        drop(timeout(LAST_WORD_WITHIN, last).await);
        let (stream, liveness) = (self.stream, self.shared.liveness.clone());
        // So that the worker sees the end whatever waits for the engine.
        drop(self);
        // An engine that is gone has no leases to keep.
        drop(liveness.send(Liveness::Event(Command::Disconnect { stream })).await);
    }

    /// Sends what the engine had said before it ended the stream.
    async fn flush(&mut self) {
        self.ingress.take_ready(&mut self.pending);
        while !self.pending.is_empty() {
            let Ok(()) = self.frames.room().await else { return };
            let frame = self.next_frame();
            self.frames.send_now(Ok(frame));
        }
    }

    async fn go_away(&mut self, reason: v1::GoAwayReason, message: &str) {
        // Spread, so that not all workers are back in the same instant.
        let spread = self.terms.reconnect_cap();
        let delay = spread.mul_f64(fastrand::f64());
        let go_away = v1::GoAway {
            reconnect_delay: Some(to_wire(delay)),
            reason: reason.into(),
            message: message.to_owned(),
        };
        let event = v1::coordinator_event::Event::GoAway(go_away);
        self.sent += 1;
        let frame = self.numbered(vec![v1::CoordinatorEvent { event: Some(event) }]);
        // A worker that is gone needs no farewell.
        drop(self.frames.send(Ok(frame)).await);
    }
}

/// Waits for room, for half a session's life at the most: a worker that does not read for so long is not there. Most streams never
/// wait, so that only those that do have a timer.
fn room<'a>(
    frames: &'a Frames,
    stuck: &'a mut Option<Pin<Box<Sleep>>>,
    stuck_after: Duration,
) -> impl Future<Output = Result<(), End>> {
    poll_fn(move |cx| match frames.poll_room(cx) {
        Poll::Ready(room) => {
            *stuck = None;
            Poll::Ready(room.map_err(|Gone| End::Gone))
        }
        Poll::Pending => {
            let over = stuck.get_or_insert_with(|| Box::pin(sleep(stuck_after)));
            ready!(over.as_mut().poll(cx));
            Poll::Ready(Err(End::Closing(Closing::SlowConsumer)))
        }
    })
}

fn refused(refusal: Refusal) -> End {
    End::Refused(Box::new(refusal))
}

async fn refuse(frames: &Frames, refusal: &Refusal) {
    tracing::info!(reason = refusal.name(), message = refusal.message, "worker stream refused");
    // A worker that is gone needs no answer.
    drop(timeout(LAST_WORD_WITHIN, frames.send(Err(refusal.to_status()))).await);
}

/// Tells the worker what the transport says of its frames.
async fn repeat(frames: &Frames, status: GrpcStatus) {
    // A worker that is gone needs no answer.
    drop(timeout(LAST_WORD_WITHIN, frames.send(Err(status))).await);
}
