//! Whoever waits for a task is answered once.

use std::{sync::Arc, time::Duration};

use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Ended, Ending, LeaseTerms, Name, Retry, Shape, Task, TaskSpec, Template,
};

use super::*;

fn id(number: usize) -> TaskId {
    TaskId::from_u128(number as u128)
}

fn ended(task: TaskId) -> Snapshot {
    let name = Name::from("any");
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, factor: 2.0, cap: second, jitter: Jitter::None };
    let spec = TaskSpec::new(
        Arc::new(Template {
            queue: Name::clone(&name),
            task_type: Name::clone(&name),
            content_type: name,
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
        bytes::Bytes::new().into(),
        second,
    );
    let task = Task::new(task, spec, Time::default());
    let result = bytes::Bytes::from_static(b"r");
    Snapshot::from(Ended {
        task: Box::new(task),
        ending: Ending::Succeeded,
        result,
        time: Time::default(),
    })
}

#[test]
fn everybody_who_waits_for_a_task_is_told_and_nobody_else() {
    let mut waiters = Waiters::default();
    let mut first = waiters.wait(id(1), 9).unwrap();
    let mut second = waiters.wait(id(1), 9).unwrap();
    let mut other = waiters.wait(id(2), 9).unwrap();
    waiters.ended(&ended(id(1)));
    assert_eq!(*first.0.try_recv().unwrap(), ended(id(1)));
    assert_eq!(*second.0.try_recv().unwrap(), ended(id(1)));
    assert!(other.0.try_recv().is_err());
    assert_eq!(waiters.count, 1);
}

#[test]
fn the_bound_counts_only_who_still_waits() {
    let mut waiters = Waiters::default();
    let waiting: Vec<_> = (0..3).filter_map(|number| waiters.wait(id(number), 3)).collect();
    assert_eq!(waiting.len(), 3);
    assert!(waiters.wait(id(9), 3).is_none());
    drop(waiting);
    assert!(waiters.wait(id(9), 3).is_some(), "those who gave up made room");
}

#[test]
fn who_gave_up_is_forgotten_before_the_bound_is_reached() {
    let mut waiters = Waiters::default();
    for number in 0..10_000 {
        drop(waiters.wait(id(number), usize::MAX));
        assert!(waiters.by_task.len() <= SWEEP_MIN, "{}", waiters.by_task.len());
    }
}
