//! One state of the whole cluster: journal, coordinators, streams, workers, clients, and what a judge has to remember.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use leasehold_policy::Time;
use leasehold_queue::{Queue, StreamId, TaskId, Token};

use crate::{
    action::Process,
    config::{Budget, HORIZON, SESSION_TTL, WORKERS},
    coordinator::Coordinator,
    fingerprint::Fingerprint,
    judge::Looked,
    log::{Beginning, End, Log},
    stream::Stream,
    worker::Worker,
};

/// A state.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) now: Time,
    pub(crate) log: Log,
    pub(crate) current: Arc<Coordinator>,
    /// One that was replaced and runs on.
    pub(crate) old: Option<Arc<Coordinator>>,
    pub(crate) streams: Vec<Stream>,
    /// How many streams there have been.
    pub(crate) opened: u64,
    pub(crate) workers: [Arc<Worker>; WORKERS],
    pub(crate) left: Budget,
    pub(crate) ghosts: Ghosts,
    /// What was judged on the way here from the state before. It tells no two states apart.
    pub(crate) looked: Looked,
}

/// What nobody in the cluster knows as a whole, and a judge must.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ghosts {
    /// How often each task was submitted.
    pub(crate) submits: Vec<u8>,
    /// What clients know to be accepted.
    pub(crate) acknowledged: BTreeSet<(usize, TaskId)>,
    /// Every lease that a worker ever heard of: its task, the worker and which start of it.
    pub(crate) delivered: BTreeMap<Token, (usize, usize, u8)>,
    /// What somebody was told of the end of a task.
    pub(crate) told: BTreeMap<(TaskId, u32), End>,
    /// Whose a stream is, where that has to be known after its end.
    pub(crate) owners: BTreeMap<StreamId, usize>,
    /// Which worker finished a task, if nothing has happened since that could excuse doing it again.
    pub(crate) finished: BTreeMap<usize, usize>,
}

impl State {
    /// The stream with that id, if either side still has it.
    pub(crate) fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// The id of a task, if the coordinator knows or knew it.
    pub(crate) fn known(&self, task: usize) -> Option<TaskId> {
        self.log.all()?.histories.keys().find(|id| task_of(**id) == task).copied()
    }

    /// The worker with that number.
    #[expect(clippy::indexing_slicing, reason = "numbers of workers come from counting them")]
    pub(crate) fn worker(&mut self, number: usize) -> &mut Worker {
        Arc::make_mut(&mut self.workers[number])
    }

    /// The number of a process.
    pub(crate) fn process(&self, process: Process) -> Option<u32> {
        match process {
            Process::Current => Some(self.current.process),
            Process::Old => self.old.as_ref().map(|old| old.process),
        }
    }

    /// When a coordinator's timers ring next.
    pub(crate) fn alarm(&self, process: Process) -> Option<Time> {
        let coordinator = match process {
            Process::Current => Some(&self.current),
            Process::Old => self.old.as_ref(),
        };
        coordinator?.queue.next_deadline().map(|at| at.max(self.now))
    }

    /// When time has to stop next for something to happen; none if nothing ever will.
    pub(crate) fn next_time(&self, step: Duration) -> Option<Time> {
        let alarms = [Process::Current, Process::Old].map(|process| self.alarm(process));
        let holders = self.workers.iter().filter(|it| !it.leases.is_empty());
        let beliefs = holders.filter_map(|it| it.valid_until);
        let times = alarms.into_iter().flatten().chain(beliefs).filter(|at| self.now < *at);
        let next = times.min().filter(|at| *at < self.now + HORIZON)?;
        Some(next.min(self.now + step))
    }

    /// Whether everybody is connected and has nothing to do and nothing to say.
    pub(crate) fn is_quiet(&self, workers: usize) -> bool {
        let is_idle =
            |it: &Arc<Worker>| it.is_welcome && it.leases.is_empty() && it.outbox.is_empty();
        self.old.is_none()
            && self.log.durable() == self.log.len()
            && self.current.gate.is_empty()
            && self.streams.len() == workers
            && self.streams.iter().all(Stream::is_quiet)
            && self.workers.iter().take(workers).all(is_idle)
    }

    /// The connections of a coordinator that has ended.
    pub(crate) fn break_streams(&mut self, process: u32) {
        for stream in self.streams.iter_mut().filter(|it| it.process == process) {
            stream.is_cut = true;
            stream.close();
        }
    }

    /// The coordinator that a process number belongs to.
    pub(crate) fn coordinator(&mut self, process: u32) -> Option<&mut Coordinator> {
        if self.current.process == process {
            return Some(Arc::make_mut(&mut self.current));
        }
        self.old.as_mut().filter(|old| old.process == process).map(Arc::make_mut)
    }

    /// Everything that decides how it goes on, in 128 bits.
    pub(crate) fn fingerprint(&self) -> u128 {
        let mut print = Fingerprint::new();
        for beginning in self.log.recoverable() {
            self.put_beginning(&mut print, beginning);
        }
        self.put_coordinator(&mut print, &self.current);
        self.old.is_some().hash(&mut print);
        if let Some(old) = &self.old {
            self.put_coordinator(&mut print, old);
        }
        for stream in &self.streams {
            self.put_stream(&mut print, stream);
        }
        for worker in &self.workers {
            self.put_worker(&mut print, worker);
        }
        (self.log.epoch, self.opened, &self.left, &self.ghosts).hash(&mut print);
        print.bits()
    }

    fn put_beginning(&self, print: &mut Fingerprint, beginning: &Beginning) {
        self.put_durable(print, &beginning.queue);
        beginning.histories.hash(print);
    }

    fn put_durable(&self, print: &mut Fingerprint, queue: &Queue) {
        queue.fingerprint_durable(self.now, HORIZON, print);
    }

    fn put_coordinator(&self, print: &mut Fingerprint, coordinator: &Coordinator) {
        coordinator.queue.fingerprint(self.now, HORIZON, print);
        (coordinator.process, coordinator.epoch, coordinator.is_doomed).hash(print);
        coordinator.greeted.hash(print);
        for waiting in &coordinator.gate {
            (waiting.position.saturating_sub(self.log.durable()), &waiting.release).hash(print);
            self.put_sent(print, waiting.answers);
        }
    }

    fn put_stream(&self, print: &mut Fingerprint, stream: &Stream) {
        let Stream { id, worker, process, is_cut, .. } = stream;
        (id, worker, process, is_cut, stream.is_welcome).hash(print);
        (stream.has_worker, stream.has_coordinator).hash(print);
        for said in &stream.to_coordinator {
            (&said.word, &said.acted_upon).hash(print);
            self.put_sent(print, said.sent);
        }
        stream.to_coordinator.len().hash(print);
        for told in &stream.to_worker {
            told.news.hash(print);
            self.put_sent(print, told.answers);
        }
        stream.to_worker.len().hash(print);
    }

    fn put_worker(&self, print: &mut Fingerprint, worker: &Worker) {
        (worker.instance, worker.stream, worker.is_welcome, worker.seen_epoch).hash(print);
        (worker.ttl, &worker.leases, &worker.outbox, &worker.acted_upon).hash(print);
        worker.valid_until.map(|until| until.since(self.now)).hash(print);
        (worker.stream.is_some() && worker.beaten < self.now).hash(print);
    }

    /// When something was sent that is answered: it counts as long as it can still promise anything.
    fn put_sent(&self, print: &mut Fingerprint, sent: Time) {
        (sent + SESSION_TTL).since(self.now).hash(print);
    }
}

/// Which task an id belongs to.
pub(crate) fn task_of(id: TaskId) -> usize {
    usize::try_from(id.as_u128() >> 88).unwrap_or(usize::MAX)
}

/// The id that a submit of a task gets, if it is the first one to arrive.
pub(crate) fn task_id(task: usize, submit: u8) -> TaskId {
    TaskId::from_u128((task as u128) << 88 | u128::from(submit) << 80)
}
