//! What each action does.

use std::sync::Arc;

use leasehold_policy::Time;
use leasehold_queue::{Command, Dead, Reply, StreamId, Submit, Task, Token};

use crate::{
    action::{Action, Process},
    cluster::Cluster,
    explore::Violation,
    judge,
    state::{State, task_id},
    stream::{Outcome, Said, Stream, Word},
    turn::Asked,
    variant::Variant,
};

/// How many alarms of sessions that live may ring while nothing happens: more than in the longest time that a session
/// is given nothing after it declined.
const ALARMS_MAX: usize = 100;

impl Cluster {
    /// Lets something happen.
    pub(crate) fn act(&self, state: &mut State, action: Action) -> Result<(), Violation> {
        match action {
            Action::Submit(task) => self.submit(state, task),
            Action::Cancel(task) => self.cancel(state, task),
            Action::Replay(task) => self.replay(state, task),
            Action::Connect(worker, process) => self.connect(state, worker, process),
            Action::Beat(worker) => {
                let now = state.now;
                let word = state.worker(worker).beat(now);
                self.say(state, worker, vec![word])
            }
            Action::End(worker, token, outcome) => self.end(state, worker, token, outcome),
            Action::Fence(worker) => self.fence(state, worker),
            Action::ToCoordinator(stream) => self.deliver_to_coordinator(state, stream),
            Action::ToWorker(stream) => self.deliver_to_worker(state, stream),
            Action::CoordinatorNotices(stream) => self.coordinator_notices(state, stream),
            Action::WorkerNotices(stream) => {
                worker_leaves(state, stream);
                Ok(())
            }
            Action::Sync => {
                state.log.sync();
                let process = state.current.process;
                self.release(state, process)
            }
            Action::Alarm(process) => match state.process(process) {
                Some(process) => self.turn(state, process, Vec::new(), Asked::Nothing).map(drop),
                None => Ok(()),
            },
            Action::Wait => self.wait(state),
            Action::Tick => self.tick(state),
            Action::Cut(stream) => {
                state.left.drops -= 1;
                if let Some(stream) = state.stream(stream) {
                    stream.is_cut = true;
                }
                Ok(())
            }
            Action::CrashWorker(worker) => {
                state.left.worker_crashes -= 1;
                crash_worker(state, worker);
                Ok(())
            }
            Action::Restart(kept) => self.restart(state, kept),
            Action::Supersede(kept) => self.supersede(state, kept),
            Action::Retire => {
                if let Some(old) = state.old.take() {
                    state.break_streams(old.process);
                }
                Ok(())
            }
        }
    }

    fn submit(&self, state: &mut State, task: usize) -> Result<(), Violation> {
        if state.known(task).is_some() {
            state.left.resubmits -= 1;
        }
        let Some(submits) = state.ghosts.submits.get_mut(task) else { return Ok(()) };
        *submits += 1;
        let id = task_id(task, *submits);
        let submit = Submit { id, spec: self.config.spec(task), validate_only: false };
        let process = state.current.process;
        let command = Command::Submit(Box::new(submit));
        self.turn(state, process, vec![command], Asked::Submit(task)).map(drop)
    }

    fn cancel(&self, state: &mut State, task: usize) -> Result<(), Violation> {
        let Some(id) = state.known(task) else { return Ok(()) };
        state.left.cancels -= 1;
        state.ghosts.finished.remove(&task);
        let process = state.current.process;
        self.turn(state, process, vec![Command::Cancel { task: id }], Asked::Nothing).map(drop)
    }

    fn replay(&self, state: &mut State, task: usize) -> Result<(), Violation> {
        let Some(id) = state.known(task) else { return Ok(()) };
        let row = state.log.safe().and_then(|safe| safe.dead.get(&id)).cloned();
        let Some(task) = row else { return Ok(()) };
        state.left.replays -= 1;
        let process = state.current.process;
        let command = Command::Replay(Box::new(Dead { task }));
        self.turn(state, process, vec![command], Asked::Nothing).map(drop)
    }

    fn end(
        &self,
        state: &mut State,
        worker: usize,
        token: Token,
        outcome: Outcome,
    ) -> Result<(), Violation> {
        if outcome == Outcome::Failed {
            state.left.failures -= 1;
        }
        if let Some(lease) = state.worker(worker).leases.get(&token).copied()
            && outcome == Outcome::Succeeded
            && is_current(state, lease.task, token)
        {
            state.ghosts.finished.insert(lease.task, worker);
        }
        let now = state.now;
        let words = state.worker(worker).end(now, token, outcome);
        self.say(state, worker, words)
    }

    fn fence(&self, state: &mut State, worker: usize) -> Result<(), Violation> {
        let mut words = state.worker(worker).fence();
        if self.is(Variant::FencedSaysDraining) {
            for word in &mut words {
                if let Word::Outcome(token, outcome) = word {
                    *outcome = Outcome::Draining;
                    state.worker(worker).outbox.insert(*token, Outcome::Draining);
                }
            }
        }
        self.say(state, worker, words)
    }

    fn connect(&self, state: &mut State, worker: usize, process: Process) -> Result<(), Violation> {
        let Some(process) = state.process(process) else { return Ok(()) };
        state.opened += 1;
        let (now, id) = (state.now, StreamId(state.opened));
        if self.is(Variant::UnsentSurvives) {
            state.ghosts.owners.insert(id, worker);
        }
        state.streams.push(Stream::new(id, worker, process));
        let words = state.worker(worker).connect(now, id);
        self.say(state, worker, words)
    }

    /// A worker says something, if there is somebody to say it to.
    pub(crate) fn say(
        &self,
        state: &mut State,
        worker: usize,
        words: Vec<Word>,
    ) -> Result<(), Violation> {
        for word in words {
            if let Word::Started(token) = word {
                judge::start(state, worker, token)?;
            }
            let sent = match word {
                Word::Hello { .. } | Word::Heartbeat { .. } => state.now,
                Word::Started(_) | Word::Outcome(..) => Time::default(),
            };
            let speaker = state.worker(worker);
            let Some(stream) = speaker.stream else { continue };
            if let Word::Outcome(token, _) = word
                && self.is(Variant::ForgottenWhenSent)
            {
                speaker.outbox.remove(&token);
            }
            let acted_upon = std::mem::take(&mut speaker.acted_upon);
            if let Some(stream) = state.stream(stream) {
                stream.say(Said { word, sent, acted_upon });
            }
        }
        Ok(())
    }

    fn deliver_to_worker(&self, state: &mut State, id: StreamId) -> Result<(), Violation> {
        let Some(stream) = state.stream(id) else { return Ok(()) };
        let worker = stream.worker;
        let Some(told) = stream.to_worker.pop_front() else { return Ok(()) };
        judge::delivery(state, worker, &told.news)?;
        let now = state.now;
        let Some(words) = state.worker(worker).hear(now, told) else {
            worker_leaves(state, id);
            return Ok(());
        };
        self.say(state, worker, words)
    }

    fn coordinator_notices(&self, state: &mut State, id: StreamId) -> Result<(), Violation> {
        let Some(stream) = state.stream(id) else { return Ok(()) };
        stream.close();
        let process = stream.process;
        let command = if self.is(Variant::RequeueOnDrop) {
            Command::Goodbye { stream: id }
        } else {
            Command::Disconnect { stream: id }
        };
        self.turn(state, process, vec![command], Asked::Nothing).map(drop)
    }

    /// Time passes until something is due, at most until the next heartbeats would be. Whoever must stop by then does.
    fn tick(&self, state: &mut State) -> Result<(), Violation> {
        let Some(then) = state.next_time(self.config.step) else { return Ok(()) };
        state.left.ticks -= 1;
        state.now = then;
        state.ghosts.finished.clear();
        for worker in 0..state.workers.len() {
            if self.must_fence(state, worker) {
                self.fence(state, worker)?;
            }
        }
        Ok(())
    }

    /// Whether a worker has to end its work at once.
    pub(crate) fn must_fence(&self, state: &State, worker: usize) -> bool {
        let is_due = state.workers.get(worker).is_some_and(|it| it.is_due(state.now));
        is_due && !self.is(Variant::NoSelfFence)
    }

    /// Time passes until the coordinator does something; every worker is heard all the while.
    fn wait(&self, state: &mut State) -> Result<(), Violation> {
        let (written, sessions) = (state.log.len(), state.current.queue.workers().count());
        for _ in 0..ALARMS_MAX {
            self.wait_for_alarm(state)?;
            let is_changed = written < state.log.len()
                || state.current.queue.workers().count() != sessions
                || !state.is_quiet(self.config.workers);
            if is_changed {
                break;
            }
        }
        Ok(())
    }

    fn wait_for_alarm(&self, state: &mut State) -> Result<(), Violation> {
        let Some(then) = state.alarm(Process::Current) else { return Ok(()) };
        state.now = then;
        let mut commands = Vec::new();
        for number in 0..self.config.workers {
            let believed = self.inventory(state, number);
            let worker = state.worker(number);
            let Some(stream) = worker.stream else { continue };
            worker.beaten = then;
            let held = believed.unwrap_or_else(|| worker.held());
            commands.push(Command::Heartbeat { stream, held });
        }
        let process = state.current.process;
        let replies = self.turn(state, process, commands, Asked::Nothing)?;
        for (worker, reply) in state.workers.iter_mut().zip(replies) {
            if reply == Reply::Heard(true) {
                let worker = Arc::make_mut(worker);
                worker.valid_until = worker.valid_until.max(Some(then + worker.ttl));
            }
        }
        Ok(())
    }

    fn restart(&self, state: &mut State, kept: usize) -> Result<(), Violation> {
        state.left.coordinator_crashes -= 1;
        let process = state.current.process;
        state.log.cut(kept);
        state.break_streams(process);
        self.boot(state, process + 1)
    }

    /// What was written before is durable or will never be; nothing that the old one writes from here on will.
    fn supersede(&self, state: &mut State, kept: usize) -> Result<(), Violation> {
        state.left.supersessions -= 1;
        let process = state.current.process;
        let is_doomed = kept < state.log.len();
        state.log.cut(kept);
        self.release(state, process)?;
        let old = Arc::make_mut(&mut state.current);
        old.gate.clear();
        old.is_doomed = is_doomed;
        state.old = Some(Arc::clone(&state.current));
        self.boot(state, process + 1)
    }
}

fn is_current(state: &State, task: usize, token: Token) -> bool {
    let task = state.known(task).and_then(|id| state.current.queue.task(id));
    task.and_then(Task::lease).is_some_and(|lease| lease.token == token)
}

fn worker_leaves(state: &mut State, id: StreamId) {
    let Some(stream) = state.stream(id) else { return };
    stream.leave();
    let worker = stream.worker;
    state.worker(worker).disconnect();
}

fn crash_worker(state: &mut State, number: usize) {
    let stream = state.worker(number).stream;
    if let Some(stream) = stream.and_then(|id| state.stream(id)) {
        stream.is_cut = true;
        stream.leave();
    }
    state.worker(number).restart();
    state.ghosts.finished.retain(|_, worker| *worker != number);
}
