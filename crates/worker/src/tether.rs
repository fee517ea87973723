//! What ties a handler to its worker: what is wanted of the attempt, and until when it may run. The worker says, the
//! handler looks. It knows no session and no lease.

use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use tokio::{
    sync::{Mutex as Turn, Notify, mpsc, oneshot},
    task::AbortHandle,
};

use crate::{
    CancelReason,
    assignment::Token,
    clock::Moment,
    term::{Answer, Ask, NotExtended},
};

/// What the session wants of a piece of work. It only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Go on.
    #[default]
    Run,
    /// Stop by yourself.
    Cancel(CancelReason),
    /// You are being stopped.
    Kill(CancelReason),
}

impl Signal {
    fn reason(self) -> Option<CancelReason> {
        match self {
            Self::Run => None,
            Self::Cancel(reason) | Self::Kill(reason) => Some(reason),
        }
    }
}

/// What ties one handler to its worker.
pub(crate) struct Tether {
    wanted: Mutex<Wanted>,
    /// Whoever waits to be stopped.
    stops: Notify,
    /// Held by whoever asks for more time: one request of an attempt is under way at a time.
    turn: Turn<()>,
    /// What aborts the work, from when it is spawned.
    abort: OnceLock<AbortHandle>,
}

#[derive(Clone, Copy)]
struct Wanted {
    signal: Signal,
    /// When the handler is asked to stop.
    deadline: Instant,
    /// Whether the worker has let go: what its handler left running has no lease.
    is_loose: bool,
}

impl Wanted {
    fn reason(self) -> Option<CancelReason> {
        self.signal.reason().or(self.is_loose.then_some(CancelReason::LeaseLost))
    }

    fn is_over(self) -> bool {
        self.is_loose || matches!(self.signal, Signal::Kill(_))
    }
}

impl Tether {
    /// A tether of work that may run until `deadline`.
    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            wanted: Mutex::new(Wanted { signal: Signal::Run, deadline, is_loose: false }),
            stops: Notify::new(),
            turn: Turn::new(()),
            abort: OnceLock::new(),
        }
    }

    /// Tells the handler what is wanted of it, and aborts it if it must die.
    pub(crate) fn signal(&self, signal: Signal) {
        self.wanted().signal = signal;
        self.stops.notify_waiters();
        // Work that has not been spawned yet finds the signal when it is.
        if matches!(signal, Signal::Kill(_))
            && let Some(abort) = self.abort.get()
        {
            abort.abort();
        }
    }

    /// The work is spawned: it is aborted at once if that was wanted before.
    pub(crate) fn tie(&self, abort: AbortHandle) {
        let abort = self.abort.get_or_init(|| abort);
        if self.is_over() {
            abort.abort();
        }
    }

    /// Whether the work must not begin any more.
    pub(crate) fn is_over(&self) -> bool {
        self.wanted().is_over()
    }

    /// The lease is over, and with it the work, as far as the worker knows.
    pub(crate) fn loosen(&self) {
        self.wanted().is_loose = true;
        self.stops.notify_waiters();
    }

    /// The worker ends, and the work with it.
    pub(crate) fn cut(&self) {
        self.loosen();
        if let Some(abort) = self.abort.get() {
            abort.abort();
        }
    }

    /// The handler may run until then.
    pub(crate) fn postpone(&self, deadline: Instant) {
        self.wanted().deadline = deadline;
    }

    /// When the handler is asked to stop.
    pub(crate) fn deadline(&self) -> Instant {
        self.wanted().deadline
    }

    /// Why the handler should stop. `None`: it should not.
    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.wanted().reason()
    }

    /// Waits until the handler should stop, and says why.
    pub(crate) async fn stopped(&self) -> CancelReason {
        loop {
            let stop = self.stops.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            stop.await;
        }
    }

    /// Asks for more time, and waits until the deadline has been moved.
    pub(crate) async fn ask(
        &self,
        asks: &mpsc::Sender<Ask>,
        token: Token,
        until: Moment,
    ) -> Result<(), NotExtended> {
        let _turn = self.turn.lock().await;
        let (answer, answered) = oneshot::channel();
        // A worker that is gone keeps no lease.
        asks.send(Ask { token, until, answer }).await.map_err(|_| NotExtended::Refused)?;
        match answered.await {
            Ok(Answer::Granted) => Ok(()),
            Ok(Answer::Refused) | Err(_) => Err(NotExtended::Refused),
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // Nothing can panic while the lock is held, so what it protects is whole.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
