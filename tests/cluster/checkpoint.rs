//! Work that is killed together with its worker goes on from what it had saved, and so does a coordinator that is killed.

use std::time::Duration;

use leasehold_proto::v1::{RevokeLeaseRequest, Task, TaskSpec, TaskState};

use crate::{
    binary,
    client::{Client, duration, spec},
    condition::{SOON, eventually},
    coordinator::{Coordinator, Options},
    process::Process,
    program::{at_once, shell_worker},
    script::bytes,
};

/// How many parts there are, of 100 ms each, and after how many of them everything is killed.
const PARTS: u32 = 50;
const KILLED_AT: u32 = 30;

fn task(task_type: &str) -> TaskSpec {
    let payload = bytes(PARTS.to_string().as_bytes());
    TaskSpec { payload, retry: Some(at_once()), ..spec(task_type) }
}

fn rust_worker(coordinator: &Coordinator, id: &str) -> Process {
    let mut command = binary::resume();
    command.env("LEASEHOLD_ADDRESS", coordinator.address.to_string());
    command.env("LEASEHOLD_WORKER_ID", id).env("LEASEHOLD_SLOTS", "1");
    Process::spawn(id, command, coordinator.dir().join(format!("{id}.log")))
}

/// The parts that the attempt did whose result counts: from where, and up to which.
fn did(task: &Task) -> (u32, u32) {
    let text = String::from_utf8_lossy(&task.result);
    let (from, to) = text.trim().split_once(" to ").expect("two numbers");
    (from.parse().expect("a number"), to.parse().expect("a number"))
}

/// Waits until a task has a checkpoint that satisfies the condition, and returns it.
async fn saved(client: &mut Client, id: &str, is_far: impl Fn(&Task) -> bool) -> Task {
    eventually("so much of it is saved", SOON, async || {
        let task = client.task(id).await;
        (task.checkpoint.is_some() && is_far(&task)).then_some(task)
    })
    .await
}

#[tokio::test]
async fn a_handler_goes_on_where_it_was_killed_with_its_worker_and_the_coordinator() {
    let mut coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut first = rust_worker(&coordinator, "first");
    let mut client = coordinator.client();
    let id = client.submit(task("parts")).await;
    let is_far = |task: &Task| {
        let fraction = task.progress.as_ref().and_then(|progress| progress.fraction);
        f64::from(KILLED_AT) <= fraction.unwrap_or(0.0) * f64::from(PARTS) + 0.5
    };
    let before = saved(&mut client, &id, is_far).await;
    let checkpoint = before.checkpoint.expect("it is saved");
    assert_eq!(checkpoint.fencing_token, before.lease.expect("it runs").fencing_token);
    assert_eq!(checkpoint.size_bytes, 2, "a number of two digits");

    first.kill();
    coordinator.kill();
    coordinator.restart().await;
    let second = rust_worker(&coordinator, "second");
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", second.tail());
    assert_eq!((task.lease_count, task.worker_loss_count), (2, 1));
    let (from, to) = did(&task);
    assert!(KILLED_AT <= from && to == PARTS, "the second attempt did {from} to {to}");
    assert_eq!(task.checkpoint, None, "it has ended");
}

/// Does one part after the other; its checkpoint has a byte for each that is done. It fails after two thirds of what is left,
/// unless that is little.
const PARTWISE: &str = r#"
read all
from=0
[ -e "$LEASEHOLD_CHECKPOINT" ] && from=$(wc -c < "$LEASEHOLD_CHECKPOINT")
done=$from
while [ $done -lt $all ]; do
    sleep 0.1
    done=$((done + 1))
    head -c $done /dev/zero > "$LEASEHOLD_CHECKPOINT.new"
    mv "$LEASEHOLD_CHECKPOINT.new" "$LEASEHOLD_CHECKPOINT"
    [ $done -eq 40 ] && [ $from -lt 40 ] && exit 75
done
echo "$((from)) to $done"
"#;

#[tokio::test]
async fn a_program_goes_on_where_it_was_killed_with_its_worker_and_where_it_gave_up() {
    let coordinator = Coordinator::start_with(Options::short_sessions()).await;
    let mut first = shell_worker(&coordinator, "first", PARTWISE);
    let mut client = coordinator.client();
    let spec = TaskSpec { payload: bytes(format!("{PARTS}\n").as_bytes()), ..task("script") };
    let id = client.submit(spec).await;
    let bytes_of = |task: &Task| task.checkpoint.as_ref().map_or(0, |it| it.size_bytes);
    let least = i64::from(KILLED_AT) - 10;
    saved(&mut client, &id, |task| least <= bytes_of(task)).await;

    first.kill();
    let second = shell_worker(&coordinator, "second", PARTWISE);
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", second.tail());
    // What was lost with the worker is at most a second's; what the program saved right before it gave up is not lost.
    assert_eq!((task.worker_loss_count, task.attempt_count), (1, 2), "{task:#?}");
    assert_eq!(did(&task), (40, PARTS));
}

#[tokio::test]
async fn a_handler_whose_lease_an_operator_takes_away_goes_on_elsewhere_at_no_cost() {
    let coordinator = Coordinator::start().await;
    let first = rust_worker(&coordinator, "first");
    let mut client = coordinator.client();
    let id = client.submit(task("parts")).await;
    saved(&mut client, &id, |_| true).await;

    let second = rust_worker(&coordinator, "second");
    let grace = Some(duration(Duration::from_millis(1)));
    let task_id = id.clone();
    let request = RevokeLeaseRequest { task_id, grace, ..RevokeLeaseRequest::default() };
    client.admin.revoke_lease(request).await.expect("it is leased");
    let task = client.ended(&id).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}{}", first.tail(), second.tail());
    assert_eq!((task.lease_count, task.attempt_count, task.worker_loss_count), (2, 1, 0));
    assert!(0 < did(&task).0, "it began anew");
}
