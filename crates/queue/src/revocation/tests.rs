//! How much time brings about in one step.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};

use super::FIRED_MAX;
use crate::{
    Command, Config, Effect, LeaseTerms, Queue, Retry, Shape, Submit, TaskId, TaskSpec, Template,
};

fn hurried(id: u128) -> Command {
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, factor: 2.0, cap: second, jitter: Jitter::None };
    let spec = TaskSpec::new(
        Arc::new(Template {
            queue: "q".into(),
            task_type: "t".into(),
            content_type: "".into(),
            priority: 5,
            start_timeout: second,
            attempt_timeout: second,
            kill_grace: second,
            retry: Retry { max_attempts: 1, backoff },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: crate::Admission::default(),
        }),
        Bytes::new().into(),
        second,
    );
    let id = TaskId::from_u128(id << 80);
    Command::Submit(Box::new(Submit { id, spec, validate_only: false }))
}

#[test]
fn a_step_of_time_is_bounded_and_says_that_there_is_more() {
    let mut queue = Queue::new(Config::default(), 1);
    queue.recovered(Time::default(), None);
    let all = FIRED_MAX + 1;
    for id in 0..all {
        queue.apply(Time::default(), hurried(id as u128 + 1));
    }
    queue.take_output();
    let now = Time::from_unix_ms(5_000);
    for (fired, more) in [(FIRED_MAX, true), (1, false), (0, false)] {
        queue.apply(now, Command::Advance { until: now });
        let ended = queue.take_output().effects.into_iter();
        assert_eq!(ended.filter(|effect| matches!(effect, Effect::Ended(_))).count(), fired);
        assert_eq!(queue.next_deadline().is_some_and(|due| due <= now), more);
    }
}
