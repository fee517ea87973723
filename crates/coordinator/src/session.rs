//! One worker stream: one task that reads what the worker says, hands it to the engine, and sends what the engine
//! says in frames.
//!
//! It never waits for the disk, keeps no lease, and decides nothing: a stream that ends takes nothing away.

use std::{collections::VecDeque, future::Future, mem, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};
use leasehold_proto::{duration::to_wire, v1};
use leasehold_queue::{Command, StreamId};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tonic::Status as GrpcStatus;

use crate::{
    egress::{Backlog, Closing, Egress, Event, Ingress},
    metrics::Metrics,
    refusal::Refusal,
    request::Liveness,
    status::Status,
    terms::SessionTerms,
};

mod frame;
mod hello;
pub(crate) mod simulated;
mod word;

use frame::{Leases, Wording};
pub(crate) use hello::WORKER_ID_RULE;
use word::violation;

/// How long a new stream may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// How many frames may wait for the transport: what it sends next while the one before is on its way.
pub(crate) const FRAMES_MAX: usize = 2;

/// With how many events no more are taken from the engine: what is left waits in the stream's own channel.
const PENDING_MAX: usize = 4_096;

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

/// Where frames go.
type Frames = mpsc::Sender<Frame>;

/// What is sent, or how the stream ends.
type Frame = Result<v1::ConnectResponse, GrpcStatus>;

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
    /// Since when the transport has taken nothing, if something is to be sent.
    stuck_since: Option<Instant>,
    backlog: Arc<Backlog>,
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
    Refused(Refusal),
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
    pub(crate) async fn serve<S>(self, stream: StreamId, mut inbound: S, frames: Frames)
    where
        S: Stream<Item = Result<v1::ConnectRequest, GrpcStatus>> + Unpin,
    {
        let greeted = timeout(HELLO_WITHIN, inbound.next()).await;
        let first = match greeted {
            Ok(Some(Ok(first))) => first,
            Ok(Some(Err(status))) => return repeat(&frames, status).await,
            Ok(None) => return,
            Err(_) => return refuse(&frames, &violation("no Hello within 10 s")).await,
        };
        let (session, ingress, rest) = match self.open(stream, first, frames.clone()).await {
            Ok(opened) => opened,
            Err(refusal) => return refuse(&frames, &refusal).await,
        };
        session.run(inbound, ingress, rest).await;
        // An engine that is gone has no leases to keep.
        drop(self.liveness.send(Liveness::Event(Command::Disconnect { stream })).await);
    }

    /// Opens the session of a stream whose first frame begins with a hello. Hands back what is left of the frame: its numbers.
    async fn open(
        &self,
        stream: StreamId,
        first: v1::ConnectRequest,
        frames: Frames,
    ) -> Result<(Session, Ingress, v1::ConnectRequest), Refusal> {
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
        let session = Session {
            shared: self.clone(),
            stream,
            terms,
            wording,
            frames,
            pending: VecDeque::new(),
            sent: 0,
            heard: 0,
            acknowledged: 0,
            unacknowledged: VecDeque::new(),
            stuck_since: None,
            backlog: Arc::clone(&ingress.backlog),
            has_caught_up: false,
        };
        Ok((session, ingress, v1::ConnectRequest { events: Vec::new(), ..first }))
    }
}

impl Session {
    async fn run<S>(mut self, inbound: S, mut ingress: Ingress, rest: v1::ConnectRequest)
    where
        S: Stream<Item = Result<v1::ConnectRequest, GrpcStatus>> + Unpin,
    {
        let end = match self.hear(rest).await {
            Ok(()) => self.converse(inbound, &mut ingress).await,
            Err(end) => end,
        };
        let end = if matches!(end, End::Unheard) {
            (&mut ingress.closing).await.map_or(End::Gone, End::Closing)
        } else {
            end
        };
        self.part(end, ingress).await;
    }

    async fn converse<S>(&mut self, mut inbound: S, ingress: &mut Ingress) -> End
    where
        S: Stream<Item = Result<v1::ConnectRequest, GrpcStatus>> + Unpin,
    {
        loop {
            let has_pending = !self.pending.is_empty();
            let stuck_until = self.stuck_until();
            let frames = self.frames.clone();
            tokio::select! {
                closing = &mut ingress.closing => {
                    return closing.map_or(End::Gone, End::Closing);
                }
                frame = inbound.next() => match frame {
                    Some(Ok(frame)) => if let Err(end) = self.hear(frame).await {
                        return end;
                    },
                    Some(Err(status)) => return End::Unreadable(status),
                    None => return End::Gone,
                },
                () = ingress.events.take(&mut self.pending, PENDING_MAX), if !has_pending => {
                    self.stuck_since = Some(Instant::now());
                    // Mostly there is room, and nothing has to be waited for.
                    if let Ok(room) = frames.try_reserve()
                        && let Err(end) = self.send(room).await
                    {
                        return end;
                    }
                }
                room = frames.reserve(), if has_pending => {
                    let Ok(room) = room else { return End::Gone };
                    if let Err(end) = self.send(room).await {
                        return end;
                    }
                }
                () = frames.closed() => return End::Gone,
                () = stuck_until => return End::Closing(Closing::SlowConsumer),
            }
        }
    }

    /// Resolves when something has waited to be sent for half a session's life.
    fn stuck_until(&self) -> impl Future<Output = ()> + use<> {
        let until = self.stuck_since.map(|since| since + self.terms.session_ttl / 2);
        async move {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
    }

    async fn send(&mut self, room: mpsc::Permit<'_, Frame>) -> Result<(), End> {
        let frame = self.next_frame();
        room.send(Ok(frame));
        self.tell_if_caught_up().await
    }

    fn next_frame(&mut self) -> v1::ConnectResponse {
        let Self { pending, terms, wording, .. } = self;
        let frame = frame::take(pending, terms, *wording, &self.shared.status);
        self.stuck_since = (!self.pending.is_empty()).then(Instant::now);
        self.has_caught_up |= self.backlog.sent(frame.events.len(), frame.bytes);
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
            return Err(End::Refused(violation(message)));
        }
        self.heard = frame_sequence;
        let room = |events: usize| Vec::with_capacity(events.min(TOLD_MAX));
        let mut events = events.into_iter();
        let mut said = room(events.len() + 2);
        self.acknowledge(ack_frame_sequence, &mut said)?;
        let result_bytes_max = self.terms.result_bytes_max;
        let mut refused = None;
        while let Some(event) = events.next() {
            match word::read(self.stream, event, result_bytes_max) {
                Ok(Some(word)) => said.push(word),
                Ok(None) => self.shared.metrics.skipped_event(),
                Err(refusal) => {
                    refused = Some(refusal);
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
        refused.map_or(Ok(()), |refusal| Err(End::Refused(refusal)))
    }

    /// The worker has acted upon everything up to this frame.
    fn acknowledge(&mut self, frame: i64, said: &mut Vec<Liveness>) -> Result<(), End> {
        if frame < self.acknowledged || self.sent < frame {
            let (least, most) = (self.acknowledged, self.sent);
            let message = format!("frame {frame} is acknowledged, not one of {least} to {most}");
            return Err(End::Refused(violation(message)));
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
            return Err(End::Refused(violation("the worker acknowledges no frames")));
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

    async fn tell(&self, said: Liveness) -> Result<(), End> {
        self.shared.liveness.send(said).await.map_err(|_| End::Unheard)
    }

    /// Says the last word and ends the stream.
    async fn part(mut self, end: End, mut ingress: Ingress) {
        let last = async {
            match end {
                End::Gone | End::Unheard | End::Closing(Closing::Expired) => {}
                End::Unreadable(status) => repeat(&self.frames, status).await,
                End::Refused(refusal) => refuse(&self.frames, &refusal).await,
                End::Closing(Closing::Banned { left }) => {
                    refuse(&self.frames, &Refusal::banned(left)).await;
                }
                End::Closing(Closing::Shutdown) => {
                    self.flush(&mut ingress).await;
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
    }

    /// Sends what the engine had said before it ended the stream.
    async fn flush(&mut self, ingress: &mut Ingress) {
        ingress.events.take_ready(&mut self.pending, usize::MAX);
        while !self.pending.is_empty() {
            let frames = self.frames.clone();
            let Ok(room) = frames.reserve().await else { return };
            room.send(Ok(self.next_frame()));
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
