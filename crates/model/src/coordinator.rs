//! A coordinator process: the real queue, and around it what the engine does with its output.
//!
//! A turn applies commands, lets time fire and grants, as the engine's turn does; what it wrote becomes one batch, and
//! what it said waits at the gate for that batch.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use leasehold_policy::Time;
use leasehold_queue::{
    Command, Disposition, Effect, Ended, Ending, Output, Queue, Reply, RevocationReason, StreamId,
    TaskId, Token,
};

use crate::{explore::Violation, log::End};

/// How many leases a turn may grant.
const GRANTS_PER_TURN: usize = 16;

/// A coordinator process.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    pub(crate) queue: Queue,
    /// Which start of a coordinator it is.
    pub(crate) process: u32,
    pub(crate) epoch: u32,
    /// The session TTL it promises.
    pub(crate) ttl: Duration,
    /// What it said that is not durable yet, in order.
    pub(crate) gate: VecDeque<Waiting>,
    /// The last stream of each worker on which a hello was heard.
    pub(crate) greeted: BTreeMap<usize, StreamId>,
    /// Whether it wrote something that it cannot append, because another coordinator has taken over.
    pub(crate) is_doomed: bool,
}

/// What waits at the gate.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// How many batches have to be durable.
    pub(crate) position: usize,
    pub(crate) release: Release,
    /// When the hello was sent, if that is what is answered.
    pub(crate) answers: Time,
}

/// One thing that leaves once it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Release {
    /// The answer to a hello.
    Welcome { stream: StreamId, lost: Vec<Token> },
    /// The answer to a submit.
    Submitted { task: usize, id: TaskId },
    /// The news that a task has ended.
    Ended { id: TaskId, generation: u32, end: End },
    /// A task for a worker.
    Assign { stream: StreamId, token: Token, id: TaskId },
    /// A lease has to end.
    Revoke { stream: StreamId, token: Token, reason: RevocationReason },
    /// The answer to an outcome.
    Answer { stream: StreamId, token: Token, disposition: Disposition },
}

/// What a turn led to.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) output: Output,
    pub(crate) replies: Vec<Reply>,
}

impl Coordinator {
    /// Takes one turn.
    pub(crate) fn turn(&mut self, now: Time, commands: Vec<Command>) -> Result<Turn, Violation> {
        let mut replies = Vec::new();
        for command in commands {
            replies.push(self.apply(now, command)?);
        }
        self.apply(now, Command::Advance { until: now })?;
        self.apply(now, Command::Grant { most: GRANTS_PER_TURN })?;
        Ok(Turn { output: self.queue.take_output(), replies })
    }

    /// What was said about a lease has left.
    pub(crate) fn sent(
        &mut self,
        now: Time,
        stream: StreamId,
        token: Token,
    ) -> Result<(), Violation> {
        self.apply(now, Command::Sent { stream, tokens: vec![token] }).map(drop)
    }

    /// An assertion that fails in the queue is a violation like any other.
    fn apply(&mut self, now: Time, command: Command) -> Result<Reply, Violation> {
        let queue = &mut self.queue;
        catch_unwind(AssertUnwindSafe(|| queue.apply(now, command))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            Violation { invariant: "assertion", what: text.to_owned() }
        })
    }
}

/// What waits at the gate of an effect; none for those that only people see. Streams are closed at once.
pub(crate) fn release(effect: Effect) -> Option<Release> {
    Some(match effect {
        Effect::Assign { stream, assignment } => {
            Release::Assign { stream, token: assignment.token, id: assignment.task }
        }
        Effect::Revoke { stream, token, reason, .. } => Release::Revoke { stream, token, reason },
        Effect::ResultAck { stream, token, disposition } => {
            Release::Answer { stream, token, disposition }
        }
        Effect::Ended(ended) => {
            let Ended { task, ending, .. } = ended;
            let decided = task.ends().last().filter(|_| ending == Ending::Succeeded);
            let token = decided.map(|end| end.token);
            let (id, generation) = (task.id, task.generation());
            Release::Ended { id, generation, end: End { ending, token } }
        }
        // No worker of the model takes leases ahead, or asks for more time.
        Effect::Retract { .. }
        | Effect::Extend { .. }
        | Effect::RequestDrain { .. }
        | Effect::Close { .. }
        | Effect::StoppedLate { .. }
        | Effect::Turned(_)
        | Effect::Changed(_) => return None,
    })
}
