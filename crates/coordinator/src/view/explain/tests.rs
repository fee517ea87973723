//! What holds a task, in the words of the contract, and what would change it.

use std::{collections::BTreeSet, path::Path};

use leasehold_policy::Time;
use leasehold_proto::v1;
use leasehold_queue::{
    Blocker, Bucketed, Capacity, Ending, FailureReason, Gate, Holder, LabelGap, Misfit, Name,
    Obstacle, Permit, Phase, SchemaPrint, SessionState, Shape, Shortage, Size, Take, TaskId, Token,
    Unfit, Use, Wait,
};

use super::explanation;
use crate::{
    config::Config,
    snapshot::Snapshot,
    status::Budgets,
    view::tests::{ended, snapshot},
};

const BUDGETS: Budgets = Budgets { worker_losses: 3, leases: 9 };

/// What queue `mail` may do is set for each namespace at once, and by some for themselves.
fn config() -> Config {
    let text = "queues: {settings: {mail: {rate: 1/s, concurrency: 2}}}\n\
                namespaces: {team: {queues: {mail: {concurrency: 3}}}, default: {queues: {mail: {rate: 2/s}}}}\n";
    Config::parse(text, Path::new("c.yaml")).unwrap()
}

/// The message and the advice of a blocker, a line each.
fn check(blocker: &Blocker, shape: Shape, expected: &[&str]) {
    let task = snapshot(Phase::Queued).task;
    let spec = task.spec.with(|template| {
        template.task_type = "resize".into();
        template.shape = shape;
    });
    let shown = super::blocker(blocker, &spec, &config());
    let mut lines = vec![shown.message.clone()];
    for v1::Advice { text, command, configuration, .. } in &shown.advice {
        let parts = [text.as_str(), configuration, command];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        lines.push(parts.join(" | "));
    }
    assert_eq!(lines, expected, "{shown:#?}");
    let kinds: BTreeSet<i32> = shown.advice.iter().map(|advice| advice.kind).collect();
    assert_eq!(kinds.len(), shown.advice.len(), "each kind once: {shown:#?}");
}

fn name(text: &str) -> Name {
    text.into()
}

fn at(ms: u64) -> Time {
    Time::from_unix_ms(ms)
}

#[test]
fn what_waits_for_a_time_or_a_pause_says_what_ends_it() {
    let until = at(61_000);
    check(
        &Blocker::Wait { wait: Wait::Delay, until },
        Shape::default(),
        &["its delay is over at 1970-01-01T00:01:01Z", "wait until 1970-01-01T00:01:01Z"],
    );
    check(
        &Blocker::Wait { wait: Wait::Backoff, until },
        Shape::default(),
        &[
            "it failed, and its backoff is over at 1970-01-01T00:01:01Z",
            "wait until 1970-01-01T00:01:01Z",
        ],
    );
    let resume = "resume queue mail | leasehold queue resume mail";
    check(
        &Blocker::Pause { queue: name("mail"), since: Some(at(1_000)) },
        Shape::default(),
        &["queue mail is paused since 1970-01-01T00:00:01Z", resume],
    );
    check(
        &Blocker::Pause { queue: name("mail"), since: None },
        Shape::default(),
        &["queue mail is paused", resume],
    );
}

#[test]
fn what_nobody_serves_says_what_is_wrong_with_each_and_what_worker_to_start() {
    let start =
        "start a worker that takes resize | leasehold-worker --id NAME --program resize=COMMAND";
    check(
        &Blocker::NoWorker(Unfit::default()),
        Shape::default(),
        &["no worker takes resize: there is none", start],
    );
    check(
        &Blocker::NoWorker(Unfit { others: 2, ..Unfit::default() }),
        Shape::default(),
        &["no worker takes resize, of 2 workers", start],
    );
    let gap = |found: Option<&str>| LabelGap {
        name: name("gpu"),
        wanted: name("it's big"),
        found: found.map(name),
    };
    let misfit = |state, labels, reads: &[u8], has_declined| Misfit {
        state,
        labels,
        shortages: Vec::new(),
        namespaces: BTreeSet::new(),
        reads: reads.iter().map(|byte| SchemaPrint([*byte; 32])).collect(),
        sizes_unknown: false,
        has_declined,
    };
    let misfits = vec![
        (misfit(SessionState::Active, vec![gap(Some("small"))], &[], false), 3, vec![name("w1")]),
        (misfit(SessionState::Draining, vec![gap(None)], &[7], true), 1, vec![name("w4")]),
    ];
    let selector = vec![(name("gpu"), name("it's big"))];
    let shape = Shape { selector, schema: Some(SchemaPrint([0x1a; 32])), ..Shape::default() };
    check(
        &Blocker::NoWorker(Unfit { misfits, more: 0, others: 0 }),
        shape,
        &[
            "no worker fits that takes resize: w1 and 2 more: its label gpu is small, not it's big; w4: it drains, it has no \
             label gpu, wanted it's big, it reads payload schemas 070707070707 instead, it declined such a task as unsupported",
            "start a worker that takes resize and is labelled gpu=it's big and reads payload schema 1a1a1a1a1a1a | labels: \
             {'gpu': 'it''s big'}\nprograms: {'resize': {command: COMMAND, schemas: \
             [1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a]}} | leasehold-worker --id NAME --config FILE",
        ],
    );
}

#[test]
fn a_limit_is_freed_by_time_by_more_of_it_or_by_who_holds_it() {
    let limit = |take, used, max, free_at, holders| {
        let limit = Use { used, max, free_at };
        let gate = Gate::Limit(take);
        Blocker::Gate { obstacle: Obstacle { gate, limit }, holders, more: 0 }
    };
    let holder = |is_over| Holder {
        token: Token::from_i64(8),
        task: Some(TaskId::from_u128(5)),
        worker: Some(name("w1")),
        is_over,
    };
    let plain = Shape::default;
    let id = "00000000-0000-0000-0000-000000000005";
    let end = format!(
        "end task {id}, which has had it for longest, or wait until it ends | leasehold task cancel {id}"
    );
    check(
        &limit(Take::Permit(Permit::Key(name("a'b"))), 2, 2, None, vec![holder(false)]),
        plain(),
        &[
            "concurrency for \"a'b\" is at 2 of 2",
            "raise concurrency.keys.a'b from 2 in the coordinator's configuration | concurrency: {keys: {'a''b': 3}} | \
             leasehold config reload",
            &end,
        ],
    );
    for (used, max, to) in [(5, 2, 6), (0, 2, 3)] {
        let raise = format!(
            "raise queues.settings.q.concurrency from {max} in the coordinator's configuration | queues: {{settings: {{'q': \
             {{concurrency: {to}}}}}}} | leasehold config reload"
        );
        let message = format!("queues.settings.q.concurrency is at {used} of {max}");
        let permit = Take::Permit(Permit::Queue(name("q")));
        check(&limit(permit, used, max, None, Vec::new()), plain(), &[&message, &raise]);
    }
    let of_queue = |queue| Take::Permit(Permit::Queue(name(queue)));
    let rate = |queue| Take::Tokens(Bucketed::Queue(name(queue)), 1);
    for (take, set) in [
        (of_queue("mail"), "queues.settings.mail.concurrency"),
        (of_queue("team/mail"), "namespaces.team.queues.mail.concurrency"),
        (of_queue("other/mail"), "queues.settings.mail.concurrency"),
        (rate("mail"), "namespaces.default.queues.mail.rate"),
        (rate("team/mail"), "queues.settings.mail.rate"),
    ] {
        let (value, from) = match &take {
            Take::Permit(_) => ("3", " from 2"),
            Take::Tokens(..) => ("RATE", ""),
        };
        // The key as the file nests it.
        let (outer, last) = set.rsplit_once('.').unwrap();
        let nested = outer.rsplit('.').fold(format!("{last}: {value}"), |inner, key| {
            let is_given = matches!(key, "mail" | "team" | "default");
            let key = if is_given { format!("'{key}'") } else { key.to_owned() };
            format!("{key}: {{{inner}}}")
        });
        let raise = format!(
            "raise {set}{from} in the coordinator's configuration | {nested} | leasehold config reload"
        );
        let message = format!("{set} is at 2 of 2");
        check(&limit(take, 2, 2, None, Vec::new()), plain(), &[&message, &raise]);
    }
    check(
        &limit(Take::Permit(Permit::Flow(name("q"), name("x"))), 1, 1, None, vec![holder(true)]),
        plain(),
        &[
            "queues.settings.q.concurrency_per_key for \"x\" is at 1 of 1",
            "raise queues.settings.q.concurrency_per_key from 1 in the coordinator's configuration | queues: {settings: {'q': \
             {concurrency_per_key: 2}}} | leasehold config reload",
            "give worker w1 up, which has not answered for what it ran | leasehold worker evict w1",
        ],
    );
    check(
        &limit(Take::Tokens(Bucketed::Key(name("mail")), 2), 3, 4, Some(at(9_000)), Vec::new()),
        plain(),
        &[
            "rates for \"mail\" is at 3 of 4, with enough left at 1970-01-01T00:00:09Z",
            "wait until 1970-01-01T00:00:09Z",
            "raise rates.mail in the coordinator's configuration | rates: {'mail': RATE} | leasehold config reload",
        ],
    );
}

#[test]
fn slots_are_counted() {
    let start =
        "start a worker that takes resize | leasehold-worker --id NAME --program resize=COMMAND";
    let capacity = |workers, hushed, used| {
        let has_room = used < 4 && hushed == 0;
        Blocker::Capacity(Capacity {
            workers,
            hushed,
            slots: 4,
            used,
            has_room,
            ..Capacity::default()
        })
    };
    for (blocker, message) in [
        (capacity(1, 0, 4), "4 of 4 slots for resize are taken, of 1 worker"),
        (
            capacity(2, 0, 1),
            "it is leased as soon as it is its turn: 1 of 4 slots for resize are taken, of 2 workers",
        ),
        (
            capacity(2, 1, 1),
            "1 of 4 slots for resize are taken, of 2 workers; 1 had no room for one, or do not read, and will be asked again",
        ),
    ] {
        check(&blocker, Shape::default(), &[message, start]);
    }
}

#[test]
fn what_asks_for_much_is_told_how_much_there_is_and_who_is_reserved() {
    let size = Size { slots: 3, resources: vec![(name("gpu"), 2)] };
    let shape = || Shape { size: size.clone(), ..Shape::default() };
    let start = "start a worker that takes resize and has 3 slots, 2 gpu | slots: 3\nresources: {'gpu': 2}\nprograms: \
                 {'resize': {command: COMMAND}} | leasehold-worker --id NAME --config FILE";
    let shortage = |resource: Option<&str>, wanted, most| Shortage {
        resource: resource.map(name),
        wanted,
        most,
    };
    let misfit = Misfit {
        state: SessionState::Active,
        namespaces: BTreeSet::new(),
        labels: Vec::new(),
        shortages: vec![shortage(None, 3, 2), shortage(Some("gpu"), 2, 0)],
        reads: BTreeSet::new(),
        sizes_unknown: false,
        has_declined: false,
    };
    let old = Misfit { shortages: Vec::new(), sizes_unknown: true, ..misfit.clone() };
    let misfits = vec![(misfit, 2, vec![name("w1")]), (old, 1, vec![name("w3")])];
    check(
        &Blocker::NoWorker(Unfit { misfits, more: 0, others: 0 }),
        shape(),
        &[
            "no worker fits that takes resize: w1 and 1 more: the largest has 2 slots, wanted 3, the largest has 0 gpu, wanted 2; w3: its \
             version knows only leases of one slot",
            start,
        ],
    );
    let capacity = |wanted, (hushed, has_room), reserved| {
        let (workers, slots, used) = (2, 8, 5);
        Blocker::Capacity(Capacity {
            workers,
            hushed,
            slots,
            used,
            wanted,
            has_room,
            reserved,
            ..Capacity::default()
        })
    };
    let of = "5 of 8 slots for resize are taken, of 2 workers";
    for ((hushed, has_room), message) in [
        ((0, false), format!("no worker has 3 slots, 2 gpu left at once: {of}")),
        ((1, false), format!("no worker has 3 slots, 2 gpu left at once: {of}")),
        (
            (2, false),
            format!("{of}; 2 had no room for one, or do not read, and will be asked again"),
        ),
        ((1, true), format!("it is leased as soon as it is its turn: {of}")),
    ] {
        let blocker = capacity(size.clone(), (hushed, has_room), Vec::new());
        check(&blocker, shape(), &[&message, start]);
    }
    let reserved = "5 of 8 slots for resize are taken, of 2 workers; w1 takes nothing before it has room for task \
                    00000000-0000-0000-0000-000000000007";
    let plain =
        "start a worker that takes resize | leasehold-worker --id NAME --program resize=COMMAND";
    let for_task = vec![(name("w1"), TaskId::from_u128(7))];
    check(&capacity(Size::default(), (0, false), for_task), Shape::default(), &[reserved, plain]);
}

#[test]
fn what_has_ended_says_which_budget_was_used_up() {
    let failed = |reason, attempts, losses| {
        let mut snapshot = ended(Ending::Failed);
        let last = snapshot.task.last_failure().cloned().unwrap();
        let last = leasehold_queue::Failure { reason, message: "no luck".into(), ..last };
        snapshot.task.past = leasehold_queue::Past {
            last_failure: Some(last.into()),
            worker_losses: losses,
            ..Default::default()
        }
        .kept();
        snapshot.task.attempts = attempts;
        snapshot
    };
    let replay = ["leasehold dead replay 0195a1b2-c3d4-7000-8000-000000000001"];
    let at = "1970-01-01T00:00:03Z";
    let cases = [
        (failed(FailureReason::Error, 4, 0), "its attempts are used up (4 of 4); last: no luck"),
        (
            failed(FailureReason::Error, 1, 0),
            "its last failure was final, or left no time for another attempt; last: no luck",
        ),
        (
            failed(FailureReason::TotalTimeout, 1, 0),
            "its time is used up, or could not suffice any more; last: no luck",
        ),
        (
            failed(FailureReason::QueueTimeout, 0, 0),
            "nobody started it within its queue timeout; last: no luck",
        ),
        (
            failed(FailureReason::WorkerLossLimit, 0, 3),
            "its workers were lost 3 times of 3; last: no luck",
        ),
        (
            failed(FailureReason::WorkerLossLimit, 0, 1),
            "it was leased 3 times of 9 without an end; last: no luck",
        ),
        (
            failed(FailureReason::OutcomeUnknown, 0, 0),
            "it may be started once, and nobody said how that start ended; last: no luck",
        ),
    ];
    for (snapshot, why) in cases {
        check_end(snapshot, &format!("it failed at {at}: {why}"), &replay);
    }
    check_end(ended(Ending::Succeeded), &format!("it succeeded at {at}"), &[]);
    check_end(ended(Ending::Cancelled), &format!("it was cancelled, and ended at {at}"), &[]);
}

fn check_end(snapshot: Snapshot, summary: &str, commands: &[&str]) {
    let shown = explanation(&snapshot.into(), BUDGETS, &config());
    let advised: Vec<&str> = shown.advice.iter().map(|advice| advice.command.as_str()).collect();
    assert_eq!((shown.summary.as_str(), &*advised), (summary, commands));
    assert!(shown.end.is_some() && shown.blockers.is_empty() && shown.forecast.is_none());
}
