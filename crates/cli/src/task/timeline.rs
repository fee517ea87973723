//! What happened to a task, in order, and how long it was in each state.
//!
//! It knows a task as the contract shows it, and asks nobody.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use leasehold_client::{
    duration::from_wire,
    has_ended,
    v1::{Lease, LeaseEnd, RevocationReason, StopProof, Task},
};
use prost_types::Timestamp;

use crate::{
    duration::brief,
    table::{Cell, Column, Table},
    words,
};

/// What happened to a task, the oldest first.
#[derive(Debug)]
pub(super) struct Timeline {
    events: Vec<Event>,
}

/// One thing that happened.
#[derive(Debug)]
struct Event {
    /// When. None: that is not known.
    at: Option<SystemTime>,
    /// What the task did from the event before up to this one.
    after: State,
    what: String,
}

/// What a task does between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Its initial delay is not over.
    Delayed,
    /// It could be leased.
    Waiting,
    /// It is leased, and its worker has not said that it started.
    Starting,
    Running,
    /// It was revoked, and its worker has not answered.
    Stopping,
    /// It waits for its next attempt.
    BackingOff,
    /// It has failed and waits to be replayed.
    Dead,
    /// Nothing is known of it.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delayed => "delayed",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::BackingOff => "backoff",
            Self::Dead => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// A timeline in the making.
struct Pen {
    events: Vec<Event>,
    state: State,
    /// Until when it waits for a time, if it does.
    until: Option<SystemTime>,
    generation: i32,
    /// The lease that ended last.
    token: i64,
}

impl Timeline {
    /// The timeline of a task as it is now.
    pub(super) fn of(task: &Task, now: SystemTime) -> Self {
        let delay = task.spec.as_ref().and_then(|spec| spec.initial_delay.as_ref());
        let (events, state, until) = (Vec::new(), State::Unknown, None);
        let mut pen = Pen { events, state, until, generation: 1, token: 0 };
        pen.note(task.submit_time.as_ref(), State::Waiting, "submitted");
        pen.wait(after(task.submit_time.as_ref(), delay).as_ref(), State::Delayed);
        pen.untold(task);
        for (at, end) in task.lease_ends.iter().enumerate() {
            if at == 1 && task.lease_ends_forgotten > 0 {
                let what = format!("({} ends of leases were not kept)", task.lease_ends_forgotten);
                pen.note(None, State::Unknown, &what);
            }
            pen.reach(end.generation, task);
            pen.ended(end);
        }
        pen.reach(task.generation, task);
        if let Some(lease) = &task.lease {
            pen.leased(&Held::from(lease));
        }
        let state = words::state_name(task.state());
        if has_ended(task.state()) {
            let finish = task.finish_time.and_then(|at| SystemTime::try_from(at).ok());
            pen.come_due(finish);
            // The end of its last lease was its own.
            if pen.events.last().is_some_and(|last| last.at == finish) {
                pen.state = State::Unknown;
            }
            pen.push(finish, State::Dead, state);
        } else {
            pen.come_due(Some(now));
            pen.push(Some(now), State::Unknown, &format!("now {state}"));
        }
        Self { events: pen.events }
    }

    /// A row for each event: when, counted from the first one, after what, and what.
    pub(super) fn table(&self) -> Table {
        let columns =
            [Column::Right("AT"), Column::Right("AFTER"), Column::Left(""), Column::Left("WHAT")];
        let mut table = Table::new(columns);
        let start = self.events.first().and_then(|event| event.at);
        for (event, took) in self.events.iter().zip(self.spans()) {
            let since = start.zip(event.at).and_then(|(start, at)| at.duration_since(start).ok());
            let took = took.filter(|_| event.after != State::Unknown);
            let after = took.map(|_| event.after.to_string());
            let cells = [
                since.map_or_else(|| "-".to_owned(), brief),
                took.map(brief).unwrap_or_default(),
                after.unwrap_or_default(),
                event.what.clone(),
            ];
            table.row(cells.map(Cell::from));
        }
        table
    }

    /// How long the task was in each state, as far as that is known.
    pub(super) fn spent(&self) -> String {
        let mut spent: Vec<(State, Duration)> = Vec::new();
        for (event, took) in self.events.iter().zip(self.spans()) {
            let Some(took) = took.filter(|_| event.after != State::Unknown) else { continue };
            match spent.iter_mut().find(|(state, _)| *state == event.after) {
                Some((_, total)) => *total += took,
                None => spent.push((event.after, took)),
            }
        }
        spent.sort_by_key(|(state, _)| *state);
        let parts = spent.iter().map(|(state, took)| format!("{state} {}", brief(*took)));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// How long it took from each event's predecessor to the event.
    fn spans(&self) -> impl Iterator<Item = Option<Duration>> {
        let mut before = None;
        self.events.iter().map(move |event| {
            let took = event.at.and_then(|at| at.duration_since(before?).ok());
            before = event.at;
            took
        })
    }
}

impl Pen {
    fn note(&mut self, at: Option<&Timestamp>, next: State, what: &str) {
        self.push(at.and_then(|at| SystemTime::try_from(*at).ok()), next, what);
    }

    fn push(&mut self, at: Option<SystemTime>, next: State, what: &str) {
        self.events.push(Event { at, after: self.state, what: what.to_owned() });
        self.state = next;
    }

    /// From here on it waits until a time.
    fn wait(&mut self, until: Option<&Timestamp>, state: State) {
        if let Some(until) = until.and_then(|at| SystemTime::try_from(*at).ok()) {
            (self.state, self.until) = (state, Some(until));
        }
    }

    /// Its wait is over, if it is by then.
    fn come_due(&mut self, now: Option<SystemTime>) {
        if let Some(until) = self.until.take_if(|until| now.is_some_and(|now| *until <= now)) {
            self.push(Some(until), State::Waiting, "can be leased");
        }
        self.until = None;
    }

    /// Leases that were counted, but of whose ends nothing was kept: their task ended under an older coordinator.
    fn untold(&mut self, task: &Task) {
        let ends = task.lease_ends.iter().filter(|end| end.generation == task.generation);
        let told = ends.count().saturating_add(usize::from(task.lease.is_some()));
        let told =
            i32::try_from(told).unwrap_or(i32::MAX).saturating_add(task.lease_ends_forgotten);
        if told < task.lease_count {
            let what = format!("({} leases of which no more is known)", task.lease_count - told);
            (self.state, self.until) = (State::Unknown, None);
            self.note(None, State::Unknown, &what);
        }
    }

    /// Replays the task until it is in a generation. When the last one began follows from its deadline.
    fn reach(&mut self, generation: i32, task: &Task) {
        while self.generation < generation {
            self.generation += 1;
            let is_last = self.generation == task.generation;
            let began = is_last.then(|| began(task)).flatten();
            (self.state, self.until) = (State::Dead, None);
            self.push(
                began,
                State::Waiting,
                &format!("replayed as generation {}", self.generation),
            );
        }
    }

    fn leased(&mut self, held: &Held<'_>) {
        self.come_due(held.granted.and_then(|at| SystemTime::try_from(*at).ok()));
        let what =
            format!("leased to {}, attempt {}, token {}", held.worker, held.attempt, held.token);
        self.note(held.granted, State::Starting, &what);
        if held.started.is_some() {
            self.note(held.started, State::Running, "started");
        }
        if let Some(reason) = words::revocation(held.revocation) {
            self.note(held.revoked, State::Stopping, &format!("revoked: {reason}"));
        }
        if held.delivered.is_some() {
            self.note(held.delivered, State::Stopping, "the worker knows");
        }
    }

    fn ended(&mut self, end: &LeaseEnd) {
        let is_late = std::mem::replace(&mut self.token, end.fencing_token) == end.fencing_token;
        if is_late {
            self.come_due(end.end_time.and_then(|at| SystemTime::try_from(at).ok()));
        } else {
            self.leased(&Held::from(end));
        }
        let heard = if is_late { "its worker was heard late" } else { "ended" };
        let [kind, stop, charge] = [
            words::end_kind(end.kind()),
            words::stop_proof(end.stop()),
            words::charge(end.charge()),
        ];
        let message = if end.message.is_empty() { "" } else { ": " };
        let what = format!("{heard}: {kind}; {stop}; {charge}{message}{}", end.message);
        self.note(end.end_time.as_ref(), State::Waiting, &what);
        self.wait(end.eligible_time.as_ref(), State::BackingOff);
    }
}

/// What a lease and the end of one have in common.
struct Held<'a> {
    worker: &'a str,
    token: i64,
    attempt: i32,
    granted: Option<&'a Timestamp>,
    started: Option<&'a Timestamp>,
    revocation: RevocationReason,
    revoked: Option<&'a Timestamp>,
    delivered: Option<&'a Timestamp>,
}

impl<'a> From<&'a Lease> for Held<'a> {
    fn from(lease: &'a Lease) -> Self {
        Self {
            worker: &lease.worker_id,
            token: lease.fencing_token,
            attempt: lease.attempt,
            granted: lease.grant_time.as_ref(),
            started: lease.start_time.as_ref(),
            revocation: lease.revocation(),
            revoked: lease.revoke_time.as_ref(),
            delivered: lease.revoke_delivered_time.as_ref(),
        }
    }
}

impl<'a> From<&'a LeaseEnd> for Held<'a> {
    fn from(end: &'a LeaseEnd) -> Self {
        Self {
            worker: &end.worker_id,
            token: end.fencing_token,
            attempt: end.attempt,
            granted: end.grant_time.as_ref(),
            started: end.start_time.as_ref(),
            revocation: end.revocation(),
            revoked: end.revoke_time.as_ref(),
            delivered: end.revoke_delivered_time.as_ref(),
        }
    }
}

/// How far a cancel of a leased task came: requested, delivered, stopped. None: nobody asked for one.
pub(super) fn cancel(task: &Task, now: SystemTime) -> Option<String> {
    if !task.cancel_requested {
        return None;
    }
    let end = task.lease_ends.last().filter(|_| task.lease.is_none());
    let Some(held) = end.map(Held::from).or_else(|| task.lease.as_ref().map(Held::from)) else {
        return Some("requested".to_owned());
    };
    let requested = words::age(held.revoked, now);
    let delivered = match between(held.revoked, held.delivered) {
        Some(took) => format!("delivered after {}", brief(took)),
        None => "not delivered yet".to_owned(),
    };
    let Some(end) = end else { return Some(format!("requested {requested}, {delivered}")) };
    let delivered =
        if held.delivered.is_some() { delivered } else { "delivery not confirmed".to_owned() };
    let stopped = if end.stop() == StopProof::Unproved {
        "stop not proved when the task ended".to_owned()
    } else {
        let took = between(held.revoked, end.end_time.as_ref()).unwrap_or_default();
        format!("stopped after {} ({})", brief(took), words::stop_proof(end.stop()))
    };
    Some(format!("requested {requested}, {delivered}, {stopped}"))
}

fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Option<Duration> {
    let (from, to) = (SystemTime::try_from(*from?).ok()?, SystemTime::try_from(*to?).ok()?);
    to.duration_since(from).ok()
}

fn after(time: Option<&Timestamp>, span: Option<&prost_types::Duration>) -> Option<Timestamp> {
    let time = SystemTime::try_from(*time?).ok()?;
    Some(Timestamp::from(time.checked_add(from_wire(span?).ok()?)?))
}

/// When the task's generation began: that long before its deadline.
fn began(task: &Task) -> Option<SystemTime> {
    let deadline = SystemTime::try_from(task.deadline_time?).ok()?;
    let total = task.spec.as_ref()?.timeouts.as_ref()?.total?;
    deadline.checked_sub(from_wire(&total).ok()?)
}

#[cfg(test)]
mod tests;
