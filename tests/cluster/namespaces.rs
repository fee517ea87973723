//! Teams that share a coordinator: their queues, keys and quotas are their own, whatever they are called; over a reload and a
//! restart.

use std::fs;

use leasehold_proto::v1::{
    BlockedReason, ExplainTaskRequest, ListNamespacesRequest, ListQueuesRequest, ListTasksRequest,
    PauseQueueRequest, ReloadConfigRequest, SubmitTaskRequest, SubmitTaskResponse, TaskState,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    binary,
    client::{Client, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    process::Process,
    refusal, worker,
};

/// Two tasks for the team, and three for it from a reload on.
fn config(open_tasks: u32) -> String {
    format!(
        "reload: {{interval: 1h}}\nnamespaces:\n  team:\n    open_tasks: {open_tasks}\n    \
         defaults: {{total_timeout: 7m}}\n    queues: {{narrow: {{concurrency: 1}}}}\n"
    )
}

fn request(namespace: &str, queue: &str, key: &str) -> SubmitTaskRequest {
    let mut task = spec("say");
    queue.clone_into(&mut task.queue);
    SubmitTaskRequest {
        spec: Some(task.into()),
        idempotency_key: key.to_owned(),
        namespace: namespace.to_owned(),
        ..SubmitTaskRequest::default()
    }
}

async fn submit(
    client: &mut Client,
    (namespace, queue, key): (&str, &str, &str),
) -> Result<SubmitTaskResponse, Status> {
    let answer = client.tasks.submit_task(request(namespace, queue, key)).await;
    answer.map(tonic::Response::into_inner)
}

/// A worker that says where its task belongs.
fn speaker(coordinator: &Coordinator, id: &str, args: &[&str]) -> Process {
    let say = "sh -c 'printf %s/%s $LEASEHOLD_NAMESPACE $LEASEHOLD_QUEUE'";
    let programs = [("say", say)];
    let options = worker::Options { id, slots: 2, programs: &programs, args, ..Default::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// What the command line prints.
fn shown(coordinator: &Coordinator, args: &[&str]) -> String {
    let address = format!("http://{}", coordinator.address);
    let output = binary::cli().args(["--address", &address]).args(args).output();
    let output = output.expect("the command runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

fn is_full(refused: &Status, used: &str, max: &str) {
    let told = refusal::expect(refused, Code::ResourceExhausted, "NAMESPACE_QUOTA");
    assert!(told.retry.is_some(), "it says when to come back: {refused:?}");
    let details = refused.get_error_details();
    let quota = details.quota_failure().expect("it says of what there is too much");
    assert_eq!(quota.violations[0].subject, "namespaces.team.open_tasks");
    let facts = &details.error_info().expect("it has facts").metadata;
    assert_eq!([&facts["namespace"], &facts["used"], &facts["max"]], ["team", used, max]);
}

#[tokio::test]
async fn two_teams_share_names_and_nothing_else() {
    let options = Options { config: Some(config(2)), ..Options::default() };
    let mut coordinator = Coordinator::start_with(options).await;
    let file = coordinator.dir().join("coordinator.yaml");
    let mut client = coordinator.client();
    let first = submit(&mut client, ("team", "mail", "k")).await.expect("there is room");
    let other = submit(&mut client, ("", "mail", "k")).await.expect("the key is another one");
    assert!(!other.deduplicated && other.task_id != first.task_id);
    let again = submit(&mut client, ("team", "mail", "k")).await.expect("it is known");
    assert!(again.deduplicated && again.task_id == first.task_id);

    let second = submit(&mut client, ("team", "narrow", "l")).await.expect("there is room");
    is_full(&submit(&mut client, ("team", "mail", "m")).await.expect_err("it is full"), "2", "2");
    submit(&mut client, ("other", "mail", "m")).await.expect("that is somebody else's");

    fs::write(&file, config(3)).expect("the file can be written");
    client.admin.reload_config(ReloadConfigRequest {}).await.expect("the file is right");
    let third = submit(&mut client, ("team", "narrow", "m")).await.expect("there is more room");
    is_full(&submit(&mut client, ("team", "mail", "n")).await.expect_err("it is full"), "3", "3");

    // It begins with the lower quota again, takes nothing away for it, and knows what it had accepted.
    coordinator.kill();
    coordinator.restart().await;
    let mut client = coordinator.client();
    is_full(&submit(&mut client, ("team", "mail", "n")).await.expect_err("it is full"), "3", "2");
    let again = submit(&mut client, ("team", "narrow", "m")).await.expect("it is known");
    assert_eq!(again.task_id, third.task_id);
    assert_eq!(shown_names(&mut client, "team").await, ["mail", "narrow"]);

    let task = client.task(&second.task_id).await;
    let said = task.spec.expect("it was asked for");
    assert_eq!((&*task.namespace, &*said.queue), ("team", "narrow"));
    let total = said.timeouts.and_then(|it| it.total).expect("it has a default");
    assert_eq!(total.seconds, 7 * 60, "the namespace's own default");
    let listed = ListTasksRequest { namespace: "team".to_owned(), ..ListTasksRequest::default() };
    let listed = client.tasks.list_tasks(listed).await.expect("they are listed").into_inner();
    assert_eq!(listed.tasks.len(), 3);
    assert_eq!(client.list("mail").await.len(), 1, "an old client sees its own");

    works_apart(&coordinator, &mut client, [&first, &second, &third, &other]).await;
    let freed = submit(&mut client, ("team", "mail", "z")).await;
    freed.expect("what has ended gives back what it took");
}

/// Who serves one namespace is given nothing of another, and a pause holds one queue of two with the same name.
async fn works_apart(
    coordinator: &Coordinator,
    client: &mut Client,
    [first, second, third, other]: [&SubmitTaskResponse; 4],
) {
    let pause = PauseQueueRequest { queue: "mail".to_owned(), namespace: "team".to_owned() };
    client.admin.pause_queue(pause).await.expect("it can be paused");
    let _team = speaker(coordinator, "team-1", &["--namespace", "team"]);
    for task in [second, third] {
        let ended = client.ended(&task.task_id).await;
        assert_eq!((ended.state(), &*ended.result), (TaskState::Succeeded, &b"team/narrow"[..]));
    }
    let waits = client.task(&first.task_id).await;
    assert_eq!(waits.blocked_reason(), BlockedReason::QueuePaused);
    let why = ExplainTaskRequest { task_id: other.task_id.clone() };
    let why = client.tasks.explain_task(why).await.expect("it is open").into_inner();
    let why = why.explanation.expect("it says why");
    let line = "team-1: it serves only namespaces team";
    assert!(why.blockers[0].message.contains(line), "{why:#?}");

    let _all = speaker(coordinator, "all-1", &[]);
    let ended = client.ended(&other.task_id).await;
    assert_eq!(&*ended.result, b"default/mail");
    let listed = shown(coordinator, &["-n", "team", "queue", "list"]);
    assert!(listed.contains("mail") && listed.contains("paused"), "{listed}");
    shown(coordinator, &["queue", "resume", "mail", "--namespace", "team"]);
    assert_eq!(&*client.ended(&first.task_id).await.result, b"team/mail");
    until("nothing of the team is open", SOON, async || {
        let all = client.clone().admin.list_namespaces(ListNamespacesRequest {}).await;
        let all = all.expect("they are listed").into_inner().namespaces;
        let team = all.into_iter().find(|it| it.name == "team").expect("it has a quota");
        (team.open_task_count, team.open_bytes, team.open_task_max) == (0, 0, Some(2))
    })
    .await;
    let listed = shown(coordinator, &["namespace", "list"]);
    assert!(listed.lines().any(|line| line.starts_with("team ")), "{listed}");
}

async fn shown_names(client: &mut Client, namespace: &str) -> Vec<String> {
    let request = ListQueuesRequest { namespace: namespace.to_owned() };
    let queues = client.admin.list_queues(request).await.expect("they are listed").into_inner();
    queues.queues.into_iter().map(|queue| queue.name).collect()
}
