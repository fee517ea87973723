//! Random sequences of what clients, workers, operators, the clock and the power supply may do.
//!
//! Steps name things by small numbers; the cluster reads them as "one of those there are".

use proptest::{collection::vec, prelude::*};

/// A whole sequence.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) setting: Setting,
    pub(crate) steps: Vec<Step>,
}

/// What the queue is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) create_queues: bool,
    pub(crate) keep_keys: bool,
    pub(crate) leases_max: u32,
    pub(crate) worker_losses_max: u32,
    /// Whether what is said leaves at once, as with a disk that is quick.
    pub(crate) prompt: bool,
    /// Every how many grants one goes by age.
    pub(crate) valve: u64,
    /// From how many runs on a task is ended that has less time than any took.
    pub(crate) cull_runs: Option<u32>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Submit(Submission),
    Repeat(u8),
    Cancel(u8),
    ReplayDead(u8),
    Pause { queue: u8, paused: bool },
    Hello(Greeting),
    ComeBack { lease: u8, slots: u8, outcome: u8 },
    Sent { most: u8 },
    Delivered { session: u8 },
    Informed { session: u8 },
    Heartbeat { session: u8, held: Held },
    Capacity { session: u8, slots: u8, prefetch: u8 },
    Started { lease: u8, stray: u8 },
    Progressed { lease: u8, stray: u8 },
    Save { lease: u8, stray: u8, data: u8 },
    Extend { lease: u8, stray: u8, ms: u32 },
    Outcome { lease: u8, stray: u8, outcome: u8 },
    Drain { session: u8 },
    DrainWorker { worker: u8 },
    RevokeLease { lease: u8 },
    EvictWorker { worker: u8, ban: u16 },
    Goodbye { session: u8 },
    Disconnect { session: u8 },
    Stalled { away: u16 },
    Claimed,
    Configure(Wanted),
    Grant { most: u8 },
    Wait { ms: u32 },
    WaitForNext { early: bool },
    Commit,
    Restart,
    Crash,
    Trim { keep: u8 },
}

/// What an operator wants to hold from here on.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) create_queues: bool,
    pub(crate) keep_keys: bool,
    pub(crate) leases_max: u32,
    pub(crate) worker_losses_max: u32,
    pub(crate) ttl_ms: u64,
    pub(crate) attempt_ms: u64,
    pub(crate) open_tasks: u64,
    pub(crate) queues: u64,
    /// Bits: which queues are declared, and which want late results.
    pub(crate) declared: u8,
    pub(crate) late: u8,
}

/// A task to submit.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) queue: u8,
    pub(crate) task_type: u8,
    pub(crate) priority: u8,
    pub(crate) fairness: u8,
    /// Which zone its worker must be in; 0: any.
    pub(crate) zone: u8,
    /// The schema of its payload; 0: it does not say.
    pub(crate) schema: u8,
    pub(crate) key: Option<u8>,
    pub(crate) digest: u8,
    pub(crate) hurried: bool,
    pub(crate) delayed: bool,
    pub(crate) max_attempts: u8,
    pub(crate) validate_only: bool,
    /// Bits: at most once, best effort, a queue timeout, a progress timeout.
    pub(crate) terms: u8,
}

/// A hello.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub(crate) worker: u8,
    pub(crate) instance: u8,
    /// Of which boot and when.
    pub(crate) start: Option<(u8, u8)>,
    /// Bits: which instances.
    pub(crate) replaces: u8,
    pub(crate) slots: u8,
    pub(crate) prefetch: u8,
    pub(crate) types: u8,
    /// In which zone it says it is; 0: it does not.
    pub(crate) zone: u8,
    /// Bits: the schemas that it reads of its first type. 0: it does not say.
    pub(crate) reads: u8,
    pub(crate) held: Held,
}

/// What a worker says it holds.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// What it was sent, running or not as the bits say.
    Truth { running: u8 },
    /// Some of the newest leases there ever were, its own or not.
    Some { mask: u8, running: u8, finished: u8 },
}

pub(crate) fn scripts() -> impl Strategy<Value = Script> {
    let flags = (prop::bool::weighted(0.9), any::<bool>(), any::<bool>());
    let valve = prop::sample::select(vec![1, 2, 3, 64]);
    let cull_runs = prop::sample::select(vec![None, Some(1), Some(3)]);
    let setting = (flags, 2u32..8, 1u32..4, valve, cull_runs).prop_map(
        |((create_queues, keep_keys, prompt), leases_max, worker_losses_max, valve, cull_runs)| {
            Setting {
                create_queues,
                keep_keys,
                leases_max,
                worker_losses_max,
                prompt,
                valve,
                cull_runs,
            }
        },
    );
    (setting, opening(), vec(step(), 20..70)).prop_map(|(setting, opening, steps)| {
        let steps = opening.into_iter().chain(steps).collect();
        Script { setting, steps }
    })
}

/// The same, with operators who want something else now and then.
pub(crate) fn reconfigured() -> impl Strategy<Value = Script> {
    (scripts(), vec((any::<prop::sample::Index>(), wanted()), 1..6)).prop_map(
        |(mut script, wanted)| {
            for (at, wanted) in wanted {
                script.steps.insert(at.index(script.steps.len()), Step::Configure(wanted));
            }
            script
        },
    )
}

/// Most scripts begin with nothing; the others with what chance alone brings about too seldom: two workers that hold more
/// than they can start, and another one that is idle; or tasks that have waited too long for what is known of their type.
fn opening() -> impl Strategy<Value = Vec<Step>> {
    let hello = |worker, slots, prefetch| {
        Step::Hello(Greeting {
            worker,
            instance: 0,
            start: None,
            replaces: 0,
            slots,
            prefetch,
            types: 3,
            zone: 0,
            reads: 0,
            held: Held::Truth { running: 0 },
        })
    };
    let crowded =
        (vec(submission(), 5..7), 1u8..3, 1u8..3).prop_map(move |(tasks, ahead, slots)| {
            let tasks = tasks.into_iter().map(|task| Step::Submit(Submission { queue: 0, ..task }));
            let workers = [hello(0, 1, ahead), hello(1, 1, ahead), Step::Grant { most: 6 }];
            let idle = [Step::Sent { most: 6 }, hello(2, slots, 0), Step::Grant { most: 1 }];
            tasks.chain(workers).chain(idle).collect()
        });
    let waits = prop::sample::select(vec![1_400, 1_463, 1_464, 1_465, 1_900]);
    let late = (submission(), vec(submission(), 1..4), waits).prop_map(move |(one, tasks, ms)| {
        let plain = Submission { queue: 0, task_type: 0, zone: 0, schema: 0, key: None, ..one };
        let plain = Submission { delayed: false, validate_only: false, terms: 0, ..plain };
        let patient = Submission { hurried: false, ..plain.clone() };
        let hurried = tasks.into_iter().map(move |task| {
            let Submission { priority, fairness, .. } = task;
            Step::Submit(Submission { priority, fairness, hurried: true, ..plain.clone() })
        });
        let beat = || Step::Heartbeat { session: 0, held: Held::Truth { running: 1 } };
        let run = [
            hello(0, 1, 0),
            Step::Submit(patient),
            Step::Grant { most: 1 },
            Step::Sent { most: 1 },
            Step::Started { lease: 0, stray: u8::MAX },
            Step::Wait { ms: 1_900 },
            Step::Outcome { lease: 0, stray: u8::MAX, outcome: 0 },
            beat(),
        ];
        let wait = [Step::Wait { ms }, beat(), Step::Grant { most: 2 }];
        run.into_iter().chain(hurried).chain(wait).collect()
    });
    prop_oneof![6 => Just(Vec::new()), 2 => crowded, 1 => late]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => submission().prop_map(Step::Submit),
        1 => any::<u8>().prop_map(Step::Repeat),
        4 => any::<u8>().prop_map(Step::Cancel),
        2 => any::<u8>().prop_map(Step::ReplayDead),
        3 => (0u8..4, any::<bool>()).prop_map(|(queue, paused)| Step::Pause { queue, paused }),
        7 => hello(),
        3 => (any::<u8>(), 0u8..3, 0u8..9)
            .prop_map(|(lease, slots, outcome)| Step::ComeBack { lease, slots, outcome }),
        6 => (1u8..5).prop_map(|most| Step::Sent { most }),
        4 => any::<u8>().prop_map(|session| Step::Delivered { session }),
        4 => any::<u8>().prop_map(|session| Step::Informed { session }),
        6 => (any::<u8>(), held()).prop_map(|(session, held)| Step::Heartbeat { session, held }),
        1 => (any::<u8>(), 0u8..4, 0u8..3)
            .prop_map(|(session, slots, prefetch)| Step::Capacity { session, slots, prefetch }),
        8 => (any::<u8>(), any::<u8>()).prop_map(|(lease, stray)| Step::Started { lease, stray }),
        5 => (any::<u8>(), any::<u8>())
            .prop_map(|(lease, stray)| Step::Progressed { lease, stray }),
        6 => (any::<u8>(), any::<u8>(), 0u8..4)
            .prop_map(|(lease, stray, data)| Step::Save { lease, stray, data }),
        5 => (any::<u8>(), any::<u8>(), prop::sample::select(vec![1, 400, 1_500, 4_000, 60_000]))
            .prop_map(|(lease, stray, ms)| Step::Extend { lease, stray, ms }),
        12 => (any::<u8>(), any::<u8>(), 0u8..17)
            .prop_map(|(lease, stray, outcome)| Step::Outcome { lease, stray, outcome }),
        1 => any::<u8>().prop_map(|session| Step::Drain { session }),
        1 => (0u8..3).prop_map(|worker| Step::DrainWorker { worker }),
        2 => any::<u8>().prop_map(|lease| Step::RevokeLease { lease }),
        1 => (0u8..3, prop::sample::select(vec![0, 0, 700, 4_000]))
            .prop_map(|(worker, ban)| Step::EvictWorker { worker, ban }),
        1 => any::<u8>().prop_map(|session| Step::Goodbye { session }),
        3 => any::<u8>().prop_map(|session| Step::Disconnect { session }),
        2 => prop::sample::select(vec![0, 250, 3_000]).prop_map(|away| Step::Stalled { away }),
        1 => Just(Step::Claimed),
        12 => (1u8..5).prop_map(|most| Step::Grant { most }),
        9 => wait(),
        7 => prop::bool::weighted(0.3).prop_map(|early| Step::WaitForNext { early }),
        2 => Just(Step::Commit),
        2 => Just(Step::Restart),
        1 => Just(Step::Crash),
        2 => any::<u8>().prop_map(|keep| Step::Trim { keep }),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let flags = (prop::bool::weighted(0.8), any::<bool>());
    let limits = (1u32..8, 1u32..4, 1u64..12, 1u64..4);
    let times = prop::sample::select(vec![700, 2_000, 2_000, 3_500, 6_000]);
    let times = (times, prop::sample::select(vec![500, 5_000, 9_000]));
    (flags, limits, times, 0u8..16, 0u8..16).prop_map(
        |(
            (create_queues, keep_keys),
            (leases_max, worker_losses_max, open_tasks, queues),
            (ttl_ms, attempt_ms),
            declared,
            late,
        )| Wanted {
            create_queues,
            keep_keys,
            leases_max,
            worker_losses_max,
            ttl_ms,
            attempt_ms,
            open_tasks,
            queues,
            declared,
            late,
        },
    )
}

fn submission() -> impl Strategy<Value = Submission> {
    let schema = prop::sample::select(vec![0, 0, 0, 1, 2]);
    let owner = (0u8..3, prop::sample::select(vec![0, 0, 0, 1, 2]), schema);
    let place = (0u8..4, 0u8..2, prop::sample::select(vec![0, 5, 5, 9]), owner);
    let key = (prop::option::of(0u8..3), 0u8..2);
    let rest = (any::<bool>(), prop::bool::weighted(0.3), 1u8..4, prop::bool::weighted(0.1));
    let terms = (0u8..16, 0u8..16).prop_map(|(some, others)| some & others);
    (place, key, rest, terms).prop_map(
        |(
            (queue, task_type, priority, (fairness, zone, schema)),
            (key, digest),
            (hurried, delayed, max_attempts, only),
            terms,
        )| {
            let validate_only = only;
            Submission {
                queue,
                task_type,
                priority,
                fairness,
                zone,
                schema,
                key,
                digest,
                hurried,
                delayed,
                max_attempts,
                validate_only,
                terms,
            }
        },
    )
}

fn hello() -> impl Strategy<Value = Step> {
    let prefetch = prop::sample::select(vec![0, 0, 1, 2]);
    let start = prop::option::of((0u8..2, 0u8..3));
    let process = (prop::bool::weighted(0.3), start, prop::sample::select(vec![0, 0, 1, 2, 3]));
    let place = (1u8..4, 0u8..3, prop::sample::select(vec![0, 0, 1, 2, 3]));
    (0u8..3, process, 1u8..4, prefetch, place, held()).prop_map(
        |(worker, (second, start, replaces), slots, prefetch, (types, zone, reads), held)| {
            Step::Hello(Greeting {
                worker,
                instance: u8::from(second),
                start,
                replaces,
                slots,
                prefetch,
                types,
                zone,
                reads,
                held,
            })
        },
    )
}

fn held() -> impl Strategy<Value = Held> {
    prop_oneof![
        3 => any::<u8>().prop_map(|running| Held::Truth { running }),
        1 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(mask, running, finished)| Held::Some { mask, running, finished }),
    ]
}

fn wait() -> impl Strategy<Value = Step> {
    let ms = prop::sample::select(vec![1, 90, 250, 400, 700, 1_100, 1_900, 2_100, 5_000]);
    ms.prop_map(|ms| Step::Wait { ms })
}
