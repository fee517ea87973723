//! Who waits for what, and who is woken by whom.

use std::{
    future::Future as _,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use futures_util::{FutureExt as _, StreamExt as _};

use super::*;

/// Counts how often it is woken.
#[derive(Debug, Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn frame(number: i64) -> v1::ConnectResponse {
    v1::ConnectResponse { frame_sequence: number, ..v1::ConnectResponse::default() }
}

fn number(sent: Option<Sent>) -> Option<i64> {
    sent.map(|sent| sent.unwrap().frame_sequence)
}

#[test]
fn frames_wait_in_their_order_and_not_more_than_there_is_room_for() {
    let (frames, mut outbound) = passage(2);
    for number in 1..=2 {
        assert_eq!(frames.send(Ok(frame(number))).now_or_never(), Some(Ok(())));
    }
    assert_eq!(frames.send(Ok(frame(3))).now_or_never(), None, "there is no room");
    assert_eq!(number(outbound.next().now_or_never().unwrap()), Some(1));
    assert_eq!(frames.send(Ok(frame(3))).now_or_never(), Some(Ok(())));
    assert_eq!(number(outbound.take_ready()), Some(2));
    drop(frames);
    assert_eq!(number(outbound.next().now_or_never().unwrap()), Some(3), "what was sent is taken");
    assert!(outbound.next().now_or_never().unwrap().is_none(), "then the stream ends");
}

#[test]
fn the_transport_is_woken_by_a_frame_and_by_the_end() {
    let (frames, mut outbound) = passage(2);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let cx = &mut Context::from_waker(&waker);
    assert!(outbound.poll_next_unpin(cx).is_pending());
    frames.send_now(Ok(frame(1)));
    frames.send_now(Ok(frame(2)));
    assert_eq!(bell.rings(), 1, "once, until it waits again");
    assert!(outbound.poll_next_unpin(cx).is_ready());
    assert!(outbound.poll_next_unpin(cx).is_ready());
    assert!(outbound.poll_next_unpin(cx).is_pending());
    drop(frames);
    assert_eq!(bell.rings(), 2);
}

#[test]
fn a_session_that_waits_for_the_end_alone_is_not_woken_by_room() {
    let (frames, outbound) = passage(1);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let cx = &mut Context::from_waker(&waker);
    let mut gone = pin!(frames.gone());
    assert!(gone.as_mut().poll(cx).is_pending());
    frames.send_now(Ok(frame(1)));
    assert!(outbound.take_ready().is_some());
    assert_eq!(bell.rings(), 0);
    frames.send_now(Ok(frame(2)));
    assert!(frames.poll_room(cx).is_pending());
    assert!(outbound.take_ready().is_some());
    assert_eq!(bell.rings(), 1, "it waited for room");
    assert_eq!(frames.poll_room(cx), Poll::Ready(Ok(())));
    assert!(gone.as_mut().poll(cx).is_pending());
    drop(outbound);
    assert_eq!(bell.rings(), 2);
    assert!(gone.as_mut().poll(cx).is_ready());
    assert_eq!(frames.poll_room(cx), Poll::Ready(Err(Gone)));
    assert_eq!(frames.send(Ok(frame(3))).now_or_never(), Some(Err(Gone)));
}
