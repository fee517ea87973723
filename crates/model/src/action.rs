//! Everything that can happen in a state.
//!
//! What goes right is free, what goes wrong is paid from the budget.

use leasehold_queue::{StreamId, Token};

use crate::{
    cluster::Cluster,
    config::{HORIZON, WORKERS},
    state::State,
    stream::Outcome,
    worker::{Stage, Worker},
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client's submit arrives.
    Submit(usize),
    /// A client's cancel arrives.
    Cancel(usize),
    /// Somebody wants a dead letter to be a task again.
    Replay(usize),
    /// A worker opens a stream, to the coordinator or to one that has been replaced.
    Connect(usize, Process),
    /// A worker says that it lives.
    Beat(usize),
    /// The work of a lease ends.
    End(usize, Token, Outcome),
    /// A worker ends all work, because its session may have run out.
    Fence(usize),
    /// A coordinator reads what comes next on a stream.
    ToCoordinator(StreamId),
    /// A worker reads what comes next on a stream.
    ToWorker(StreamId),
    /// A coordinator notices that a stream is over.
    CoordinatorNotices(StreamId),
    /// A worker notices that a stream is over.
    WorkerNotices(StreamId),
    /// Everything written becomes durable, and what waited for that leaves.
    Sync,
    /// A coordinator's timers ring.
    Alarm(Process),
    /// Time passes while everybody is connected and heard.
    Wait,
    /// Time passes, and nobody need be heard meanwhile.
    Tick,
    /// A connection breaks.
    Cut(StreamId),
    /// A worker process dies and is started anew.
    CrashWorker(usize),
    /// The coordinator dies and is started anew with so many batches.
    Restart(usize),
    /// Another coordinator is started with so many batches, and this one does not know.
    Supersede(usize),
    /// A coordinator that was replaced ends.
    Retire,
}

/// Which of two coordinators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The one whose epoch is claimed.
    Current,
    /// One that has been replaced.
    Old,
}

/// The actions possible in a state, in the making.
struct Possible<'a> {
    cluster: &'a Cluster,
    state: &'a State,
    actions: Vec<Action>,
}

/// Everything that can happen in a state.
pub(crate) fn possible(cluster: &Cluster, state: &State) -> Vec<Action> {
    let mut possible = Possible { cluster, state, actions: Vec::new() };
    possible.by_clients();
    let workers = (0..).zip(&state.workers).take(cluster.config.workers);
    workers.for_each(|(number, worker)| possible.by_worker(number, worker));
    possible.on_streams();
    possible.by_coordinators();
    possible.by_time();
    possible.actions
}

impl Possible<'_> {
    #[expect(
        clippy::fn_params_excessive_bools,
        reason = "the condition is what each line is about"
    )]
    fn add(&mut self, is_possible: bool, action: Action) {
        if is_possible {
            self.actions.push(action);
        }
    }

    fn by_clients(&mut self) {
        let (state, left) = (self.state, self.state.left);
        for task in 0..usize::from(self.cluster.config.tasks) {
            let id = state.known(task);
            self.add(id.is_none() || 0 < left.resubmits, Action::Submit(task));
            let Some(id) = id else { continue };
            let is_open = state.current.queue.task(id).is_some();
            let is_dead = [state.log.safe(), state.log.all()]
                .into_iter()
                .all(|it| it.is_some_and(|it| it.dead.contains_key(&id)));
            self.add(0 < left.cancels && is_open, Action::Cancel(task));
            self.add(0 < left.replays && is_dead, Action::Replay(task));
        }
    }

    fn by_worker(&mut self, number: usize, worker: &Worker) {
        let state = self.state;
        if worker.stream.is_none() {
            self.add(true, Action::Connect(number, Process::Current));
            // One that knows a later coordinator is refused by an old one, again and again.
            let is_taken = state.old.as_ref().is_some_and(|old| worker.seen_epoch <= old.epoch);
            self.add(is_taken, Action::Connect(number, Process::Old));
        }
        self.add(worker.is_welcome && worker.beaten < state.now, Action::Beat(number));
        self.add(self.cluster.must_fence(state, number), Action::Fence(number));
        for (token, lease) in &worker.leases {
            let end = |outcome| Action::End(number, *token, outcome);
            self.add(lease.stage != Stage::Pending, end(Outcome::Succeeded));
            let fails = lease.stage == Stage::Running && 0 < state.left.failures;
            self.add(fails, end(Outcome::Failed));
            self.add(lease.stage == Stage::Stopping, end(Outcome::Stopped));
        }
        self.add(0 < state.left.worker_crashes, Action::CrashWorker(number));
    }

    fn on_streams(&mut self) {
        for stream in &self.state.streams {
            let id = stream.id;
            self.add(!stream.to_coordinator.is_empty(), Action::ToCoordinator(id));
            self.add(!stream.to_worker.is_empty(), Action::ToWorker(id));
            self.add(stream.is_over_for_coordinator(), Action::CoordinatorNotices(id));
            self.add(stream.is_over_for_worker(), Action::WorkerNotices(id));
            let is_whole = !stream.is_cut && stream.has_worker && stream.has_coordinator;
            self.add(is_whole && 0 < self.state.left.drops, Action::Cut(id));
        }
    }

    fn by_coordinators(&mut self) {
        let (state, log) = (self.state, &self.state.log);
        self.add(log.durable() < log.len(), Action::Sync);
        self.add(state.alarm(Process::Current) == Some(state.now), Action::Alarm(Process::Current));
        self.add(state.alarm(Process::Old) == Some(state.now), Action::Alarm(Process::Old));
        self.add(state.old.is_some(), Action::Retire);
        for kept in log.durable()..=log.len() {
            self.add(0 < state.left.coordinator_crashes, Action::Restart(kept));
            let can_supersede = 0 < state.left.supersessions && state.old.is_none();
            self.add(can_supersede, Action::Supersede(kept));
        }
    }

    fn by_time(&mut self) {
        let state = self.state;
        let alarms = [Process::Current, Process::Old].map(|process| state.alarm(process));
        let is_ringing = alarms.contains(&Some(state.now));
        if is_ringing || (0..WORKERS).any(|worker| self.cluster.must_fence(state, worker)) {
            return;
        }
        self.add(
            0 < state.left.ticks && state.next_time(self.cluster.config.step).is_some(),
            Action::Tick,
        );
        let alarm = state.alarm(Process::Current);
        let is_near = alarm.is_some_and(|at| at < state.now + HORIZON);
        let queue = &state.current.queue;
        let workers = self.cluster.config.workers;
        // Either somebody waits for a task to be leased, or for a worker that is gone.
        let is_awaited = 0 < queue.open_tasks() || workers < queue.workers().count();
        self.add(is_near && is_awaited && state.is_quiet(workers), Action::Wait);
    }
}
