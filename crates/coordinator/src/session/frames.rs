//! The way from a session to the transport: room for few frames, and little memory, because most streams are idle.
//!
//! A channel of the runtime is made for much that comes from many: it would be eight times as large as this.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use leasehold_proto::v1;
use tonic::Status as GrpcStatus;

#[cfg(test)]
mod tests;

/// What goes to the transport: a frame, or why there is none.
pub(crate) type Sent = Result<v1::ConnectResponse, GrpcStatus>;

/// What both ends share.
#[derive(Debug)]
struct Passage {
    /// How many frames may wait.
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Sent>,
    /// Whether either end is gone.
    is_over: bool,
    /// Who waits at each end.
    session: Option<Waker>,
    transport: Option<Waker>,
    /// Whether the session waits for room, too, and not for the end alone.
    awaits_room: bool,
}

impl State {
    /// The next frame, if one waits, and whom to wake for the room that makes.
    fn take(&mut self) -> Option<(Sent, Option<Waker>)> {
        let sent = self.waiting.pop_front()?;
        // A stream that has nothing to say holds no room for it.
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        let waker = if mem::take(&mut self.awaits_room) { self.session.take() } else { None };
        Some((sent, waker))
    }
}

impl Passage {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One end is gone: the other hears of it.
    fn end(&self) {
        let mut state = self.lock();
        state.is_over = true;
        let wakers = [state.session.take(), state.transport.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Frames(Arc<Passage>);

/// The transport's end. It ends with the session.
#[derive(Debug)]
pub struct Outbound(Arc<Passage>);

/// The transport takes nothing any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// A passage for so many frames.
pub(crate) fn passage(most: usize) -> (Frames, Outbound) {
    let passage = Arc::new(Passage { most, state: Mutex::default() });
    (Frames(Arc::clone(&passage)), Outbound(passage))
}

impl Frames {
    /// Ready when there is room, which stays until something is sent. Whoever waits for this and for the transport's end does
    /// so in one task.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        let mut state = self.0.lock();
        if state.is_over {
            Poll::Ready(Err(Gone))
        } else if state.waiting.len() < self.0.most {
            Poll::Ready(Ok(()))
        } else {
            state.awaits_room = true;
            wait(&mut state.session, cx)
        }
    }

    /// Waits until the transport takes nothing any more.
    pub(crate) async fn gone(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.is_over { Poll::Ready(()) } else { wait(&mut state.session, cx) }
        })
        .await;
    }

    /// Sends what there is room for.
    pub(crate) fn send_now(&self, sent: Sent) {
        let mut state = self.0.lock();
        state.waiting.push_back(sent);
        let waker = state.transport.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits for room.
    pub(crate) async fn room(&self) -> Result<(), Gone> {
        poll_fn(|cx| self.poll_room(cx)).await
    }

    /// Waits for room and sends.
    pub(crate) async fn send(&self, sent: Sent) -> Result<(), Gone> {
        self.room().await?;
        self.send_now(sent);
        Ok(())
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Outbound {
    /// The next frame, if one waits.
    pub(crate) fn take_ready(&self) -> Option<Sent> {
        let (sent, waker) = self.0.lock().take()?;
        waker.into_iter().for_each(Waker::wake);
        Some(sent)
    }
}

impl Stream for Outbound {
    type Item = Sent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Sent>> {
        let mut state = self.0.lock();
        if let Some((sent, waker)) = state.take() {
            drop(state);
            waker.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(sent));
        }
        if state.is_over { Poll::Ready(None) } else { wait(&mut state.transport, cx) }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn wait<T>(waiter: &mut Option<Waker>, cx: &Context<'_>) -> Poll<T> {
    match waiter {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waiter = Some(cx.waker().clone()),
    }
    Poll::Pending
}
