//! What is let in: submits, replays of dead letters, pauses.
//!
//! Reaching a bound refuses what asks to come in and never what is there already.

use leasehold_policy::{Mutant, Time, namespace};

use crate::{
    Accepted, Dead, Name, Phase, Queue, Record, Refusal, ReplayRefusal, Replayed, Submit, Task,
    TaskId, TaskSpec, Use, book, keys, lanes::Place,
};

impl Queue {
    pub(crate) fn submit(&mut self, submit: Submit) -> Result<Accepted, Refusal> {
        let Submit { id, mut spec, validate_only } = submit;
        if let Some(id) = self.named(&spec)? {
            return Ok(Accepted { id, deduplicated: true, late: None });
        }
        if self.book.task(id).is_some() {
            // Ids are minted once. Whoever repeats one means that task.
            return Ok(Accepted { id, deduplicated: true, late: None });
        }
        if !self.config.create_queues && !self.book.knows_queue(&spec.queue) {
            return Err(Refusal::UnknownQueue { queue: Name::clone(&spec.queue) });
        }
        self.admit(&spec)?;
        self.fail_fast(&spec)?;
        let late = self.judge(&spec)?;
        if !validate_only {
            self.book.make_room(&spec.queue, self.config.limits.queues);
            self.book.templates.intern(&mut spec.template);
            let task = Box::new(Task::new(id, spec, self.now));
            self.write(Record::TaskAccepted(task));
            self.show(id);
        }
        Ok(Accepted { id, deduplicated: false, late })
    }

    /// A dead letter is bound by the same limits as a submit, but its queue may be created: it existed when the task was
    /// accepted. It does not wait for its initial delay again. What failed last stays to be seen.
    pub(crate) fn replay_dead(&mut self, dead: Dead) -> Result<Replayed, ReplayRefusal> {
        let mut task = dead.task;
        if self.book.task(task.id).is_some() {
            return Err(ReplayRefusal::AlreadyOpen(task.id));
        }
        self.free_to_reopen(&task)?;
        self.admit(&task.spec)?;
        self.book.make_room(&task.spec.queue, self.config.limits.queues);
        task.revision = task.revision.saturating_add(1);
        (task.attempts, task.leases) = (0, 0);
        (task.cancel_requested, task.ran) = (false, false);
        task.deadline = self.now + task.spec.total_timeout.into();
        task.leave_lease(Phase::Queued);
        task.leave(|past| {
            past.replays += u32::from(!Mutant::GenerationKept.is_alive());
            past.worker_losses = 0;
        });
        self.book.templates.intern(&mut task.spec.template);
        let (id, generation) = (task.id, task.generation());
        self.write(Record::TaskReplayed(Box::new(task)));
        self.show(id);
        Ok(Replayed { generation })
    }

    /// Stops leasing tasks of a queue, which may be created for that: it can be paused ahead of its first task. Says
    /// whether it exists.
    pub(crate) fn pause(&mut self, queue: Name) -> bool {
        let most = self.config.limits.queues;
        let exists = self.book.knows_queue(&queue)
            || (self.config.create_queues && self.book.queue_count() < most);
        if exists && !self.book.is_paused(&queue) {
            self.book.make_room(&queue, most);
            self.index.lanes.pause(&queue, Some(self.now));
            self.write(Record::QueuePaused { queue, paused: true });
        }
        exists
    }

    /// Leases tasks of a queue again. Says whether it exists.
    pub(crate) fn resume(&mut self, queue: Name) -> bool {
        let exists = self.book.knows_queue(&queue);
        if self.book.is_paused(&queue) {
            self.index.lanes.resume(&queue);
            self.write(Record::QueuePaused { queue, paused: false });
        }
        exists
    }

    /// The task that the spec's idempotency key names already.
    fn named(&self, spec: &TaskSpec) -> Result<Option<TaskId>, Refusal> {
        let Some(key) = spec.key() else { return Ok(None) };
        let Some(entry) = self.book.keys.find(&spec.queue, &key.name, self.now) else {
            return Ok(None);
        };
        if entry.digest == key.digest {
            return Ok(Some(entry.task));
        }
        Err(Refusal::KeyConflict {
            key: Name::clone(&key.name),
            task: entry.task,
            stored: entry.digest,
            sent: key.digest,
        })
    }

    /// The key of a dead letter may have expired and name another task by now.
    fn free_to_reopen(&self, task: &Task) -> Result<(), Refusal> {
        let Some(key) = task.spec.key() else { return Ok(()) };
        match self.book.keys.find(&task.spec.queue, &key.name, self.now) {
            Some(entry) if entry.task != task.id => Err(Refusal::KeyConflict {
                key: Name::clone(&key.name),
                task: entry.task,
                stored: entry.digest,
                sent: key.digest,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn admit(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        if !self.config.quotas.is_empty() {
            let name = namespace::of(&spec.queue);
            let quota = self.config.quotas.get(name).copied().unwrap_or_default();
            quota.admit(name, self.usage(name), book::cost(spec))?;
        }
        within("limits.open_tasks", self.open_tasks(), 1, limits.open_tasks)?;
        within("limits.open_bytes", self.open_bytes(), book::cost(spec), limits.open_bytes)?;
        if !self.book.is_counted(&spec.queue) {
            within("limits.queues", self.book.queue_count(), 1, limits.queues)?;
        }
        let (needs, name) = (&self.index.lanes.needs, namespace::of(&spec.queue));
        if !needs.is_active(name, &spec.task_type, &spec.shape) {
            within("needs", needs.active(), 1, needs.active_max(name))?;
        }
        let Some(key) = spec.key() else { return Ok(()) };
        // A key that is known, expired or not, will be replaced and takes no more room.
        if self.book.keys.find(&spec.queue, &key.name, Time::default()).is_some() {
            return Ok(());
        }
        let cost = keys::cost(&spec.queue, &key.name);
        within("limits.key_bytes", self.book.keys.bytes(), cost, limits.key_bytes)
    }

    /// Who does not want to wait for a circuit is told that one is open.
    fn fail_fast(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        if !spec.claims.as_ref().is_some_and(|claims| claims.fails_fast) {
            return Ok(());
        }
        let place = Place::of_new(spec, self.now);
        let open = self.index.lanes.gates.open_circuit(spec, place);
        let Some((guarded, counted, until)) = open else { return Ok(()) };
        let Use { used: bad, max: calls, .. } = counted;
        Err(Refusal::CircuitOpen { guarded, bad, calls, wait: until.since(self.now) })
    }
}

fn within(what: &'static str, used: u64, more: u64, max: u64) -> Result<(), Refusal> {
    if used.saturating_add(more) <= max { Ok(()) } else { Err(Refusal::Full { what, used, max }) }
}
