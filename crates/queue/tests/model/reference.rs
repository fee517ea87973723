//! The queue once more, as naively as it can be said: plain vectors, scanned from end to end at every step.
//!
//! It is written from the rules and shares no code with the queue but its vocabulary. What it answers and sends is text,
//! so that two answers can be compared and read.

use std::time::Duration;

use leasehold_policy::Time;
use leasehold_queue::{
    Config, Ending, FailureReason, RevocationReason, SessionId, Start, StreamId, Submit, Task,
    TaskId, TaskSpec, Template, Token, Wait,
};

mod ahead;
mod ends;
mod fair;
mod shown;
mod time;
mod workers;

use fair::{Fair, Why};
pub(crate) use shown::{effect_line, queue_lines};

/// Everything, in vectors.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    config: Config,
    now: Time,
    epoch: u32,
    minted: u32,
    pub(crate) jobs: Vec<Job>,
    pub(crate) sessions: Vec<Session>,
    kept: Vec<Kept>,
    paused: Vec<String>,
    /// Queues that were in use and are not, the one that has been so longest first.
    idle: Vec<String>,
    decided: Vec<Token>,
    opened: u64,
    hellos: u64,
    /// Who is not let in, and until when.
    banned: Vec<(String, Time)>,
    ttl_max: Duration,
    fair: Fair,
    /// Labels that tasks asked for when leases were last granted, or before.
    asked: Vec<String>,
    said: Vec<String>,
}

/// An open task.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: TaskId,
    spec: TaskSpec,
    deadline: Time,
    generation: u32,
    attempts: u32,
    leases: u32,
    losses: u32,
    /// Whether anything was ever started, or may have been, and until when that is waited for.
    ran: bool,
    first_start_by: Option<Time>,
    cancelled: bool,
    failure: Option<FailureReason>,
    last_token: Option<Token>,
    avoid: Option<SessionId>,
    /// How its leases ended, a line for each.
    ends: Vec<String>,
    /// What the next attempt gets, and which lease said so.
    saved: Option<(Token, u8)>,
    /// Its last lease, if that was lost with its worker.
    lost: Option<Lost>,
    /// Until when it waited before it was ready, if that was not written down.
    woken: Option<(Time, Wait)>,
    state: State,
}

/// A lease whose worker's session ran out.
#[derive(Clone, Debug)]
struct Lost {
    token: Token,
    worker: String,
    instance: String,
    /// Its line up to how it ended.
    line: String,
}

#[derive(Clone, Debug)]
enum State {
    Waits(Time, Wait),
    Ready,
    Leased(Box<Lease>),
}

#[derive(Clone, Debug)]
struct Lease {
    token: Token,
    worker: String,
    instance: String,
    session: SessionId,
    granted: Time,
    acknowledged: bool,
    started: Option<Time>,
    /// How long it may run from its start, if it asked for that.
    longer: Duration,
    /// Since when nothing was heard of its work, if that is later than its start.
    silent_since: Option<Time>,
    revoking: Option<(RevocationReason, Time, Duration)>,
    /// When the worker knew of that.
    told: Option<Time>,
    alarm: Alarm,
    ahead: Option<Ahead>,
    /// How long it was thought to run when it was granted, and which kind of session was charged for that.
    thought: (Duration, Option<u64>),
}

/// Types, labels and readings of a session, as far as they matter.
type Kind = (Vec<String>, Vec<(String, String)>, Readings);

/// Of which types a session reads only some schemas, and which. A schema is called by its first byte.
type Readings = Vec<(String, Vec<u8>)>;

/// How well a session suits: whether it is full, avoided, its load, whether it served something else, which it is.
type Seat = (bool, bool, u64, bool, SessionId);

/// What a lease is that its worker got before it had a slot for it, until it starts or ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ahead {
    /// Whether there is a slot for it by now.
    has_slot: bool,
    /// Whether it was leased for its age.
    is_aged: bool,
    /// Whether it was asked back, for which session and for which task.
    asked: bool,
    for_session: Option<SessionId>,
    for_task: Option<TaskId>,
}

/// What is expected of a worker about a lease, or that it is late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Alarm {
    at: Option<Time>,
    overdue: bool,
    /// How many messages about the lease are held back, and how long is waited once they have left.
    unsent: u32,
    patience: Option<Duration>,
}

/// One start of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) worker: String,
    pub(crate) instance: String,
    /// When its process first said hello, among all of them.
    first_hello: Option<u64>,
    /// What its last hello said of when it was started, and whether it has spoken since.
    start: Option<Start>,
    alive: bool,
    pub(crate) stream: Option<StreamId>,
    slots: u32,
    prefetch: u32,
    types: Vec<String>,
    labels: Vec<(String, String)>,
    reads: Readings,
    unsupported: Vec<String>,
    /// What set it apart when leases were last granted.
    settled: Option<Kind>,
    draining: bool,
    evicted: bool,
    drain_request: Vec<Option<Duration>>,
    heard: Time,
    /// How long it may be silent, as said in its last hello.
    promised: Duration,
    over: Time,
    /// What stalls add to that until it is heard again, and how much of it is a favour.
    stalled: Duration,
    favoured: Duration,
    hushed: Option<Time>,
    hushes: u32,
    late_since: Option<Time>,
    ghosts: Vec<Ghost>,
}

/// A slot taken by a lease that ended without the worker's word.
#[derive(Clone, Debug)]
struct Ghost {
    token: Token,
    /// Which task it was about and since when that is over.
    about: Option<(TaskId, Time)>,
    acknowledged: bool,
    alarm: Alarm,
    /// Whether it was got ahead and has no slot yet.
    waits: bool,
}

/// An idempotency key that outlives its task.
#[derive(Clone, Debug)]
struct Kept {
    queue: String,
    key: String,
    digest: [u8; 16],
    task: TaskId,
    until: Time,
}

/// The tasks.
impl Reference {
    pub(crate) fn new(config: Config, epoch: u32) -> Self {
        let ttl_max = config.session_ttl;
        Self {
            config,
            now: Time::default(),
            epoch,
            minted: 0,
            jobs: Vec::new(),
            sessions: Vec::new(),
            kept: Vec::new(),
            paused: Vec::new(),
            idle: Vec::new(),
            decided: Vec::new(),
            opened: 0,
            hellos: 0,
            banned: Vec::new(),
            ttl_max,
            fair: Fair::default(),
            asked: Vec::new(),
            said: Vec::new(),
        }
    }

    /// What time it is from here on.
    pub(crate) fn set_time(&mut self, now: Time) {
        self.now = now;
    }

    /// Everything it would have sent since the last call.
    pub(crate) fn take_said(&mut self) -> Vec<String> {
        self.look_around();
        std::mem::take(&mut self.said)
    }

    /// These tasks are written down as they are.
    pub(crate) fn write_again(&mut self, tasks: &[TaskId]) {
        for job in self.jobs.iter_mut().filter(|job| tasks.contains(&job.id)) {
            job.woken = None;
        }
    }

    /// Another configuration holds. Nothing that was said before is taken back.
    pub(crate) fn configure(&mut self, config: Config) {
        self.config = config;
        self.ttl_max = self.ttl_max.max(self.config.session_ttl);
        let (declared, create) = (self.config.declared_queues.clone(), self.config.create_queues);
        self.idle.retain(|queue| create && !declared.iter().any(|name| **name == **queue));
    }

    pub(crate) fn claimed(&mut self, epoch: u32) {
        (self.epoch, self.minted) = (epoch, 0);
    }

    pub(crate) fn submit(&mut self, submit: &Submit) -> String {
        let Submit { id, spec, validate_only } = submit;
        if let Some(key) = spec.key() {
            let live = self.jobs.iter().find(|job| job.has_key(&spec.queue, &key.name));
            let live = live.and_then(|job| Some((job.id, job.spec.key()?.digest)));
            let kept = self.kept.iter().find(|kept| {
                kept.queue == *spec.queue && kept.key == *key.name && self.now < kept.until
            });
            if let Some((id, digest)) = live.or(kept.map(|kept| (kept.task, kept.digest))) {
                let equal = digest == key.digest;
                return if equal {
                    format!("accepted {id} again")
                } else {
                    format!("conflict {id}")
                };
            }
        }
        if !self.config.create_queues && !self.has_queue(&spec.queue) {
            return "unknown queue".into();
        }
        if let Some(full) = self.full(&spec.queue) {
            return full;
        }
        if !validate_only {
            let eligible = self.now + spec.initial_delay();
            let waits = self.now < eligible;
            let state = if waits { State::Waits(eligible, Wait::Delay) } else { State::Ready };
            let mut job = Job::new(*id, spec.clone(), 1, self.now, state);
            job.first_start_by = spec.terms.queue_timeout.map(|timeout| eligible + timeout);
            self.open(job);
        }
        format!("accepted {id}")
    }

    pub(crate) fn replay_dead(&mut self, dead: &Task) -> String {
        if self.jobs.iter().any(|job| job.id == dead.id) {
            return "already open".into();
        }
        if let Some(key) = dead.spec.key() {
            let live = self.jobs.iter().any(|job| job.has_key(&dead.spec.queue, &key.name));
            let kept = self.kept.iter().any(|kept| {
                kept.queue == *dead.spec.queue
                    && kept.key == *key.name
                    && self.now < kept.until
                    && kept.task != dead.id
            });
            if live || kept {
                return "conflict".into();
            }
        }
        if let Some(full) = self.full(&dead.spec.queue) {
            return full;
        }
        let generation = dead.generation() + 1;
        let spec = TaskSpec::clone(&dead.spec);
        let mut job = Job::new(dead.id, spec, generation, self.now, State::Ready);
        job.first_start_by = dead.spec.terms.queue_timeout.map(|timeout| self.now + timeout);
        job.last_token = dead.last_token();
        job.failure = dead.last_failure().map(|failure| failure.reason);
        job.ends = dead.ends().iter().map(shown::end_line).collect();
        self.open(job);
        format!("generation {generation}")
    }

    fn open(&mut self, job: Job) {
        if let Some(key) = job.spec.key() {
            let same = |kept: &Kept| kept.queue == *job.spec.queue && kept.key == *key.name;
            self.kept.retain(|kept| !same(kept));
        }
        self.take_into_use(&job.spec.queue);
        self.jobs.push(job);
        self.look_around();
    }

    fn full(&self, queue: &str) -> Option<String> {
        let (jobs, limits) = (self.jobs.len() as u64, &self.config.limits);
        if limits.open_tasks <= jobs {
            return Some(format!("full limits.open_tasks {jobs}"));
        }
        let counted = self.counted_queues();
        let (more, queues) = (!self.is_declared(queue), counted.len() as u64);
        let more = more && !counted.iter().any(|name| name == queue) && limits.queues <= queues;
        more.then(|| format!("full limits.queues {queues}"))
    }

    fn is_declared(&self, queue: &str) -> bool {
        self.config.declared_queues.iter().any(|name| **name == *queue)
    }

    fn used_queues(&self) -> Vec<String> {
        let used = self.jobs.iter().map(|job| job.spec.queue.to_string());
        let mut names: Vec<String> = self.paused.iter().cloned().chain(used).collect();
        names.sort();
        names.dedup();
        names
    }

    fn counted_queues(&self) -> Vec<String> {
        self.used_queues().into_iter().filter(|queue| !self.is_declared(queue)).collect()
    }

    fn queue_names(&self) -> Vec<String> {
        let mut names = self.used_queues();
        names.extend(self.idle.iter().cloned());
        names.extend(self.config.declared_queues.iter().map(ToString::to_string));
        names.sort();
        names.dedup();
        names
    }

    /// A new queue takes the place of an idle one if it needs it.
    fn take_into_use(&mut self, queue: &str) {
        if !self.has_queue(queue) {
            let counted = self.counted_queues().len();
            let places = usize::try_from(self.config.limits.queues).unwrap();
            let surplus = (counted + self.idle.len() + 1).saturating_sub(places);
            self.idle.drain(..surplus.min(self.idle.len()));
        }
        self.idle.retain(|name| name != queue);
    }

    /// A queue that may not be in use any more is remembered.
    fn rest(&mut self, queue: &str) {
        let used = self.used_queues().iter().any(|name| name == queue);
        if !used && !self.is_declared(queue) {
            self.idle.push(queue.to_owned());
        }
    }

    fn has_queue(&self, queue: &str) -> bool {
        self.queue_names().iter().any(|name| name == queue)
    }

    fn is_paused(&self, queue: &str) -> bool {
        self.paused.iter().any(|name| name == queue)
    }

    pub(crate) fn set_pause(&mut self, (queue, paused): (&str, bool)) -> String {
        let places = self.config.limits.queues;
        let free = self.config.create_queues && (self.counted_queues().len() as u64) < places;
        let exists = self.has_queue(queue) || (paused && free);
        match (self.is_paused(queue), paused) {
            (false, true) if exists => {
                self.take_into_use(queue);
                self.paused.push(queue.to_owned());
            }
            (true, false) => {
                self.paused.retain(|name| name != queue);
                self.rest(queue);
            }
            _ => {}
        }
        self.look_around();
        format!("paused {exists}")
    }

    pub(crate) fn cancel(&mut self, id: TaskId) -> String {
        let Some(at) = self.jobs.iter().position(|job| job.id == id) else {
            return "no such task".into();
        };
        if !matches!(self.jobs[at].state, State::Leased(_)) {
            self.finish(id, Ending::Cancelled, None, None);
            return format!("cancelled {id}");
        }
        if !self.jobs[at].cancelled {
            self.jobs[at].cancelled = true;
            self.revoke(id, RevocationReason::Cancelled);
        }
        format!("cancelling {id}")
    }

    /// For each kind of session the task that goes next to it; of these the one that goes before the others, to the emptiest.
    pub(crate) fn grant(&mut self, most: usize) -> String {
        self.listen();
        let (mut granted, mut ended) = (0, 0);
        while granted + ended < most {
            self.look_around();
            let kinds = self.kinds();
            let offers = kinds.iter().filter_map(|kind| {
                let (at, why) = self.next_for(kind)?;
                let (seat, session) = self.emptiest(&self.jobs[at], kind)?;
                let (job, by) = (&self.jobs[at], self.start_by(&self.jobs[at]));
                let order = (seat.0, job.spec.priority, by, (job.deadline, job.id), why);
                Some(((order, seat), at, session, kind))
            });
            let Some((((.., why), _), at, session, kind)) = offers.min() else { break };
            if self.is_hopeless(&self.jobs[at]) {
                let (id, why) = (self.jobs[at].id, Some(FailureReason::TotalTimeout));
                self.finish(id, Ending::Failed, None, why);
                ended += 1;
                continue;
            }
            let kind = kind.clone();
            let thought = self.charge(at, &kind, why);
            self.lease(at, session, thought, why);
            granted += 1;
        }
        self.ask_back(most - granted - ended);
        format!("granted {granted}, ended {ended}")
    }

    /// Whether a task cannot be over in time.
    fn is_hopeless(&self, job: &Job) -> bool {
        let enough = self.config.cull_runs.map(|runs| runs as usize);
        let fast = enough.and_then(|enough| self.fair.fast(&job.spec.task_type, enough));
        let may_be_done = job.lost.is_some() && self.config.late_results.contains(&job.spec.queue);
        let has_a_start = job.saved.is_some() || may_be_done;
        let is_short = |fast| job.deadline.since(self.now) < fast && !has_a_start;
        job.deadline <= self.now || fast.is_some_and(is_short)
    }

    /// The task that goes next to sessions of a kind, and whether it does for its age.
    fn next_for(&self, kind: &Kind) -> Option<(usize, Why)> {
        let takes = |job: &Job| {
            let is_fit = Self::is_for(kind, &job.spec);
            matches!(job.state, State::Ready) && !self.is_paused(&job.spec.queue) && is_fit
        };
        let ready: Vec<usize> = (0..self.jobs.len()).filter(|at| takes(&self.jobs[*at])).collect();
        let first = *ready.iter().min_by_key(|at| self.turn(kind, &self.jobs[**at]))?;
        let top = self.jobs[first].spec.priority;
        // Those who are alike line up, and only the first of each line is old enough to be looked at.
        let is_first = |at: &&usize| {
            let job = &self.jobs[**at];
            let alike = ready.iter().map(|other| &self.jobs[*other]).filter(|it| it.is_like(job));
            alike.min_by_key(|it| (it.deadline, it.id)).is_some_and(|it| it.id == job.id)
        };
        let old = ready.iter().filter(|at| top < self.jobs[**at].spec.priority).filter(is_first);
        let old = old.min_by_key(|at| self.jobs[**at].id).filter(|_| self.is_for_the_old(kind));
        Some(old.map_or((first, Why::Turn), |old| (*old, Why::Age)))
    }

    /// What sets a session apart from others: its types, and of its labels those that a task has asked for by now.
    fn kind(&self, session: &Session) -> Kind {
        let mut labels = session.labels.clone();
        labels.retain(|(name, _)| self.asked.contains(name));
        let types = session.offered();
        let mut reads = session.reads.clone();
        reads.retain(|(own, _)| types.contains(own));
        (types, labels, reads)
    }

    fn is_for((types, labels, readings): &Kind, spec: &TaskSpec) -> bool {
        let has = |name: &str, value: &str| labels.iter().any(|it| it.0 == name && it.1 == value);
        types.iter().any(|own| **own == *spec.task_type)
            && can_read(readings, spec)
            && spec.shape.selector.iter().all(|(name, value)| has(name, value))
    }

    /// The session of a kind that suits best, and how well.
    fn emptiest(&self, job: &Job, kind: &Kind) -> Option<(Seat, usize)> {
        let served = self.served_by(&job.spec);
        let seats = self.sessions.iter().enumerate().filter_map(|(at, session)| {
            let used = self.used(session.id);
            let free = session.is_active()
                && session.hushed.is_none()
                && self.kind(session) == *kind
                && 0 < session.slots
                && used < session.slots + session.prefetch;
            let load = u64::from(used) * (1 << 32) / u64::from(session.slots.max(1));
            let (full, avoided) = (session.slots <= used, job.avoid == Some(session.id));
            free.then_some(((full, avoided, load, served != Some(session.id), session.id), at))
        });
        seats.min()
    }

    fn lease(&mut self, at: usize, session: usize, thought: (Duration, Option<u64>), why: Why) {
        let token = Token::new(self.epoch, self.minted);
        self.minted += 1;
        let is_ahead = self.sessions[session].slots <= self.used(self.sessions[session].id);
        let (job, session) = (&mut self.jobs[at], &self.sessions[session]);
        let patience = (!is_ahead).then_some(job.spec.start_timeout);
        let holder = session.id;
        let spec = job.spec.clone();
        job.leases += 1;
        job.avoid = None;
        job.lost = None;
        job.woken = None;
        job.last_token = Some(token);
        job.state = State::Leased(Box::new(Lease {
            token,
            worker: session.worker.clone(),
            instance: session.instance.clone(),
            session: session.id,
            granted: self.now,
            acknowledged: false,
            started: None,
            longer: Duration::ZERO,
            silent_since: None,
            revoking: None,
            told: None,
            alarm: Alarm { unsent: 1, patience, ..Alarm::default() },
            ahead: is_ahead.then(|| Ahead { is_aged: why == Why::Age, ..Ahead::default() }),
            thought,
        }));
        if let Some(stream) = session.stream {
            let (id, attempt, from) = (job.id, job.attempts + 1, job.saved.map(|(_, data)| data));
            self.said
                .push(format!("{stream:?}: run {id} as {token}, attempt {attempt}, from {from:?}"));
        }
        self.note_server(&spec, holder);
        self.look_around();
        if is_ahead {
            self.put_in_order(holder, at);
        }
    }

    fn job_mut(&mut self, id: TaskId) -> &mut Job {
        self.jobs.iter_mut().find(|job| job.id == id).expect("an open task")
    }

    /// The leases that were lost with the sessions of their processes, and these.
    pub(crate) fn lost(&self) -> Vec<(Token, String, String)> {
        let lost = self.jobs.iter().filter_map(|job| job.lost.as_ref());
        lost.map(|lost| (lost.token, lost.worker.clone(), lost.instance.clone())).collect()
    }

    /// The open task whose current lease this is, and who holds it.
    fn current(&self, token: Token) -> Option<(TaskId, SessionId)> {
        self.jobs.iter().find_map(|job| {
            let lease = job.lease().filter(|lease| lease.token == token)?;
            Some((job.id, lease.session))
        })
    }
}

impl Job {
    fn new(id: TaskId, spec: TaskSpec, generation: u32, now: Time, state: State) -> Self {
        Self {
            id,
            deadline: now + spec.total_timeout.into(),
            spec,
            generation,
            attempts: 0,
            leases: 0,
            losses: 0,
            ran: false,
            first_start_by: None,
            cancelled: false,
            failure: None,
            last_token: None,
            avoid: None,
            ends: Vec::new(),
            saved: None,
            lost: None,
            woken: None,
            state,
        }
    }

    /// Whether two tasks differ in nothing but their times.
    fn is_like(&self, other: &Self) -> bool {
        let kind = |job: &Self| {
            let Template { queue, task_type, priority, fairness_key, shape, .. } =
                Template::clone(&job.spec);
            (queue, task_type, priority, fairness_key, shape)
        };
        kind(self) == kind(other)
    }

    fn has_key(&self, queue: &str, key: &str) -> bool {
        *self.spec.queue == *queue && self.spec.key().is_some_and(|own| *own.name == *key)
    }

    fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Leased(lease) => Some(lease),
            State::Waits(..) | State::Ready => None,
        }
    }

    fn lease_mut(&mut self) -> Option<&mut Lease> {
        match &mut self.state {
            State::Leased(lease) => Some(lease),
            State::Waits(..) | State::Ready => None,
        }
    }
}

/// Whether somebody with these readings makes sense of a payload.
fn can_read(readings: &Readings, spec: &TaskSpec) -> bool {
    let Some(wanted) = spec.shape.schema else { return true };
    let own = readings.iter().find(|(own, _)| **own == *spec.task_type);
    own.is_none_or(|(_, read)| read.contains(&wanted.0[0]))
}
