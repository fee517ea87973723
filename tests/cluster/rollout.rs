//! Workers are replaced one after the other while they work: nothing is run twice, and nothing is charged for it.
//!
//! `LEASEHOLD_ROUNDS` says how often each of them is.

use std::{collections::BTreeMap, fs};

use leasehold_proto::v1::{
    GetClusterRequest, SubmitTaskRequest, TaskSpec, TaskState, submit_outcome::Outcome,
};
use rustix::process::Signal;

use crate::{
    client::{Client, ends, spec},
    condition::{SOON, until},
    coordinator::Coordinator,
    crash::setting,
    process::Process,
    program::shell_worker,
    script::bytes,
};

/// How often a plain test run replaces each worker. By hand: 100.
const ROUNDS: u32 = 3;

/// How many workers there are.
const WORKERS: usize = 3;

/// How many tasks each round brings: more than can be done before the next one.
const TASKS: usize = 40;

/// Notes that it was started, works for a moment, and is done.
const BRIEF: &str = r#"
read dir
read name
echo $name >> "$dir/started"
sleep 0.05
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_every_worker_costs_no_attempt_and_runs_nothing_twice() {
    let rounds = setting("LEASEHOLD_ROUNDS", ROUNDS);
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let hire = |number: usize, round: u32| {
        let id = format!("worker-{number}-{round}");
        shell_worker(&coordinator, &id, BRIEF)
    };
    let mut workers: Vec<Process> = (0..WORKERS).map(|number| hire(number, 0)).collect();
    let mut accepted = Vec::new();
    for round in 1..=rounds {
        until("few tasks are left", SOON, async || left(&mut client).await < TASKS / 2).await;
        accepted.append(&mut submit(&mut client, &coordinator, round).await);
        for (number, worker) in workers.iter_mut().enumerate() {
            let successor = hire(number, round);
            let id = format!("worker-{number}-{round}");
            until("the successor is connected", SOON, async || client.worker(&id).await.is_some())
                .await;
            worker.signal(Signal::TERM);
            worker.exits_with(0, SOON).await;
            *worker = successor;
        }
    }
    until("everything is done", SOON, async || left(&mut client).await == 0).await;

    let started = fs::read_to_string(coordinator.dir().join("started")).expect("something ran");
    let mut runs = BTreeMap::<&str, u32>::new();
    started.lines().for_each(|name| *runs.entry(name).or_default() += 1);
    let mut handed_back = 0;
    for (name, id) in &accepted {
        let task = client.task(id).await;
        assert_eq!(task.state(), TaskState::Succeeded, "{:?}", ends(&task));
        assert_eq!((task.attempt_count, task.worker_loss_count), (1, 0), "{:?}", ends(&task));
        assert_eq!(runs.get(name.as_str()), Some(&1), "{name}: {:?}", ends(&task));
        handed_back += task.lease_count - 1;
    }
    let tasks = accepted.len();
    println!(
        "{rounds} rounds: {tasks} tasks run once each, {handed_back} leases handed back unrun"
    );
    assert_eq!(tasks, TASKS * rounds as usize);
}

/// How many tasks have not ended.
async fn left(client: &mut Client) -> usize {
    let answer = client.admin.get_cluster(GetClusterRequest {}).await;
    let open = answer.expect("the coordinator answers").into_inner().open_task_count;
    usize::try_from(open).expect("a count")
}

/// Submits the tasks of a round; each by its name and its id.
async fn submit(
    client: &mut Client,
    coordinator: &Coordinator,
    round: u32,
) -> Vec<(String, String)> {
    let names: Vec<String> = (0..TASKS).map(|n| format!("task-{round}-{n}")).collect();
    let request = |name: &String| {
        let payload = bytes(format!("{}\n{name}\n", coordinator.dir().display()).as_bytes());
        let spec = TaskSpec { payload, ..spec("script") };
        SubmitTaskRequest { spec: Some(spec.into()), ..SubmitTaskRequest::default() }
    };
    let requests: Vec<SubmitTaskRequest> = names.iter().map(request).collect();
    let mut ids = Vec::new();
    let seen = |_, outcome| match outcome {
        Outcome::Accepted(answer) => ids.push(answer.task_id),
        Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
    };
    client.submit_all(&requests, seen).await.expect("the tasks are accepted");
    names.into_iter().zip(ids).collect()
}
