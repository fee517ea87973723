//! New tasks: accepted, refused, named, streamed.

use std::collections::BTreeSet;

use leasehold_proto::v1::{self, TaskState, submit_outcome::Outcome};
use prost::Message as _;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use super::served::{SOON, Served, refused, submit};
use crate::config::{Config, Namespace, QueueSettings};

#[tokio::test]
async fn a_task_is_submitted_worked_on_and_awaited() {
    let mut served = Served::start(|_| ()).await;
    let id = served.submit(submit("echo", "hello")).await;
    let waiting = served.get(&id).await;
    assert_eq!(waiting.state(), TaskState::Queued);
    assert_eq!(waiting.blocked_reason(), v1::BlockedReason::NoEligibleWorker);
    assert_eq!(waiting.spec.unwrap().payload, "hello");
    served.work("w1", &["echo"]).await;
    let ended = served.end(&id).await;
    assert_eq!((ended.state(), &*ended.result), (TaskState::Succeeded, &b"hello"[..]));
    let shown = served.get(&id).await;
    assert_eq!((shown.state(), &*shown.result), (TaskState::Succeeded, &b"hello"[..]));
    assert!(shown.finish_time.is_some());
    served.stop().await;
}

#[tokio::test]
async fn only_checking_accepts_nothing() {
    let served = Served::start(|_| ()).await;
    let request = v1::SubmitTaskRequest { validate_only: true, ..submit("echo", "") };
    let answer = served.tasks().submit_task(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer, v1::SubmitTaskResponse::default());
    let wrong = v1::SubmitTaskRequest { spec: None, ..request };
    refused(served.tasks().submit_task(wrong).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(served.list(v1::ListTasksRequest::default()).await.0, []);
    served.stop().await;
}

#[tokio::test]
async fn a_key_names_one_task() {
    let served = Served::start(|_| ()).await;
    let keyed = |payload: &str| v1::SubmitTaskRequest {
        idempotency_key: "order-7".to_owned(),
        ..submit("echo", payload)
    };
    let first = served.tasks().submit_task(keyed("a")).await.unwrap().into_inner();
    let again = served.tasks().submit_task(keyed("a")).await.unwrap().into_inner();
    assert_eq!((first.deduplicated, again.deduplicated), (false, true));
    assert_eq!(first.task_id, again.task_id);
    let status = served.tasks().submit_task(keyed("b")).await.unwrap_err();
    let facts = status.get_details_error_info().unwrap().metadata;
    assert_eq!(facts["taskId"], first.task_id);
    assert_ne!(facts["storedDigest"], facts["sentDigest"]);
    refused::<()>(Err(status), Code::AlreadyExists, "IDEMPOTENCY_KEY_CONFLICT");
    served.stop().await;
}

#[tokio::test]
async fn a_batch_refuses_one_by_one() {
    let served = Served::start(|config| config.queues.create = true).await;
    let bad = submit("no such type!", "");
    let requests = vec![submit("echo", "0"), bad, submit("echo", "2")];
    let request = v1::BatchSubmitTasksRequest { requests };
    let answer = served.tasks().batch_submit_tasks(request).await.unwrap().into_inner();
    let outcomes: Vec<_> = answer.outcomes.into_iter().map(|o| o.outcome.unwrap()).collect();
    let [Outcome::Accepted(first), Outcome::Refused(second), Outcome::Accepted(third)] =
        outcomes.as_slice()
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!(served.get(&first.task_id).await.spec.unwrap().payload, "0");
    assert_eq!(served.get(&third.task_id).await.spec.unwrap().payload, "2");
    assert_eq!((second.code, second.reason.as_str()), (3, "INVALID_FIELD"));
    assert_eq!(second.field_violations[0].field, "spec.task_type");
    for count in [0, 1_001] {
        let request = v1::BatchSubmitTasksRequest { requests: vec![submit("echo", ""); count] };
        let answer = served.tasks().batch_submit_tasks(request).await;
        refused(answer, Code::InvalidArgument, "INVALID_FIELD");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_stream_answers_everything_in_order() {
    let served = Served::start(|_| ()).await;
    let messages = (0..40).map(|message| {
        let requests = (0..50).map(|task| {
            let task_type = if task == 7 { "" } else { "echo" };
            submit(task_type, &format!("{message}/{task}"))
        });
        v1::StreamSubmitTasksRequest { requests: requests.collect() }
    });
    let answers = served.tasks().stream_submit_tasks(tokio_stream::iter(messages)).await.unwrap();
    let answers: Vec<_> = timeout(SOON, answers.into_inner().collect()).await.unwrap();
    let outcomes: Vec<_> =
        answers.into_iter().flat_map(|answer| answer.unwrap().outcomes).collect();
    assert_eq!(outcomes.len(), 2_000);
    let mut ids = BTreeSet::new();
    for (at, outcome) in outcomes.iter().enumerate() {
        match outcome.outcome.as_ref().unwrap() {
            Outcome::Accepted(accepted) => assert!(ids.insert(&accepted.task_id)),
            Outcome::Refused(refusal) => {
                assert_eq!((at % 50, refusal.reason.as_str()), (7, "INVALID_FIELD"));
            }
        }
    }
    assert_eq!(ids.len(), 40 * 49);
    let last = served.get(ids.last().unwrap()).await;
    assert_eq!(last.spec.unwrap().payload, "39/49");
    served.stop().await;
}

#[tokio::test]
async fn a_request_is_like_the_one_before_it_in_its_own_message_alone() {
    let served = Served::start(|_| ()).await;
    let alike = |payload: &str| v1::SubmitTaskRequest {
        alike_payload: Some(payload.to_owned().into()),
        ..v1::SubmitTaskRequest::default()
    };
    let messages =
        [vec![submit("echo", "1"), alike("2"), alike("3")], vec![alike("4"), submit("echo", "5")]];
    let messages = messages.map(|requests| v1::StreamSubmitTasksRequest { requests });
    let answers = served.tasks().stream_submit_tasks(tokio_stream::iter(messages)).await.unwrap();
    let features = answers.metadata().get("leasehold-features").unwrap().to_str().unwrap();
    assert!(features.split(',').any(|it| it == "alike"), "{features}");
    let answers: Vec<_> = timeout(SOON, answers.into_inner().collect()).await.unwrap();
    let mut became = Vec::new();
    for outcome in answers.into_iter().flat_map(|answer| answer.unwrap().outcomes) {
        became.push(match outcome.outcome.unwrap() {
            Outcome::Accepted(accepted) => {
                let spec = served.get(&accepted.task_id).await.spec.unwrap();
                format!("{} {}", spec.task_type, String::from_utf8_lossy(&spec.payload))
            }
            Outcome::Refused(refusal) => refusal.field_violations[0].field.clone(),
        });
    }
    assert_eq!(became, ["echo 1", "echo 2", "echo 3", "alike_payload", "echo 5"]);

    let requests = vec![submit("echo", "1"), alike("2")];
    let request = v1::BatchSubmitTasksRequest { requests };
    let answer = served.tasks().batch_submit_tasks(request).await.unwrap().into_inner();
    assert!(answer.outcomes.iter().all(|it| matches!(it.outcome, Some(Outcome::Accepted(_)))));
    let answer = served.tasks().submit_task(alike("1")).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELD");
    served.stop().await;
}

/// What a client of the version before wrote: two messages, each of a task of type "echo" in queue "old" with priority 1.
#[tokio::test]
async fn what_an_earlier_client_wrote_is_read_as_it_was() {
    let old: &[u8] = b"\x0a\x13\x0a\x11\x0a\x03old\x12\x04echo\x1a\x02hi\x28\x01\
        \x0a\x18\x0a\x0d\x0a\x03old\x12\x04echo\x28\x01\x12\x01k\x22\x04team";
    let served = Served::start(|_| ()).await;
    let request = v1::BatchSubmitTasksRequest::decode(old).unwrap();
    let answer = served.tasks().batch_submit_tasks(request).await.unwrap().into_inner();
    let mut shown = Vec::new();
    for outcome in answer.outcomes {
        let Some(Outcome::Accepted(accepted)) = outcome.outcome else { panic!("{outcome:?}") };
        let task = served.get(&accepted.task_id).await;
        let spec = task.spec.unwrap();
        shown.push((task.namespace, spec.queue, spec.task_type, spec.payload, spec.priority));
    }
    let task = |namespace: &str, payload: &'static str| {
        (namespace.to_owned(), "old".to_owned(), "echo".to_owned(), payload.into(), Some(1))
    };
    assert_eq!(shown, [task("default", "hi"), task("team", "")]);
    served.stop().await;
}

#[tokio::test]
async fn a_stream_with_an_empty_message_is_refused() {
    let served = Served::start(|_| ()).await;
    let empty = tokio_stream::once(v1::StreamSubmitTasksRequest::default());
    let mut answers = served.tasks().stream_submit_tasks(empty).await.unwrap().into_inner();
    refused(answers.message().await, Code::InvalidArgument, "INVALID_FIELD");
    served.stop().await;
}

#[tokio::test]
async fn unknown_queues_are_refused_where_the_configuration_says_so() {
    let served = Served::start(|config| {
        config.queues.create = false;
        config.queues.settings = [("default".to_owned(), QueueSettings::default())].into();
    })
    .await;
    let in_queue = |queue: &str| {
        let mut request = submit("echo", "");
        queue.clone_into(&mut request.spec.as_mut().unwrap().queue);
        request
    };
    let answer = served.tasks().submit_task(in_queue("unheard-of")).await;
    refused(answer, Code::NotFound, "QUEUE_NOT_FOUND");
    served.tasks().submit_task(in_queue("default")).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn full_limits_name_themselves() {
    let served = Served::start(|config| config.limits.open_tasks = 1).await;
    served.submit(submit("echo", "")).await;
    let status = served.tasks().submit_task(submit("echo", "")).await.unwrap_err();
    let quota = status.get_details_quota_failure().unwrap();
    assert_eq!(quota.violations[0].subject, "limits.open_tasks");
    assert!(status.get_details_retry_info().is_some());
    refused::<()>(Err(status), Code::ResourceExhausted, "QUEUE_FULL");
    let page = served.metrics.render().unwrap();
    assert!(page.contains("leasehold_refusals_total{reason=\"QUEUE_FULL\"} 1"), "{page}");
    served.stop().await;
}

#[tokio::test]
async fn the_trace_of_the_call_is_the_tasks() {
    let served = Served::start(|_| ()).await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let mut request = Request::new(submit("echo", ""));
    let parent = format!("00-{trace_id}-b7ad6b7169203331-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    let id = served.tasks().submit_task(request).await.unwrap().into_inner().task_id;
    let trace = served.get(&id).await.spec.unwrap().trace_context.unwrap();
    assert!(trace.traceparent.contains(trace_id), "{trace:?}");
    let mut malformed = Request::new(submit("echo", ""));
    malformed.metadata_mut().insert("traceparent", "nonsense".parse().unwrap());
    let id = served.tasks().submit_task(malformed).await.unwrap().into_inner().task_id;
    let trace = served.get(&id).await.spec.unwrap().trace_context.unwrap();
    assert_eq!(trace.traceparent.len(), 55, "a new one: {trace:?}");
    served.stop().await;
}

#[tokio::test]
async fn a_client_submits_no_faster_than_it_may_and_slows_down_nobody_else() {
    let limit = |config: &mut Config| config.limits.submit_rate = "1/h burst 2".parse().ok();
    let served = Served::start(limit).await;
    let by = |client: Option<&str>, requests: Vec<v1::SubmitTaskRequest>| {
        let mut request = Request::new(v1::BatchSubmitTasksRequest { requests });
        if let Some(client) = client {
            request.metadata_mut().insert("leasehold-client", client.parse().unwrap());
        }
        request
    };
    let only_asks = v1::SubmitTaskRequest { validate_only: true, ..submit("echo", "") };
    let wrong = v1::SubmitTaskRequest::default();
    // Who calls, and which of its tasks are refused for being too fast. What breaks a rule costs nothing.
    let calls = [
        (Some("ci"), vec![only_asks, wrong, submit("echo", "")], vec![]),
        (Some("ci"), vec![submit("echo", ""), submit("echo", "")], vec!["ci", "ci"]),
        (None, vec![submit("echo", ""); 3], vec!["127.0.0.1"]),
        (Some("people"), vec![submit("echo", "")], vec![]),
    ];
    for (client, requests, expected) in calls {
        let answer = served.tasks().batch_submit_tasks(by(client, requests)).await.unwrap();
        let outcomes = answer.into_inner().outcomes;
        let refusals = outcomes.into_iter().filter_map(|outcome| match outcome.outcome.unwrap() {
            Outcome::Refused(refusal) if refusal.reason == "RATE_LIMITED" => Some(refusal),
            Outcome::Refused(_) | Outcome::Accepted(_) => None,
        });
        let refusals: Vec<_> = refusals.collect();
        let whose: Vec<_> = refusals.iter().map(|refusal| &refusal.metadata["client"]).collect();
        assert_eq!(whose, expected, "{client:?}");
        // A batch that is refused is told when all of it can come back, as far as that can be at once.
        for (place, refusal) in (1..).zip(&refusals) {
            let wait = refusal.retry_delay.unwrap().seconds;
            let hours = f64::from(u32::try_from(wait).unwrap()) / 3_600.0;
            assert!((f64::from(place) - 0.5..=f64::from(place)).contains(&hours), "{refusal:?}");
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_namespace_is_submitted_to_no_faster_than_it_may_be() {
    let limit = |config: &mut Config| {
        config.limits.submit_rate = "1/h burst 3".parse().ok();
        let team = Namespace { submit_rate: "1/h burst 1".parse().ok(), ..Namespace::default() };
        config.namespaces = [("team".to_owned(), team)].into();
    };
    let served = Served::start(limit).await;
    let to = |namespace: &str| v1::SubmitTaskRequest {
        namespace: namespace.to_owned(),
        ..submit("echo", "")
    };
    // The second one of the team takes nothing of what its client may, who is then held to that.
    for (namespace, refused) in [
        ("team", None),
        ("team", Some("NAMESPACE_QUOTA")),
        ("other", None),
        ("", None),
        ("team", Some("RATE_LIMITED")),
    ] {
        let answer = served.tasks().submit_task(to(namespace)).await;
        let reason = answer.err().map(|status| status.get_details_error_info().unwrap().reason);
        assert_eq!(reason.as_deref(), refused, "{namespace}");
    }
    served.stop().await;
}
