//! Isolated functions: what they know, what becomes of what goes wrong in them, and that they can be stopped.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use leasehold_proto::v1::{self, StopMethod, lease_outcome::Outcome, worker_event::Event as Heard};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    coordinator::{Conversation, Coordinator, SOON, assignment, revocation, revocation_for, wire},
    processes::{group_of, members, until},
};

const LONG: Duration = Duration::from_mins(1);

/// The example `isolated`, running.
struct Worker {
    child: Child,
    dir: tempfile::TempDir,
    stream: Conversation,
    _coordinator: Coordinator,
}

impl Worker {
    async fn start(ttl: Duration) -> Self {
        let mut coordinator = Coordinator::start().await;
        let dir = tempfile::tempdir().expect("a folder");
        let child = Command::new(example())
            .env("LEASEHOLD_ADDRESS", coordinator.address.to_string())
            .env("LEASEHOLD_WORKER_ID", "w")
            .stderr(fs::File::create(dir.path().join("log")).expect("a log"))
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .expect("the worker starts");
        let (stream, _hello) = coordinator.welcome(ttl).await;
        Self { child, dir, stream, _coordinator: coordinator }
    }

    async fn run(&mut self, token: i64, payload: &str) -> Outcome {
        self.stream.assign(assignment(token, "act", payload.as_bytes())).await;
        self.stream.outcome(token).await
    }

    /// The message of the next progress.
    async fn progress(&mut self) -> String {
        loop {
            let heard = self.stream.next().await.expect("the worker stays");
            if let Heard::LeaseProgress(it) = heard {
                return it.progress.expect("progress").message;
            }
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The example, up to date with its source.
fn example() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let test = env::current_exe().expect("a test has a path");
            let dir = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
            let mut build = Command::new(env!("CARGO"));
            build.current_dir(env!("CARGO_MANIFEST_DIR"));
            build.args(["build", "--quiet", "--example", "isolated"]);
            if dir.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo runs").success(), "the example does not build");
            dir.join("examples/isolated")
        })
        .clone()
}

#[tokio::test]
async fn it_knows_what_it_works_on_and_what_it_prints_is_no_result() {
    let mut worker = Worker::start(LONG).await;
    let large = "x".repeat(90_000);
    for (token, payload) in [(7, ""), (8, "payload"), (9, &*large)] {
        let Outcome::Success(it) = worker.run(token, payload).await else {
            panic!("it fails: {}", worker.log())
        };
        let length = payload.len();
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let expected = format!("task-{token} 3 {token} w {{\"k\": \"v\"}} {trace} {length}");
        assert_eq!(String::from_utf8_lossy(&it.result), expected);
    }
}

#[tokio::test]
async fn whatever_goes_wrong_in_it_costs_one_attempt_and_is_named() {
    let mut worker = Worker::start(LONG).await;
    let (error, panicked) = (v1::FailureReason::Error, v1::FailureReason::Panic);
    let place = "at crates/worker/examples/isolated.rs";
    for (token, payload, reason, message, details) in [
        (1, "panic", panicked, "as asked", place),
        (2, "abort", panicked, "the handler's process was ended by SIGABRT (signal 6)", ""),
        (3, "segfault", panicked, "the handler's process was ended by SIGSEGV (signal 11)", ""),
        (4, "exit", error, "the handler's process exited with code 3 and left no result", ""),
        (5, "fail", error, "as asked", "in detail"),
        (
            6,
            "large",
            v1::FailureReason::ResultTooLarge,
            "the result is larger than 100000 bytes",
            "",
        ),
    ] {
        let outcome = worker.run(token, payload).await;
        let Outcome::Failure(got) = outcome else { panic!("{payload}: {outcome:?}") };
        assert_eq!((got.reason(), &*got.message), (reason, message), "{payload}");
        assert!(got.details.starts_with(details), "{payload}: {}", got.details);
        assert_eq!(got.non_retryable, payload == "fail", "{payload}");
    }
    assert!(matches!(worker.run(7, "").await, Outcome::Success(_)), "the worker works on");
}

#[tokio::test]
async fn it_hears_why_it_is_asked_to_stop() {
    use v1::RevocationReason as Reason;
    let mut worker = Worker::start(LONG).await;
    let result = |text: &'static str| Outcome::Success(v1::Success { result: text.into() });
    for (token, reason, said) in [
        (1, Reason::Cancelled, "cancelled true"),
        (3, Reason::ProgressTimeout, "progress timeout true"),
        (4, Reason::TotalTimeout, "total timeout true"),
        (5, Reason::UnknownLease, "lease lost true"),
    ] {
        worker.stream.assign(assignment(token, "act", b"wait")).await;
        assert_eq!(worker.progress().await, "waiting");
        worker.stream.say(revocation_for(token, reason, SOON)).await;
        assert_eq!(worker.stream.outcome(token).await, result(said));
    }
    let limited = |token, attempt_ms, total_ms| v1::Assignment {
        attempt_timeout: Some(wire(Duration::from_millis(attempt_ms))),
        total_remaining: Some(wire(Duration::from_millis(total_ms))),
        kill_grace: Some(wire(SOON)),
        ..assignment(token, "act", b"wait")
    };
    for (limited, said) in [
        (limited(2, 300, 60_000), "attempt timeout true"),
        (limited(6, 60_000, 300), "total timeout true"),
    ] {
        let token = limited.fencing_token;
        worker.stream.assign(limited).await;
        assert_eq!(worker.progress().await, "waiting");
        assert_eq!(worker.stream.outcome(token).await, result(said));
    }
}

#[tokio::test]
async fn one_that_hangs_is_killed_and_its_slot_is_free() {
    let mut worker = Worker::start(LONG).await;
    for token in 1..=5 {
        worker.stream.assign(assignment(token, "act", b"hang")).await;
        let pid: i32 = worker.progress().await.parse().expect("a pid");
        let group = group_of(pid).expect("it runs");
        worker.stream.say(revocation(token, Duration::from_millis(50))).await;
        let method = StopMethod::Killed.into();
        let stopped = Outcome::Stopped(v1::Stopped { method, started: true });
        assert_eq!(worker.stream.outcome(token).await, stopped);
        assert!(members(group).is_empty(), "nothing of it is left");
    }
}

#[tokio::test]
async fn it_ends_with_its_worker_and_with_its_lease() {
    for signal in [Signal::KILL, Signal::STOP] {
        let mut worker = Worker::start(Duration::from_secs(2)).await;
        worker.stream.assign(assignment(1, "act", b"hang")).await;
        let pid: i32 = worker.progress().await.parse().expect("a pid");
        let group = group_of(pid).expect("it runs");
        kill_process(Pid::from_child(&worker.child), signal).expect("it can be signalled");
        until("nothing of it is left", SOON, || members(group).is_empty()).await;
    }
}

#[tokio::test]
async fn it_finds_what_was_saved_and_saves_as_much_as_is_kept() {
    let mut worker = Worker::start(LONG).await;
    for (token, found, message) in [(1, None, "None"), (2, Some("four"), "Some(4)")] {
        let checkpoint = found.map(Into::into);
        let given = v1::Assignment { checkpoint, ..assignment(token, "act", b"save") };
        worker.stream.assign(given).await;
        let (last, outcome) = worker.stream.saved_until_outcome(token).await;
        let Outcome::Failure(got) = outcome else { panic!("it succeeds") };
        assert_eq!(got.message, message, "{}", worker.log());
        assert_eq!(last.map_or(0, |it| it.len()), 1_000);
    }
}
