//! Pages of three sources are one list: nothing twice, nothing missing, nothing out of order.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Ending, Failure, FailureReason, LeaseTerms, Past, Retry, Shape, Task, TaskId,
    TaskSpec, Template,
};
use proptest::prelude::*;

use super::{Part, merge};
use crate::{
    config::Config,
    snapshot::{EndedView, Snapshot},
};

fn open(id: u128) -> Snapshot {
    let backoff =
        Backoff { initial: Duration::ZERO, factor: 1.0, cap: Duration::ZERO, jitter: Jitter::None };
    let spec = TaskSpec::new(
        Arc::new(Template {
            queue: "q".into(),
            task_type: "t".into(),
            content_type: "".into(),
            priority: 5,
            start_timeout: Duration::ZERO,
            attempt_timeout: Duration::ZERO,
            kill_grace: Duration::ZERO,
            retry: Retry { max_attempts: 1, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::new().into(),
        Duration::ZERO,
    );
    let task = Task::new(TaskId::from_u128(id), spec, Time::default());
    let read_instead = BTreeSet::new();
    Snapshot { task, blocked: None, obstacle: None, read_instead, ended: None, home: None }
}

fn ended(id: u128) -> Snapshot {
    let view = EndedView { ending: Ending::Failed, result: Bytes::new(), time: Time::default() };
    Snapshot { ended: Some(view), ..open(id) }
}

/// What a source with these tasks says when it is asked for `limit` after `after`.
fn ask(tasks: &[Snapshot], after: TaskId, limit: usize) -> Part {
    let rows = tasks.iter().filter(|snapshot| snapshot.task.id > after).take(limit);
    Part::of_rows(rows.cloned().collect(), limit)
}

/// The ids of all pages.
fn walk(sources: &[Vec<Snapshot>], limit: usize) -> Vec<u128> {
    let (mut ids, mut after) = (Vec::new(), TaskId::from_u128(0));
    loop {
        let parts = sources.iter().map(|tasks| ask(tasks, after, limit)).collect();
        let (page, next) = merge(parts, limit, &Config::default());
        assert!(page.len() <= limit);
        ids.extend(page.iter().map(|task| task.task_id.parse::<TaskId>().unwrap().as_u128()));
        let Some(next) = next else { return ids };
        assert!(next > after, "every page goes on");
        after = next;
    }
}

proptest! {
    #[test]
    fn every_task_is_listed_once_and_in_order(
        places in proptest::collection::vec(0_usize..3, 0..60),
        limit in 1_usize..10,
    ) {
        let mut sources = vec![Vec::new(); 3];
        for (at, place) in places.iter().enumerate() {
            sources[*place].push(open(at as u128 + 1));
        }
        let expected: Vec<_> = (1..=places.len() as u128).collect();
        prop_assert_eq!(walk(&sources, limit), expected);
    }
}

#[test]
fn a_task_that_ended_in_between_is_shown_as_it_ended() {
    let parts = vec![
        Part { tasks: vec![open(1), open(2)], until: None },
        Part { tasks: vec![ended(2), ended(3)], until: None },
    ];
    let (page, next) = merge(parts, 10, &Config::default());
    let shown: Vec<_> = page.iter().map(|task| task.finish_time.is_some()).collect();
    assert_eq!((shown, next), (vec![false, true, true], None));
}

#[test]
fn a_source_that_looked_at_nothing_useful_still_moves_on() {
    let until = Some(TaskId::from_u128(9));
    let (page, next) = merge(vec![Part { tasks: Vec::new(), until }], 10, &Config::default());
    assert_eq!((page.len(), next), (0, until));
}

#[test]
fn a_page_fits_into_a_message() {
    let failure = Failure {
        reason: FailureReason::Error,
        message: "m".repeat(2_000).into(),
        details: "d".repeat(1 << 20).into(),
        counted: true,
        token: None,
        worker: None,
        time: Time::default(),
    };
    let past = Past { last_failure: Some(Arc::new(failure)), ..Past::default() }.kept();
    let large = (1..=5).map(|id| {
        let mut snapshot = ended(id);
        snapshot.task.past.clone_from(&past);
        snapshot
    });
    let tasks: Vec<_> = large.collect();
    let (page, next) =
        merge(vec![Part { tasks: tasks.clone(), until: None }], 10, &Config::default());
    assert_eq!((page.len(), next), (2, Some(TaskId::from_u128(2))));
    assert_eq!(walk(&[tasks], 10), [1, 2, 3, 4, 5]);
}
