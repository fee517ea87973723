//! Tables against a map that is in order by itself.

use std::{
    collections::btree_map::{self as map, BTreeMap},
    ops::Bound::{Excluded, Unbounded},
};

use leasehold_policy::Time;
use proptest::prelude::*;

use super::*;
use crate::{fold::tests::task, templates::Templates};

fn check(steps: Vec<(u16, bool)>) {
    let (mut tasks, mut expected) = (Tasks::default(), BTreeMap::new());
    let (no, _) = Templates::default().enter(&task().spec.template);
    for (id, comes) in steps {
        let id = TaskId::from_u128(u128::from(id) << 80);
        if !comes {
            assert_eq!(tasks.remove(id).map(|(task, _)| task), expected.remove(&id));
        } else if let map::Entry::Vacant(entry) = expected.entry(id) {
            let task = Task { id, ..task() };
            entry.insert(task.clone());
            tasks.insert(task, no);
        }
        assert_eq!((tasks.len(), tasks.get(id)), (expected.len(), expected.get(&id)));
    }
    assert!(tasks.iter().eq(expected.values()));
    for after in [0, 1 << 80, 500 << 80, u128::MAX].map(TaskId::from_u128) {
        let larger = expected.range((Excluded(after), Unbounded)).map(|(_, task)| task);
        assert!(tasks.after(after).eq(larger), "after {after}");
    }
    assert!(tasks.order.len() <= 2 * tasks.len() + GONE_MIN, "what is gone is forgotten");
}

proptest! {
    #[test]
    fn whatever_comes_and_goes(steps in prop::collection::vec((0_u16..1_000, any::<bool>()), 0..4_000)) {
        check(steps);
    }
}

#[test]
fn ids_that_come_in_order_and_go_leave_nothing_behind() {
    let come_and_go = (1_u16..=60_000).flat_map(|id| [(id, true), (id.saturating_sub(3), false)]);
    check(come_and_go.collect());
}

#[test]
fn whoever_is_there_is_found_by_his_serial() {
    let (mut tasks, mut minter) = (Tasks::default(), crate::Minter::new(0, Time::from_unix_ms(0)));
    let (no, _) = Templates::default().enter(&task().spec.template);
    let ids: Vec<_> = (0..3_000).map(|nth| minter.mint(Time::from_unix_ms(nth / 7), nth)).collect();
    for id in &ids {
        tasks.insert(Task { id: *id, ..task() }, no);
    }
    for (nth, id) in ids.iter().enumerate() {
        if nth % 3 == 0 {
            tasks.remove(*id);
        }
        let found = tasks.with_serial(id.serial()).map(|task| task.id);
        assert_eq!(found, Some(*id).filter(|_| nth % 3 != 0), "{id}");
    }
}

/// A million more that wait take as many megabytes more as this is longer. The payload is beside it, once for the task, its
/// record and its assignment.
#[test]
fn a_task_takes_little_beside_its_payload() {
    let lane = size_of::<((Time, i64), ())>();
    let table = size_of::<Number>();
    assert_eq!((size_of::<Task>(), size_of::<crate::TaskSpec>()), (120, 48));
    assert_eq!((lane, table), (16, 4));
}
