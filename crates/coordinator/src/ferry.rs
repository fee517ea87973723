//! How the engine knows that it has heard everything that could be heard.
//!
//! What a worker says passes through the system's buffers and several tasks of the runtime before the engine reads it. The
//! process, the runtime or a whole machine can stand still on the way. So before anybody is given up for having been silent until
//! a certain time, a ferry crosses the runtime: it sets out then, lets everything that is ready run, a few times over, and arrives
//! behind whatever was readable when it set out. It knows no worker and no queue.

use leasehold_policy::Time;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::request::Liveness;

/// How many times everything that is ready runs, and the system is asked for what is readable: once each for a connection that has to
/// be accepted, its handshake, its frames, its stream and the task of the stream, and some to spare.
const ROUNDS: usize = 8;

/// The engine has one question under way at most.
const QUESTIONS_MAX: usize = 1;

/// The engine's end.
#[derive(Debug)]
pub(crate) enum Ferry {
    /// It crosses a runtime.
    Crossing(mpsc::Sender<Time>),
    /// Nothing is ever on its way, as in a simulation that is turned by hand.
    Still,
}

impl Ferry {
    /// A ferry across the runtime that this is called on. Its task is one of the sessions', and ends with the engine.
    pub(crate) fn launch(liveness: mpsc::Sender<Liveness>, sessions: &TaskTracker) -> Self {
        let (ask, questions) = mpsc::channel(QUESTIONS_MAX);
        sessions.spawn(cross(questions, liveness));
        Self::Crossing(ask)
    }

    /// Sets out now. Says whether it has arrived already; otherwise it says so among what workers say.
    pub(crate) fn set_out(&self, now: Time) -> bool {
        match self {
            // A runtime that is gone has nobody left who could be heard, or given up.
            Self::Crossing(ask) => drop(ask.try_send(now)),
            Self::Still => return true,
        }
        false
    }
}

async fn cross(mut questions: mpsc::Receiver<Time>, liveness: mpsc::Sender<Liveness>) {
    while let Some(time) = questions.recv().await {
        for _ in 0..ROUNDS {
            tokio::task::yield_now().await;
        }
        if liveness.send(Liveness::HeardUntil(time)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
