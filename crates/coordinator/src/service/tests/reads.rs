//! Tasks as they are listed, awaited, watched and cancelled.

use std::{collections::BTreeSet, time::Duration};

use leasehold_proto::v1::{self, TaskState};
use tokio::time::timeout;
use tonic::{Code, Request};

use super::served::{SOON, Served, refused, submit};

const UNKNOWN: &str = "0195a1b2-c3d4-7000-8000-000000000001";

fn span(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

#[tokio::test]
async fn lists_go_over_open_finished_and_failed_tasks() {
    let mut served = Served::start(|_| ()).await;
    let mut ids = Vec::new();
    for number in 0..12 {
        let task_type = ["echo", "fail", "wait"][number % 3];
        ids.push(served.submit(submit(task_type, "payload")).await);
    }
    served.work("w1", &["echo", "fail"]).await;
    for (number, id) in ids.iter().enumerate().filter(|(number, _)| number % 3 < 2) {
        let expected = [TaskState::Succeeded, TaskState::Failed][number % 3];
        assert_eq!(served.end(id).await.state(), expected);
    }
    let all = |page_size, states: Vec<TaskState>| v1::ListTasksRequest {
        page_size,
        states: states.into_iter().map(Into::into).collect(),
        ..v1::ListTasksRequest::default()
    };
    // A full last page does not know that it is the last.
    for (page_size, pages) in [(0, 1..=1), (12, 1..=2), (5, 3..=3), (1, 12..=13)] {
        let (tasks, seen) = served.list(all(page_size, Vec::new())).await;
        let listed: Vec<_> = tasks.iter().map(|task| task.task_id.clone()).collect();
        assert_eq!(listed, ids, "pages of {page_size}");
        assert!(pages.contains(&seen), "{seen} pages of {page_size}");
        assert!(tasks.iter().all(|task| task.spec.as_ref().unwrap().payload.is_empty()));
        assert!(tasks.iter().all(|task| task.result.is_empty()));
    }
    for (states, count) in [
        (vec![TaskState::Succeeded], 4),
        (vec![TaskState::Failed], 4),
        (vec![TaskState::Queued], 4),
        (vec![TaskState::Cancelled, TaskState::Running], 0),
        (vec![TaskState::Failed, TaskState::Queued], 8),
    ] {
        let (tasks, _) = served.list(all(3, states.clone())).await;
        assert_eq!(tasks.len(), count, "{states:?}");
        assert!(tasks.iter().all(|task| states.contains(&task.state())));
    }
    let of_type = v1::ListTasksRequest { task_type: "fail".to_owned(), ..all(0, Vec::new()) };
    assert_eq!(served.list(of_type).await.0.len(), 4);
    let elsewhere = v1::ListTasksRequest { queue: "elsewhere".to_owned(), ..all(0, Vec::new()) };
    assert_eq!(served.list(elsewhere).await.0, []);
    served.stop().await;
}

#[tokio::test]
async fn a_wait_ends_before_the_deadline_of_its_call() {
    let served = Served::start(|_| ()).await;
    let id = served.submit(submit("echo", "")).await;
    let wait = |max_wait| v1::AwaitTaskRequest { task_id: id.clone(), max_wait };
    for max_wait in [span(Duration::ZERO), span(Duration::from_millis(20))] {
        let answer = served.tasks().await_task(wait(max_wait)).await.unwrap().into_inner();
        assert_eq!(answer.task.unwrap().state(), TaskState::Queued);
    }
    let mut request = Request::new(wait(None));
    request.set_timeout(Duration::from_millis(500));
    let answer = served.tasks().await_task(request).await.unwrap().into_inner();
    assert_eq!(answer.task.unwrap().state(), TaskState::Queued);
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let answer = served.tasks().await_task(wait(negative)).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELD");
    let mut malformed = Request::new(wait(None));
    malformed.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let answer = served.tasks().await_task(malformed).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELD");
    served.stop().await;
}

#[tokio::test]
async fn waits_and_streams_end_when_the_coordinator_stops() {
    let served = Served::start(|_| ()).await;
    let id = served.submit(submit("echo", "")).await;
    let (mut waiter, mut watcher) = (served.tasks(), served.tasks());
    let request = v1::AwaitTaskRequest { task_id: id, max_wait: None };
    let mut watch =
        watcher.watch_tasks(v1::WatchTasksRequest::default()).await.unwrap().into_inner();
    let wait = async {
        let (answer, ()) = tokio::join!(waiter.await_task(request), served.stop());
        answer
    };
    refused(timeout(SOON, wait).await.unwrap(), Code::Unavailable, "SHUTTING_DOWN");
    refused(watch.message().await, Code::Unavailable, "SHUTTING_DOWN");
}

#[tokio::test]
async fn a_watch_shows_every_named_task_up_to_its_end() {
    let mut served = Served::start(|_| ()).await;
    let ended = served.submit(submit("echo", "1")).await;
    served.work("w1", &["echo"]).await;
    served.end(&ended).await;
    let open = served.submit(submit("later", "2")).await;
    let request = v1::WatchTasksRequest {
        task_ids: vec![ended.clone(), open.clone()],
        include_current: true,
        ..v1::WatchTasksRequest::default()
    };
    let mut watch = served.tasks().watch_tasks(request).await.unwrap().into_inner();
    let mut first = Vec::new();
    while first.len() < 2 {
        let tasks = timeout(SOON, watch.message()).await.unwrap().unwrap().unwrap().tasks;
        first.extend(tasks.into_iter().map(|task| (task.task_id.clone(), task.state())));
    }
    let expected = [(ended, TaskState::Succeeded), (open.clone(), TaskState::Queued)];
    assert_eq!(first.into_iter().collect::<BTreeSet<_>>(), expected.into());
    served.work("w2", &["later"]).await;
    let last = loop {
        let tasks = timeout(SOON, watch.message()).await.unwrap().unwrap().unwrap().tasks;
        assert!(tasks.iter().all(|task| task.task_id == open));
        if let Some(task) = tasks.into_iter().find(|task| task.state() == TaskState::Succeeded) {
            break task;
        }
    };
    assert_eq!((&*last.result, last.spec.unwrap().payload.len()), (&b"2"[..], 0));
    served.stop().await;
}

#[tokio::test]
async fn a_watch_of_an_unknown_task_is_refused() {
    let served = Served::start(|_| ()).await;
    let watch = |task_ids: Vec<String>| v1::WatchTasksRequest {
        task_ids,
        include_current: true,
        ..v1::WatchTasksRequest::default()
    };
    let answer = served.tasks().watch_tasks(watch(vec![UNKNOWN.to_owned()])).await;
    refused(answer.unwrap().into_inner().message().await, Code::NotFound, "TASK_NOT_FOUND");
    for wrong in [vec!["7".to_owned()], vec![UNKNOWN.to_owned(); 10_001]] {
        let answer = served.tasks().watch_tasks(watch(wrong)).await;
        refused(answer, Code::InvalidArgument, "INVALID_FIELD");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_cancel_says_what_became_of_the_task() {
    let mut served = Served::start(|_| ()).await;
    let cancel = |task_id: &str| v1::CancelTaskRequest { task_id: task_id.to_owned() };
    let waiting = served.submit(submit("later", "")).await;
    for _ in 0..2 {
        let answer = served.tasks().cancel_task(cancel(&waiting)).await.unwrap().into_inner();
        assert_eq!(answer.task.unwrap().state(), TaskState::Cancelled);
    }
    let done = served.submit(submit("echo", "x")).await;
    served.work("w1", &["echo"]).await;
    served.end(&done).await;
    let answer = served.tasks().cancel_task(cancel(&done)).await.unwrap().into_inner();
    assert_eq!(answer.task.unwrap().state(), TaskState::Succeeded);
    refused(served.tasks().cancel_task(cancel(UNKNOWN)).await, Code::NotFound, "TASK_NOT_FOUND");
    served.stop().await;
}

#[tokio::test]
async fn retention_zero_keeps_the_result_for_who_waits_only() {
    let mut served = Served::start(|config| config.retention.finished = Duration::ZERO).await;
    let id = served.submit(submit("echo", "x")).await;
    let (mut tasks, request) =
        (served.tasks(), v1::AwaitTaskRequest { task_id: id.clone(), max_wait: None });
    let (ended, _worker) = tokio::join!(tasks.await_task(request), served.work("w1", &["echo"]));
    assert_eq!(ended.unwrap().into_inner().task.unwrap().result, "x");
    let gone = served.tasks().get_task(v1::GetTaskRequest { task_id: id }).await;
    refused(gone, Code::NotFound, "TASK_NOT_FOUND");
    served.stop().await;
}
