//! A coordinator's side of the cluster: what it hears, what it writes, what it lets go.

use std::sync::Arc;

use bytes::Bytes;
use leasehold_policy::Time;
use leasehold_queue::{
    Command, Disposition, Effect, Ending, Failure, FailureReason, HeldLease, Hello, LeasePhase,
    Name, Output, Queue, Record, Reply, SchemasRead, Size, StopProof, StreamId, Task, Token,
    Unknown, Verdict,
};

use crate::{
    cluster::Cluster,
    coordinator::{self, Release, Turn, Waiting},
    explore::Violation,
    judge,
    log::Log,
    state::{State, task_of},
    stream::{News, Outcome, Said, Told, Word},
    variant::Variant,
};

/// What somebody waits for an answer to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// Nothing that waits at the gate.
    Nothing,
    /// A submit of this task.
    Submit(usize),
    /// A hello on this stream, sent then.
    Hello(StreamId, Time),
    /// The outcome of this lease.
    Outcome(Token),
}

impl Cluster {
    /// Folds the journal into an empty queue.
    pub(crate) fn read(&self, log: &Log, queue: &mut Queue) -> Result<(), Violation> {
        let forgets = self.is(Variant::TtlForgotten);
        let is_forgotten =
            |record: &Record| forgets && matches!(record, Record::EpochStarted { .. });
        for record in log.records().filter(|record| !is_forgotten(record)) {
            let read = queue.replay(record.clone(), Unknown::Refuse);
            read.map_err(|corrupt| Violation { invariant: "I7", what: corrupt.to_string() })?;
        }
        Ok(())
    }

    /// What a coordinator does before anything else.
    pub(crate) fn first_turn(&self, state: &mut State) -> Result<(), Violation> {
        let mut commands = Vec::new();
        if self.is(Variant::RequeueAtBoot) {
            let leases = state.current.queue.tasks_after(leasehold_queue::TaskId::from_u128(0));
            for lease in leases.filter_map(|task| task.lease()) {
                let stream = StreamId(u64::MAX - commands.len() as u64);
                commands.push(hello(stream, &lease.worker, &lease.instance, Vec::new()));
                commands.push(Command::Disconnect { stream });
            }
        }
        let process = state.current.process;
        self.turn(state, process, commands, Asked::Nothing).map(drop)
    }

    /// One turn of a coordinator that may have ended by now.
    pub(crate) fn turn(
        &self,
        state: &mut State,
        process: u32,
        commands: Vec<Command>,
        asked: Asked,
    ) -> Result<Vec<Reply>, Violation> {
        let now = state.now;
        let Some(coordinator) = state.coordinator(process) else { return Ok(Vec::new()) };
        let Turn { output, replies } = coordinator.turn(now, commands)?;
        self.write(state, process, &output)?;
        for effect in &output.effects {
            if let Effect::Close { stream, .. } = effect
                && let Some(stream) = state.stream(*stream)
            {
                stream.close();
            }
        }
        if let Asked::Outcome(token) = asked
            && process == state.current.process
            && output.effects.iter().any(is_acceptance)
        {
            judge::acceptance(state, token)?;
        }
        let answer = answer(asked, &replies);
        let said = output.effects.into_iter().filter_map(coordinator::release);
        let said = said.map(|release| (release, Time::default()));
        self.hold(state, process, answer.into_iter().chain(said).collect())?;
        self.release(state, process)?;
        Ok(replies)
    }

    fn write(&self, state: &mut State, process: u32, output: &Output) -> Result<(), Violation> {
        judge::records(state, &output.records)?;
        if process != state.current.process {
            if let Some(old) = state.coordinator(process) {
                old.is_doomed |= !output.records.is_empty();
            }
            return Ok(());
        }
        let dead = output.effects.iter().filter_map(dead_letter).collect();
        if !output.records.is_empty() {
            let mut records = output.records.clone();
            if self.is(Variant::GrantsUnwritten) {
                records.retain(|record| !matches!(record, Record::LeaseGranted { .. }));
            }
            state.log.write(records, dead)?;
        }
        if self.is(Variant::TtlForgotten) { Ok(()) } else { judge::fold(state) }
    }

    fn hold(
        &self,
        state: &mut State,
        process: u32,
        said: Vec<(Release, Time)>,
    ) -> Result<(), Violation> {
        let is_current = process == state.current.process;
        let written = if is_current { state.log.len() } else { 0 };
        for (release, answers) in said {
            let is_early = self.is(Variant::EffectsBeforeDurable)
                || self.is(Variant::AnswersBeforeDurable)
                    && matches!(release, Release::Answer { .. })
                || self.is(Variant::EndsBeforeDurable) && matches!(release, Release::Ended { .. });
            if is_early {
                self.carry_out(state, process, release, answers)?;
                continue;
            }
            let Some(coordinator) = state.coordinator(process) else { return Ok(()) };
            let position = if coordinator.is_doomed { usize::MAX } else { written };
            coordinator.gate.push_back(Waiting { position, release, answers });
        }
        Ok(())
    }

    /// Lets everything go that has become durable.
    pub(crate) fn release(&self, state: &mut State, process: u32) -> Result<(), Violation> {
        loop {
            let durable = state.log.durable();
            let Some(coordinator) = state.coordinator(process) else { return Ok(()) };
            let next = coordinator.gate.pop_front_if(|waiting| waiting.position <= durable);
            let Some(Waiting { release, answers, .. }) = next else { return Ok(()) };
            self.carry_out(state, process, release, answers)?;
        }
    }

    fn carry_out(
        &self,
        state: &mut State,
        process: u32,
        release: Release,
        answers: Time,
    ) -> Result<(), Violation> {
        match release {
            Release::Submitted { task, id } => {
                state.ghosts.acknowledged.insert((task, id));
                judge::acknowledged(state)
            }
            Release::Ended { id, generation, end } => {
                state.ghosts.told.insert((id, generation), end);
                judge::told(state)
            }
            Release::Welcome { stream, lost } => {
                let Some(coordinator) = state.coordinator(process) else { return Ok(()) };
                let (epoch, ttl) = (coordinator.epoch, coordinator.ttl);
                if let Some(stream) = state.stream(stream) {
                    stream.is_welcome = true;
                }
                self.tell(state, stream, News::Welcome { epoch, ttl, lost }, answers);
                Ok(())
            }
            Release::Assign { stream, token, id } => {
                let news = News::Assignment { token, task: task_of(id) };
                self.tell(state, stream, news, answers);
                sent(state, process, stream, token)
            }
            Release::Revoke { stream, token, reason } => {
                self.tell(state, stream, News::Revocation { token, reason }, answers);
                sent(state, process, stream, token)
            }
            Release::Answer { stream, token, disposition } => {
                judge::forgetting(state, token)?;
                self.tell(state, stream, News::Answer { token, disposition }, answers);
                Ok(())
            }
        }
    }

    /// Says something on a stream that the coordinator still has.
    fn tell(&self, state: &mut State, id: StreamId, news: News, answers: Time) {
        let told = Told { news, answers };
        let survives = self.is(Variant::UnsentSurvives);
        let open = state.streams.iter_mut().filter(|it| it.has_coordinator);
        let mut open = open.filter(|it| it.id == id || survives);
        if survives {
            let worker = state.ghosts.owners.get(&id).copied();
            if let Some(stream) = open.find(|it| Some(it.worker) == worker) {
                stream.tell(told);
            }
        } else if let Some(stream) = open.next() {
            stream.tell(told);
        }
    }

    /// A coordinator reads the next word on a stream.
    pub(crate) fn deliver_to_coordinator(
        &self,
        state: &mut State,
        id: StreamId,
    ) -> Result<(), Violation> {
        let Some(stream) = state.stream(id) else { return Ok(()) };
        let (worker, process) = (stream.worker, stream.process);
        let Some(Said { word, sent, acted_upon }) = stream.to_coordinator.pop_front() else {
            return Ok(());
        };
        let delivered = Command::Delivered { stream: id, tokens: acted_upon };
        match word {
            Word::Hello { instance, held, seen_epoch } => {
                if !self.admits(state, process, seen_epoch, (worker, id)) {
                    if let Some(stream) = state.stream(id) {
                        stream.close();
                    }
                    return Ok(());
                }
                let believed = self.inventory(state, worker).map(|it| it.into_iter().map(running));
                let held = believed.map_or(held, Iterator::collect);
                let hello = hello(id, &worker_name(worker), &instance_name(instance), held);
                self.turn(state, process, vec![hello], Asked::Hello(id, sent)).map(drop)
            }
            Word::Started(token) => {
                let started = Command::Started { stream: id, token };
                self.turn(state, process, vec![delivered, started], Asked::Nothing).map(drop)
            }
            Word::Outcome(token, outcome) => {
                let outcome = self.outcome(state, id, token, outcome);
                self.turn(state, process, vec![delivered, outcome], Asked::Outcome(token)).map(drop)
            }
            Word::Heartbeat { held } => {
                let held = self.inventory(state, worker).unwrap_or(held);
                let heartbeat = Command::Heartbeat { stream: id, held };
                let replies = self.turn(state, process, vec![delivered, heartbeat], Asked::Nothing);
                self.acknowledge(state, id, &replies?, sent);
                Ok(())
            }
        }
    }

    /// Whether a hello is taken: it comes from a worker that knows no later coordinator, and is its latest.
    fn admits(
        &self,
        state: &mut State,
        process: u32,
        seen_epoch: u32,
        (worker, stream): (usize, StreamId),
    ) -> bool {
        let is_ordered = !self.is(Variant::HellosOutOfOrder);
        let Some(coordinator) = state.coordinator(process) else { return false };
        let last = coordinator.greeted.get(&worker).copied();
        if coordinator.epoch < seen_epoch || is_ordered && last.is_some_and(|it| stream < it) {
            return false;
        }
        if is_ordered {
            coordinator.greeted.insert(worker, stream);
        }
        true
    }

    /// The answer to a heartbeat waits for nothing durable, but a worker hears nothing before its welcome.
    fn acknowledge(&self, state: &mut State, id: StreamId, replies: &[Reply], sent: Time) {
        let is_heard = replies.contains(&Reply::Heard(true));
        let current = state.current.process;
        let Some(stream) = state.stream(id).filter(|it| it.is_welcome && it.has_coordinator) else {
            return;
        };
        let is_confirmed = stream.process == current || self.is(Variant::HeartbeatsUnconfirmed);
        if is_heard && is_confirmed {
            stream.tell(Told { news: News::HeartbeatAck, answers: sent });
        }
    }

    /// What the coordinator believes a worker holds, if it asks nobody.
    pub(crate) fn inventory(&self, state: &State, worker: usize) -> Option<Vec<Token>> {
        if !self.is(Variant::NoInventory) {
            return None;
        }
        let instance = state.workers.get(worker).map_or(0, |it| it.instance);
        let (name, instance) = (worker_name(worker), instance_name(instance));
        let session =
            state.current.queue.workers().find(|it| it.worker == name && it.instance == instance);
        Some(session.map(|it| it.tokens).unwrap_or_default())
    }

    /// What the coordinator makes of an outcome.
    fn outcome(&self, state: &State, stream: StreamId, token: Token, said: Outcome) -> Command {
        let (stream, token) = self.attribute(state, stream, token).unwrap_or((stream, token));
        let outcome = match said {
            Outcome::Succeeded => leasehold_queue::Outcome::Succeeded { result: Bytes::new() },
            Outcome::Failed => leasehold_queue::Outcome::Failed {
                failure: failure(),
                retryable: true,
                retry_delay: std::time::Duration::ZERO,
                stop: StopProof::Returned,
            },
            Outcome::Stopped => leasehold_queue::Outcome::Stopped(StopProof::Aborted),
            Outcome::NotNow => leasehold_queue::Outcome::Declined(
                leasehold_queue::DeclineReason::NoCapacity,
                StopProof::NotStarted,
            ),
            Outcome::Draining => leasehold_queue::Outcome::Declined(
                leasehold_queue::DeclineReason::Draining,
                StopProof::Aborted,
            ),
        };
        Command::Outcome { stream, token, outcome, ran: None }
    }

    /// Which lease an outcome is taken to be of, where that is done wrong.
    fn attribute(
        &self,
        state: &State,
        stream: StreamId,
        token: Token,
    ) -> Option<(StreamId, Token)> {
        let queue = &state.current.queue;
        if self.is(Variant::FenceByWorker) {
            let worker = state.streams.iter().find(|it| it.id == stream)?.worker;
            let name = worker_name(worker);
            let mut leases = queue.tasks_after(leasehold_queue::TaskId::from_u128(0));
            let lease = leases.find_map(|it| it.lease().filter(|it| it.worker == name))?;
            return Some((stream, lease.token));
        }
        if self.is(Variant::NoFence) || self.is(Variant::GenerationIgnored) {
            let histories = &state.log.all()?.histories;
            let (id, history) =
                histories.iter().find(|(_, it)| it.tokens().any(|it| it == token))?;
            if self.is(Variant::GenerationIgnored) && !history.earlier.contains(&token) {
                return None;
            }
            let lease = queue.task(*id)?.lease()?;
            let holder = state.streams.iter().find(|it| {
                it.has_coordinator && it.is_welcome && worker_name(it.worker) == lease.worker
            })?;
            return Some((holder.id, lease.token));
        }
        None
    }
}

fn running(token: Token) -> HeldLease {
    HeldLease { token, phase: LeasePhase::Running, size: Size::default() }
}

fn dead_letter(effect: &Effect) -> Option<Task> {
    let Effect::Ended(ended) = effect else { return None };
    (ended.ending == Ending::Failed).then(|| Task::clone(&ended.task))
}

fn is_acceptance(effect: &Effect) -> bool {
    matches!(effect, Effect::ResultAck { disposition: Disposition::Accepted, .. })
}

fn answer(asked: Asked, replies: &[Reply]) -> Option<(Release, Time)> {
    match (asked, replies.first()?) {
        (Asked::Submit(task), Reply::Submitted(Ok(accepted))) => {
            Some((Release::Submitted { task, id: accepted.id }, Time::default()))
        }
        (Asked::Hello(stream, sent), Reply::Welcome(Ok(welcome))) => {
            let verdicts = welcome.verdicts.iter();
            let lost = verdicts.filter(|(_, verdict)| *verdict == Verdict::Lost);
            let lost = lost.map(|(token, _)| *token).collect();
            Some((Release::Welcome { stream, lost }, sent))
        }
        _ => None,
    }
}

fn hello(stream: StreamId, worker: &Name, instance: &Name, held: Vec<HeldLease>) -> Command {
    Command::Hello(Box::new(Hello {
        stream,
        worker: Arc::clone(worker),
        instance: Arc::clone(instance),
        start: None,
        replaces: Vec::new(),
        task_types: vec![crate::config::TASK_TYPE.into()],
        namespaces: Vec::new(),
        reads: SchemasRead::default(),
        slots: 1,
        resources: Vec::new(),
        knows_sizes: true,
        prefetch: 0,
        held,
        labels: Vec::new(),
        software: "".into(),
    }))
}

fn failure() -> Failure {
    Failure {
        reason: FailureReason::Error,
        message: "".into(),
        details: "".into(),
        counted: false,
        token: None,
        worker: None,
        time: Time::default(),
    }
}

fn worker_name(worker: usize) -> Name {
    format!("worker-{worker}").into()
}

fn instance_name(instance: u8) -> Name {
    format!("start-{instance}").into()
}

/// The queue judges a worker from when it could know.
fn sent(state: &mut State, process: u32, stream: StreamId, token: Token) -> Result<(), Violation> {
    let now = state.now;
    state.coordinator(process).map_or(Ok(()), |coordinator| coordinator.sent(now, stream, token))
}
