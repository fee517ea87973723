//! What frees resources or steers: cancels, replays, pauses, drains, the end.

use std::{collections::btree_map::Entry, sync::Arc, time::Duration};

use leasehold_journal::{FailedRow, QueryError, RowId};
use leasehold_policy::Mutant;
use leasehold_queue::{Command, Dead, Ended, Ending, Name, ReplayRefusal, Reply, Task, TaskId};

use super::{
    Engine,
    release::{Release, Told},
};
use crate::{
    codec,
    coordinator::chain,
    handle::{LeaseName, Replay, Unavailable},
    refusal::Scope,
    request::{Answer, Control},
    snapshot::Snapshot,
    status::Applied,
    terms,
    writer::REPLAYS_MAX,
};

/// Who asked for one dead letter to be replayed, while its row is being read.
#[derive(Debug)]
pub(super) struct Replaying {
    task: TaskId,
    asked: Vec<Asked>,
}

/// How many may ask for the same one at the same time.
const ASKED_MAX: usize = 64;

/// One of them.
#[derive(Debug)]
struct Asked {
    generation: Option<u32>,
    answer: Answer<Result<Replay, Unavailable>>,
}

impl Engine {
    pub(super) fn steer(&mut self, control: Control) {
        match control {
            Control::Cancel { task, answer } => {
                let snapshot = self.cancel(task).map(Box::new);
                self.say(Release::Shown(Told::new(answer, snapshot)));
            }
            Control::Replay { task, generation, answer } => {
                self.ask_replay(task, Asked { generation, answer });
            }
            Control::Pause { queue, paused, answer } => {
                self.apply(Command::Pause { queue: Name::clone(&queue), paused });
                let view = self.queue.queue(&queue);
                self.say(Release::Paused(Told::new(answer, view)));
            }
            Control::Drain { workers, grace, answer } => {
                let known = self.drain(workers, grace);
                self.say(Release::Drained(Told::new(answer, known)));
            }
            Control::RevokeLease { lease, grace, reason, answer } => {
                let task = self.revoke_lease(lease, grace, &reason).map(Box::new);
                self.say(Release::Shown(Told::new(answer, task)));
            }
            Control::Evict { worker, grace, ban, reason, answer } => {
                tracing::warn!(worker = &*worker, ?ban, reason, "an operator evicts a worker");
                self.apply(Command::EvictWorker { worker: Name::clone(&worker), grace, ban });
                let own = self.queue.workers().filter(|view| view.worker == worker).collect();
                self.say(Release::Workers(Told::new(answer, own)));
            }
            Control::ResetBreaker { guarded, answer } => {
                self.apply(Command::ResetBreaker { guarded: guarded.clone() });
                let view = self.queue.breakers().find(|view| view.guarded == guarded);
                self.say(Release::Breaker(Told::new(answer, view)));
            }
            Control::Configure { applied, answer } => {
                self.configure(applied);
                self.say(Release::Configured(Told::new(answer, ())));
            }
            Control::Shutdown => self.begin_to_stop(),
        }
    }

    /// From here on everybody has it: the queue, this engine, and through the status whoever reads requests. A longer session TTL
    /// is a promise, so it is kept where no trim can take it before any worker is told.
    fn configure(&mut self, applied: Arc<Applied>) {
        let promised = self.queue.session_ttl_max();
        self.apply(Command::Configure(Box::new(terms::queue(&applied.config))));
        self.config = Arc::clone(&applied.config);
        self.status.apply(applied);
        if promised < self.config.session.ttl && !Mutant::LongerTtlUnpromised.is_alive() {
            self.promise_session_ttl();
        }
    }

    fn cancel(&mut self, task: TaskId) -> Option<Snapshot> {
        let Reply::Cancelled(cancelled) = self.apply(Command::Cancel { task }) else { return None };
        let (task, ending) = *cancelled?;
        Some(match ending {
            Some(ending) => self.just_ended(task, ending),
            None => self.snapshot(&task),
        })
    }

    fn revoke_lease(
        &mut self,
        lease: LeaseName,
        grace: Option<Duration>,
        reason: &str,
    ) -> Option<Snapshot> {
        let token = match lease {
            LeaseName::Token(token) => token,
            LeaseName::Of(task) => self.queue.task(task)?.lease()?.token,
        };
        let Reply::Revoked(task) = self.apply(Command::RevokeLease { token, grace }) else {
            return None;
        };
        let task_id = task?;
        tracing::info!(%task_id, fencing_token = token.as_i64(), reason, "an operator revokes a lease");
        self.queue.task(task_id).map(|task| self.snapshot(task))
    }

    fn just_ended(&self, task: Task, ending: Ending) -> Snapshot {
        Ended { task: Box::new(task), ending, result: bytes::Bytes::new(), time: self.now }.into()
    }

    fn drain(&mut self, workers: Vec<Name>, grace: Option<Duration>) -> Vec<bool> {
        let drain = |worker| {
            let reply = self.apply(Command::DrainWorker { worker, grace });
            matches!(reply, Reply::Draining(true))
        };
        workers.into_iter().map(drain).collect()
    }

    /// Reads the dead letter first, as soon as whatever is written already is durable. Whoever asks meanwhile for the
    /// same one joins: nothing else can change an ended task, so the row that is read is the one that is replayed.
    fn ask_replay(&mut self, task: TaskId, asked: Asked) {
        if let Some(open) = self.queue.task(task) {
            let is_past = asked.generation.is_none_or(|generation| generation < open.generation());
            let replay = if is_past && 1 < open.generation() {
                Replay::Already(Some(Box::new(self.snapshot(open))))
            } else {
                Replay::NotDead
            };
            return self.say(Release::Replayed(Told::new(asked.answer, Ok(replay))));
        }
        let is_full = REPLAYS_MAX <= self.replays.len();
        match self.replays.entry(task.serial()) {
            Entry::Occupied(mut entry)
                if entry.get().task == task && entry.get().asked.len() < ASKED_MAX =>
            {
                entry.get_mut().asked.push(asked);
            }
            Entry::Vacant(entry) if !is_full => {
                entry.insert(Replaying { task, asked: vec![asked] });
                self.say(Release::ReadDead(task));
            }
            Entry::Occupied(_) => {
                let (limit, max) = ("calls that replay it", ASKED_MAX as u64);
                let busy = Err(Unavailable::Overloaded { limit, scope: Scope::Task, max });
                self.say(Release::Replayed(Told::new(asked.answer, busy)));
            }
            Entry::Vacant(_) => {
                let busy = Err(Unavailable::full("replays under way", REPLAYS_MAX as u64));
                self.say(Release::Replayed(Told::new(asked.answer, busy)));
            }
        }
    }

    /// The row of a dead letter was read, or could not be: a damaged row is no reason to end everything else.
    pub(super) fn dead_letter(
        &mut self,
        row_id: RowId,
        row: Result<Option<FailedRow>, QueryError>,
    ) {
        let Some(Replaying { task, asked }) = self.replays.remove(&row_id) else { return };
        // Whoever asked may have done so before admission ended, so it is asked again here, where it counts.
        let row = self.status.admission().and_then(|()| {
            row.map_err(|error| {
                tracing::error!(row_id, error = chain(&error), "a dead letter cannot be read");
                Unavailable::Unreadable
            })
        });
        let row = match row {
            Ok(row) => row,
            Err(why) => {
                for Asked { answer, .. } in asked {
                    self.say(Release::Replayed(Told::new(answer, Err(why))));
                }
                return;
            }
        };
        // A row that has expired may be deleted by any append, this replay's own included.
        let row = row.filter(|row| self.now.unix_ms() < row.expire_ms);
        let dead = row.and_then(revive).filter(|dead| dead.id == task);
        for Asked { generation, answer } in asked {
            let replay = self.replay(task, dead.as_ref(), generation);
            self.say(Release::Replayed(Told::new(answer, Ok(replay))));
        }
    }

    fn replay(&mut self, id: TaskId, dead: Option<&Task>, generation: Option<u32>) -> Replay {
        let Some(dead) = dead else { return Replay::NotDead };
        match generation {
            Some(generation) if generation < dead.generation() => return Replay::Already(None),
            Some(generation) if dead.generation() < generation => return Replay::NotDead,
            Some(_) | None => {}
        }
        let command = Command::Replay(Box::new(Dead { task: dead.clone() }));
        let Reply::Replayed(replayed) = self.apply(command) else { return Replay::NotDead };
        let open = self.queue.task(id).map(|task| Box::new(self.snapshot(task)));
        match (replayed, open) {
            (Ok(_), Some(snapshot)) => Replay::Done(snapshot),
            (Err(ReplayRefusal::Refused(refusal)), _) => Replay::Refused(refusal),
            (Err(ReplayRefusal::AlreadyOpen(_)) | Ok(_), open) => Replay::Already(open),
        }
    }
}

/// The task as it failed, payload included. A row that cannot be read is no dead letter; the log says so.
fn revive(row: FailedRow) -> Option<Task> {
    match codec::decode_state(&row.state) {
        Ok(snapshot) => {
            let mut task = snapshot.task;
            task.spec.payload = row.payload.into();
            Some(task)
        }
        Err(error) => {
            let row_id = row.row_id;
            tracing::error!(row_id, %error, "the state of a dead letter cannot be read");
            None
        }
    }
}
