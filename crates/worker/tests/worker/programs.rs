//! Programs under their guards: what they find, how they end, and that nothing of them is left.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use leasehold_proto::v1::{self, lease_outcome::Outcome, worker_event::Event as Heard};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    coordinator::{
        Conversation, Coordinator, RESULT_BYTES_MAX, SOON, assignment, revocation, wire,
    },
    processes::{group_of, members, until},
};

/// A session that no test outlasts.
const LONG: Duration = Duration::from_mins(1);

/// Ignores SIGTERM, and so does its child; says on stderr's file where they are.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo \"$$ $!\" > $PIDS.new; mv $PIDS.new $PIDS; \
                        while :; do wait; done";

/// A `leasehold-worker` that runs shell scripts (type `sh`: the payload is the script) and some others.
struct Worker {
    child: Child,
    dir: tempfile::TempDir,
    stream: Conversation,
    coordinator: Coordinator,
}

impl Worker {
    async fn start() -> Self {
        Self::start_with(LONG, &[], &[]).await
    }

    async fn start_with(ttl: Duration, flags: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_by(&["env"], ttl, flags, env).await
    }

    /// Started by a command that becomes the worker.
    async fn start_by(
        launcher: &[&str],
        ttl: Duration,
        flags: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let mut coordinator = Coordinator::start().await;
        let dir = tempfile::tempdir().expect("a folder");
        let (launcher, arguments) = launcher.split_first().expect("a command");
        let child = Command::new(launcher)
            .args(arguments)
            .arg(env!("CARGO_BIN_EXE_leasehold-worker"))
            .args(["--address", &coordinator.address.to_string(), "--id", "w", "--slots", "4"])
            .args(["--program", "sh=sh", "--program", "cat=cat", "--program", "true=true"])
            .args(["--program", "missing=/no/such/program"])
            .args(flags)
            .env("PIDS", dir.path().join("pids"))
            .envs(env.iter().copied())
            .stderr(fs::File::create(dir.path().join("log")).expect("a log"))
            .stdin(Stdio::null())
            .spawn()
            .expect("the worker starts");
        let (stream, _hello) = coordinator.welcome(ttl).await;
        Self { child, dir, stream, coordinator }
    }

    /// What becomes of a task.
    async fn run(&mut self, assignment: v1::Assignment) -> Outcome {
        let token = assignment.fencing_token;
        self.stream.assign(assignment).await;
        self.stream.outcome(token).await
    }

    /// The processes of a stubborn program.
    async fn pids(&self) -> Vec<i32> {
        let file = self.dir.path().join("pids");
        // What has no end of line may not be all.
        let said = || fs::read_to_string(&file).is_ok_and(|it| it.ends_with('\n'));
        until("the program says where it is", SOON, said).await;
        let pids = fs::read_to_string(&file).expect("it can be read");
        fs::remove_file(&file).expect("it can be removed");
        pids.split_whitespace().map(|it| it.parse().expect("a number")).collect()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself, which is what some tests are about.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn success(result: &[u8]) -> Outcome {
    Outcome::Success(v1::Success { result: result.to_vec().into() })
}

#[track_caller]
fn failure(outcome: Outcome) -> v1::AttemptFailure {
    let Outcome::Failure(failure) = outcome else { panic!("not a failure: {outcome:?}") };
    failure
}

/// Whether nothing of these processes and their group is left.
#[track_caller]
fn assert_gone(pids: &[i32], group: i32) {
    let left: Vec<&i32> = pids.iter().filter(|pid| group_of(**pid).is_some()).collect();
    assert!(left.is_empty() && members(group).is_empty(), "left: {left:?} {:?}", members(group));
}

#[tokio::test]
async fn the_payload_is_its_stdin_and_stdout_the_result() {
    let mut worker = Worker::start().await;
    let large: Vec<u8> = (0..=255).cycle().take(90_000).collect();
    for (token, task_type, payload, result) in [
        (1, "cat", &b""[..], &b""[..]),
        (2, "cat", b"hello", b"hello"),
        (3, "cat", &large, &large),
        (4, "sh", b"printf out; printf err >&2", b"out"),
        // It never reads its stdin.
        (5, "true", &large, b""),
    ] {
        let outcome = worker.run(assignment(token, task_type, payload)).await;
        assert!(outcome == success(result), "{token}: {outcome:?}\n{}", worker.log());
    }
}

#[tokio::test]
async fn how_it_ends_is_told() {
    let mut worker = Worker::start().await;
    let error = v1::FailureReason::Error;
    for (token, script, message, details) in [
        (1, "echo why >&2; exit 1", "exit code 1", "why\n"),
        (2, "exit 75", "the program asks to be tried again later (exit code 75)", ""),
        (3, "kill -KILL $$", "killed by SIGKILL (signal 9)", ""),
        (4, "kill -TERM $$", "killed by SIGTERM (signal 15)", ""),
        (5, "kill -KILL 0", "the program's guard was killed, and the program with it", ""),
        (6, "exit 255", "exit code 255", ""),
    ] {
        let got = failure(worker.run(assignment(token, "sh", script.as_bytes())).await);
        assert_eq!((&*got.message, &*got.details), (message, details), "{script}");
        assert_eq!((got.reason(), got.non_retryable), (error, false), "{script}");
    }
    let missing = failure(worker.run(assignment(7, "missing", b"")).await);
    let message = "cannot run /no/such/program: No such file or directory (os error 2)";
    assert_eq!((&*missing.message, missing.non_retryable), (message, false));
}

/// What a worker inherits from whoever starts it does not keep it from its work.
#[tokio::test]
async fn a_worker_that_is_started_with_sigchld_ignored_runs_programs() {
    let launcher = ["env", "--ignore-signal=CHLD"];
    let mut worker = Worker::start_by(&launcher, LONG, &[], &[]).await;
    let outcome = worker.run(assignment(1, "sh", b"sh -c 'exit 0' && echo done")).await;
    assert_eq!(outcome, success(b"done\n"), "{}", worker.log());
}

#[tokio::test]
async fn without_room_for_another_program_its_task_is_handed_back() {
    let launcher = ["sh", "-c", "ulimit -n 24; exec \"$@\"", "sh"];
    let mut worker = Worker::start_by(&launcher, LONG, &[], &[]).await;
    for token in 1..=4 {
        worker.stream.assign(assignment(token, "sh", b"exec sleep 1000")).await;
    }
    let outcome = loop {
        if let Some(Heard::LeaseOutcome(it)) = worker.stream.next().await {
            break it.outcome;
        }
    };
    let (reason, stop_method) =
        (v1::DeclineReason::NoCapacity.into(), v1::StopMethod::NotStarted.into());
    let declined = Outcome::Declined(v1::Declined { reason, stop_method });
    assert_eq!(outcome, Some(declined), "{}", worker.log());
    assert!(worker.log().contains("too few open files"), "{}", worker.log());
}

#[tokio::test]
async fn it_runs_in_its_directory_and_one_that_is_missing_is_named() {
    let config =
        "programs: {pwd: {command: pwd, directory: /}, lost: {command: pwd, directory: /no/such}}";
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("worker.yaml");
    fs::write(&file, config).expect("it can be written");
    let flags = ["--config", file.to_str().expect("a plain name")];
    let mut worker = Worker::start_with(LONG, &flags, &[]).await;
    assert_eq!(worker.run(assignment(1, "pwd", b"")).await, success(b"/\n"));
    let lost = failure(worker.run(assignment(2, "lost", b"")).await);
    let message = "cannot enter the directory /no/such: No such file or directory (os error 2)";
    assert_eq!(lost.message, message);
}

#[tokio::test]
async fn what_it_writes_is_kept_within_bounds() {
    let mut worker = Worker::start().await;
    let max = usize::try_from(RESULT_BYTES_MAX).expect("a small number");
    let most = format!("head -c {max} /dev/zero");
    assert_eq!(worker.run(assignment(1, "sh", most.as_bytes())).await, success(&vec![0; max]));
    for (token, script) in
        [(2, format!("head -c {} /dev/zero", max + 1)), (3, "cat /dev/zero".to_owned())]
    {
        let got = failure(worker.run(assignment(token, "sh", script.as_bytes())).await);
        assert_eq!(got.reason(), v1::FailureReason::ResultTooLarge, "{script}");
    }
    let flood = "head -c 3000000 /dev/zero | tr '\\0' x >&2; printf 'the €nd' >&2; exit 1";
    let got = failure(worker.run(assignment(4, "sh", flood.as_bytes())).await);
    assert_eq!(got.details.chars().count(), 2_000);
    assert!(got.details.ends_with("xthe €nd"), "the end is kept");
}

#[tokio::test]
async fn its_environment_says_what_it_works_on() {
    let env = [("TRACEPARENT", "of the worker"), ("OWN", "inherited")];
    let mut worker = Worker::start_with(LONG, &[], &env).await;
    let script = b"env | grep -E '^(LEASEHOLD_|TRACE|OWN)' | sort";
    let Outcome::Success(it) = worker.run(assignment(41, "sh", script)).await else {
        panic!("it fails")
    };
    let text = String::from_utf8(it.result.to_vec()).expect("text");
    let mut lines: Vec<&str> = text.lines().collect();
    let deadline = lines.iter().position(|it| it.starts_with("LEASEHOLD_DEADLINE="));
    let deadline = lines.remove(deadline.expect("a deadline"));
    let whole = lines.iter().position(|it| it.starts_with("LEASEHOLD_TASK_DEADLINE="));
    let whole = lines.remove(whole.expect("a deadline of the whole task"));
    let checkpoint = lines.iter().position(|it| it.starts_with("LEASEHOLD_CHECKPOINT="));
    let checkpoint = lines.remove(checkpoint.expect("a place for a checkpoint"));
    assert!(checkpoint.ends_with("/41/checkpoint"), "{checkpoint}");
    let trace = lines.iter().position(|it| it.starts_with("TRACEPARENT="));
    let trace = lines.remove(trace.expect("a trace"));
    assert_eq!(
        lines,
        [
            "LEASEHOLD_ATTEMPT=3",
            "LEASEHOLD_CHECKPOINT_BYTES_MAX=1000",
            "LEASEHOLD_FENCING_TOKEN=41",
            "LEASEHOLD_GENERATION=2",
            "LEASEHOLD_NAMESPACE=default",
            "LEASEHOLD_QUEUE=q",
            "LEASEHOLD_TASK_ID=task-41",
            "LEASEHOLD_TASK_RESOURCES=",
            "LEASEHOLD_TASK_SLOTS=1",
            "LEASEHOLD_TASK_TYPE=sh",
            "LEASEHOLD_WORKER_ID=w",
            "OWN=inherited",
            "TRACESTATE=vendor=1",
        ]
    );
    let (seconds, _) = deadline.split_once('.').expect("a fraction");
    let seconds = seconds.trim_start_matches("LEASEHOLD_DEADLINE=");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let seconds = seconds.parse::<u64>().expect("a number");
    let left = seconds.abs_diff(now);
    assert!(left <= SOON.as_secs(), "{left} s to the deadline");
    let (whole, _) = whole.split_once('.').expect("a fraction");
    let whole = whole.trim_start_matches("LEASEHOLD_TASK_DEADLINE=");
    assert!(seconds <= whole.parse().expect("a number"), "{whole} is before {seconds}");
    let parent = "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-";
    assert!(trace.starts_with(parent) && !trace.contains("b7ad6b7169203331"), "{trace}");
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    for name in [
        "LEASEHOLD_WORKER_CONFIG",
        "LEASEHOLD_ADDRESS",
        "LEASEHOLD_WORKER_ID",
        "LEASEHOLD_SLOTS",
        "LEASEHOLD_DRAIN_GRACE",
        "LEASEHOLD_LOST_SLOTS_MAX",
        "LEASEHOLD_LOG_FORMAT",
    ] {
        let status = Command::new(env!("CARGO_BIN_EXE_leasehold-worker"))
            .args(["--check", "--program", "a=true"])
            .env(name, "")
            .status();
        assert!(status.expect("it starts").success(), "{name}");
    }
}

#[tokio::test]
async fn what_a_worker_inherited_from_an_attempt_is_not_its_own_attempts() {
    let inherited = [
        ("LEASEHOLD_DEADLINE", "1.000"),
        ("LEASEHOLD_ISOLATED", "1"),
        ("LEASEHOLD_CHECKPOINT", "/nowhere"),
        // There is no place for checkpoints: its programs run without.
        ("TMPDIR", "/no/such/folder"),
    ];
    let mut worker = Worker::start_with(LONG, &[], &inherited).await;
    let endless = v1::Assignment {
        attempt_timeout: None,
        total_remaining: None,
        ..assignment(
            1,
            "sh",
            b"for it in DEADLINE ISOLATED CHECKPOINT; do eval echo \\${LEASEHOLD_$it-none}; done",
        )
    };
    assert_eq!(worker.run(endless).await, success(b"none\nnone\nnone\n"));
}

#[tokio::test]
async fn an_environment_that_is_too_large_is_named() {
    let half = "x".repeat(70_000);
    let mut worker = Worker::start_with(LONG, &[], &[("A", &half), ("B", &half)]).await;
    let got = failure(worker.run(assignment(1, "cat", b"")).await);
    assert!(got.message.contains("more than 131072"), "{}", got.message);
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group_even_if_it_ignores_sigterm() {
    let mut worker = Worker::start().await;
    let limited = v1::Assignment {
        attempt_timeout: Some(wire(Duration::from_millis(500))),
        ..assignment(1, "sh", STUBBORN.as_bytes())
    };
    worker.stream.assign(limited).await;
    let pids = worker.pids().await;
    let group = group_of(pids[0]).expect("it runs");
    assert_eq!(group_of(pids[1]), Some(group), "its child is in the group");
    let got = failure(worker.stream.outcome(1).await);
    assert_eq!(got.reason(), v1::FailureReason::AttemptTimeout);
    assert_eq!(got.stop_method(), v1::StopMethod::Killed);
    assert_gone(&pids, group);
    // The slot is free: four more run at once.
    for token in 2..6 {
        assert_eq!(worker.run(assignment(token, "true", b"")).await, success(b""));
    }
}

/// Its time is over, it is revoked, and both: whoever comes first asks, its guard or its worker.
#[tokio::test]
async fn a_program_is_asked_to_stop_once() {
    let script = "trap 'echo asked >> $PIDS.asked' TERM; echo $$ > $PIDS.new; mv $PIDS.new $PIDS; \
                  while :; do sleep 0.01; done";
    let soon = Duration::from_millis(500);
    for (timeout, is_revoked) in [(Some(soon), false), (None, true), (Some(soon), true)] {
        let mut worker = Worker::start().await;
        let limited = v1::Assignment {
            attempt_timeout: timeout.map(wire),
            kill_grace: Some(wire(2 * soon)),
            ..assignment(1, "sh", script.as_bytes())
        };
        worker.stream.assign(limited).await;
        let pids = worker.pids().await;
        let group = group_of(pids[0]).expect("it runs");
        if is_revoked {
            worker.stream.say(revocation(1, 2 * soon)).await;
        }
        worker.stream.outcome(1).await;
        assert_gone(&pids, group);
        let asked = fs::read_to_string(worker.dir.path().join("pids.asked"));
        assert_eq!(asked.as_deref().ok(), Some("asked\n"), "{timeout:?} {is_revoked}");
    }
}

#[tokio::test]
async fn a_program_hears_every_signal_though_its_guard_does_not() {
    let mut worker = Worker::start().await;
    // The shell itself reads: while it starts another program it blocks all signals.
    let script = b"while read -r name value; do case $name in SigBlk:) echo $value; esac; done < /proc/$$/status";
    assert_eq!(worker.run(assignment(1, "sh", script)).await, success(b"0000000000000000\n"));
}

#[tokio::test]
async fn a_revocation_is_carried_out_before_it_is_answered() {
    let killed = v1::StopMethod::Killed;
    let returned = v1::StopMethod::Returned;
    for (token, script, method) in [
        (1, STUBBORN, killed),
        // It leaves by itself, and takes its child along.
        (2, "trap 'exit 3' TERM; sleep 1000 & echo \"$$ $!\" > $PIDS; wait", returned),
        (3, "sleep 1000 & echo \"$$ $!\" > $PIDS; wait", killed),
        // Stopped, it cannot even hear the signal.
        (4, "sleep 1000 & echo \"$$ $!\" > $PIDS; kill -STOP 0", killed),
    ] {
        let mut worker = Worker::start().await;
        worker.stream.assign(assignment(token, "sh", script.as_bytes())).await;
        let pids = worker.pids().await;
        let group = group_of(pids[0]).expect("it runs");
        worker.stream.say(revocation(token, Duration::from_millis(100))).await;
        let outcome = worker.stream.outcome(token).await;
        let stopped = Outcome::Stopped(v1::Stopped { method: method.into(), started: true });
        assert_eq!(outcome, stopped, "{script}");
        assert_gone(&pids, group);
    }
}

#[tokio::test]
async fn what_it_leaves_in_the_background_is_killed() {
    let mut worker = Worker::start().await;
    let script =
        "trap '' TERM; sleep 1000 & echo \"$$ $!\" > $PIDS.new; mv $PIDS.new $PIDS; echo done";
    let outcome = worker.run(assignment(1, "sh", script.as_bytes())).await;
    assert_eq!(outcome, success(b"done\n"));
    let pids = worker.pids().await;
    assert!(pids.iter().all(|pid| group_of(*pid).is_none()), "{pids:?}");
}

#[tokio::test]
async fn one_that_escapes_with_its_stdout_holds_up_nobody() {
    let mut worker = Worker::start().await;
    let script = "setsid sh -c 'echo $$ > $PIDS.new; mv $PIDS.new $PIDS; exec sleep 1000' & \
                  while [ ! -e $PIDS ]; do :; done; echo done";
    let outcome = worker.run(assignment(1, "sh", script.as_bytes())).await;
    assert_eq!(outcome, success(b"done\n"));
    let pids = worker.pids().await;
    assert!(group_of(pids[0]).is_some(), "as documented, it escapes");
    kill_process(Pid::from_raw(pids[0]).expect("a pid"), Signal::KILL).expect("it can be killed");
}

#[tokio::test]
async fn a_killed_worker_takes_its_programs_along() {
    for script in [STUBBORN, "sleep 1000 & echo \"$$ $!\" > $PIDS; kill -STOP 0"] {
        let mut worker = Worker::start().await;
        worker.stream.assign(assignment(1, "sh", script.as_bytes())).await;
        let pids = worker.pids().await;
        let group = group_of(pids[0]).expect("it runs");
        kill_process(worker.pid(), Signal::KILL).expect("it can be killed");
        until("the group is gone", Duration::from_secs(1), || members(group).is_empty()).await;
        assert_gone(&pids, group);
    }
}

#[tokio::test]
async fn without_heartbeats_programs_are_killed_before_the_session_runs_out() {
    let ttl = Duration::from_secs(2);
    let mut worker = Worker::start_with(ttl, &[], &[]).await;
    worker.stream.assign(assignment(1, "sh", STUBBORN.as_bytes())).await;
    let pids = worker.pids().await;
    let group = group_of(pids[0]).expect("it runs");
    // From here on nothing is read or acknowledged.
    until("the group is gone", ttl, || members(group).is_empty()).await;
    assert_gone(&pids, group);
    let (mut again, hello) = worker.coordinator.welcome(ttl).await;
    let held: Vec<i64> = hello.held_leases.iter().map(|it| it.fencing_token).collect();
    assert_eq!(held, [1], "the outcome waits for an answer");
    let stopped = v1::Stopped { method: v1::StopMethod::Killed.into(), started: true };
    assert_eq!(again.outcome(1).await, Outcome::Stopped(stopped));
}

/// Stops the worker with SIGSTOP; it goes on when this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn new(worker: &Worker) -> Self {
        kill_process(worker.pid(), Signal::STOP).expect("it can be stopped");
        Self(worker.pid())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).expect("it can go on");
    }
}

#[tokio::test]
async fn the_program_of_a_stopped_worker_ends_with_its_session() {
    let ttl = Duration::from_secs(2);
    let mut worker = Worker::start_with(ttl, &[], &[]).await;
    worker.stream.assign(assignment(1, "sh", STUBBORN.as_bytes())).await;
    let pids = worker.pids().await;
    let group = group_of(pids[0]).expect("it runs");
    // From here on only the guard can end it; that it does so in time is shown where there is somebody to overlap with.
    let frozen = Frozen::new(&worker);
    until("the group is gone", SOON, || members(group).is_empty()).await;
    assert_gone(&pids, group);
    drop(frozen);
    let (mut again, hello) = worker.coordinator.welcome(ttl).await;
    let held: Vec<i64> = hello.held_leases.iter().map(|it| it.fencing_token).collect();
    assert_eq!(held, [1], "it knows on waking that the work has ended");
    let stopped = v1::Stopped { method: v1::StopMethod::Killed.into(), started: true };
    assert_eq!(again.outcome(1).await, Outcome::Stopped(stopped));
}

#[tokio::test]
async fn the_program_of_a_stopped_worker_is_asked_before_it_is_killed() {
    let ttl = Duration::from_secs(4);
    let mut worker = Worker::start_with(ttl, &[], &[]).await;
    let script = "trap 'echo asked > $PIDS.asked; exit 3' TERM; \
                  echo $$ > $PIDS.new; mv $PIDS.new $PIDS; while :; do sleep 0.05; done";
    worker.stream.assign(assignment(1, "sh", script.as_bytes())).await;
    let pids = worker.pids().await;
    let group = group_of(pids[0]).expect("it runs");
    let _frozen = Frozen::new(&worker);
    until("the group is gone", SOON, || members(group).is_empty()).await;
    assert!(worker.dir.path().join("pids.asked").exists(), "it had time to stop by itself");
}

#[tokio::test]
async fn a_stopped_worker_does_not_prolong_an_attempt() {
    let mut worker = Worker::start().await;
    let limited = v1::Assignment {
        attempt_timeout: Some(wire(Duration::from_millis(500))),
        ..assignment(1, "sh", STUBBORN.as_bytes())
    };
    worker.stream.assign(limited).await;
    let pids = worker.pids().await;
    let group = group_of(pids[0]).expect("it runs");
    let frozen = Frozen::new(&worker);
    until("the group is gone", SOON, || members(group).is_empty()).await;
    assert_gone(&pids, group);
    drop(frozen);
    let got = failure(worker.stream.outcome(1).await);
    assert_eq!(got.reason(), v1::FailureReason::AttemptTimeout);
}

#[tokio::test]
async fn a_program_outlives_many_sessions_worth_of_time_as_long_as_its_worker_is_heard() {
    let ttl = Duration::from_secs(3);
    let mut worker = Worker::start_with(ttl, &[], &[]).await;
    let outcome = worker.run(assignment(1, "sh", b"sleep 7; echo done")).await;
    assert_eq!(outcome, success(b"done\n"), "{}", worker.log());
}

/// A coordinator that came back with a shorter session is believed at once, by a guard too.
#[tokio::test]
async fn a_shorter_session_reaches_the_guard() {
    let short = Duration::from_secs(2);
    let mut worker = Worker::start().await;
    worker.stream.assign(assignment(1, "sh", STUBBORN.as_bytes())).await;
    let pids = worker.pids().await;
    let group = group_of(pids[0]).expect("it runs");
    worker.stream.hang_up();
    let (mut stream, _hello) = worker.coordinator.welcome(short).await;
    // A heartbeat under the new terms: the welcome has been acted upon.
    stream.heartbeat().await;
    let _frozen = Frozen::new(&worker);
    until("the group is gone", SOON, || members(group).is_empty()).await;
    assert_gone(&pids, group);
}

#[tokio::test]
async fn sigterm_drains_and_a_second_one_ends_at_once() {
    let mut worker = Worker::start().await;
    let script =
        "echo $$ > $PIDS.new; mv $PIDS.new $PIDS; while [ ! -e $PIDS.go ]; do :; done; echo done";
    worker.stream.assign(assignment(1, "sh", script.as_bytes())).await;
    worker.pids().await;
    kill_process(worker.pid(), Signal::TERM).expect("it is told");
    while !matches!(worker.stream.next().await, Some(Heard::WorkerDrain(_))) {}
    worker.stream.assign(assignment(2, "true", b"")).await;
    let (reason, stop_method) =
        (v1::DeclineReason::Draining.into(), v1::StopMethod::NotStarted.into());
    let declined = Outcome::Declined(v1::Declined { reason, stop_method });
    assert_eq!(worker.stream.outcome(2).await, declined);
    touch(&worker.dir.path().join("pids.go"));
    assert_eq!(worker.stream.outcome(1).await, success(b"done\n"));
    while !matches!(worker.stream.next().await, Some(Heard::Goodbye(_))) {}
    assert_eq!(worker.stream.next().await, None, "goodbye is the last word");
    assert_eq!(exit_code(&mut worker).await, Some(0), "{}", worker.log());

    let mut worker = Worker::start().await;
    worker.stream.assign(assignment(1, "sh", STUBBORN.as_bytes())).await;
    let pids = worker.pids().await;
    let group = group_of(pids[0]).expect("it runs");
    kill_process(worker.pid(), Signal::TERM).expect("it is told");
    while !matches!(worker.stream.next().await, Some(Heard::WorkerDrain(_))) {}
    kill_process(worker.pid(), Signal::INT).expect("it is told again");
    assert_eq!(exit_code(&mut worker).await, Some(130));
    until("the group is gone", Duration::from_secs(1), || members(group).is_empty()).await;
}

#[tokio::test]
async fn a_worker_whose_id_is_taken_leaves() {
    let mut worker = Worker::start_with(Duration::from_secs(1), &[], &[]).await;
    let Worker { child, stream, coordinator, .. } = &mut worker;
    let mut code = None;
    coordinator
        .displace(stream, || {
            code = child.try_wait().expect("it can be waited for").map(|status| status.code());
            code.is_some()
        })
        .await;
    assert_eq!(code, Some(Some(69)));
    assert!(worker.log().contains("worker id \"w\" is in use"), "{}", worker.log());
}

async fn exit_code(worker: &mut Worker) -> Option<i32> {
    let mut status = None;
    until("the worker ends", SOON, || {
        status = worker.child.try_wait().expect("it can be waited for");
        status.is_some()
    })
    .await;
    status.and_then(|it| it.code())
}

fn touch(path: &Path) {
    fs::write(path, "").expect("it can be written");
}

/// Replaces the checkpoint by what it is given, as a program should.
const REPLACE: &str = "printf %s \"$1\" > $LEASEHOLD_CHECKPOINT.new && mv $LEASEHOLD_CHECKPOINT.new $LEASEHOLD_CHECKPOINT";

#[tokio::test]
async fn a_program_finds_what_was_saved_and_saves_until_it_is_killed() {
    let tmp = tempfile::tempdir().expect("a folder");
    let path = tmp.path().to_str().expect("a path");
    let mut worker = Worker::start_with(LONG, &[], &[("TMPDIR", path)]).await;
    let save = format!("save() {{ {REPLACE}; }}");
    for (token, found, script, saved) in [
        (1, None, "[ ! -e $LEASEHOLD_CHECKPOINT ] && save 30 && save 60; exit 1", Some("60")),
        (2, Some("60"), "save $(cat $LEASEHOLD_CHECKPOINT)1; kill -9 0", Some("601")),
        (3, Some("60"), "echo torn > $LEASEHOLD_CHECKPOINT; exit 1", None),
        (4, Some("60"), "save $(head -c 1001 /dev/zero | tr '\\0' x); exit 1", None),
    ] {
        let script = format!("{save}\n{script}");
        let checkpoint = found.map(Into::into);
        let given = v1::Assignment { checkpoint, ..assignment(token, "sh", script.as_bytes()) };
        worker.stream.assign(given).await;
        let (last, outcome) = worker.stream.saved_until_outcome(token).await;
        assert!(matches!(outcome, Outcome::Failure(_)), "under {token}: {outcome:?}");
        assert_eq!(last.as_deref(), saved.map(str::as_bytes), "under {token}");
    }
    let log = fs::read_to_string(worker.dir.path().join("log")).expect("a log");
    assert!(log.contains("a checkpoint of 1001 bytes is not kept"), "{log}");

    let script = format!("{save}\nsave 60; sleep 1000");
    worker.stream.assign(assignment(5, "sh", script.as_bytes())).await;
    let saved = loop {
        if let Heard::LeaseProgress(it) = worker.stream.next().await.expect("the worker stays") {
            break it.progress.expect("progress").checkpoint;
        }
    };
    assert_eq!(saved.as_deref(), Some(&b"60"[..]), "it is sent while the program runs");
    let folders = || fs::read_dir(tmp.path()).expect("a folder").flatten();
    let root = folders().next().expect("a folder of the process").path();
    let attempts =
        || fs::read_dir(&root).expect("a folder").flatten().filter(|it| it.path().is_dir());
    assert_eq!(attempts().count(), 1, "only what runs has a folder");
    drop(worker);
    assert_eq!(folders().count(), 1, "a killed worker leaves it behind");
    let mut next = Worker::start_with(LONG, &[], &[("TMPDIR", path)]).await;
    assert!(matches!(next.run(assignment(6, "true", b"")).await, Outcome::Success(_)));
    assert!(!root.exists() && folders().count() == 1, "the next one clears it away");
}
