//! A stream's session, turned by hand: the same steps as in the task of a stream, without its waits.

use std::collections::VecDeque;

use futures_util::FutureExt as _;
use leasehold_proto::v1::{ConnectRequest, ConnectResponse, GoAwayReason};
use leasehold_queue::{Command, StreamId};
use tonic::{Code, Status as GrpcStatus};

use super::{End, Outbound, Session, Shared, passage};
use crate::{egress::Closing, refusal::Refusal, request::Liveness};

/// More frames than a session says at its end: what it still has to say, and the last word.
const FRAMES_MAX: usize = 4_096;

/// How a stream ends, as its worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// In order.
    Closed,
    /// With an error that says the worker must change before it comes back.
    Refused,
    /// With another error.
    Broken,
}

/// One stream of a worker.
pub(crate) struct Turned {
    session: Session,
    frames: Outbound,
}

/// What is said when a stream ends.
#[derive(Debug)]
pub struct LastWords {
    /// The last frames.
    pub frames: VecDeque<ConnectResponse>,
    /// How it ends.
    pub farewell: Farewell,
}

impl Turned {
    /// Opens a stream with the worker's first frame.
    pub(crate) fn open(
        shared: &Shared,
        stream: StreamId,
        first: ConnectRequest,
    ) -> Result<Self, LastWords> {
        let (sender, frames) = passage(FRAMES_MAX);
        let (session, rest) = match shared.open(stream, first).now_or_never() {
            Some(Ok(opened)) => Session::new(shared.clone(), stream, opened, sender),
            Some(Err(refusal)) => return Err(refused(&refusal.to_status())),
            None => return Err(broken()),
        };
        let mut turned = Self { session, frames };
        match turned.hear(rest) {
            Ok(()) => Ok(turned),
            Err(last) => {
                turned.disconnected();
                Err(last)
            }
        }
    }

    /// The worker said something.
    pub(crate) fn hear(&mut self, frame: ConnectRequest) -> Result<(), LastWords> {
        let Some(heard) = self.session.hear(frame).now_or_never() else { return Err(broken()) };
        heard.map_err(|end| {
            if let End::Refused(refusal) = end { refused(&refusal.to_status()) } else { broken() }
        })
    }

    /// Whether there is something to send.
    pub(crate) fn has_frame(&mut self) -> bool {
        if self.session.pending.is_empty() {
            self.session.ingress.take_ready(&mut self.session.pending);
        }
        !self.session.pending.is_empty()
    }

    /// The next frame to send.
    pub(crate) fn frame(&mut self) -> Option<ConnectResponse> {
        let frame = self.has_frame().then(|| self.session.next_frame());
        let told = self.session.tell_if_caught_up().now_or_never();
        debug_assert!(told.is_some(), "there is room for the engine's news");
        frame
    }

    /// The last words, if the engine has ended the stream.
    pub(crate) fn closed(&mut self) -> Option<LastWords> {
        let closing = self.session.ingress.closed()?;
        Some(self.part(closing))
    }

    /// The last words of a stream that ends for a reason.
    pub(crate) fn part(&mut self, closing: Closing) -> LastWords {
        let reason = match closing {
            Closing::Banned { left } => return refused(&Refusal::banned(left).to_status()),
            Closing::Expired => None,
            Closing::Shutdown => {
                let flushed = self.session.flush().now_or_never();
                flushed.map(|()| GoAwayReason::Shutdown)
            }
            Closing::Replaced => Some(GoAwayReason::Replaced),
            Closing::SlowConsumer => Some(GoAwayReason::SlowConsumer),
        };
        if let Some(reason) = reason {
            let said = self.session.go_away(reason, "simulated").now_or_never();
            debug_assert!(said.is_some(), "there is room for the last words");
        }
        let frames = std::iter::from_fn(|| self.frames.take_ready()?.ok()).collect();
        LastWords { frames, farewell: Farewell::Closed }
    }

    /// Tells the engine that the stream is gone.
    pub(crate) fn disconnected(&self) {
        let stream = self.session.stream;
        let told = self.session.tell(Liveness::Event(Command::Disconnect { stream }));
        debug_assert!(told.now_or_never().is_some(), "there is room for the engine's news");
    }
}

fn refused(status: &GrpcStatus) -> LastWords {
    let refused = status.code() == Code::InvalidArgument;
    let farewell = if refused { Farewell::Refused } else { Farewell::Broken };
    LastWords { frames: VecDeque::new(), farewell }
}

fn broken() -> LastWords {
    LastWords { frames: VecDeque::new(), farewell: Farewell::Broken }
}
