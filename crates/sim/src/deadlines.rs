//! What deadlines are worth: the same bursts of work in the order of arrival and in that of least slack, with and without
//! the end of tasks that cannot make it any more, and with those refused that are unlikely to.
//!
//! The real queue in virtual time, workers that never fail, and everything from one seed. It knows no coordinator and no network.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Audience, Command, Config, Effect, Ending, Granted, Hello, LeaseTerms, Minter,
    Outcome, Queue, Reply, Retry, RevocationReason, SchemasRead, Shape, StopProof, StreamId,
    Submit, TaskId, TaskSpec, Template, Token,
};

const START: Time = Time::from_unix_ms(1_800_000_000_000);

/// No trace lasts so long.
const FAR: Duration = Duration::from_hours(240);

/// Two workers of so many slots.
const SLOTS: u32 = 4;

/// What tasks there are: of a hundred so many, and between what they run, in milliseconds. Within those bounds all are alike.
const KINDS: [(&str, u32, u64, u64); 3] =
    [("quick", 60, 20, 100), ("usual", 30, 200, 600), ("long", 10, 1_000, 3_000)];

/// What tasks are given beyond twice the longest run of their kind, in milliseconds.
const PATIENCE: [u64; 3] = [1_000, 4_000, 15_000];

/// How full the slots would be on average if every task ran, in percent.
pub const LOADS: [u64; 3] = [80, 95, 110];

/// A task that comes.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Time,
    kind: usize,
    run: Duration,
    patience: Duration,
}

/// What is done about deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing: first come, first served.
    Fifo,
    /// Least slack first.
    Slack,
    /// The same, and what cannot make it any more takes no slot.
    Culled,
    /// The same, and what is unlikely to make it is refused.
    Strict,
}

impl Rule {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Fifo, Self::Slack, Self::Culled, Self::Strict];

    const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "first come, first served",
            Self::Slack => "least slack",
            Self::Culled => "least slack, culled",
            Self::Strict => "least slack, culled, strict",
        }
    }
}

/// What became of the tasks of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many came.
    pub tasks: usize,
    /// How many were over in time.
    pub met: usize,
    /// How many were accepted and not over in time.
    pub missed: usize,
    /// How many were refused.
    pub refused: usize,
    /// How many of the refused would have been over in time, had they been accepted alone among them.
    pub refused_wrongly: usize,
    /// How many were ended because they could not make it any more.
    pub culled: usize,
    /// How long slots ran what was not over in time.
    pub wasted: Duration,
}

/// The queue and its workers, somewhere on the way through a trace.
#[derive(Clone)]
struct World {
    queue: Queue,
    now: Time,
    minter: Minter,
    rule: Rule,
    next: usize,
    /// When each run ends, the soonest first.
    running: BinaryHeap<Reverse<(Time, Token, StreamId)>>,
    runs: BTreeMap<Token, (TaskId, Time)>,
    open: BTreeMap<TaskId, usize>,
    tally: Tally,
    /// Those that were refused: where they stand in the trace.
    refused: Vec<usize>,
    /// Whether one that is accepted whatever is reckoned was over in time, once that is known.
    forced: Option<(usize, Option<bool>)>,
}

/// The tables for a seed, as text.
pub fn tables(seed: u64, seconds: u64) -> String {
    let mut text = format!("seed {seed}, {seconds} s of arrivals, {} slots\n\n", 2 * SLOTS);
    let row = |cells: [&str; 8]| {
        let [load, rule, rest @ ..] = cells;
        let rest: Vec<String> = rest.iter().map(|cell| format!("{cell:>10}")).collect();
        format!("{load:>5}  {rule:<28}{}\n", rest.concat())
    };
    let titles = ["load", "rule", "tasks", "refused", "met", "missed", "culled", "wasted s"];
    text.push_str(&row(titles));
    let mut wrong = String::new();
    for load in LOADS {
        for rule in Rule::ALL {
            let tally = tally(seed, seconds, load, rule);
            let Tally { tasks, met, missed, refused, refused_wrongly, culled, wasted } = tally;
            let load = format!("{load}%");
            let numbers = [tasks, refused, met, missed, culled].map(|count| count.to_string());
            let [tasks, refused, met, missed, culled] = &numbers;
            let wasted = wasted.as_secs().to_string();
            text.push_str(&row([&load, rule.name(), tasks, refused, met, missed, culled, &wasted]));
            if rule == Rule::Strict {
                let accepted = tally.tasks - tally.refused;
                // Writing to a text does not fail.
                _ = writeln!(
                    wrong,
                    "{load:>5}  refused {refused}, of which {refused_wrongly} would have met their deadline; \
                     accepted {accepted}, of which {missed} missed it"
                );
            }
        }
    }
    format!("{text}\n{wrong}")
}

/// What becomes of a trace under a rule.
pub fn tally(seed: u64, seconds: u64, load: u64, rule: Rule) -> Tally {
    let trace = trace(seed, seconds, load);
    let mut world = World::new(rule);
    let mut alone = Vec::new();
    while world.step(&trace) {
        for at in std::mem::take(&mut world.refused) {
            let mut other = world.clone();
            other.force(at, &trace);
            alone.push(other);
        }
    }
    let wrongly = alone.into_iter().filter_map(|mut other| {
        while other.forced.is_some_and(|(_, met)| met.is_none()) && other.step(&trace) {}
        other.forced?.1.filter(|met| *met)
    });
    Tally { tasks: trace.len(), refused_wrongly: wrongly.count(), ..world.tally }
}

/// Bursts of three times the load, and thrice as long a third of it.
fn trace(seed: u64, seconds: u64, load: u64) -> Vec<Arrival> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mean: u64 =
        KINDS.iter().map(|(_, share, least, most)| u64::from(*share) * (least + most) / 2).sum();
    // In a millionth of a chance for each millisecond.
    let usual = load * u64::from(2 * SLOTS) * 1_000_000 / mean;
    let (mut arrivals, mut ms, mut is_burst) = (Vec::new(), 0, false);
    while ms < seconds * 1_000 {
        let lasts = rng.u64(1_000..5_000) * if is_burst { 1 } else { 3 };
        let chance = if is_burst { usual * 3 } else { usual / 3 };
        for _ in 0..lasts {
            ms += 1;
            if rng.u64(0..1_000_000) < chance {
                let kind = kind(rng.u32(0..100));
                let (.., least, most) = KINDS[kind];
                let run = Duration::from_millis(rng.u64(least..=most));
                let patience = PATIENCE[rng.usize(0..PATIENCE.len())] + 2 * most;
                let (at, patience) =
                    (START + Duration::from_millis(ms), Duration::from_millis(patience));
                arrivals.push(Arrival { at, kind, run, patience });
            }
        }
        is_burst = !is_burst;
    }
    arrivals
}

fn kind(of_hundred: u32) -> usize {
    let mut before = 0;
    let found = KINDS.iter().position(|(_, share, ..)| {
        before += share;
        of_hundred < before
    });
    found.unwrap_or(0)
}

impl World {
    fn new(rule: Rule) -> Self {
        let default = Config::default();
        let is_culled = matches!(rule, Rule::Culled | Rule::Strict);
        let cull_runs = default.cull_runs.filter(|_| is_culled);
        let mut queue = Queue::new(Config { session_ttl: FAR, cull_runs, ..default }, 1);
        queue.recovered(START, None);
        queue.play_to(Audience::Nobody);
        for stream in 1..=2 {
            let hello = Hello {
                stream: StreamId(stream),
                worker: format!("w{stream}").into(),
                instance: "i".into(),
                start: None,
                replaces: Vec::new(),
                task_types: KINDS.iter().map(|(name, ..)| (*name).into()).collect(),
                namespaces: Vec::new(),
                reads: SchemasRead::default(),
                slots: SLOTS,
                resources: Vec::new(),
                knows_sizes: true,
                prefetch: 0,
                held: Vec::new(),
                labels: Vec::new(),
                software: "".into(),
            };
            queue.apply(START, Command::Hello(Box::new(hello)));
        }
        Self {
            queue,
            now: START,
            minter: Minter::new(0, START),
            rule,
            next: 0,
            running: BinaryHeap::new(),
            runs: BTreeMap::new(),
            open: BTreeMap::new(),
            tally: Tally::default(),
            refused: Vec::new(),
            forced: None,
        }
    }

    /// The next thing that happens. Says whether there was one.
    fn step(&mut self, trace: &[Arrival]) -> bool {
        let arrival = trace.get(self.next).map(|arrival| arrival.at);
        let end = self.running.peek().map(|Reverse((end, ..))| *end);
        let alarm = self.queue.next_deadline().filter(|at| *at < START + FAR);
        let Some(now) = [arrival, end, alarm].into_iter().flatten().min() else { return false };
        self.now = self.now.max(now);
        while let Some(Reverse((end, token, stream))) = self.running.peek().copied()
            && end <= self.now
        {
            self.running.pop();
            if self.runs.contains_key(&token) {
                let outcome = Outcome::Succeeded { result: Bytes::new() };
                self.apply(Command::Outcome { stream, token, outcome, ran: None }, trace);
            }
        }
        self.apply(Command::Advance { until: self.now }, trace);
        while trace.get(self.next).is_some_and(|arrival| arrival.at <= self.now) {
            let at = self.next;
            self.next += 1;
            self.submit(at, trace);
        }
        while let Reply::Granted(granted) = self.apply(Command::Grant { most: 64 }, trace)
            && 0 < granted.turns()
        {
            let Granted { culled, .. } = granted;
            self.tally.culled += culled;
        }
        true
    }

    fn submit(&mut self, at: usize, trace: &[Arrival]) {
        let strict = self.rule == Rule::Strict && self.forced.is_none_or(|(own, _)| own != at);
        let id = self.minter.mint(self.now, 0);
        let is_timed = self.rule != Rule::Fifo;
        let spec = spec(trace[at], is_timed.then_some(trace[at].patience), strict);
        let submit = Submit { id, spec, validate_only: false };
        self.open.insert(id, at);
        let reply = self.apply(Command::Submit(Box::new(submit)), trace);
        if matches!(reply, Reply::Submitted(Err(_))) {
            self.open.remove(&id);
            self.tally.refused += 1;
            self.refused.push(at);
        }
    }

    /// Accepts a task that was just refused, as if it had not asked for that.
    fn force(&mut self, at: usize, trace: &[Arrival]) {
        self.forced = Some((at, None));
        self.submit(at, trace);
        self.apply(Command::Grant { most: 64 }, trace);
    }

    fn apply(&mut self, command: Command, trace: &[Arrival]) -> Reply {
        let reply = self.queue.apply(self.now, command);
        for effect in self.queue.take_output().effects {
            self.carry_out(effect, trace);
        }
        reply
    }

    fn carry_out(&mut self, effect: Effect, trace: &[Arrival]) {
        match effect {
            Effect::Assign { stream, assignment } => {
                let (token, task) = (assignment.token, assignment.task);
                self.apply(Command::Delivered { stream, tokens: vec![token] }, trace);
                self.apply(Command::Started { stream, token }, trace);
                let run = trace[self.open[&task]].run;
                self.runs.insert(token, (task, self.now));
                self.running.push(Reverse((self.now + run, token, stream)));
            }
            Effect::Revoke { stream, token, reason, .. } => {
                assert_eq!(reason, RevocationReason::TotalTimeout, "nobody wants anything else");
                let outcome = Outcome::Stopped(StopProof::Aborted);
                self.apply(Command::Outcome { stream, token, outcome, ran: None }, trace);
            }
            Effect::Ended(ended) => {
                let Some(at) = self.open.remove(&ended.task.id) else { return };
                let deadline = trace[at].at + trace[at].patience;
                let met = ended.ending == Ending::Succeeded && self.now < deadline;
                let run = ended.task.lease().and_then(|lease| self.runs.remove(&lease.token));
                let ran = run.map_or(Duration::ZERO, |(_, since)| self.now.since(since));
                if met {
                    self.tally.met += 1;
                } else {
                    self.tally.missed += 1;
                    self.tally.wasted += ran;
                }
                if let Some((own, found)) = &mut self.forced
                    && *own == at
                {
                    *found = Some(met);
                }
            }
            _ => {}
        }
    }
}

fn spec(arrival: Arrival, timeout: Option<Duration>, strict: bool) -> TaskSpec {
    let (initial, cap) = (Duration::from_secs(1), Duration::from_secs(1));
    let backoff = Backoff { initial, factor: 1.0, cap, jitter: Jitter::None };
    TaskSpec::new(
        Arc::new(Template {
            queue: "q".into(),
            task_type: KINDS[arrival.kind].0.into(),
            content_type: "".into(),
            priority: 5,
            start_timeout: FAR,
            attempt_timeout: FAR,
            kill_grace: Duration::from_secs(1),
            retry: Retry { max_attempts: 1, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: if strict { Admission::Strict } else { Admission::Unasked },
        }),
        Bytes::new().into(),
        timeout.unwrap_or(FAR),
    )
}

#[cfg(test)]
mod tests;
