//! Rust handlers: what they know, how they fail, how they are stopped, and that a bad one harms only itself.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use leasehold_proto::v1::{
    self, StopMethod, coordinator_event::Event as Say, lease_outcome::Outcome,
    worker_event::Event as Heard,
};
use leasehold_worker::{Bytes, CancelReason, Context, Error, TaskError, Worker};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    coordinator::{
        CHECKPOINT_BYTES_MAX, Conversation, Coordinator, SOON, assignment, revocation, wire,
    },
    processes::until,
};

const LONG: Duration = Duration::from_mins(1);

/// A worker on this test's runtime.
struct Running {
    coordinator: Coordinator,
    stream: Conversation,
    shutdown: Option<oneshot::Sender<()>>,
    result: JoinSet<Result<(), Error>>,
}

impl Running {
    async fn start(worker: Worker, ttl: Duration) -> Self {
        let mut coordinator = Coordinator::start().await;
        let worker = worker.address(coordinator.address.to_string()).id("w");
        let (shutdown, asked) = oneshot::channel::<()>();
        let mut result = JoinSet::new();
        result.spawn(worker.run_until(async { drop(asked.await) }));
        let (stream, _hello) = coordinator.welcome(ttl).await;
        Self { coordinator, stream, shutdown: Some(shutdown), result }
    }

    async fn run(&mut self, assignment: v1::Assignment) -> Outcome {
        let token = assignment.fencing_token;
        self.stream.assign(assignment).await;
        self.stream.outcome(token).await
    }

    /// Drains it, answering what it says, and returns how it ended.
    async fn drain(mut self) -> Result<(), Error> {
        self.shutdown.take().expect("it runs").send(()).expect("it listens");
        while let Some(event) = self.stream.next().await {
            if let Heard::LeaseOutcome(outcome) = event {
                self.stream.answer(outcome.fencing_token).await;
            }
        }
        drop(self.stream);
        self.result.join_next().await.expect("it ran").expect("it does not panic")
    }
}

async fn describe(payload: Bytes, ctx: Context) -> Result<String, TaskError> {
    let left = ctx.remaining();
    assert!(left <= SOON && left > SOON / 2, "{left:?}");
    let all = ctx.task_remaining();
    assert!(all <= SOON * 2 && left < all, "{all:?}");
    assert!(ctx.deadline() > Instant::now() && !ctx.is_cancelled());
    assert_eq!(ctx.labels().get("k").map(String::as_str), Some("v"));
    Ok(format!(
        "{} {} {} {} {} {} {} {} {:?} {} {}",
        ctx.task_id(),
        ctx.task_type(),
        ctx.queue(),
        ctx.attempt(),
        ctx.generation(),
        ctx.fencing_token(),
        ctx.worker_id(),
        ctx.content_type(),
        ctx.kill_grace(),
        ctx.trace().trace_id(),
        String::from_utf8_lossy(&payload),
    ))
}

async fn fail(payload: Bytes, _ctx: Context) -> Result<Vec<u8>, TaskError> {
    match &*payload {
        b"io" => Ok(std::fs::read("/no/such/file")?),
        b"later" => Err(TaskError::retry_after("later", Duration::from_secs(9))),
        b"never" => Err(TaskError::permanent("never").with_details("because")),
        b"panic" => panic!("no way"),
        b"large" => Ok(vec![0; 100_001]),
        _ => Err(TaskError::retry("again")),
    }
}

/// Returns what it was told when it was asked to stop.
async fn obedient(_payload: Bytes, ctx: Context) -> Result<(), TaskError> {
    let reason: CancelReason = ctx.cancelled().await;
    Err(TaskError::retry(reason.to_string()))
}

async fn deaf(_payload: Bytes, _ctx: Context) -> Result<(), TaskError> {
    std::future::pending().await
}

/// Spins, without an await point, until the test lets it go.
#[derive(Clone, Default)]
struct Spinner {
    is_spinning: Arc<AtomicBool>,
    may_stop: Arc<AtomicBool>,
}

impl Spinner {
    fn spin(&self) {
        self.is_spinning.store(true, Ordering::SeqCst);
        while !self.may_stop.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
}

fn stopped(method: StopMethod) -> Outcome {
    Outcome::Stopped(v1::Stopped { method: method.into(), started: true })
}

#[tokio::test]
async fn a_handler_knows_what_it_works_on() {
    let worker = Worker::default().slots(2).task("describe", describe);
    let mut running = Running::start(worker, LONG).await;
    let Outcome::Success(it) = running.run(assignment(7, "describe", b"payload")).await else {
        panic!("it fails")
    };
    let expected =
        "task-7 describe q 3 2 7 w text/plain 200ms 0af7651916cd43dd8448eb211c80319c payload";
    assert_eq!(String::from_utf8_lossy(&it.result), expected);
    running.drain().await.expect("it drains");
}

#[tokio::test]
async fn each_failure_says_what_should_happen_and_none_ends_the_worker() {
    let mut running = Running::start(Worker::default().task("fail", fail), LONG).await;
    let error = v1::FailureReason::Error;
    let (io, place) = ("No such file or directory (os error 2)", "at crates/worker/tests/worker/");
    for (token, payload, reason, message, details, is_final, delay) in [
        (1, "io", error, io, "", false, None),
        (2, "later", error, "later", "", false, Some(wire(Duration::from_secs(9)))),
        (3, "never", error, "never", "because", true, None),
        (4, "panic", v1::FailureReason::Panic, "no way", place, false, None),
        (
            5,
            "large",
            v1::FailureReason::ResultTooLarge,
            "the result is larger than 100000 bytes",
            "",
            false,
            None,
        ),
        (6, "other", error, "again", "", false, None),
    ] {
        let outcome = running.run(assignment(token, "fail", payload.as_bytes())).await;
        let Outcome::Failure(got) = outcome else { panic!("{payload}: {outcome:?}") };
        assert_eq!((got.reason(), &*got.message), (reason, message));
        assert!(got.details.starts_with(details), "{payload}: {}", got.details);
        assert_eq!((got.non_retryable, got.retry_delay), (is_final, delay), "{payload}");
    }
    running.drain().await.expect("it drains");
}

/// What an ordinary function does before it returns the future that is awaited.
#[tokio::test]
async fn a_panic_before_anything_is_awaited_says_where_it_was() {
    let hasty = |payload: Bytes, _ctx: Context| {
        assert!(!payload.is_empty(), "nothing to work on");
        async move { Ok::<_, TaskError>(payload.to_vec()) }
    };
    let mut running = Running::start(Worker::default().task("hasty", hasty), LONG).await;
    let Outcome::Failure(got) = running.run(assignment(1, "hasty", b"")).await else {
        panic!("it succeeds")
    };
    assert_eq!((got.reason(), &*got.message), (v1::FailureReason::Panic, "nothing to work on"));
    assert!(got.details.starts_with("at crates/worker/tests/worker/"), "{got:?}");
    running.drain().await.expect("it drains");
}

#[tokio::test]
async fn a_handler_is_asked_to_stop_and_then_dropped() {
    let worker = Worker::default().slots(4).task("obedient", obedient).task("deaf", deaf);
    let mut running = Running::start(worker, LONG).await;
    for (token, task_type, method) in
        [(1, "obedient", StopMethod::Returned), (2, "deaf", StopMethod::Aborted)]
    {
        running.stream.assign(assignment(token, task_type, b"")).await;
        running.stream.say(revocation(token, Duration::from_millis(50))).await;
        assert_eq!(running.stream.outcome(token).await, stopped(method), "{task_type}");
    }
    let limited = |token, task_type| v1::Assignment {
        attempt_timeout: Some(wire(Duration::from_millis(100))),
        ..assignment(token, task_type, b"")
    };
    let cases = [
        (3, "obedient", "attempt timeout", StopMethod::Returned),
        (4, "deaf", "", StopMethod::Aborted),
    ];
    for (token, task_type, details, method) in cases {
        let outcome = running.run(limited(token, task_type)).await;
        let Outcome::Failure(got) = outcome else { panic!("{task_type}: {outcome:?}") };
        assert_eq!(got.reason(), v1::FailureReason::AttemptTimeout);
        assert_eq!(got.stop_method(), method, "{task_type}");
        assert_eq!(got.details, details, "what the handler said is kept");
    }
    running.drain().await.expect("it drains");
}

#[tokio::test]
async fn more_time_moves_all_that_an_attempt_goes_by() {
    async fn patient(_payload: Bytes, ctx: Context) -> Result<String, TaskError> {
        let before = ctx.deadline();
        let granted = ctx.extend(LONG).await?;
        assert!(granted <= LONG / 2 && before + LONG / 4 < ctx.deadline(), "{granted:?}");
        tokio::time::sleep_until(before.into()).await;
        ctx.guard()?;
        Ok(format!("{:?}", ctx.extend(LONG).await))
    }
    let mut running = Running::start(Worker::default().task("patient", patient), LONG).await;
    let attempt_timeout = Some(wire(Duration::from_secs(2)));
    let brief = v1::Assignment { attempt_timeout, ..assignment(1, "patient", b"") };
    running.stream.assign(brief).await;
    for remaining in [Some(wire(LONG / 2)), None] {
        let ask = loop {
            if let Heard::ExtendLease(ask) = running.stream.next().await.expect("it asks") {
                break ask;
            }
        };
        let asked = Duration::try_from(ask.remaining.expect("it says how long"));
        assert!(asked.is_ok_and(|it| it <= LONG && LONG / 2 < it), "{ask:?}");
        let answer = v1::LeaseExtension { fencing_token: ask.fencing_token, remaining };
        running.stream.say(Say::LeaseExtension(answer)).await;
    }
    let result = Bytes::from_static(b"Err(Refused)");
    assert_eq!(running.stream.outcome(1).await, Outcome::Success(v1::Success { result }));
    running.drain().await.expect("it drains");
}

/// The runtime has one thread, which none of these blocks.
#[tokio::test]
async fn a_blocking_function_has_a_thread_of_its_own_and_may_look_whether_to_stop() {
    fn wait(payload: &[u8], ctx: &Context) -> Result<String, TaskError> {
        assert_eq!(ctx.guard(), Ok(()));
        if payload == b"never" {
            return Err(TaskError::permanent("as asked"));
        }
        assert_ne!(payload, b"panic", "as asked");
        ctx.progress(0.5, "waiting");
        while !ctx.is_cancelled() {
            std::thread::yield_now();
        }
        let refused = ctx.guard().expect_err("it has been asked to stop");
        assert_eq!(refused.reason(), CancelReason::Cancelled);
        Ok(format!("{refused}"))
    }
    let worker = Worker::default().slots(4).blocking("wait", wait).task("obedient", obedient);
    let mut running = Running::start(worker, LONG).await;
    let Outcome::Failure(got) = running.run(assignment(1, "wait", b"panic")).await else {
        panic!("it succeeds")
    };
    assert_eq!(got.reason(), v1::FailureReason::Panic);
    assert!(got.message.contains("as asked") && got.details.starts_with("at crates/"), "{got:?}");
    let Outcome::Failure(got) = running.run(assignment(4, "wait", b"never")).await else {
        panic!("it succeeds")
    };
    assert!(got.non_retryable, "{got:?}");
    running.stream.assign(assignment(2, "wait", b"")).await;
    while !matches!(running.stream.next().await, Some(Heard::LeaseProgress(_))) {}
    running.stream.assign(assignment(3, "obedient", b"")).await;
    running.stream.say(revocation(3, Duration::from_secs(5))).await;
    assert_eq!(running.stream.outcome(3).await, stopped(StopMethod::Returned));
    running.stream.say(revocation(2, Duration::from_secs(5))).await;
    let result =
        Bytes::from_static(b"the lease is over (cancelled): nothing more may be done under it");
    assert_eq!(running.stream.outcome(2).await, Outcome::Success(v1::Success { result }));
    running.drain().await.expect("it drains");
}

/// The worker's runtime has one thread, and the handler blocks it: the test needs another.
#[tokio::test]
async fn a_handler_that_blocks_its_thread_costs_no_heartbeat_and_is_not_said_to_have_stopped() {
    let spinner = Spinner::default();
    let mut coordinator = Coordinator::start().await;
    let address = coordinator.address.to_string();
    let on_thread = spinner.clone();
    let worker = std::thread::spawn(move || {
        let handler = move |_payload: Bytes, _ctx: Context| {
            let spinner = on_thread.clone();
            async move {
                spinner.spin();
                Ok::<_, TaskError>("late")
            }
        };
        // It may lose its only slot, and stay.
        let worker = Worker::default().slots(1).lost_slots_max(1).task("spin", handler);
        let worker = worker.id("w").address(address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(worker.run_until(std::future::pending()))
    });
    let ttl = Duration::from_millis(800);
    let (mut stream, _hello) = coordinator.welcome(ttl).await;
    stream.assign(assignment(1, "spin", b"")).await;
    assert!(matches!(stream.next().await, Some(Heard::LeaseStarted(_))));
    until("it spins", SOON, || spinner.is_spinning.load(Ordering::SeqCst)).await;
    stream.say(revocation(1, Duration::ZERO)).await;
    let lost = Heard::SlotsLost(v1::SlotsLost { count: 1 });
    assert_eq!(stream.next().await, Some(lost));
    // Well beyond the session: heartbeats go on, the stream is the same, and nothing is said of the lease.
    let silence = tokio::time::timeout(ttl * 3, stream.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    spinner.may_stop.store(true, Ordering::SeqCst);
    // It returned after all, and the truth wins.
    let result = Bytes::from_static(b"late");
    assert_eq!(stream.outcome(1).await, Outcome::Success(v1::Success { result }));
    coordinator.displace(&mut stream, || worker.is_finished()).await;
    let ended = worker.join().expect("it does not panic");
    assert!(matches!(ended, Err(Error::IdInUse(id)) if id == "w"));
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // As a rule it has ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A worker in a process of its own, whose only thread is blocked by its handler: it is this test again.
struct Blocked {
    coordinator: Coordinator,
    stream: Conversation,
    process: Killed,
}

impl Blocked {
    /// `test`: the path of the test that calls. `None`: this is the worker's process, and the worker has ended.
    async fn start(test: &str, ttl: Duration) -> Option<Self> {
        const ADDRESS: &str = "BLOCKED_WORKER_ADDRESS";
        if let Ok(address) = std::env::var(ADDRESS) {
            let blocked = async |_payload: Bytes, ctx: Context| -> Result<(), TaskError> {
                ctx.progress(None, "from here on it blocks");
                Spinner::default().spin();
                Ok(())
            };
            // It may lose its only slot, and stay.
            let worker = Worker::default().slots(1).lost_slots_max(1).task("spin", blocked);
            worker.address(address).run().await.expect("it drains");
            return None;
        }
        let mut coordinator = Coordinator::start().await;
        let process = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", test])
            .env(ADDRESS, coordinator.address.to_string())
            .stdout(Stdio::null())
            .spawn();
        let process = Killed(process.expect("it starts"));
        let (mut stream, _hello) = coordinator.welcome(ttl).await;
        stream.assign(assignment(1, "spin", b"")).await;
        while !matches!(stream.next().await, Some(Heard::LeaseProgress(_))) {}
        Some(Self { coordinator, stream, process })
    }

    /// Waits until it has ended, as SIGTERM would end it.
    async fn ends(mut self) {
        let mut status = None;
        until("it ends", SOON, || {
            status = self.process.0.try_wait().expect("it can be waited for");
            status.is_some()
        })
        .await;
        let status = status.expect("it ended");
        assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{status}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_even_a_worker_whose_only_thread_is_blocked() {
    let test = "functions::a_second_signal_ends_even_a_worker_whose_only_thread_is_blocked";
    let Some(mut worker) = Blocked::start(test, LONG).await else { return };
    let pid = Pid::from_child(&worker.process.0);
    kill_process(pid, Signal::TERM).expect("it is told");
    assert!(matches!(worker.stream.next().await, Some(Heard::WorkerDrain(_))));
    kill_process(pid, Signal::TERM).expect("it is told again");
    worker.ends().await;
}

#[tokio::test]
async fn work_that_blocks_does_not_outlive_a_worker_whose_id_is_taken() {
    let test = "functions::work_that_blocks_does_not_outlive_a_worker_whose_id_is_taken";
    let Some(mut worker) = Blocked::start(test, Duration::from_secs(1)).await else { return };
    let Blocked { coordinator, stream, process } = &mut worker;
    let mut status = None;
    coordinator
        .displace(stream, || {
            status = process.0.try_wait().expect("it can be waited for");
            status.is_some()
        })
        .await;
    worker.ends().await;
}

#[tokio::test]
async fn progress_is_sent_now_and_then_and_the_last_one_wins() {
    async fn count(_payload: Bytes, ctx: Context) -> Result<(), TaskError> {
        for n in 0..=100_000_i32 {
            ctx.progress(f64::from(n) / 100_000.0, format!("step {n}"));
        }
        ctx.cancelled().await;
        Ok(())
    }
    let mut running = Running::start(Worker::default().task("count", count), LONG).await;
    running.stream.assign(assignment(1, "count", b"")).await;
    let mut heard = 0;
    loop {
        let event = running.stream.next().await.expect("it stays");
        let Heard::LeaseProgress(it) = event else { continue };
        heard += 1;
        let progress = it.progress.expect("progress");
        if progress.message == "step 100000" {
            assert_eq!(progress.fraction, Some(1.0));
            break;
        }
    }
    assert!(heard < 100, "{heard} of 100,000 were sent");
    running.stream.say(revocation(1, Duration::from_secs(5))).await;
    assert!(matches!(running.stream.outcome(1).await, Outcome::Success(_)));
    running.drain().await.expect("it drains");
}

#[tokio::test]
async fn a_result_is_repeated_on_every_stream_until_it_is_acknowledged() {
    async fn echo(payload: Bytes, _ctx: Context) -> Result<Bytes, TaskError> {
        Ok(payload)
    }
    let mut running = Running::start(Worker::default().task("echo", echo), LONG).await;
    running.stream.assign(assignment(1, "echo", b"result")).await;
    let expected = Outcome::Success(v1::Success { result: Bytes::from_static(b"result") });
    assert_eq!(running.stream.unanswered_outcome(1).await, expected);
    for _ in 0..3 {
        // The stream breaks, and the coordinator has heard nothing.
        running.stream.hang_up();
        let (stream, hello) = running.coordinator.welcome(LONG).await;
        running.stream = stream;
        let finished = v1::HeldLease {
            fencing_token: 1,
            phase: v1::LeasePhase::Finished.into(),
            ..v1::HeldLease::default()
        };
        assert_eq!(hello.held_leases, [finished]);
        assert_eq!(running.stream.unanswered_outcome(1).await, expected);
    }
    running.stream.answer(1).await;
    running.drain().await.expect("it drains");
}

#[tokio::test]
async fn a_drain_hands_back_what_does_not_finish() {
    let worker = Worker::default().drain_grace(Duration::from_millis(100)).task("deaf", deaf);
    let mut running = Running::start(worker, LONG).await;
    running.stream.assign(assignment(1, "deaf", b"")).await;
    assert!(matches!(running.stream.next().await, Some(Heard::LeaseStarted(_))));
    running.shutdown.take().expect("it runs").send(()).expect("it listens");
    let (reason, stop_method) = (v1::DeclineReason::Draining.into(), StopMethod::Aborted.into());
    let handed_back = Outcome::Declined(v1::Declined { reason, stop_method });
    assert_eq!(running.stream.outcome(1).await, handed_back);
    while running.stream.next().await.is_some() {}
    drop(running.stream);
    let ended = running.result.join_next().await.expect("it ran").expect("no panic");
    ended.expect("it drains");
}

#[tokio::test]
async fn dropping_the_worker_stops_it_at_once() {
    let mut running = Running::start(Worker::default().task("deaf", deaf), LONG).await;
    running.stream.assign(assignment(1, "deaf", b"")).await;
    assert!(matches!(running.stream.next().await, Some(Heard::LeaseStarted(_))));
    running.result.abort_all();
    while running.stream.next().await.is_some() {}
}

/// What nobody can drop is told: it has no lease once its worker is gone, or once its handler has returned.
#[tokio::test]
async fn what_outlives_its_lease_hears_that_it_is_over() {
    let (left_behind, mut contexts) = tokio::sync::mpsc::channel(2);
    let leave = move |_payload: Bytes, ctx: Context| {
        let left_behind = left_behind.clone();
        async move {
            left_behind.send(ctx).await?;
            Ok::<_, TaskError>(())
        }
    };
    let (told, mut hears) = tokio::sync::mpsc::channel(1);
    let last = move |_payload: &[u8], ctx: &Context| {
        ctx.progress(0.5, "running");
        let patience = Instant::now() + SOON;
        while !ctx.is_cancelled() && Instant::now() < patience {
            std::thread::yield_now();
        }
        told.blocking_send(ctx.cancel_reason())
    };
    let worker = Worker::default().slots(2).task("leave", leave).blocking("last", last);
    let mut running = Running::start(worker, LONG).await;
    running.run(assignment(1, "leave", b"")).await;
    let ctx = contexts.recv().await.expect("it is left behind");
    let over = ctx.guard().expect_err("its handler has returned");
    assert_eq!((over.reason(), ctx.cancelled().await), (CancelReason::LeaseLost, over.reason()));
    running.stream.assign(assignment(2, "last", b"")).await;
    while !matches!(running.stream.next().await, Some(Heard::LeaseProgress(_))) {}
    running.result.abort_all();
    assert_eq!(hears.recv().await, Some(Some(CancelReason::LeaseLost)));
}

/// Says what it found, saves what it is given, and fails.
async fn save(payload: Bytes, ctx: Context) -> Result<(), TaskError> {
    let found = ctx.checkpoint().map(|it| String::from_utf8_lossy(it).into_owned());
    ctx.save_checkpoint("an earlier one")?;
    ctx.save_checkpoint(payload)?;
    Err(TaskError::retry(format!("{found:?}")))
}

#[tokio::test]
async fn what_a_handler_saved_comes_before_its_end_and_what_is_too_large_is_refused() {
    let at_most = usize::try_from(CHECKPOINT_BYTES_MAX).expect("a size");
    let worker = Worker::default().task("save", save);
    let mut running = Running::start(worker, LONG).await;
    let all = vec![b'x'; at_most + 1];
    for (token, found, saved, message) in [
        (1, None, &b"60"[..], "None"),
        (2, Some("60"), b"", "Some(\"60\")"),
        (3, Some(""), &all[..at_most], "Some(\"\")"),
        (4, None, &all, "a checkpoint of 1001 bytes is not kept"),
    ] {
        let checkpoint = found.map(|text| Bytes::from_static(text.as_bytes()));
        let given = v1::Assignment { checkpoint, ..assignment(token, "save", saved) };
        running.stream.assign(given).await;
        let (last, outcome) = running.stream.saved_until_outcome(token).await;
        let expected = if saved.len() <= at_most { saved } else { b"an earlier one" };
        assert_eq!(last.as_deref(), Some(expected), "under {token}");
        let Outcome::Failure(got) = outcome else { panic!("it succeeds") };
        assert!(got.message.starts_with(message), "under {token}: {}", got.message);
        assert!(!got.non_retryable);
    }
    running.drain().await.expect("it drains");
}
