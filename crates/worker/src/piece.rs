//! One async handler on its way from the call to its end, and how many of them begin together. It knows no session and no
//! worker.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
    vec,
};

use leasehold_telemetry::LazySpan;
use tokio::runtime::Handle;

use crate::{
    Context,
    ends::Slip,
    outcome::End,
    panic_note,
    task::{Attempt, Function},
};

/// How many handlers are called in a row before the other tasks of their thread have a turn.
const STARTS_MAX: usize = 32;

/// A handler's work. It leaves one end, whatever becomes of it, and by then nothing of the handler is left.
pub(crate) struct Piece {
    stage: Stage,
    span: LazySpan,
    /// Not the handler's to drop: as long as it runs, the worker's pledge is kept.
    context: Context,
    /// Behind the handler: dropped with it, it says that it was aborted.
    slip: Option<Slip>,
}

enum Stage {
    /// What is to be called. What comes before the first `async` of a function belongs to its handler.
    Ahead(Arc<dyn Function>),
    Running(Attempt),
    Over,
}

impl Piece {
    pub(crate) fn new(
        function: Arc<dyn Function>,
        context: Context,
        span: LazySpan,
        slip: Slip,
    ) -> Self {
        Self { stage: Stage::Ahead(function), span, context, slip: Some(slip) }
    }

    /// Begins it on a runtime, or goes on with it there.
    fn spawn(self, handlers: &Handle) {
        let context = self.context.clone();
        context.tether().tie(handlers.spawn(self).abort_handle());
    }
}

impl Future for Piece {
    type Output = ();

    fn poll(self: Pin<&mut Self>, polling: &mut task::Context<'_>) -> Poll<()> {
        let Self { stage, span, context, slip } = self.get_mut();
        span.in_scope(|| {
            let called = match panic_note::caught(|| stage.poll(context, polling)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => Ok(result),
                Err(failure) => Err(failure),
            };
            // Of one that panicked something may be left, which may do so again.
            let left = panic_note::caught(|| *stage = Stage::Over);
            if let Some(slip) = slip.take() {
                slip.leave(End::of_handler(left.and(called)));
            }
            Poll::Ready(())
        })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let Self { stage, span, .. } = self;
        if let Stage::Running(_) = stage {
            span.in_scope(|| *stage = Stage::Over);
        }
    }
}

impl Stage {
    fn poll(
        &mut self,
        context: &Context,
        polling: &mut task::Context<'_>,
    ) -> Poll<<Attempt as Future>::Output> {
        if let Self::Ahead(function) = self {
            *self = Self::Running(function.call(context.payload().clone(), context.clone()));
        }
        match self {
            Self::Running(attempt) => attempt.as_mut().poll(polling),
            // It is not polled again once it is over.
            Self::Ahead(_) | Self::Over => Poll::Pending,
        }
    }
}

/// Begins handlers on a runtime.
///
/// Many take more than their number from it, if each is a task of its own: most are over before they have to wait for anything.
/// So as many tasks as the runtime has threads call one after the other, each the next that none of them has called, and what has
/// to wait becomes a task of its own. A handler that keeps its thread busy keeps no more than that thread from the others.
pub(crate) fn set_off(handlers: &Handle, pieces: Vec<Piece>) {
    match pieces.len() {
        0 => {}
        1 => pieces.into_iter().for_each(|piece| piece.spawn(handlers)),
        count => {
            let waiting = Arc::new(Mutex::new(pieces.into_iter()));
            for _ in 0..handlers.metrics().num_workers().min(count) {
                drop(handlers.spawn(Starter { waiting: Arc::clone(&waiting) }));
            }
        }
    }
}

/// Lets some begin, one after the other, and another one go on behind it.
struct Starter {
    waiting: Arc<Mutex<vec::IntoIter<Piece>>>,
}

impl Starter {
    fn next(&self) -> Option<Piece> {
        // Nothing can panic while the lock is held, so what it protects is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl Future for Starter {
    type Output = ();

    fn poll(self: Pin<&mut Self>, polling: &mut task::Context<'_>) -> Poll<()> {
        let handlers = Handle::current();
        for call in 0..STARTS_MAX {
            let Some(mut piece) = self.next() else { break };
            if call == 0 {
                // Before anybody is called: a handler that blocks in place gives away its thread, with all that waits there.
                let waiting = Arc::clone(&self.waiting);
                drop(handlers.spawn(Self { waiting }));
            }
            // It may have been killed before it began.
            if !piece.context.tether().is_over() && Pin::new(&mut piece).poll(polling).is_pending()
            {
                // Its own task polls it once more, and is what it wakes from then on. Nobody is called before that has its turn:
                // what a thread spawned last no other takes from it, however long a call keeps it.
                piece.spawn(&handlers);
                break;
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
