//! Whoever waits for tasks hears of their end: by asking once, or by watching them change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leasehold_proto::v1::{
    AwaitTaskRequest, TaskSpec, TaskState, WatchTasksRequest, WatchTasksResponse,
};
use tokio::time::{Instant, timeout};
use tonic::{Request, Streaming};

use crate::{
    client::{Client, duration, is_terminal, spec},
    condition::SOON,
    coordinator::Coordinator,
    crew::Crew,
    script::{Script, hello},
};

/// How many tasks are watched.
const WATCHED: usize = 200;

#[tokio::test]
async fn a_wait_is_answered_at_the_end_or_when_it_is_over() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let id = client.submit(spec("echo")).await;
    let began = Instant::now();
    let short = Some(Duration::from_millis(200));
    assert_eq!(wait(&mut client, &id, short, None).await, TaskState::Queued);
    // The answer comes before the call's own deadline, which would be an error.
    let deadline = Some(Duration::from_secs(1));
    assert_eq!(wait(&mut client, &id, None, deadline).await, TaskState::Queued);
    assert!(began.elapsed() < SOON, "a wait is over when it says");

    let mut script = Script::join(coordinator.address, hello("worker", "echo", 1)).await;
    let token = script.assignment().await.fencing_token;
    let mut other = client.clone();
    let (state, _) =
        tokio::join!(wait(&mut other, &id, Some(SOON), None), script.succeed(token, b""));
    assert_eq!(state, TaskState::Succeeded);
    assert_eq!(wait(&mut client, &id, short, None).await, TaskState::Succeeded);
}

async fn wait(
    client: &mut Client,
    id: &str,
    max_wait: Option<Duration>,
    deadline: Option<Duration>,
) -> TaskState {
    let mut request =
        Request::new(AwaitTaskRequest { task_id: id.to_owned(), max_wait: max_wait.map(duration) });
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    let answer = client.tasks.await_task(request).await.expect("a wait is answered");
    answer.into_inner().task.expect("an answer carries its task").state()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_hears_of_every_end() {
    let coordinator = Coordinator::start().await;
    let mut client = coordinator.client();
    let request = WatchTasksRequest { queue: "watched".to_owned(), ..Default::default() };
    let mut watch = client.tasks.watch_tasks(request).await.expect("a watch opens").into_inner();
    let mut ids = BTreeSet::new();
    for queue in ["watched", "other"] {
        for _ in 0..WATCHED {
            let id = client.submit(TaskSpec { queue: queue.to_owned(), ..spec("crew") }).await;
            if queue == "watched" {
                ids.insert(id);
            }
        }
    }
    let _crew = Crew::hire(coordinator.address, 1, "crew", 32, 7);
    let last = last_states(&mut watch, WATCHED).await;
    assert_eq!(last.keys().cloned().collect::<BTreeSet<_>>(), ids, "no task of another queue");

    let first = ids.into_iter().take(3).collect::<Vec<_>>();
    let request =
        WatchTasksRequest { task_ids: first.clone(), include_current: true, ..Default::default() };
    let mut watch = client.tasks.watch_tasks(request).await.expect("a watch opens").into_inner();
    let current = last_states(&mut watch, first.len()).await;
    assert_eq!(current.into_keys().collect::<Vec<_>>(), first);
}

/// The last state of each task, once this many have ended. Nobody is shown an earlier revision after a later one.
async fn last_states(
    watch: &mut Streaming<WatchTasksResponse>,
    ended: usize,
) -> BTreeMap<String, TaskState> {
    let mut seen: BTreeMap<String, (i64, TaskState)> = BTreeMap::new();
    while seen.values().filter(|(_, state)| is_terminal(*state)).count() < ended {
        let answer = timeout(SOON, watch.message()).await.expect("the watch goes on");
        let answer = answer.expect("the stream is sound").expect("and open");
        for task in answer.tasks {
            let state = task.state();
            let before = seen.insert(task.task_id, (task.revision, state));
            assert!(before.is_none_or(|it| it.0 <= task.revision), "{before:?} before {state:?}");
        }
    }
    seen.into_iter().map(|(id, (_, state))| (id, state)).collect()
}
