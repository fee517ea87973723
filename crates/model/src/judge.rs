//! The invariants, each looked at where something could break it.
//!
//! I7 (the state is the fold of its records) is looked at after each turn; I3, I6 and I27 are also looked at in the
//! journal itself, by `log.rs`.

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

/// I1, I8: a worker starts the work of a lease.
pub(crate) fn start(state: &State, worker: usize, token: Token) -> Result<(), Violation> {
    let lease = state.workers.get(worker).and_then(|it| it.leases.get(&token));
    let Some(task) = lease.map(|lease| lease.task) else { return Ok(()) };
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

/// I4: a coordinator accepts an outcome.
pub(crate) fn acceptance(state: &State, token: Token) -> Result<(), Violation> {
    let delivered = &state.ghosts.delivered;
    let Some((task, ..)) = delivered.get(&token) else { return Ok(()) };
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
