//! Plays the commands of a script on a real queue. Tasks are named by letters, leases t1, t2, … in the order of their
//! grants; streams are s1, s2, … as the script says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leasehold_policy::{Backoff, CircuitTerms, Jitter, Rate, SlowTerms, Tally, Time};
use leasehold_queue::{
    Admission, Blocker, BreakerTerms, BreakerView, Capacity, Caps, Claims, Command, Config, Dead,
    DeclineReason, Disposition, Effect, Ended, Estimate, Exclusivity, Explanation, Extras, Failure,
    FailureReason, Gate, Guarantee, Guarded, HeldLease, Hello, Key, LeaseEnd, LeasePhase,
    LeaseTerms, Limits, Name, Obstacle, Outcome, Over, Phase, Progress, Queue, QueueLimits, Quota,
    Record, Reply, Retry, RetryBudget, RevocationReason, Room, Saved, SchemaPrint, SchemasRead,
    Shape, Size, Start, StopProof, StreamId, Submit, Task, TaskId, TaskSpec, Template, Throttles,
    Token, Turned, Unfit, Unknown, Use, Wait, Weights,
};

pub(crate) struct Stage {
    config: Config,
    queue: Queue,
    epoch: u32,
    now: Time,
    records: Vec<Record>,
    settled: usize,
    tasks: BTreeMap<String, TaskId>,
    tokens: Vec<Token>,
    revoked: Vec<(Token, RevocationReason)>,
    /// What waits for the disk; none if the disk is quick.
    waiting: Option<Vec<(StreamId, Token)>>,
    dead: BTreeMap<TaskId, Task>,
}

/// The words of a command: names and `key=value` pairs.
struct Words<'a>(Vec<&'a str>);

impl Words<'_> {
    fn at(&self, n: usize) -> &str {
        self.0.iter().filter(|word| !word.contains('=')).nth(n).expect("too few words")
    }

    fn from(&self, n: usize) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|word| !word.contains('=')).skip(n).copied()
    }

    fn has(&self, wanted: &str) -> bool {
        self.0.contains(&wanted)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str, default: u32) -> u32 {
        self.value(key).map_or(default, |text| text.parse().expect("a number"))
    }

    fn ms(&self, key: &str, default: u32) -> Duration {
        Duration::from_millis(self.number(key, default).into())
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let config = Config {
            session_ttl: Duration::from_secs(2),
            drift_per_mille: 10,
            revoke_ack_margin: Duration::from_millis(500),
            worker_losses_max: 2,
            leases_max: 4,
            attempt_max: Duration::from_secs(10),
            key_retention: Duration::from_secs(5),
            declared_queues: BTreeSet::new(),
            late_results: BTreeSet::new(),
            create_queues: true,
            throttles: Arc::new(throttles()),
            limits: Limits { open_tasks: 5, open_bytes: 100_000, queues: 3, key_bytes: 1_000 },
            ..Config::default()
        };
        let mut queue = Queue::new(config.clone(), 1);
        queue.recovered(Time::default(), None);
        let records = queue.take_output().records;
        let (tasks, dead) = (BTreeMap::new(), BTreeMap::new());
        let (tokens, revoked, now) = (Vec::new(), Vec::new(), Time::default());
        let waiting = None;
        Self {
            config,
            queue,
            epoch: 1,
            now,
            records,
            settled: 0,
            tasks,
            tokens,
            revoked,
            waiting,
            dead,
        }
    }

    /// Does what the command says. Hands back everything that came of it.
    pub(crate) fn play(&mut self, command: &str) -> Vec<String> {
        let mut words = command.split_whitespace();
        let verb = words.next().expect("a verb");
        let words = Words(words.collect());
        match verb {
            "show" => return vec![self.show(words.at(0))],
            "why" => return vec![self.why(words.at(0))],
            "explain" => return self.explain(words.at(0)),
            "explain-queue" => return self.explain_queue(words.at(0)),
            "loads" => return self.loads(),
            "ends" => return self.ends(words.at(0)),
            "estimate" => return vec![self.estimate(&words)],
            "queues" => return self.queues(),
            "breakers" => return self.breakers(),
            "workers" => return self.workers(),
            "restart" => return self.restart(&words),
            "trim" => return self.trim(),
            "at" => self.now = Time::from_unix_ms(words.at(0).parse().expect("a time in ms")),
            // Time has passed, and no timer has rung yet.
            "later" => {
                self.now = Time::from_unix_ms(words.at(0).parse().expect("a time in ms"));
                return Vec::new();
            }
            "stalled" => self.now = self.now + words.ms("for", 0),
            "configure" => return self.configure(&words),
            "throttle" => {
                let breakers = if words.has("no-breakers") {
                    BTreeMap::new()
                } else {
                    breakers(words.number("open", 1_000).into())
                };
                self.config.throttles = Arc::new(Throttles { breakers, ..throttles() });
            }
            "disk" if words.has("stalls") => {
                self.waiting = Some(Vec::new());
                return Vec::new();
            }
            "disk" => {
                let waiting = self.waiting.take().unwrap_or_default();
                self.leave(waiting);
                return Vec::new();
            }
            _ => {}
        }
        let command = self.command(verb, &words);
        let reply = self.queue.apply(self.now, command);
        let output = self.queue.take_output();
        self.records.extend(output.records);
        let leaving = output.effects.iter().filter_map(|effect| match effect {
            Effect::Assign { stream, assignment } => Some((*stream, assignment.token)),
            Effect::Revoke { stream, token, .. } => Some((*stream, *token)),
            _ => None,
        });
        let leaving: Vec<_> = leaving.collect();
        match &mut self.waiting {
            Some(waiting) => waiting.extend(leaving),
            None => self.leave(leaving),
        }
        let mut lines = Vec::new();
        lines.extend(self.reply(&reply));
        for effect in output.effects {
            lines.extend(self.effect(effect));
        }
        lines
    }

    fn leave(&mut self, leaving: Vec<(StreamId, Token)>) {
        for (stream, token) in leaving {
            self.queue.apply(self.now, Command::Sent { stream, tokens: vec![token] });
            let output = self.queue.take_output();
            assert!(output.effects.is_empty() && output.records.is_empty(), "it says nothing new");
        }
    }

    fn command(&mut self, verb: &str, words: &Words<'_>) -> Command {
        match verb {
            "at" => Command::Advance { until: self.now },
            "submit" => Command::Submit(Box::new(self.submit(words))),
            "cancel" => Command::Cancel { task: self.task(words.at(0)) },
            "replay" => {
                let task = self.dead[&self.task(words.at(0))].clone();
                Command::Replay(Box::new(Dead { task }))
            }
            "pause" | "resume" => {
                Command::Pause { queue: words.at(0).into(), paused: verb == "pause" }
            }
            "grant" => Command::Grant { most: 100 },
            "hello" => Command::Hello(Box::new(self.hello(words))),
            "revoke" => Command::RevokeLease {
                token: self.token(words.at(0)),
                grace: words.value("grace").map(|_| words.ms("grace", 0)),
            },
            "evict" => {
                let (worker, ban) = (words.at(0).into(), words.ms("ban", 0));
                Command::EvictWorker { worker, grace: None, ban }
            }
            "throttle" => Command::Configure(Box::new(self.config.clone())),
            "reset" => Command::ResetBreaker { guarded: guarded(words.at(0)) },
            "drain-worker" => Command::DrainWorker { worker: words.at(0).into(), grace: None },
            "stalled" => Command::Stalled { by: words.ms("by", 0) },
            _ => self.worker_command(verb, words),
        }
    }

    fn worker_command(&mut self, verb: &str, words: &Words<'_>) -> Command {
        let stream = stream(words.at(0));
        let token = || self.token(words.at(1));
        let ran = words.value("ran").map(|_| words.ms("ran", 0));
        let outcome = |outcome| Command::Outcome { stream, token: token(), outcome, ran };
        let tokens = || words.from(1).map(|name| self.token(name)).collect();
        match verb {
            "delivered" => Command::Delivered { stream, tokens: tokens() },
            "informed" => {
                let tokens: Vec<Token> = tokens();
                let revocations = self.revoked.iter().filter(|(token, _)| tokens.contains(token));
                Command::Informed { stream, revocations: revocations.copied().collect() }
            }
            "beat" => Command::Heartbeat { stream, held: tokens() },
            "slots" => {
                let slots = words.at(1).parse().expect("slots");
                let (resources, prefetch) = (amounts(words, "has"), words.number("prefetch", 0));
                Command::Capacity { stream, slots, resources, prefetch }
            }
            "start" => Command::Started { stream, token: token() },
            "progress" => {
                let progress = Some(Progress { fraction: Some(0.5), message: "half".into() });
                Command::Progressed { stream, token: token(), progress }
            }
            "save" => {
                let data = Bytes::from(vec![b'x'; words.number("bytes", 1) as usize]);
                let data = words.value("at").map_or(data, |at| Bytes::from(at.to_owned()));
                Command::Save { stream, token: token(), data }
            }
            "extend" => Command::Extend { stream, token: token(), remaining: words.ms("for", 0) },
            "ok" => outcome(Outcome::Succeeded { result: Bytes::from_static(b"42") }),
            "fail" => outcome(Outcome::Failed {
                failure: failure(if words.has("late") {
                    FailureReason::AttemptTimeout
                } else {
                    FailureReason::Error
                }),
                retryable: !words.has("final"),
                retry_delay: words.ms("after", 0),
                stop: proof(words.value("how").unwrap_or("returned")),
            }),
            "invalid" => {
                outcome(Outcome::Invalid { failure: failure(FailureReason::ResultTooLarge) })
            }
            "stopped" => outcome(Outcome::Stopped(proof(words.value("how").unwrap_or("aborted")))),
            "decline" => {
                let reason = match words.at(2) {
                    "full" => DeclineReason::NoCapacity,
                    "unsupported" => DeclineReason::Unsupported,
                    "retracted" => DeclineReason::Retracted,
                    "late" => DeclineReason::StartTimeout,
                    _ => DeclineReason::Draining,
                };
                let stop = proof(words.value("how").unwrap_or("not-started"));
                outcome(Outcome::Declined(reason, stop))
            }
            "drain" => Command::Drain { stream },
            "bye" => Command::Goodbye { stream },
            "gone" => Command::Disconnect { stream },
            verb => panic!("no such command: {verb}"),
        }
    }

    fn submit(&mut self, words: &Words<'_>) -> Submit {
        let id = TaskId::from_u128((self.tasks.len() as u128 + 1) << 80);
        if !words.has("check") {
            self.tasks.insert(words.at(0).to_owned(), id);
        }
        Submit { id, spec: Self::spec(words), validate_only: words.has("check") }
    }

    fn spec(words: &Words<'_>) -> TaskSpec {
        let digest = [u8::try_from(words.number("digest", 0)).expect("a byte"); 16];
        TaskSpec {
            template: Arc::new(Template {
                queue: words.value("queue").unwrap_or("q").into(),
                task_type: words.value("type").unwrap_or("t").into(),
                content_type: "".into(),
                priority: u8::try_from(words.number("priority", 5)).expect("a priority"),
                start_timeout: words.ms("start", 400),
                attempt_timeout: words.ms("attempt", 1_000),
                kill_grace: words.ms("grace", 300),
                retry: Retry {
                    max_attempts: words.number("attempts", 3),
                    backoff: Backoff {
                        initial: Duration::from_millis(100),
                        factor: 2.0,
                        cap: Duration::from_secs(10),
                        jitter: if words.has("jitter") { Jitter::Full } else { Jitter::None },
                    },
                },
                terms: terms(words),
                claims: claims(words),
                fairness_key: words.value("by").unwrap_or_default().into(),
                shape: Shape {
                    selector: zone(words),
                    schema: words.value("schema").map(schema),
                    size: Size {
                        slots: words.number("size", 1),
                        resources: amounts(words, "uses"),
                    },
                },
                admission: match words.value("admission") {
                    Some("strict") => Admission::Strict,
                    Some(_) => Admission::BestEffort,
                    None => Admission::Unasked,
                },
            }),
            payload: Bytes::from(vec![0; words.number("bytes", 0) as usize]).into(),
            total_timeout: words.ms("total", 60_000).into(),
            trace: None,
            extras: Extras {
                initial_delay: words.ms("delay", 0),
                labels: Vec::new(),
                key: words.value("key").map(|name| Key { name: name.into(), digest }),
            }
            .kept(),
        }
    }

    fn hello(&self, words: &Words<'_>) -> Hello {
        let (worker, instance) = words.at(0).split_once('/').unwrap_or((words.at(0), "i1"));
        let held = words.from(2).map(|held| {
            let (token, phase) = held.split_once(':').unwrap_or((held, "running"));
            let phase = match phase {
                "pending" => LeasePhase::Pending,
                "finished" => LeasePhase::Finished,
                _ => LeasePhase::Running,
            };
            let size = Size { slots: words.number("each", 1), resources: Vec::new() };
            HeldLease { token: self.token(token), phase, size }
        });
        Hello {
            stream: stream(words.at(1)),
            worker: worker.into(),
            instance: instance.into(),
            start: words.value("start").map(|text| {
                let (boot, after) = text.split_once('+').expect("a boot and ms");
                let after = Duration::from_millis(after.parse().expect("a number"));
                Start { boot: boot.into(), after }
            }),
            replaces: words
                .value("gone")
                .into_iter()
                .flat_map(|it| it.split(','))
                .map(Name::from)
                .collect(),
            task_types: words.value("types").unwrap_or("t").split(',').map(Name::from).collect(),
            namespaces: words
                .value("serves")
                .into_iter()
                .flat_map(|it| it.split(','))
                .map(Name::from)
                .collect(),
            reads: words.value("reads").map(reads).unwrap_or_default(),
            slots: words.number("slots", 1),
            resources: amounts(words, "has"),
            knows_sizes: words.value("sizes") != Some("unknown"),
            prefetch: words.number("prefetch", 0),
            held: held.collect(),
            labels: zone(words),
            software: "stage".into(),
        }
    }

    /// The process dies and another one reads the journal.
    fn restart(&mut self, words: &Words<'_>) -> Vec<String> {
        self.epoch += 1;
        self.config.session_ttl = words.ms("ttl", 2_000);
        self.queue = Queue::new(self.config.clone(), self.epoch);
        for (at, record) in self.records.iter().enumerate() {
            let unknown = if at < self.settled { Unknown::Skip } else { Unknown::Refuse };
            self.queue.replay(record.clone(), unknown).expect("a sound journal");
        }
        self.queue.recovered(self.now, Some(self.now));
        self.records.extend(self.queue.take_output().records);
        Vec::new()
    }

    /// Everything alive is written again and everything older dropped.
    fn trim(&mut self) -> Vec<String> {
        let tasks = self.tasks.values().copied().collect();
        let keys = self.queue.kept_keys().map(|kept| (kept.queue, kept.name)).collect();
        self.queue.apply(self.now, Command::Move { tasks, keys });
        let output = self.queue.take_output();
        assert!(output.effects.is_empty(), "a move is seen by nobody");
        let beside =
            |r: &Record| matches!(r, Record::QueuePaused { .. } | Record::EpochStarted { .. });
        self.records.retain(beside);
        self.settled = self.records.len();
        self.records.extend(output.records);
        Vec::new()
    }

    /// What can be set only at the start of a process.
    fn configure(&mut self, words: &Words<'_>) -> Vec<String> {
        self.config.create_queues = !words.has("no-new-queues");
        self.config.declared_queues = words.value("declared").into_iter().map(Name::from).collect();
        self.config.late_results = words.value("late").into_iter().map(Name::from).collect();
        self.config.key_retention = words.ms("keys", 5_000);
        self.config.valve = words.number("aging", 64).into();
        self.config.limits.open_tasks = words.number("open", 5).into();
        self.config.cull_runs = words.value("cull").map(|_| words.number("cull", 0));
        let weight = words.value("weight").and_then(|it| it.split_once(':'));
        let weights = weight.map(|(queue, weight)| {
            let queue_weight = weight.parse().expect("a weight");
            (queue.into(), Weights { queue: queue_weight, ..Weights::default() })
        });
        self.config.weights = weights.into_iter().collect();
        // As `NAMESPACE:TASKS:BYTES`, where a part that is left out bounds nothing.
        let quotas = words.value("quotas").into_iter().flat_map(|it| it.split(','));
        let quotas = quotas.map(|quota| {
            let parts: Vec<&str> = quota.split(':').collect();
            let part = |at: usize| parts.get(at).and_then(|it| it.parse().ok());
            (parts[0].into(), Quota { open_tasks: part(1), open_bytes: part(2) })
        });
        self.config.quotas = quotas.collect();
        self.restart(&Words(Vec::new()))
    }

    fn show(&self, name: &str) -> String {
        let Some(task) = self.queue.task(self.task(name)) else { return "gone".into() };
        let state = match &task.phase {
            Phase::Scheduled { eligible, .. } => format!("waits until {eligible}"),
            Phase::Queued => "queued".into(),
            Phase::Leased(lease) => {
                let started =
                    lease.started.map_or("not started".into(), |at| format!("since {at}"));
                let revoking = lease.revoking.map(|r| format!(", to stop: {:?}", r.reason));
                format!("{} {started}{}", self.name(lease.token), revoking.unwrap_or_default())
            }
        };
        let blocked = self.queue.blocked(task).map(|why| format!(", {why:?}")).unwrap_or_default();
        let read = self.queue.read_instead(task);
        let read: String = read.iter().map(|it| char::from(it.0[0])).collect();
        let instead = if read.is_empty() { read } else { format!(" but {read}") };
        format!("{state}{blocked}{instead}; {}", counters(task))
    }

    /// The limit that a task waits for.
    fn why(&self, name: &str) -> String {
        let task = self.queue.task(self.task(name)).expect("an open task");
        let Some(Obstacle { gate, limit: Use { used, max, free_at } }) = self.queue.obstacle(task)
        else {
            return "no limit".into();
        };
        let gate = gate_text(&gate);
        let again = free_at.map(|at| format!(", enough at {at}")).unwrap_or_default();
        format!("{gate} at {used} of {max}{again}")
    }

    fn breakers(&self) -> Vec<String> {
        let line = |it: BreakerView| {
            let Tally { calls, failures, slow } = it.tally;
            let probes = format!("{} of {} probes", it.probes, it.probes_max);
            let BreakerView { guarded, state, since, waiting, .. } = it;
            format!(
                "{guarded} {state:?} since {since}: {calls} calls, {failures} failed, {slow} slow, \
                 {probes}, {waiting} wait"
            )
        };
        self.queue.breakers().filter(|it| it.tally.calls + it.probes != 0).map(line).collect()
    }

    /// Everything that holds a task back, or how its lease goes on.
    fn explain(&self, name: &str) -> Vec<String> {
        let task = self.queue.task(self.task(name)).expect("an open task");
        let Explanation { blockers, outlook, gives_up, .. } = self.queue.explain(task);
        let first = blockers.first().map(Blocker::reason);
        assert_eq!(first, self.queue.blocked(task), "its first blocker is what it is blocked by");
        let mut lines: Vec<String> = blockers.iter().map(|it| self.blocker(it)).collect();
        lines.extend(gives_up.map(|(at, why)| format!("until {at}: {why:?}")));
        lines.extend(outlook.map(|outlook| {
            let state = outlook.session.map_or("nobody".into(), |state| format!("{state:?}"));
            let ahead = if outlook.is_ahead { ", ahead" } else { "" };
            let bound =
                |(bound, at): &(leasehold_queue::LeaseBound, Time)| format!(", {bound:?} {at}");
            format!("{state}{ahead}{}", outlook.bounds.iter().map(bound).collect::<String>())
        }));
        lines
    }

    /// What the tasks of a queue wait for.
    fn explain_queue(&self, name: &str) -> Vec<String> {
        let Some(explained) = self.queue.explain_queue(&name.into()) else {
            return vec!["no such queue".into()];
        };
        assert_eq!(explained.more, 0, "all are named");
        let groups = explained.groups.iter().map(|group| {
            let first = self.task_name(group.first);
            format!("{} like {first}: {}", group.count, self.blocker(&group.blocker))
        });
        groups.collect()
    }

    fn blocker(&self, blocker: &Blocker) -> String {
        match blocker {
            Blocker::Wait { wait: Wait::Delay, until } => format!("delay until {until}"),
            Blocker::Wait { wait: Wait::Backoff, until } => format!("backoff until {until}"),
            Blocker::Pause { queue, since } => {
                let since = since.map_or("long ago".into(), |at| at.to_string());
                format!("{queue} paused since {since}")
            }
            Blocker::NoWorker(Unfit { misfits, more, others }) => {
                let kinds = misfits.iter().map(|(misfit, count, names)| {
                    let gap = |gap: &leasehold_queue::LabelGap| {
                        let found = gap.found.as_deref().unwrap_or("none");
                        format!(" {}={found} not {}", gap.name, gap.wanted)
                    };
                    let serves: Vec<&str> = misfit.namespaces.iter().map(|it| &**it).collect();
                    let serves = serves.join(",");
                    let serves =
                        if serves.is_empty() { serves } else { format!(" serves {serves}") };
                    let labels: String = misfit.labels.iter().map(gap).collect();
                    let shortages = misfit.shortages.iter().map(|it| {
                        let name = it.resource.as_deref().unwrap_or("slots");
                        format!(" {name} {} not {}", it.most, it.wanted)
                    });
                    let shortages: String = shortages.collect();
                    let reads: String = misfit.reads.iter().map(|it| char::from(it.0[0])).collect();
                    let reads = if reads.is_empty() { reads } else { format!(" reads {reads}") };
                    let unknown = if misfit.sizes_unknown { " sizes unknown" } else { "" };
                    let declined = if misfit.has_declined { " declined" } else { "" };
                    let names = names.join(" ");
                    format!(
                        "; {count} {names}: {:?}{serves}{labels}{shortages}{reads}{unknown}{declined}",
                        misfit.state
                    )
                });
                assert_eq!(*more, 0, "all kinds are named");
                format!("nobody{}; {others} others", kinds.collect::<String>())
            }
            Blocker::Gate { obstacle, holders, more } => {
                let Obstacle { gate, limit: Use { used, max, free_at } } = obstacle;
                let gate = gate_text(gate);
                let again = free_at.map(|at| format!(", enough at {at}")).unwrap_or_default();
                let holders = holders.iter().map(|it| {
                    let task = it.task.map_or("?".into(), |id| self.task_name(id));
                    let over = if it.is_over { " over" } else { "" };
                    let worker = it.worker.as_deref().unwrap_or("nobody");
                    format!(", {task} {} on {worker}{over}", self.name(it.token))
                });
                let holders: String = holders.collect();
                let more = if *more == 0 { String::new() } else { format!(", {more} more") };
                format!("{gate} at {used} of {max}{again}{holders}{more}")
            }
            Blocker::Capacity(it) => {
                let Capacity {
                    workers,
                    hushed,
                    slots,
                    used,
                    taken_by,
                    more,
                    wanted,
                    has_room,
                    reserved,
                } = it;
                let taken = taken_by.iter().map(|(q, t, count)| format!(", {q}/{t} {count}"));
                let taken: String = taken.collect();
                let hushed =
                    if *hushed == 0 { String::new() } else { format!(", {hushed} hushed") };
                assert_eq!(*more, 0, "all kinds are named");
                let wanted = if wanted.is_plain() {
                    String::new()
                } else {
                    let room = if *has_room { " which is left" } else { "" };
                    format!(", wants {}{room}", size_text(wanted))
                };
                let reserved = reserved.iter();
                let reserved =
                    reserved.map(|(name, task)| format!(", {name} for {}", self.task_name(*task)));
                let reserved: String = reserved.collect();
                format!("{used} of {slots} slots of {workers}{hushed}{taken}{wanted}{reserved}")
            }
        }
    }

    /// What waits for what, by queue and type.
    fn loads(&self) -> Vec<String> {
        let line = |load: leasehold_queue::LoadView| {
            let mut waiting = load.waiting;
            waiting.sort_unstable();
            let waiting = waiting.iter().map(|(why, count)| format!(" {why:?} {count}"));
            let since = load.since.map(|at| format!(" since {at}")).unwrap_or_default();
            let (queue, kind, leased) = (load.queue, load.task_type, load.leased);
            format!("{queue}/{kind}:{}{since}, {leased} leased", waiting.collect::<String>())
        };
        self.queue.loads().map(line).collect()
    }

    /// How a task is likely to fare, one that waits or one that is not there.
    fn estimate(&self, words: &Words<'_>) -> String {
        let known = self.tasks.get(words.at(0)).and_then(|id| self.queue.task(*id));
        let Estimate { ahead, slots, starts, over, bound_by } = known.map_or_else(
            || {
                let spec = Self::spec(words);
                self.queue.estimate_spec(&spec, self.now + spec.total_timeout.into())
            },
            |task| self.queue.estimate(task),
        );
        let starts = starts.map_or("never starts".into(), |at| format!("starts {at}"));
        let over = over.map(|Over { p50, p95 }| format!(", over {p50} or {p95}"));
        let over = over.unwrap_or_default();
        format!("{ahead} before, {slots} slots: {starts}{over}, for {bound_by:?}")
    }

    /// How the leases of a task ended, open or not.
    fn ends(&self, name: &str) -> Vec<String> {
        let id = self.task(name);
        let task = self.queue.task(id).or_else(|| self.dead.get(&id)).expect("a task");
        let line = |end: &LeaseEnd| {
            let LeaseEnd {
                worker, generation, attempt, granted, ended, kind, stop, charge, ..
            } = end;
            let started = end.started.map_or(String::new(), |at| format!(", started {at}"));
            let revoked = end.revoking.map_or(String::new(), |it| {
                let delivered = it.delivered.map(|at| format!(", delivered {at}"));
                format!(", revoked {}{}", it.since, delivered.unwrap_or_default())
            });
            let waits = end.eligible.map_or(String::new(), |at| format!(", waits until {at}"));
            let message = if end.message.is_empty() { "" } else { ": " };
            format!(
                "{} g{generation} a{attempt} on {worker}: granted {granted}{started}{revoked}, \
                 ended {ended} {kind:?} {stop:?}, charged {charge:?}{waits}{message}{}",
                self.name(end.token),
                end.message
            )
        };
        task.ends().iter().map(line).collect()
    }

    fn queues(&self) -> Vec<String> {
        let line = |q: leasehold_queue::QueueView| {
            let paused = if q.paused { " paused" } else { "" };
            let (scheduled, queued, leased) = (q.scheduled, q.queued, q.leased);
            let oldest = q.oldest_queued.map(|at| format!(", oldest {at}")).unwrap_or_default();
            format!("{}{paused}: {scheduled} + {queued} + {leased}{oldest}", q.name)
        };
        self.queue.queues().map(line).collect()
    }

    fn workers(&self) -> Vec<String> {
        let line = |w: leasehold_queue::WorkerView| {
            let tokens: Vec<String> = w.tokens.iter().map(|token| self.name(*token)).collect();
            let (tokens, slots) = (tokens.join(" "), size_text(&w.whole));
            let taken = w.taken.slots as usize + w.ahead as usize;
            let is_told = !w.whole.resources.is_empty() || taken != w.tokens.len();
            let taken =
                if is_told { format!(", {} taken", size_text(&w.taken)) } else { String::new() };
            format!("{}/{} {:?} {tokens} of {slots}{taken}", w.worker, w.instance, w.state)
        };
        self.queue.workers().map(line).collect()
    }

    fn reply(&self, reply: &Reply) -> Option<String> {
        Some(match reply {
            Reply::Submitted(Ok(accepted)) => {
                let known = if accepted.deduplicated { "known as " } else { "" };
                let late = accepted.late.map(|at| format!(", likely over at {at}"));
                let late = late.unwrap_or_default();
                format!("accepted {known}{}{late}", self.task_name(accepted.id))
            }
            Reply::Submitted(Err(refusal)) => format!("refused: {refusal}"),
            Reply::Cancelled(None) => "no such task".into(),
            Reply::Cancelled(Some(answer)) if answer.1.is_none() => "cancelling".into(),
            Reply::Replayed(Ok(replayed)) => format!("generation {}", replayed.generation),
            Reply::Replayed(Err(refusal)) => format!("refused: {refusal}"),
            Reply::Paused(false)
            | Reply::Draining(false)
            | Reply::Reset(false)
            | Reply::Revoked(None)
            | Reply::Evicted(false) => "no such thing".into(),
            Reply::Welcome(Err(why)) => format!("not welcome, {why:?}"),
            Reply::Welcome(Ok(welcome)) => {
                let resumed = if welcome.resumed { "welcome back" } else { "welcome" };
                let verdicts = welcome.verdicts.iter();
                let verdicts =
                    verdicts.map(|(token, verdict)| format!("{} {verdict:?}", self.name(*token)));
                [resumed.to_owned()].into_iter().chain(verdicts).collect::<Vec<_>>().join(", ")
            }
            Reply::Heard(false) => "not heard".into(),
            Reply::Saved(Saved::Stale) => "not the task's lease".into(),
            Reply::Saved(Saved::NoRoom(Room::All)) => "no room".into(),
            Reply::Saved(Saved::NoRoom(Room::Namespace)) => "no room in its namespace".into(),
            Reply::Done
            | Reply::Cancelled(_)
            | Reply::Paused(true)
            | Reply::Draining(true)
            | Reply::Reset(true)
            | Reply::Revoked(Some(_))
            | Reply::Evicted(true)
            | Reply::Heard(true)
            | Reply::Saved(Saved::Kept)
            | Reply::Granted(_) => return None,
        })
    }

    fn effect(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Assign { stream, assignment } => {
                self.tokens.push(assignment.token);
                let (task, token) = (self.task_name(assignment.task), self.name(assignment.token));
                let from = assignment
                    .checkpoint
                    .map(|data| format!(", from {}", String::from_utf8_lossy(&data)));
                let from = from.unwrap_or_default();
                format!(
                    "{}: run {task} as {token}, attempt {}{from}",
                    at(stream),
                    assignment.attempt
                )
            }
            Effect::Revoke { stream, token, reason, grace } => {
                self.revoked.push((token, reason));
                let (to, token) = (at(stream), self.name(token));
                format!("{to}: stop {token}, {reason:?}, within {grace:?}")
            }
            Effect::Retract { stream, token } => {
                format!("{}: give back {} unless started", at(stream), self.name(token))
            }
            Effect::Extend { stream, token, remaining } => {
                let has = remaining.map_or("no more time".into(), |left| format!("{left:?}"));
                format!("{}: {} has {has}", at(stream), self.name(token))
            }
            Effect::ResultAck { stream, token, disposition } => {
                let disposition: Disposition = disposition;
                format!("{}: {} is {disposition:?}", at(stream), self.name(token))
            }
            Effect::RequestDrain { stream, .. } => format!("{}: drain", at(stream)),
            Effect::Close { stream, reason } => format!("{}: closed, {reason:?}", at(stream)),
            Effect::StoppedLate { task, token, stop, late, .. } => {
                let (task, token) = (self.task_name(task), self.name(token));
                format!("{token} of {task} stopped {late:?} late, {stop:?}")
            }
            Effect::Turned(turned) => {
                let Turned { guarded, turn, tally: Tally { calls, failures, slow }, until } =
                    *turned;
                let until = until.map(|at| format!(" until {at}")).unwrap_or_default();
                let counted = format!("{calls} calls, {failures} failed, {slow} slow");
                format!("{guarded} {turn:?}{until} after {counted}")
            }
            Effect::Changed(_) => return None,
            Effect::Ended(ended) => self.ended(ended),
        })
    }

    fn ended(&mut self, ended: Ended) -> String {
        let Ended { task, ending, .. } = ended;
        let line = format!("{} {ending:?}; {}", self.task_name(task.id), counters(&task));
        self.dead.insert(task.id, *task);
        line
    }

    fn task(&self, name: &str) -> TaskId {
        self.tasks.get(name).copied().unwrap_or(TaskId::from_u128(999 << 80))
    }

    fn task_name(&self, id: TaskId) -> String {
        let name = self.tasks.iter().find(|(_, known)| **known == id);
        name.map_or("nothing".into(), |(name, _)| name.clone())
    }

    fn token(&self, name: &str) -> Token {
        let number: usize = name.trim_start_matches('t').parse().expect("a lease");
        self.tokens.get(number - 1).copied().unwrap_or(Token::from_i64(7))
    }

    fn name(&self, token: Token) -> String {
        let at = self.tokens.iter().position(|known| *known == token);
        at.map_or("unknown".into(), |at| format!("t{}", at + 1))
    }
}

fn terms(words: &Words<'_>) -> LeaseTerms {
    LeaseTerms {
        guarantee: if words.has("once") { Guarantee::AtMostOnce } else { Guarantee::AtLeastOnce },
        exclusivity: if words.has("loose") { Exclusivity::BestEffort } else { Exclusivity::Strict },
        progress_timeout: words.value("silence").map(|_| words.ms("silence", 0)),
        queue_timeout: words.value("queue-timeout").map(|_| words.ms("queue-timeout", 0)),
    }
}

fn counters(task: &Task) -> String {
    let failure = task.last_failure().map(|failure| {
        let Failure { reason, message, details, .. } = failure;
        let details =
            if details.is_empty() { String::new() } else { format!(" after {details:?}") };
        format!(", {reason:?}: {message}{details}")
    });
    let (attempts, losses) = (task.attempts, task.worker_losses());
    format!("{attempts} attempts, {losses} losses{}", failure.unwrap_or_default())
}

fn failure(reason: FailureReason) -> Failure {
    Failure {
        reason,
        message: "no luck".into(),
        details: "".into(),
        counted: false,
        token: None,
        worker: None,
        time: Time::default(),
    }
}

fn proof(name: &str) -> StopProof {
    match name {
        "returned" => StopProof::Returned,
        "killed" => StopProof::Killed,
        "not-started" => StopProof::NotStarted,
        _ => StopProof::Aborted,
    }
}

fn stream(name: &str) -> StreamId {
    StreamId(name.trim_start_matches('s').parse().expect("a stream"))
}

fn at(stream: StreamId) -> String {
    format!("s{}", stream.0)
}

fn zone(words: &Words<'_>) -> Vec<(Name, Name)> {
    words.value("zone").map(|zone| ("zone".into(), zone.into())).into_iter().collect()
}

/// Amounts by name: `gpu:1,memory:4`.
fn amounts(words: &Words<'_>, key: &str) -> Vec<(Name, u64)> {
    let amounts = words.value(key).into_iter().flat_map(|text| text.split(','));
    let amounts = amounts.map(|text| {
        let (name, amount) = text.split_once(':').expect("a name and an amount");
        (Name::from(name), amount.parse().expect("an amount"))
    });
    amounts.collect()
}

fn size_text(size: &Size) -> String {
    let Size { slots, resources } = size;
    let resources = resources.iter().map(|(name, amount)| format!(" {name} {amount}"));
    format!("{slots}{}", resources.collect::<String>())
}

/// Schemas are named by letters.
fn schema(name: &str) -> SchemaPrint {
    SchemaPrint([name.as_bytes()[0]; 32])
}

/// What is read of some types: `t:ab,u:c`.
fn reads(text: &str) -> SchemasRead {
    let of_type = |text: &str| {
        let (task_type, names) = text.split_once(':').expect("a type and its schemas");
        let prints = names.split("").filter(|it| !it.is_empty()).map(schema);
        (Name::from(task_type), prints.collect())
    };
    text.split(',').map(of_type).collect()
}

/// Concurrency key `two` has two permits, any other has one. Rate `mail` is two at once and one a second. Of queue `narrow`
/// one task is leased at a time, of queue `slow` one in half a second, and of queue `shared` one with each fairness key.
fn throttles() -> Throttles {
    let rate = |ms, burst| Rate { interval: Duration::from_millis(ms), burst };
    let narrow = QueueLimits { leases: Some(1), ..QueueLimits::default() };
    let slow = QueueLimits { rate: Some(rate(500, 1)), ..QueueLimits::default() };
    let shared = QueueLimits { leases_per_key: Some(1), ..QueueLimits::default() };
    Throttles {
        caps: Caps { keys: [("two".into(), 2)].into(), ..Caps::default() },
        rates: [("mail".into(), rate(1_000, 2))].into(),
        queues: [("narrow".into(), narrow), ("slow".into(), slow), ("shared".into(), shared)]
            .into(),
        breakers: breakers(1_000),
    }
}

/// Two calls of which one failed open the circuit of dependency `db` for a second at first, and one probe closes it; that of
/// type `guarded` needs two, and opens for slow calls, too. That of `api` does not open, but it has one retry in ten seconds, and
/// half a one for each success.
fn breakers(open_ms: u64) -> BTreeMap<Guarded, BreakerTerms> {
    let circuit = CircuitTerms {
        window: Duration::from_secs(30),
        calls_min: 2,
        failure_share: 500,
        slow: None,
        open_for: Duration::from_millis(open_ms),
        open_for_max: Duration::from_secs(4),
        probes: 1,
    };
    let slow = Some(SlowTerms { after: Duration::from_millis(500), share: 500 });
    let guarded = CircuitTerms { slow, probes: 2, ..circuit };
    let never = CircuitTerms { calls_min: 100, ..circuit };
    let rate = Rate { interval: Duration::from_secs(10), burst: 1 };
    let retries = Some(RetryBudget { rate, share: 500 });
    [
        (Guarded::Dependency("db".into()), BreakerTerms { circuit, retries: None }),
        (Guarded::TaskType("guarded".into()), BreakerTerms { circuit: guarded, retries: None }),
        (Guarded::Dependency("api".into()), BreakerTerms { circuit: never, retries }),
    ]
    .into()
}

fn guarded(name: &str) -> Guarded {
    match name.split_once('.').expect("a section and a name") {
        ("dependencies", name) => Guarded::Dependency(name.into()),
        (_, name) => Guarded::TaskType(name.into()),
    }
}

fn gate_text(gate: &Gate) -> String {
    match gate {
        Gate::Queue(queue) => queue.to_string(),
        Gate::Circuit(guarded) => guarded.to_string(),
        Gate::Limit(take) => format!("{take:?}"),
    }
}

fn claims(words: &Words<'_>) -> Option<Arc<Claims>> {
    let keys = words.value("keys").into_iter().flat_map(|keys| keys.split(','));
    let mail = words.number("mail", 0);
    let claims = Claims {
        keys: keys.map(Name::from).collect(),
        charges: if mail == 0 { Vec::new() } else { vec![("mail".into(), mail)] },
        dependencies: words
            .value("deps")
            .into_iter()
            .flat_map(|it| it.split(','))
            .map(Name::from)
            .collect(),
        fails_fast: words.has("fast"),
    };
    (!claims.is_empty()).then(|| Arc::new(claims))
}
