//! Pools over pictures of a load that no engine took: who belongs to which, what holds for how long, what is asked of whom.

use leasehold_policy::scale::{Bound, Processor};
use leasehold_queue::{Blocked, LoadView, SessionState};

use super::*;
use crate::{
    config::PoolSettings,
    load::{Row, WorkerLoad},
    status::Applied,
};

fn at(seconds: u64) -> Time {
    Time::from_unix_ms(1_000_000 + seconds * 1_000)
}

fn name(text: &str) -> Name {
    text.into()
}

/// Tasks of a type in a queue; those that wait have done so since the beginning.
fn row(queue: &str, task_type: &str, waiting: &[(Blocked, u64)], leased: u64) -> Row {
    let since = waiting.iter().any(|(blocked, _)| blocked.is_for_a_worker()).then(|| at(0));
    let (queue, task_type, waiting) = (name(queue), name(task_type), waiting.to_vec());
    let wanted = waiting.clone();
    let view = LoadView { queue, task_type, waiting, wanted, since, leased, taken: leased };
    Row { view, flow: None }
}

fn worker(id: &str, pool: Option<&str>, used: u32) -> WorkerLoad {
    WorkerLoad {
        worker: name(id),
        pool: pool.map(name),
        task_types: vec![name("t")],
        state: SessionState::Active,
        slots: 4,
        used,
        cpu: Some(500),
    }
}

/// Scaling over pictures that are given, and a clock that is turned.
struct Stage {
    scaling: Scaling,
    status: Arc<Status>,
    began: Instant,
}

impl Stage {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.session.ttl = Duration::ZERO;
        change(&mut config);
        let status = Arc::new(Status::new("j".to_owned(), 1, at(0), Applied::default()));
        let scaling = Scaling::new(Arc::clone(&status), &config, Metrics::default());
        Self { scaling, status, began: Instant::now() }
    }

    fn look(&self, seconds: u64, rows: Vec<Row>, workers: Vec<WorkerLoad>) {
        self.status.set_load(Load { time: at(seconds), rows, workers });
        self.scaling.look(self.began + Duration::from_secs(seconds));
    }

    fn pool(&self, pool: &str) -> PoolView {
        let views = self.scaling.pools_as_they_are(Some(&name(pool))).unwrap();
        views.into_iter().next().unwrap()
    }
}

#[test]
fn workers_are_scaled_by_what_waits_for_their_types_and_pools() {
    let stage = Stage::new(|_| {});
    let waiting = |count| {
        let elsewhere = row("q", "other", &[(Blocked::NoEligibleWorker, 1_000)], 0);
        vec![row("q", "t", &[(Blocked::NoCapacity, count)], 8), elsewhere]
    };
    let workers = || vec![worker("a", Some("p"), 4), worker("b", Some("p"), 4)];
    stage.look(0, waiting(100), workers());
    assert_eq!(stage.pool("p").desired, 2);
    stage.look(1, waiting(100), workers());
    let view = stage.pool("p");
    assert_eq!((view.workers, view.desired, view.bound), (2, 4, Some(Bound::Capacity)));
    assert_eq!((view.measured.backlog, view.measured.leased), (100, 8));
    assert_eq!(view.task_types, [name("t")].into());
    let last = view.changes.last().unwrap();
    assert_eq!((last.from, last.to, last.time), (2, 4, at(1)));
    assert_eq!(last.reason, "tasks wait 1s on average, more than 800ms, and 100 do now");
    // Nobody belongs to it, and nobody speaks of it.
    let unknown = stage.scaling.pools_as_they_are(Some(&name("x"))).unwrap_err();
    assert_eq!(unknown, Unknown::Pool(name("x")));
}

#[test]
fn what_waits_behind_tasks_that_were_leased_at_once_is_seen() {
    let stage = Stage::new(|_| {});
    let rows = |waiting| {
        let mut row = row("q", "t", &[(Blocked::NoCapacity, waiting)], 4);
        let flow = row.flow.insert(Box::default());
        flow.waits.add_times(Duration::ZERO, 4);
        vec![row]
    };
    // Six at once for four slots: a third of them waits until one of the others has ended.
    for (second, desired) in [(0, 1), (1, 1), (2, 1), (3, 2)] {
        stage.look(second, rows(2), vec![worker("a", Some("p"), 4)]);
        assert_eq!(stage.pool("p").desired, desired, "after {second} s");
    }
    let measured = stage.pool("p").measured;
    assert_eq!(measured.queue_wait(), Some(Duration::from_secs(1)));
    assert!(measured.wait_p95().is_some_and(|it| Duration::from_secs(2) < it));
}

#[test]
fn what_no_worker_could_take_is_a_bound_and_no_backlog() {
    let stage = Stage::new(|_| {});
    let paused = || vec![row("q", "t", &[(Blocked::QueuePaused, 500)], 0)];
    for second in 0..30 {
        stage.look(second, paused(), vec![worker("a", None, 0)]);
    }
    let view = stage.pool(DEFAULT_POOL);
    assert_eq!((view.desired, view.bound), (1, Some(Bound::Paused)));
    assert_eq!((view.measured.backlog, view.measured.held.paused), (0, 500));
    let expected = "all 500 tasks that wait are held by paused queues: more workers would not help";
    assert_eq!(view.reason, expected);
}

#[test]
fn nothing_is_decided_while_workers_may_be_on_their_way_back() {
    let stage = Stage::new(|config| config.session.ttl = Duration::from_secs(20));
    let rows = || vec![row("q", "t", &[(Blocked::NoCapacity, 9)], 0)];
    stage.look(1, rows(), vec![worker("a", Some("p"), 0)]);
    let left = |it| matches!(it, Err(Unknown::WarmingUp(left)) if !left.is_zero());
    assert!(left(stage.scaling.desired(&name("p"))));
    // One that is not known may be on its way back as a whole.
    let unseen = Question { pool: Some(name("unseen")), ..Question::default() };
    assert!(matches!(stage.scaling.measure(&unseen), Err(Unknown::WarmingUp(_))));
    assert!(stage.pool("p").warm_up_left.is_some() && stage.pool("p").changes.is_empty());
    stage.look(21, rows(), vec![worker("a", Some("p"), 0)]);
    let shared = &stage.scaling.shared;
    let mut pools = stage.scaling.pools();
    assert_eq!(pools.warm_up_left(shared, stage.began + Duration::from_secs(21)), None);
    assert_eq!(pools.known.get_mut("p").unwrap().verdict.unwrap().desired, 2);
}

#[test]
fn what_a_pool_serves_no_more_is_not_its_backlog() {
    let stage = Stage::new(|_| {});
    let rows = || vec![row("q", "u", &[(Blocked::NoCapacity, 9)], 0)];
    let both = WorkerLoad { task_types: vec![name("t"), name("u")], ..worker("a", Some("p"), 4) };
    stage.look(0, rows(), vec![both]);
    assert_eq!(stage.pool("p").measured.backlog, 9);
    stage.look(1, rows(), vec![worker("a", Some("p"), 4)]);
    assert_eq!(
        (stage.pool("p").measured.backlog, stage.pool("p").task_types),
        (0, [name("t")].into())
    );
    // With the last worker it is not forgotten what they served.
    stage.look(2, rows(), Vec::new());
    assert_eq!(stage.pool("p").task_types, [name("t")].into());
}

#[test]
fn who_keeps_a_pool_says_what_holds_for_it() {
    let stage = Stage::new(|_| {});
    stage.look(0, vec![row("q", "u", &[(Blocked::NoEligibleWorker, 100)], 0)], Vec::new());
    let follower = Follower {
        task_types: [name("u")].into(),
        range: (1, 3),
        workers: 2,
        processor: Processor::Shared,
    };
    let view = stage.scaling.follow(&name("p"), follower).unwrap();
    assert_eq!((view.settings.min, view.settings.max, view.workers), (1, 3, 2));
    assert_eq!(view.settings.processor, Processor::Shared);
    stage.look(1, vec![row("q", "u", &[(Blocked::NoEligibleWorker, 100)], 0)], Vec::new());
    let view = stage.pool("p");
    assert_eq!((view.desired, view.bound), (3, Some(Bound::MaxWorkers)));
    // A minute later nobody speaks for it any more, and what the configuration says holds.
    let later = stage.began + Duration::from_secs(90);
    let pools = stage.scaling.pools();
    let settings = pools.known["p"].settings("p", &stage.scaling.shared.settings, later);
    assert_eq!((settings.min, settings.max), (1, 16));
}

#[test]
fn what_wants_other_workers_than_there_are_is_no_backlog_of_theirs() {
    let stage = Stage::new(|_| {});
    let rows = || vec![row("q", "t", &[(Blocked::NoEligibleWorker, 100)], 0)];
    for second in 0..30 {
        stage.look(second, rows(), vec![worker("a", Some("p"), 0)]);
    }
    let view = stage.pool("p");
    assert_eq!((view.desired, view.measured.backlog, view.measured.oldest), (1, 0, None));
}

#[test]
fn a_configured_pool_is_known_without_a_worker() {
    let pool = PoolSettings {
        task_types: vec!["t".to_owned()],
        min_workers: Some(0),
        max_workers: Some(40),
    };
    let stage = Stage::new(|config| {
        config.scaling.pools.insert("p".to_owned(), pool);
    });
    stage.look(0, Vec::new(), Vec::new());
    assert_eq!(stage.scaling.desired(&name("p")), Ok(0));
    stage.look(1, vec![row("q", "t", &[(Blocked::NoEligibleWorker, 1)], 0)], Vec::new());
    assert_eq!(stage.scaling.desired(&name("p")), Ok(1));
}

#[test]
fn a_question_is_about_what_it_names() {
    let stage = Stage::new(|_| {});
    let rows = vec![
        row("q", "t", &[(Blocked::NoCapacity, 3), (Blocked::Delayed, 9)], 2),
        row("q", "u", &[(Blocked::NoEligibleWorker, 5)], 0),
        row("r", "t", &[(Blocked::QueuePaused, 7)], 4),
    ];
    let gone = WorkerLoad { state: SessionState::Draining, ..worker("c", Some("p"), 1) };
    stage.look(10, rows, vec![worker("a", Some("p"), 2), worker("b", None, 4), gone]);
    let measure = |pool: Option<&str>, types: &[&str], queue: Option<&str>| {
        let task_types = types.iter().map(|it| name(it)).collect();
        let queues = queue.map(|queue| Queues::One(name(queue)));
        let question = Question { pool: pool.map(name), task_types, queues };
        let found = stage.scaling.measure(&question).unwrap();
        (found.backlog, found.held.paused, found.leased, found.active, found.used)
    };
    assert_eq!(measure(None, &[], None), (8, 7, 6, 2, 6));
    assert_eq!(measure(None, &[], Some("q")), (8, 0, 2, 2, 6));
    assert_eq!(measure(None, &["u"], None), (5, 0, 0, 0, 0));
    assert_eq!(measure(Some("p"), &[], None), (3, 7, 6, 1, 2));
    assert_eq!(measure(Some("p"), &[], Some("r")), (0, 7, 4, 1, 2));
    assert_eq!(measure(Some("new"), &["u"], None), (5, 0, 0, 0, 0));
    // Named once, they are known.
    assert_eq!(measure(Some("new"), &[], None), (5, 0, 0, 0, 0));
}

#[test]
fn there_are_only_so_many_pools() {
    let stage = Stage::new(|_| {});
    let pools: Vec<String> = (0..=POOLS_MAX).map(|it| format!("p{it:03}")).collect();
    let workers = pools.iter().map(|pool| worker(pool, Some(pool), 0)).collect();
    stage.look(0, Vec::new(), workers);
    assert_eq!(stage.scaling.pools_as_they_are(None).unwrap().len(), POOLS_MAX);
    stage.look(3_601, Vec::new(), vec![worker("a", Some("fresh"), 0)]);
    stage.look(3_602, Vec::new(), vec![worker("a", Some("fresh"), 0)]);
    let names: Vec<Name> = stage.scaling.pools().known.keys().cloned().collect();
    assert_eq!(names, [name("fresh")]);
}
