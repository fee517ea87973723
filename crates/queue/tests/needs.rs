//! What tasks ask of workers, where each asks for something else.

#![expect(clippy::panic, clippy::wildcard_enum_match_arm, reason = "a broken test has to stop")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Blocked, Command, Config, Effect, Extras, Granted, Hello, LeaseTerms, Name, Outcome,
    Queue, Refusal, Reply, Retry, SchemaPrint, SchemasRead, Shape, StreamId, Submit, TaskId,
    TaskSpec, Template,
};

/// How many different needs waiting tasks may have.
const MOST: u64 = 4_096;

const NOW: Time = Time::from_unix_ms(1_800_000_000_000);
const LONG: Duration = Duration::from_hours(1);
const STREAM: StreamId = StreamId(1);

/// A task that nobody else is like.
fn spec(number: u64, delay: Duration) -> TaskSpec {
    let mut print = [0; 32];
    print[..8].copy_from_slice(&number.to_be_bytes());
    TaskSpec {
        template: Arc::new(Template {
            admission: Admission::default(),
            queue: "q".into(),
            task_type: "t".into(),
            content_type: "".into(),
            priority: 5,
            start_timeout: LONG,
            attempt_timeout: LONG,
            kill_grace: LONG,
            retry: Retry {
                max_attempts: 1,
                backoff: Backoff { initial: LONG, factor: 1.0, cap: LONG, jitter: Jitter::None },
            },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape { schema: Some(SchemaPrint(print)), ..Shape::default() },
        }),
        payload: Bytes::new().into(),
        total_timeout: LONG.into(),
        trace: None,
        extras: Extras { initial_delay: delay, labels: Vec::new(), key: None }.kept(),
    }
}

fn submit(queue: &mut Queue, id: u64, spec: TaskSpec) -> Result<(), Refusal> {
    let id = TaskId::from_u128(u128::from(id) << 80);
    let submit = Submit { id, spec, validate_only: false };
    match queue.apply(NOW, Command::Submit(Box::new(submit))) {
        Reply::Submitted(submitted) => submitted.map(|accepted| assert_eq!(accepted.id, id)),
        other => panic!("a submit was answered with {other:?}"),
    }
}

fn queue() -> Queue {
    let mut queue = Queue::new(Config { session_ttl: LONG, ..Config::default() }, 1);
    queue.recovered(NOW, None);
    queue
}

/// A worker that reads everything.
fn hello(queue: &mut Queue) {
    let hello = Hello {
        stream: STREAM,
        worker: "w".into(),
        instance: "i".into(),
        start: None,
        replaces: Vec::new(),
        task_types: vec![Name::from("t")],
        namespaces: Vec::new(),
        reads: SchemasRead::default(),
        slots: 10_000,
        resources: Vec::new(),
        knows_sizes: true,
        prefetch: 0,
        held: Vec::new(),
        labels: Vec::new(),
        software: "".into(),
    };
    queue.apply(NOW, Command::Hello(Box::new(hello)));
}

#[test]
fn a_submit_that_asks_for_one_thing_too_many_is_refused_and_no_other() {
    let mut queue = queue();
    for number in 1..=MOST {
        submit(&mut queue, number, spec(number, Duration::ZERO)).expect("there is room");
    }
    let one_more = || spec(MOST + 1, Duration::ZERO);
    for delay in [Duration::ZERO, Duration::from_secs(1)] {
        let refused = submit(&mut queue, MOST + 1, spec(MOST + 1, delay)).expect_err("too many");
        assert_eq!(refused.to_string(), "needs are at their limit: 4096 of 4096");
    }
    submit(&mut queue, MOST + 2, spec(7, Duration::ZERO)).expect("somebody asked for that already");
    queue.apply(NOW, Command::Cancel { task: TaskId::from_u128(8 << 80) });
    submit(&mut queue, MOST + 1, one_more()).expect("there is room again");
    hello(&mut queue);
    assert!(matches!(
        queue.apply(NOW, Command::Grant { most: 1 }),
        Reply::Granted(Granted { leased: 1, .. })
    ));
    submit(&mut queue, MOST + 3, spec(MOST + 3, Duration::ZERO)).expect("one waits no more");
}

#[test]
fn a_namespace_that_asks_for_too_many_things_leaves_a_few_to_others() {
    let mut queue = queue();
    for number in 1..=MOST {
        submit(&mut queue, number, spec(number, Duration::ZERO)).expect("there is room");
    }
    let mut number = MOST;
    for team in ["a/q", "b/q"] {
        let mut one_more = || {
            number += 1;
            let of_team =
                spec(number, Duration::ZERO).with(|template| template.queue = team.into());
            submit(&mut queue, number, of_team)
        };
        for _ in 0..64 {
            one_more().expect("it has few");
        }
        let refused = one_more().expect_err("it has its share");
        assert!(refused.to_string().ends_with(" of 4096"), "{refused}");
    }
    // What is gone makes room for as many.
    queue.apply(NOW, Command::Cancel { task: TaskId::from_u128(u128::from(MOST + 1) << 80) });
    let again = spec(MOST * 2, Duration::ZERO).with(|template| template.queue = "a/q".into());
    submit(&mut queue, MOST * 2, again).expect("one less than few");
    submit(&mut queue, MOST * 2 + 1, spec(MOST * 2, Duration::ZERO)).expect_err("it has no share");
}

#[test]
fn needs_that_come_and_go_are_served_though_they_are_forgotten() {
    let mut queue = queue();
    hello(&mut queue);
    // Twice, so that some are new again after they were forgotten.
    for number in (1..=1_100).chain(1..=40) {
        submit(&mut queue, number, spec(number, Duration::ZERO)).expect("there is room");
        let task = queue.task(TaskId::from_u128(u128::from(number) << 80)).expect("it waits");
        assert_eq!(queue.blocked(task), Some(Blocked::NoCapacity), "{number} is served");
        queue.apply(NOW, Command::Grant { most: 1 });
        let effects = queue.take_output().effects;
        let token = effects.iter().find_map(|effect| match effect {
            Effect::Assign { assignment, .. } => Some(assignment.token),
            _ => None,
        });
        let token = token.unwrap_or_else(|| panic!("{number} is not leased: {effects:?}"));
        let outcome = Outcome::Succeeded { result: Bytes::new() };
        queue.apply(NOW, Command::Outcome { stream: STREAM, token, outcome, ran: None });
    }
}
