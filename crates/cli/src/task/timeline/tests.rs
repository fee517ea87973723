//! Timelines of tasks as the contract shows them.

use std::time::{Duration, SystemTime};

use leasehold_client::v1::{
    Lease, LeaseCharge, LeaseEnd, LeaseEndKind, RevocationReason, StopProof, Task, TaskSpec,
    TaskState, Timeouts,
};
use prost_types::Timestamp;

use super::{Timeline, cancel};
use crate::table::Colour;

#[expect(clippy::unnecessary_wraps, reason = "every time of the contract is optional")]
fn at(ms: i64) -> Option<Timestamp> {
    let nanos = i32::try_from(ms % 1_000 * 1_000_000).expect("less than a second");
    Some(Timestamp { seconds: 1_000 + ms / 1_000, nanos })
}

fn now(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000) + Duration::from_millis(ms)
}

fn task(state: TaskState) -> Task {
    let total = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let timeouts = Some(Timeouts { total, ..Timeouts::default() });
    Task {
        spec: Some(TaskSpec { timeouts, ..TaskSpec::default() }),
        state: state.into(),
        generation: 1,
        submit_time: at(0),
        deadline_time: at(3_600_000),
        ..Task::default()
    }
}

/// A lease that ran from `from` to `to` and failed.
fn failed(token: i64, from: i64, to: i64) -> LeaseEnd {
    LeaseEnd {
        fencing_token: token,
        worker_id: "w1".into(),
        generation: 1,
        attempt: 1,
        grant_time: at(from),
        start_time: at(from + 2),
        end_time: at(to),
        kind: LeaseEndKind::Error.into(),
        stop: StopProof::Returned.into(),
        charge: LeaseCharge::Attempt.into(),
        message: "no luck".into(),
        ..LeaseEnd::default()
    }
}

#[track_caller]
fn check(task: &Task, now: SystemTime, expected: &str, spent: &str) {
    let timeline = Timeline::of(task, now);
    let table = timeline.table().render(Colour::Off);
    let trim = |text: &str| {
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(trim(&table), trim(expected), "\n{table}");
    assert_eq!(timeline.spent(), spent);
}

#[test]
fn leases_that_an_older_coordinator_did_not_remember_are_no_wait() {
    let done = Task { lease_count: 2, finish_time: at(4_000), ..task(TaskState::Succeeded) };
    let expected = "
  AT  AFTER    WHAT
  0s           submitted
   -           (2 leases of which no more is known)
4.0s           succeeded
";
    check(&done, now(9_000), expected, "");
}

#[test]
fn a_task_that_waits_and_one_that_succeeded_at_once() {
    let waiting = "
 AT  AFTER           WHAT
 0s                  submitted
5ms    5ms  waiting  now queued
";
    check(&task(TaskState::Queued), now(5), waiting, "waiting 5ms");
    let end = LeaseEnd {
        kind: LeaseEndKind::Succeeded.into(),
        message: String::new(),
        ..failed(7, 3_200, 4_000)
    };
    let done = Task { lease_ends: vec![end], finish_time: at(4_000), ..task(TaskState::Succeeded) };
    let succeeded = "
  AT  AFTER            WHAT
  0s                   submitted
3.2s   3.2s  waiting   leased to w1, attempt 1, token 7
3.2s    2ms  starting  started
4.0s  798ms  running   ended: succeeded; returned; cost an attempt
4.0s                   succeeded
";
    check(&done, now(9_000), succeeded, "waiting 3.2s, starting 2ms, running 798ms");
}

#[test]
fn a_timeout_is_revoked_delivered_and_stopped_and_the_next_attempt_runs() {
    let end = LeaseEnd {
        revocation: RevocationReason::AttemptTimeout.into(),
        revoke_time: at(2_000),
        revoke_delivered_time: at(2_003),
        kind: LeaseEndKind::AttemptTimeout.into(),
        stop: StopProof::Killed.into(),
        eligible_time: at(3_500),
        message: String::new(),
        ..failed(7, 1_000, 2_500)
    };
    let lease = Lease {
        fencing_token: 8,
        worker_id: "w2".into(),
        attempt: 2,
        grant_time: at(3_600),
        start_time: at(3_601),
        ..Lease::default()
    };
    let running = Task { lease_ends: vec![end], lease: Some(lease), ..task(TaskState::Running) };
    let expected = "
  AT  AFTER            WHAT
  0s                   submitted
1.0s   1.0s  waiting   leased to w1, attempt 1, token 7
1.0s    2ms  starting  started
2.0s  998ms  running   revoked: attempt timeout
2.0s    3ms  stopping  the worker knows
2.5s  497ms  stopping  ended: attempt timeout; killed; cost an attempt
3.5s   1.0s  backoff   can be leased
3.6s  100ms  waiting   leased to w2, attempt 2, token 8
3.6s    1ms  starting  started
4.0s  399ms  running   now running
";
    let spent = "waiting 1.1s, starting 3ms, running 1.3s, stopping 500ms, backoff 1.0s";
    check(&running, now(4_000), expected, spent);
}

#[test]
fn a_replay_and_forgotten_ends_leave_gaps() {
    let last = LeaseEnd { generation: 2, ..failed(30, 60_000, 61_000) };
    let dead = Task {
        generation: 2,
        deadline_time: at(3_650_000),
        finish_time: at(61_000),
        lease_ends: vec![failed(1, 1_000, 2_000), failed(20, 8_000, 9_000), last],
        lease_ends_forgotten: 12,
        ..task(TaskState::Failed)
    };
    let expected = "
   AT  AFTER            WHAT
   0s                   submitted
 1.0s   1.0s  waiting   leased to w1, attempt 1, token 1
 1.0s    2ms  starting  started
 2.0s  998ms  running   ended: error; returned; cost an attempt: no luck
    -                   (12 ends of leases were not kept)
 8.0s                   leased to w1, attempt 1, token 20
 8.0s    2ms  starting  started
 9.0s  998ms  running   ended: error; returned; cost an attempt: no luck
  50s    41s  failed    replayed as generation 2
   1m    10s  waiting   leased to w1, attempt 1, token 30
   1m    2ms  starting  started
1m01s  998ms  running   ended: error; returned; cost an attempt: no luck
1m01s                   failed
";
    check(&dead, now(99_000), expected, "waiting 11s, starting 6ms, running 2.9s, failed 41s");
}

#[test]
fn a_late_result_is_no_lease_of_its_own() {
    let lost = LeaseEnd {
        kind: LeaseEndKind::WorkerLost.into(),
        stop: StopProof::Unproved.into(),
        charge: LeaseCharge::WorkerLoss.into(),
        eligible_time: at(23_000),
        message: String::new(),
        ..failed(7, 1_000, 22_000)
    };
    let heard = LeaseEnd {
        kind: LeaseEndKind::Succeeded.into(),
        stop: StopProof::Returned.into(),
        charge: LeaseCharge::Attempt.into(),
        eligible_time: None,
        end_time: at(25_000),
        ..lost.clone()
    };
    let late = Task {
        finish_time: at(25_000),
        lease_ends: vec![lost, heard],
        ..task(TaskState::Succeeded)
    };
    let expected = "
  AT  AFTER            WHAT
  0s                   submitted
1.0s   1.0s  waiting   leased to w1, attempt 1, token 7
1.0s    2ms  starting  started
 22s    20s  running   ended: worker lost; stop not proved; cost a worker loss
 23s   1.0s  backoff   can be leased
 25s   2.0s  waiting   its worker was heard late: succeeded; returned; cost an attempt
 25s                   succeeded
";
    let spent = "waiting 3.0s, starting 2ms, running 20s, backoff 1.0s";
    check(&late, now(99_000), expected, spent);
}

#[test]
fn a_cancel_is_told_in_its_stages() {
    let revoked = Lease {
        revocation: RevocationReason::Cancelled.into(),
        revoke_time: at(1_000),
        ..Lease::default()
    };
    let told = Lease { revoke_delivered_time: at(1_002), ..revoked.clone() };
    let end = LeaseEnd {
        revocation: RevocationReason::Cancelled.into(),
        revoke_time: at(1_000),
        revoke_delivered_time: at(1_002),
        kind: LeaseEndKind::Cancelled.into(),
        stop: StopProof::Killed.into(),
        ..failed(7, 0, 6_000)
    };
    let silent =
        LeaseEnd { stop: StopProof::Unproved.into(), revoke_delivered_time: None, ..end.clone() };
    let leased =
        |lease| Task { cancel_requested: true, lease: Some(lease), ..task(TaskState::Cancelling) };
    let ended = |end| Task {
        cancel_requested: true,
        lease_ends: vec![end],
        finish_time: at(6_000),
        ..task(TaskState::Cancelled)
    };
    let cases = [
        (task(TaskState::Running), None),
        (leased(revoked), Some("requested 10s ago, not delivered yet")),
        (leased(told), Some("requested 10s ago, delivered after 2ms")),
        (ended(end), Some("requested 10s ago, delivered after 2ms, stopped after 5.0s (killed)")),
        (
            ended(silent),
            Some("requested 10s ago, delivery not confirmed, stop not proved when the task ended"),
        ),
    ];
    for (task, expected) in cases {
        assert_eq!(cancel(&task, now(11_000)).as_deref(), expected);
    }
}
