//! Watchers see the last state of what they watch, within their bounds.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Charge, ENDS_MAX, EndKind, Ended, Ending, Extras, FailureReason, LeaseTerms, Ledger,
    Name, Past, Retry, Shape, StopProof, TaskSpec, Template, Token,
};
use prost::Message as _;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{config::Config, view};

fn id(number: u64) -> TaskId {
    TaskId::from_u128(number.into())
}

fn open(number: u64, queue: &str, revision: u32) -> Snapshot {
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, factor: 2.0, cap: second, jitter: Jitter::None };
    let spec = TaskSpec::new(
        Arc::new(Template {
            queue: Name::from(queue),
            task_type: Name::from("t"),
            content_type: Name::from(""),
            priority: 5,
            start_timeout: second,
            attempt_timeout: second,
            kill_grace: second,
            retry: Retry { max_attempts: 1, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::from_static(b"payload").into(),
        second,
    );
    let task = Task { revision, ..Task::new(id(number), spec, Time::default()) };
    let read_instead = BTreeSet::new();
    Snapshot { task, blocked: None, obstacle: None, read_instead, ended: None, home: None }
}

fn ended(number: u64, result_bytes: usize) -> Snapshot {
    let Snapshot { task, .. } = open(number, "q", 9);
    let result = Bytes::from(vec![7; result_bytes]);
    Snapshot::from(Ended {
        task: Box::new(task),
        ending: Ending::Succeeded,
        result,
        time: Time::default(),
    })
}

fn tell(watchers: &mut Watchers, snapshot: &Snapshot) {
    watchers.changed(&snapshot.task, || snapshot.clone());
}

/// What a watcher gets at once: ids and revisions. It must not have to wait.
async fn taken(watch: &mut Watch) -> Option<Result<Vec<(u64, u32)>, Lagged>> {
    let seen = tokio::time::timeout(Duration::from_secs(20), watch.next()).await.unwrap()?;
    let numbered = |snapshot: Snapshot| {
        assert!(snapshot.task.spec.payload.is_empty(), "payloads are left out");
        (u64::try_from(snapshot.task.id.as_u128()).unwrap(), snapshot.task.revision)
    };
    Some(seen.map(|seen| seen.into_iter().map(numbered).collect()))
}

#[tokio::test]
async fn each_sees_what_it_asked_for() {
    let mut watchers = Watchers::default();
    let everything = WatchFilter::default();
    let queue = WatchFilter { queues: Some(Queues::One("q".into())), ..WatchFilter::default() };
    let named = WatchFilter { tasks: [id(2), id(4)].into(), ..WatchFilter::default() };
    let mut each: Vec<_> = [everything, queue, named]
        .into_iter()
        .map(|filter| watchers.watch(filter, 3, Vec::new()).unwrap())
        .collect();
    assert!(watchers.watch(WatchFilter::default(), 3, Vec::new()).is_none(), "a fourth");
    for (number, queue) in [(1, "q"), (2, "other"), (3, "q")] {
        tell(&mut watchers, &open(number, queue, 1));
    }
    for (watch, expected) in
        each.iter_mut().zip([vec![(1, 1), (2, 1), (3, 1)], vec![(1, 1), (3, 1)], vec![(2, 1)]])
    {
        assert_eq!(taken(watch).await, Some(Ok(expected)));
    }
    drop(each);
    assert!(watchers.watch(WatchFilter::default(), 1, Vec::new()).is_some(), "there is room again");
}

#[tokio::test]
async fn the_present_comes_first_if_it_is_asked_for() {
    let mut watchers = Watchers::default();
    let tasks = [id(1), id(2)].into();
    let filter = WatchFilter { tasks, queues: None, include_current: true };
    let mut watch = watchers.watch(filter.clone(), 9, vec![open(1, "q", 1)]).unwrap();
    assert_eq!(watch.absent, [id(2)]);
    assert_eq!(taken(&mut watch).await, Some(Ok(vec![(1, 1)])));
    let filter = WatchFilter { include_current: false, ..filter };
    let mut watch = watchers.watch(filter, 9, vec![open(1, "q", 1)]).unwrap();
    tell(&mut watchers, &open(1, "q", 2));
    assert_eq!(taken(&mut watch).await, Some(Ok(vec![(1, 2)])));
}

#[tokio::test]
async fn a_slow_watcher_skips_states_and_sees_the_last() {
    let mut watchers = Watchers::default();
    let mut watch = watchers.watch(WatchFilter::default(), 9, Vec::new()).unwrap();
    for revision in 1..1_000 {
        tell(&mut watchers, &open(u64::from(revision % 2), "q", revision));
    }
    tell(&mut watchers, &ended(1, 3));
    assert_eq!(taken(&mut watch).await, Some(Ok(vec![(0, 998), (1, 9)])));
}

#[tokio::test]
async fn who_waits_is_woken() {
    let mut watchers = Watchers::default();
    let mut watch = watchers.watch(WatchFilter::default(), 9, Vec::new()).unwrap();
    let waiting = TaskTracker::new();
    let woken = waiting.spawn(async move { taken(&mut watch).await });
    tokio::task::yield_now().await;
    tell(&mut watchers, &open(5, "q", 1));
    assert_eq!(woken.await.unwrap(), Some(Ok(vec![(5, 1)])));
}

#[tokio::test]
async fn who_falls_too_far_behind_is_told_once_and_costs_nothing() {
    let tasks = |watchers: &mut Watchers, count: usize| {
        for number in (0..).take(count) {
            tell(watchers, &open(number, "q", 1));
        }
    };
    let bytes = |watchers: &mut Watchers, count: usize| {
        for number in (0..).take(count / (1 << 20)) {
            tell(watchers, &ended(number, 1 << 20));
        }
    };
    for (flood, most, beyond) in [
        (&tasks as &dyn Fn(&mut Watchers, usize), DIRTY_TASKS_MAX, DIRTY_TASKS_MAX + 1),
        (&bytes, DIRTY_BYTES_MAX, DIRTY_BYTES_MAX + (1 << 20)),
    ] {
        let mut watchers = Watchers::default();
        let mut watch = watchers.watch(WatchFilter::default(), 9, Vec::new()).unwrap();
        flood(&mut watchers, most);
        assert!(matches!(taken(&mut watch).await, Some(Ok(seen)) if !seen.is_empty()));

        let mut watchers = Watchers::default();
        let mut watch = watchers.watch(WatchFilter::default(), 9, Vec::new()).unwrap();
        flood(&mut watchers, beyond);
        tell(&mut watchers, &open(1, "q", 1));
        assert_eq!(watch.shared.lock().tasks.len(), 0);
        assert_eq!(taken(&mut watch).await, Some(Err(Lagged)));
    }
}

#[tokio::test]
async fn much_is_taken_in_parts() {
    let mut watchers = Watchers::default();
    let mut watch = watchers.watch(WatchFilter::default(), 9, Vec::new()).unwrap();
    for number in 0..4 {
        tell(&mut watchers, &ended(number, TAKEN_BYTES_MAX / 2));
    }
    for expected in [vec![(0, 9), (1, 9)], vec![(2, 9), (3, 9)]] {
        assert_eq!(taken(&mut watch).await, Some(Ok(expected)));
    }
    assert_eq!(watch.shared.lock().bytes, 0);
    drop(watchers);
    assert_eq!(taken(&mut watch).await, None);
}

#[test]
fn everything_large_counts() {
    let mut snapshot = ended(1, 3);
    assert_eq!(bytes(&snapshot), 3);
    let labels = vec![(Name::from("key"), Name::from("value"))];
    snapshot.task.spec.extras = Extras { labels, ..Extras::default() }.kept();
    let failure = Failure {
        reason: FailureReason::Panic,
        message: Name::from("message"),
        details: Name::from("details"),
        counted: true,
        token: None,
        worker: None,
        time: Time::default(),
    };
    snapshot.task.past = Past { last_failure: Some(Arc::new(failure)), ..Past::default() }.kept();
    assert_eq!(bytes(&snapshot), 3 + 8 + 14);
}

#[tokio::test]
async fn what_tasks_keep_of_their_leases_counts_among_what_may_wait_for_a_watcher() {
    let ended = LeaseEnd {
        token: Token::from_i64(i64::MAX),
        worker: "w".repeat(128).into(),
        instance: "i".repeat(64).into(),
        generation: 1,
        attempt: 1,
        granted: Time::from_unix_ms(1_764_000_000_001),
        started: Some(Time::from_unix_ms(1_764_000_000_002)),
        revoking: None,
        ended: Time::from_unix_ms(1_764_000_000_003),
        kind: EndKind::Error,
        stop: StopProof::Returned,
        charge: Charge::Attempt,
        eligible: Some(Time::from_unix_ms(1_764_000_000_004)),
        message: "\u{1F980}".repeat(200).into(),
    };
    let ledger = Ledger::new(vec![ended; ENDS_MAX], 0);
    let past = Past { ledger, ..Past::default() }.kept();
    let mut watchers = Watchers::default();
    let mut watch = watchers.watch(WatchFilter::default(), 9, Vec::new()).unwrap();
    for number in (0..).take(TAKEN_TASKS_MAX) {
        let mut snapshot = open(number, "q", 1);
        snapshot.task.past.clone_from(&past);
        tell(&mut watchers, &snapshot);
    }
    let taken = watch.next().await.unwrap().unwrap();
    let config = Config::default();
    let shown =
        taken.iter().map(|it| view::task(it, view::Detail::NoPayload, &config).encoded_len());
    let bytes: usize = shown.sum();
    assert!((TAKEN_BYTES_MAX / 2..2 * TAKEN_BYTES_MAX).contains(&bytes), "{bytes} bytes");
}
