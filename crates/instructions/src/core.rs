//! The queue alone: tasks are accepted, granted, started and succeed, beside others that wait or not.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Audience, Command, Config, Effect, Hello, LeaseTerms, Minter, Name, Outcome, Queue,
    Retry, SchemasRead, Shape, Size, StreamId, Submit, TaskSpec, Template, Token,
};

const STREAM: StreamId = StreamId(1);
const START: Time = Time::from_unix_ms(1_800_000_000_000);

/// How many slots the worker has, and so how many tasks are accepted and granted together.
const SLOTS: u32 = 100;

/// How many other tasks there are in a backlog.
const BACKLOG: u32 = 100_000;

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    factor: 2.0,
    cap: Duration::from_mins(1),
    jitter: Jitter::Full,
};

/// What else is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Nothing.
    None,
    /// Tasks that are more urgent, and that no worker serves.
    Blocked,
    /// Tasks that are less urgent.
    Waiting,
    /// Tasks that are more urgent, and for each of which the worker would have to hold nothing else.
    Large,
}

/// Lets so many tasks flow through a queue. Whoever submits many that are alike hands the same template over each time.
pub(crate) fn flow(tasks: u64, backlog: Backlog) -> anyhow::Result<()> {
    let like = spec("echo", 5);
    flow_of(tasks, backlog, || like.clone())
}

/// The same with tasks of which each brings its own template, though they all say the same.
pub(crate) fn flow_of_strangers(tasks: u64) -> anyhow::Result<()> {
    flow_of(tasks, Backlog::None, || spec("echo", 5))
}

fn flow_of(tasks: u64, backlog: Backlog, task: impl Fn() -> TaskSpec) -> anyhow::Result<()> {
    // Nothing is reserved for what is large: the one worker would take nothing that is in its way.
    let valve = if backlog == Backlog::Large { u64::MAX } else { Config::default().valve };
    let mut queue = Queue::new(Config { valve, ..Config::default() }, 1);
    queue.recovered(START, None);
    queue.play_to(Audience::Nobody);
    let mut minter = Minter::new(0, START);
    let mut submit = |queue: &mut Queue, spec| {
        let id = minter.mint(START, 0);
        queue.apply(START, Command::Submit(Box::new(Submit { id, spec, validate_only: false })));
    };
    let other = match backlog {
        Backlog::None => None,
        Backlog::Blocked => Some(spec("unserved", 0)),
        Backlog::Waiting => Some(spec("echo", 9)),
        Backlog::Large => {
            let size = Size { slots: SLOTS + 1, ..Size::default() };
            Some(
                spec("echo", 0)
                    .with(|template| template.shape = Shape { size, ..Shape::default() }),
            )
        }
    };
    queue.apply(START, Command::Hello(Box::new(hello(backlog))));
    if backlog == Backlog::Large {
        submit(&mut queue, spec("echo", 5));
        queue.apply(START, Command::Grant { most: 1 });
    }
    for _ in 0..other.as_ref().map_or(0, |_| BACKLOG) {
        submit(&mut queue, other.clone().unwrap_or_else(|| spec("echo", 9)));
    }
    drop(queue.take_output());
    let mut done = 0;
    while done < tasks {
        for _ in 0..SLOTS {
            submit(&mut queue, task());
        }
        queue.apply(START, Command::Grant { most: 1_000 });
        let tokens = granted(queue.take_output().effects);
        ensure!(tokens.len() == SLOTS as usize, "{} leases were granted", tokens.len());
        done += u64::from(SLOTS);
        finish(&mut queue, tokens);
        drop(queue.take_output());
    }
    Ok(())
}

/// Everything that is heard of leases that succeed.
fn finish(queue: &mut Queue, tokens: Vec<Token>) {
    queue.apply(START, Command::Sent { stream: STREAM, tokens: tokens.clone() });
    queue.apply(START, Command::Delivered { stream: STREAM, tokens: tokens.clone() });
    for token in tokens {
        queue.apply(START, Command::Started { stream: STREAM, token });
        let outcome = Outcome::Succeeded { result: Bytes::new() };
        queue.apply(START, Command::Outcome { stream: STREAM, token, outcome, ran: None });
    }
}

fn granted(effects: Vec<Effect>) -> Vec<Token> {
    let assigned = |effect| {
        if let Effect::Assign { assignment, .. } = effect { Some(assignment.token) } else { None }
    };
    effects.into_iter().filter_map(assigned).collect()
}

fn hello(backlog: Backlog) -> Hello {
    Hello {
        stream: STREAM,
        worker: "worker".into(),
        instance: "instance".into(),
        start: None,
        replaces: Vec::new(),
        task_types: vec!["echo".into()],
        namespaces: Vec::new(),
        reads: SchemasRead::default(),
        // One of them stays taken beside what is large.
        slots: SLOTS + u32::from(backlog == Backlog::Large),
        resources: Vec::new(),
        knows_sizes: true,
        prefetch: 0,
        held: Vec::new(),
        labels: Vec::new(),
        software: "".into(),
    }
}

/// A task with a payload of 100 bytes.
pub(crate) fn spec(task_type: &str, priority: u8) -> TaskSpec {
    let name = Name::from;
    TaskSpec::new(
        Arc::new(Template {
            queue: name("default"),
            task_type: name(task_type),
            content_type: name("application/octet-stream"),
            priority,
            start_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_mins(5),
            kill_grace: Duration::from_secs(5),
            retry: Retry { max_attempts: 3, backoff: BACKOFF },
            terms: LeaseTerms::default(),
            claims: None,
            fairness_key: "".into(),
            shape: Shape::default(),
            admission: Admission::default(),
        }),
        Bytes::from(vec![b'x'; 100]).into(),
        Duration::from_hours(24),
    )
}
