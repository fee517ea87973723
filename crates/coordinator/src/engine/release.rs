//! What leaves once it is durable: answers to callers, and the effects of the queue.

use std::time::Duration;

use leasehold_policy::{Tally, Time, Turn};
use leasehold_queue::{
    Accepted, Audience, BreakerView, CloseReason, Command, Disposition, Effect, Ended, Ending,
    NamespaceView, QueueExplanation, QueueView, Refusal, StreamId, Task, TaskId, Token, Turned,
    Welcome, WorkerView,
};

use super::{Engine, row};
use crate::{
    egress::{Closing, Event},
    handle::{ListPage, Replay, Unavailable, Waiter},
    request::Answer,
    snapshot::{Explained, Snapshot},
    terms::SessionTerms,
    watch::Watch,
    writer::Job,
};

/// One thing that waits at the gate.
#[derive(Debug)]
pub(super) enum Release {
    /// The effects of a turn.
    Effects(Vec<Effect>),
    /// A stream is open.
    Welcome(StreamId, Box<(Welcome, SessionTerms)>),
    /// So many tasks were ended that could not be over in time any more, and would have run for that long.
    Culled(usize, Duration),
    /// The row of a dead letter may be read: whatever was written before it is there.
    ReadDead(TaskId),
    /// Answers.
    Submitted(Told<Result<Vec<Result<Accepted, Refusal>>, Unavailable>>),
    Shown(Told<Option<Box<Snapshot>>>),
    Explained(Told<Option<Box<Explained>>>),
    QueueExplained(Told<Option<QueueExplanation>>),
    Replayed(Told<Result<Replay, Unavailable>>),
    Paused(Told<Option<QueueView>>),
    Drained(Told<Vec<bool>>),
    Configured(Told<()>),
    Listed(Told<ListPage>),
    Waits(Told<Result<Option<Waiter>, Unavailable>>),
    Watches(Told<Result<Watch, Unavailable>>),
    Queues(Told<Vec<QueueView>>),
    Namespaces(Told<Vec<NamespaceView>>),
    Workers(Told<Vec<WorkerView>>),
    Breakers(Told<Vec<BreakerView>>),
    Breaker(Told<Option<BreakerView>>),
}

/// An answer and where it goes.
#[derive(Debug)]
pub(super) struct Told<T> {
    to: Answer<T>,
    what: T,
}

impl<T> Told<T> {
    pub(super) const fn new(to: Answer<T>, what: T) -> Self {
        Self { to, what }
    }

    /// A caller that has gone is not told.
    fn tell(self) {
        drop(self.to.send(self.what));
    }
}

impl Engine {
    /// Lets everything go that has become durable.
    pub(super) fn release(&mut self) {
        let now = self.clock.now();
        while let Some(release) = self.gate.leave() {
            match release {
                Release::Effects(effects) => {
                    for effect in effects {
                        self.carry_out(effect, now);
                    }
                }
                Release::Welcome(stream, welcome) => self.welcome(stream, welcome),
                Release::Culled(count, spared) => self.metrics.culled(count as u64, spared),
                Release::ReadDead(task) => self.hand_over(Job::ReadDead { row_id: task.serial() }),
                Release::Submitted(told) => told.tell(),
                Release::Shown(told) => told.tell(),
                Release::Explained(told) => told.tell(),
                Release::QueueExplained(told) => told.tell(),
                Release::Replayed(told) => told.tell(),
                Release::Paused(told) => told.tell(),
                Release::Drained(told) => told.tell(),
                Release::Configured(told) => told.tell(),
                Release::Listed(told) => told.tell(),
                Release::Waits(told) => told.tell(),
                Release::Watches(told) => told.tell(),
                Release::Queues(told) => told.tell(),
                Release::Namespaces(told) => told.tell(),
                Release::Breakers(told) => told.tell(),
                Release::Breaker(told) => told.tell(),
                Release::Workers(told) => told.tell(),
            }
        }
        self.keep_ahead();
        self.hand_over_events();
    }

    /// Hands each session what was said to it, all at once. Workers are judged by what they do about what has left for them,
    /// from when it left.
    fn hand_over_events(&mut self) {
        for stream in std::mem::take(&mut self.told) {
            let Some(session) = self.streams.get_mut(&stream) else { continue };
            let falls_behind = session.egress.hand_over();
            let tokens = std::mem::take(&mut session.sent);
            if falls_behind {
                self.apply(Command::Reading { stream, is_behind: true });
            }
            if !tokens.is_empty() {
                self.apply(Command::Sent { stream, tokens });
            }
        }
    }

    pub(super) fn carry_out(&mut self, effect: Effect, now: Time) {
        match effect {
            Effect::Assign { stream, mut assignment } => {
                if assignment.spec.payload.here().is_none() {
                    let Some(payload) = self.arrived(assignment.task) else {
                        unreachable!("what leaves with a batch was read before it")
                    };
                    assignment.spec.payload = payload.into();
                }
                self.count_grant(&assignment);
                let left = assignment.deadline.since(now);
                let token = assignment.token;
                self.send_lease(stream, token, Event::Assign(assignment, left));
            }
            Effect::Revoke { stream, token, reason, grace } => {
                self.send_lease(stream, token, Event::Revoke { token, reason, grace });
            }
            Effect::Retract { stream, token } => {
                self.metrics.retracted();
                self.send(stream, Event::Retract { token });
            }
            Effect::Extend { stream, token, remaining } => {
                self.send(stream, Event::Extend { token, remaining });
            }
            Effect::ResultAck { stream, token, disposition } => {
                if disposition == Disposition::Stale {
                    self.metrics.stale();
                }
                self.send(stream, Event::ResultAck { token, disposition });
            }
            Effect::RequestDrain { stream, grace } => {
                self.send(stream, Event::Drain { grace });
            }
            Effect::Close { stream, reason } => self.close(stream, reason),
            Effect::StoppedLate { task, token, worker, stop, late } => {
                self.metrics.stopped_late();
                let (fencing_token, late_ms) = (token.as_i64(), duration_ms(late));
                tracing::warn!(
                    task_id = %task, fencing_token, worker = &*worker, how = ?stop, late_ms,
                    "the work of a lease stopped after the lease had ended"
                );
            }
            Effect::Turned(turned) => self.turned(&turned),
            Effect::Changed(task) => self.changed(&task),
            Effect::Ended(ended) => self.ended(ended),
        }
    }

    /// That something is given up, or tried again, is news to whoever runs it.
    fn turned(&mut self, turned: &Turned) {
        let Turned { guarded, turn, tally, until } = turned;
        let Tally { calls, failures, slow } = *tally;
        self.metrics.turned(guarded, *turn);
        self.gauges.outdate();
        match turn {
            Turn::Opened => {
                let open_ms = until.map(|until| duration_ms(until.since(self.now)));
                tracing::warn!(breaker = %guarded, calls, failures, slow, open_ms, "a circuit opened");
            }
            Turn::HalfOpened => tracing::info!(breaker = %guarded, "a circuit is half-open"),
            Turn::Closed => tracing::info!(breaker = %guarded, "a circuit closed"),
        }
    }

    fn changed(&mut self, task: &Task) {
        let queue = &self.queue;
        self.watchers.changed(task, || Snapshot::of(queue, task));
    }

    fn ended(&mut self, ended: Ended) {
        log_end(&ended);
        // Most end unseen.
        let is_seen = self.watchers.audience() == Audience::Watchers;
        if !is_seen && !self.waiters.are_waiting_for(ended.task.id) {
            return;
        }
        let snapshot = Snapshot::from(ended);
        self.watchers.changed(&snapshot.task, || snapshot.clone());
        self.waiters.ended(&snapshot);
    }

    fn welcome(&mut self, stream: StreamId, welcome: Box<(Welcome, SessionTerms)>) {
        if let Some(session) = self.streams.get_mut(&stream) {
            session.is_welcome = true;
            self.send(stream, Event::Welcome(welcome));
        }
    }

    /// Sends what a worker has to act upon, and keeps in mind that it leaves.
    fn send_lease(&mut self, stream: StreamId, token: Token, event: Event) {
        self.send_about(stream, Some(token), event);
    }

    /// Sends an event with this turn's others, unless the stream is gone.
    pub(super) fn send(&mut self, stream: StreamId, event: Event) {
        self.send_about(stream, None, event);
    }

    /// A stream whose worker does not read, or whose session is gone, is ended; its leases stay.
    fn send_about(&mut self, stream: StreamId, lease: Option<Token>, event: Event) {
        let Some(session) = self.streams.get_mut(&stream) else { return };
        if session.egress.is_silent() {
            self.told.push(stream);
        }
        if session.egress.say(event) {
            session.sent.extend(lease);
        } else {
            self.end_stream(stream, Closing::SlowConsumer);
            self.lost.push(stream);
        }
    }

    /// Ends a stream at once, without waiting for anything to be durable: what is unsent must stay unsent.
    pub(super) fn close(&mut self, stream: StreamId, reason: CloseReason) {
        let closing = match reason {
            CloseReason::Replaced => Closing::Replaced,
            CloseReason::Expired => Closing::Expired,
        };
        self.end_stream(stream, closing);
    }

    pub(super) fn end_stream(&mut self, stream: StreamId, closing: Closing) {
        if let Some(session) = self.streams.remove(&stream) {
            session.egress.close(closing);
        }
    }
}

/// A dead letter is somebody's business; everything else is only looked for.
fn log_end(ended: &Ended) {
    let Ended { task, ending, time, .. } = ended;
    if let (Ending::Failed, Some(failure)) = (*ending, task.last_failure()) {
        let (reason, error) = (row::reason(failure.reason), &*failure.message);
        tracing::warn!(
            task_id = %task.id, trace_id = row::trace_id(task), queue = &*task.spec.queue,
            task_type = &*task.spec.task_type, attempts = task.attempts,
            took_ms = duration_ms(time.since(task.submitted)), reason, error, "task failed"
        );
    } else {
        tracing::debug!(
            task_id = %task.id, trace_id = row::trace_id(task), queue = &*task.spec.queue,
            task_type = &*task.spec.task_type,
            took_ms = duration_ms(time.since(task.submitted)), ?ending, "task ended"
        );
    }
}

fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
