//! Who keeps a pool of workers, as that says it.

use std::collections::BTreeSet;

use leasehold_policy::scale::Processor;
use leasehold_proto::v1;
use leasehold_queue::Name;

use crate::{
    config::{WORKERS_MAX, is_task_type, is_worker_id},
    refusal::{Reason, Refusal},
    scaling::Follower,
    session::WORKER_ID_RULE,
};

/// As many task types as one worker may serve.
const TASK_TYPES_MAX: usize = 1_000;

/// The name of a pool: workers are named after theirs, so the same rule holds.
pub fn pool_name(field: &str, name: &str) -> Result<Name, Refusal> {
    if is_worker_id(name) { Ok(name.into()) } else { Err(Refusal::field(field, WORKER_ID_RULE)) }
}

/// A pool, and who keeps its workers; or everything that is wrong with it.
pub fn follower(request: &v1::FollowPoolRequest) -> Result<(Name, Follower), Refusal> {
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, field: &str, description: &str| {
        if !is_right {
            let (field, description) = (field.to_owned(), description.to_owned());
            wrong.push(v1::FieldViolation { field, description });
        }
    };
    check(is_worker_id(&request.pool), "pool", WORKER_ID_RULE);
    let types = &request.task_types;
    check(
        (1..=TASK_TYPES_MAX).contains(&types.len()) && types.iter().all(|it| is_task_type(it)),
        "task_types",
        "must be 1 to 1,000 names of 1 to 128 characters of [A-Za-z0-9._/-]",
    );
    let number = |value: i32| u32::try_from(value).ok().filter(|it| *it <= WORKERS_MAX);
    let (min, max) = (number(request.min_workers), number(request.max_workers));
    let range = min.zip(max).filter(|(min, max)| 1 <= *max && min <= max);
    check(range.is_some(), "max_workers", "must be 1 to 10,000 and no less than min_workers");
    let workers = number(request.worker_count);
    check(workers.is_some(), "worker_count", "must be 0 to 10,000");
    let (Some(range), Some(workers), true) = (range, workers, wrong.is_empty()) else {
        return Err(Refusal::fields(Reason::InvalidField, wrong));
    };
    let task_types: BTreeSet<Name> = types.iter().map(|it| it.as_str().into()).collect();
    let processor = if request.shares_processor { Processor::Shared } else { Processor::Own };
    Ok((request.pool.as_str().into(), Follower { task_types, range, workers, processor }))
}
