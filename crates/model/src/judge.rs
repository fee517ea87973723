//! The invariants, each looked at where something could break it.
//!
//! I7 (the state is the fold of its records) is looked at after each turn; I3, I6 and I27 are also looked at in the
//! journal itself, by `log.rs`.

use std::cell::Cell;

use leasehold_queue::{Record, Token};

use crate::{
    cluster::shown,
    config::HORIZON,
    explore::Violation,
    fingerprint::Fingerprint,
    log::End,
    state::{State, task_of},
    stream::News,
};

/// Every invariant, by its name in the design, and what it says.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("I1", "no two workers run the same task and believe in their leases"),
    ("I2", "an acknowledged submit is in every state the journal can recover to, once"),
    ("I3", "an end stays, and so does the token that decided it"),
    ("I4", "an accepted outcome carries the newest token ever delivered for its task"),
    ("I5", "a worker forgets an outcome only if no crash can make its lease current again"),
    ("I6", "no token is given to two holders or granted twice"),
    ("I7", "the state is the fold of its records"),
    ("I8", "finished work is not started again while its process lives and nothing excuses it"),
    ("I20", "from every state a good end can be reached"),
    ("I27", "an accepted outcome carries a token of its task's current generation"),
];

/// Which of them were looked at in the step that led to a state: with something there that could have broken them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looked(Cell<u32>);

impl Looked {
    /// One bit for each, in the order of [`INVARIANTS`].
    pub(crate) const fn bits(&self) -> u32 {
        self.0.get()
    }

    fn at(&self, invariant: &str) {
        let number = INVARIANTS.iter().position(|(name, _)| *name == invariant);
        self.0.set(number.map_or(self.0.get(), |number| self.0.get() | 1 << number));
    }
}

/// I1, I8: a worker starts the work of a lease.
pub(crate) fn start(state: &State, worker: usize, token: Token) -> Result<(), Violation> {
    let lease = state.workers.get(worker).and_then(|it| it.leases.get(&token));
    let Some(task) = lease.map(|lease| lease.task) else { return Ok(()) };
    state.looked.at("I1");
    state.looked.at("I8");
    for (other, holder) in (0..).zip(&state.workers).filter(|(other, _)| *other != worker) {
        if let Some(held) = holder.runs(task) {
            let (held, token) = (shown(held), shown(token));
            let what = format!(
                "worker {other} runs task {task} under lease {held} when worker {worker} starts it under {token}"
            );
            return Err(Violation { invariant: "I1", what });
        }
    }
    match state.ghosts.finished.get(&task) {
        None => Ok(()),
        Some(by) => {
            let what = format!("worker {worker} starts task {task}, which worker {by} finished");
            Err(Violation { invariant: "I8", what })
        }
    }
}

/// I6: a worker hears of a lease.
pub(crate) fn delivery(state: &mut State, worker: usize, news: &News) -> Result<(), Violation> {
    let News::Assignment { token, task } = *news else { return Ok(()) };
    state.looked.at("I6");
    let instance = state.workers.get(worker).map_or(0, |it| it.instance);
    let holder = (task, worker, instance);
    match state.ghosts.delivered.insert(token, holder) {
        Some(before) if before != holder => {
            let (token, before) = (shown(token), describe(before));
            let what = format!("lease {token} of {before} is given to {} too", describe(holder));
            Err(Violation { invariant: "I6", what })
        }
        _ => Ok(()),
    }
}

/// I4, I27: a coordinator accepts an outcome.
pub(crate) fn acceptance(state: &State, token: Token) -> Result<(), Violation> {
    let delivered = &state.ghosts.delivered;
    let Some((task, ..)) = delivered.get(&token) else { return Ok(()) };
    state.looked.at("I4");
    state.looked.at("I27");
    let mut histories = state.log.all().into_iter().flat_map(|all| all.histories.values());
    if histories.any(|history| history.earlier.contains(&token)) {
        let what = format!("the outcome of lease {} is accepted after a replay", shown(token));
        return Err(Violation { invariant: "I27", what });
    }
    let newest = delivered.iter().rev().find(|(_, (of, ..))| of == task).map(|(it, _)| *it);
    match newest {
        Some(newest) if token < newest => {
            let (token, newest) = (shown(token), shown(newest));
            let what =
                format!("the outcome of lease {token} is accepted after {newest} was delivered");
            Err(Violation { invariant: "I4", what })
        }
        _ => Ok(()),
    }
}

/// I6: a coordinator writes.
pub(crate) fn records(state: &State, records: &[Record]) -> Result<(), Violation> {
    for record in records {
        if matches!(record, Record::LeaseGranted { .. }) {
            state.looked.at("I6");
        }
        if matches!(record, Record::TaskEnded { token: Some(_), .. }) {
            state.looked.at("I27");
        }
        if record.task().is_some() {
            state.looked.at("I3");
        }
        if let Record::LeaseGranted { token, .. } = record
            && state.ghosts.delivered.contains_key(token)
        {
            let what = format!("lease {} was delivered and is granted again", shown(*token));
            return Err(Violation { invariant: "I6", what });
        }
    }
    Ok(())
}

/// I7: the state is the fold of its records.
pub(crate) fn fold(state: &State) -> Result<(), Violation> {
    state.looked.at("I7");
    let print = |queue: &leasehold_queue::Queue| {
        let mut print = Fingerprint::new();
        queue.fingerprint_durable(state.now, HORIZON, &mut print);
        print.bits()
    };
    if state.log.all().is_none_or(|all| print(&all.queue) == print(&state.current.queue)) {
        return Ok(());
    }
    let what = "the coordinator's state is not what its journal folds to".to_owned();
    Err(Violation { invariant: "I7", what })
}

/// I5: a worker is about to be told that it may forget an outcome.
pub(crate) fn forgetting(state: &State, token: Token) -> Result<(), Violation> {
    state.looked.at("I5");
    for beginning in state.log.recoverable() {
        let tasks = beginning.queue.tasks_after(leasehold_queue::TaskId::from_u128(0));
        let mut leases = tasks.filter_map(|task| task.lease());
        if leases.any(|lease| lease.token == token) {
            let what = format!(
                "the outcome of lease {} may be forgotten, and a crash would make it current",
                shown(token)
            );
            return Err(Violation { invariant: "I5", what });
        }
    }
    Ok(())
}

/// I2: whatever a client knows to be accepted is there, once.
pub(crate) fn acknowledged(state: &State) -> Result<(), Violation> {
    let Some(safe) = state.log.safe() else { return Ok(()) };
    for (task, id) in &state.ghosts.acknowledged {
        state.looked.at("I2");
        if !safe.histories.contains_key(id) {
            let what = format!("the submit of task {task} was acknowledged and can be lost");
            return Err(Violation { invariant: "I2", what });
        }
    }
    let mut ids: Vec<usize> = state.ghosts.acknowledged.iter().map(|(task, _)| *task).collect();
    ids.dedup();
    if ids.len() < state.ghosts.acknowledged.len() {
        let what = "one idempotency key names two tasks".to_owned();
        return Err(Violation { invariant: "I2", what });
    }
    Ok(())
}

/// I3: what somebody was told of an end stays so.
pub(crate) fn told(state: &State) -> Result<(), Violation> {
    let Some(safe) = state.log.safe() else { return Ok(()) };
    for ((id, generation), told) in &state.ghosts.told {
        state.looked.at("I3");
        let history = safe.histories.get(id);
        let is_past = history.is_some_and(|it| *generation < it.generation);
        let end = history.filter(|it| it.generation == *generation).and_then(|it| it.end);
        if !is_past && end.map(End::shown) != Some(*told) {
            let what = format!("task {} ended as {told:?}; now it is {end:?}", task_of(*id));
            return Err(Violation { invariant: "I3", what });
        }
    }
    Ok(())
}

fn describe((task, worker, instance): (usize, usize, u8)) -> String {
    format!("task {task}, start {instance} of worker {worker}")
}
