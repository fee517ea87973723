//! Where work leaves how it ended, until the worker takes it: many ends with one wake-up. It knows no task and no handler.

use std::{
    any::Any,
    collections::VecDeque,
    future::Future,
    mem,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt as _;
use leasehold_proto::v1;
use tokio::sync::Notify;

use crate::{
    assignment::Token,
    outcome::{End, Failure},
    panic_note,
};

/// What has ended and was not taken yet. At most one entry for each lease that runs.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    left: Mutex<VecDeque<(Token, End)>>,
    arrived: Notify,
}

/// What one piece of work owes: its end. Dropped without one, as work is that is aborted, it says so.
#[derive(Debug)]
pub(crate) struct Slip {
    /// Where it is left. `None`: it has been.
    ends: Option<Arc<Ends>>,
    token: Token,
}

impl Ends {
    /// The slip of a lease's work.
    pub(crate) fn slip(self: &Arc<Self>, token: Token) -> Slip {
        Slip { ends: Some(Arc::clone(self)), token }
    }

    /// Waits until something may have been left. May be dropped and called again at any time.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything that was left; `taken` must be empty.
    pub(crate) fn take(&self, taken: &mut VecDeque<(Token, End)>) {
        debug_assert!(taken.is_empty(), "what was taken before is dealt with first");
        mem::swap(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner), taken);
    }

    fn leave(&self, token: Token, end: End) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = left.is_empty();
        left.push_back((token, end));
        drop(left);
        // Whoever takes the first takes those behind it, too.
        if is_first {
            self.arrived.notify_one();
        }
    }
}

impl Slip {
    /// Leaves the end.
    pub(crate) fn leave(mut self, end: End) {
        self.settle(end);
    }

    fn settle(&mut self, end: End) {
        if let Some(ends) = self.ends.take() {
            ends.leave(self.token, end);
        }
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        self.settle(End::Aborted);
    }
}

/// Runs work to its end, and leaves that. Nothing of the work is left by then.
///
/// What is never polled is dropped in the order of the parameters, so that the slip comes last; what was, in the reverse order
/// of its locals.
pub(crate) async fn run(work: impl Future<Output = End>, slip: Slip) {
    // Dropped after the work, also if that never ends by itself.
    let slip = slip;
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    slip.leave(ended.unwrap_or_else(|payload| torn(payload.as_ref())));
}

/// Only what work leaves behind can panic here, when it is dropped.
fn torn(payload: &(dyn Any + Send)) -> End {
    let failure = Failure::new(v1::FailureReason::Panic, &panic_note::words(payload), "");
    End::Returned(Err(failure))
}

#[cfg(test)]
mod tests;
