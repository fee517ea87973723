//! The client over a real connection, to a peer that answers, refuses and breaks off as a script says.
#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

mod peer;

use std::time::Duration;

use leasehold_client::{
    Backoff, Client, ClientOptions, Code, Error, GeneratedKeys, Jitter, Retry, StreamOptions,
    TaskFilter, TaskSpec, WatchFilter, v1::TaskState,
};

use peer::{
    Peer,
    Step::{self, Answer, Gone, Lose, NotYet, Pushback, Refuse, Skip},
};

/// Retries that cost a test no time.
const QUICK: Backoff = Backoff {
    initial: Duration::from_millis(1),
    factor: 1.0,
    cap: Duration::from_millis(1),
    jitter: Jitter::None,
};

fn options(peer: &Peer) -> ClientOptions {
    ClientOptions::new(peer.address.as_str()).retry(Retry::WithBackoff(QUICK))
}

fn client(peer: &Peer) -> Client {
    Client::connect(options(peer)).expect("the address is good")
}

#[tokio::test]
async fn calls_are_repeated_as_long_as_that_may_help() {
    let cases: [(&[Step], usize, Option<Code>); 5] = [
        (&[Answer], 1, None),
        (&[Pushback, Pushback, Answer], 3, None),
        (&[Lose, Answer], 2, None),
        (&[Lose, Pushback, Lose, Answer], 4, None),
        (&[Refuse, Answer], 1, Some(Code::NotFound)),
    ];
    for (script, calls, code) in cases {
        let peer = Peer::start(script.iter().copied()).await;
        let answer = client(&peer).get("id").await;
        assert_eq!(answer.err().map(|error| error.code()), code, "{script:?}");
        assert_eq!(peer.seen().len(), calls, "{script:?}");
    }
}

#[tokio::test]
async fn a_call_carries_its_deadline_and_a_trace() {
    let peer = Peer::start([Lose, Answer]).await;
    client(&peer).get("id").await.expect("it is answered");
    let seen = peer.seen();
    for call in &seen {
        assert_eq!(call.traceparent.len(), 55, "{call:?}");
        assert!(call.grpc_timeout.ends_with(['n', 'u', 'm', 'S']), "{call:?}");
    }
}

#[tokio::test]
async fn a_call_carries_the_name_that_its_client_has() {
    let peer = Peer::start([]).await;
    for name in ["", "nightly-import"] {
        let client = Client::connect(options(&peer).client_name(name)).expect("the name is good");
        client.get("id").await.expect("it is answered");
        let told = peer.seen().pop().map(|call| call.client);
        assert_eq!(told.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn a_call_that_is_never_answered_well_ends_with_what_was_wrong() {
    let peer = Peer::start(std::iter::repeat_n(Lose, 10_000)).await;
    let options = options(&peer).call_timeout(Duration::from_millis(50));
    let client = Client::connect(options).expect("the address is good");
    let error = client.get("id").await.expect_err("it never answers");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(peer.seen().len() > 1, "it was tried again");
}

#[tokio::test]
async fn a_lost_submit_is_repeated_under_the_same_key_or_not_at_all() {
    let peer = Peer::start([Lose, Answer]).await;
    let receipt =
        client(&peer).submit(TaskSpec::new("a")).await.expect("the second try is answered");
    let keys = peer.names();
    assert_eq!(keys, [receipt.task_id.clone(), receipt.task_id]);
    assert!(!keys[0].is_empty());

    let peer = Peer::start([Lose, Answer]).await;
    let options = options(&peer).generated_keys(GeneratedKeys::Absent);
    let client = Client::connect(options).expect("the address is good");
    let error = client.submit(TaskSpec::new("a")).await.expect_err("it may have been accepted");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(peer.names(), [""]);
}

#[tokio::test]
async fn a_submit_without_key_is_not_repeated_where_the_coordinator_cannot_say() {
    for (keys, calls) in [(GeneratedKeys::Absent, 1), (GeneratedKeys::Random, 2)] {
        let peer = Peer::start([Gone, Answer]).await;
        let client = Client::connect(options(&peer).generated_keys(keys)).expect("it is good");
        let submitted = client.submit(TaskSpec::new("a")).await;
        assert_eq!((submitted.is_ok(), peer.names().len()), (calls == 2, calls), "{keys:?}");
    }
}

/// Submits tasks with these keys on a stream; what became of each.
async fn stream(peer: &Peer, keys: &[&str]) -> Vec<String> {
    let options = options(peer).generated_keys(GeneratedKeys::Absent);
    let client = Client::connect(options).expect("the address is good");
    let specs: Vec<_> = keys.iter().map(|key| TaskSpec::new("a").idempotency_key(*key)).collect();
    let pace = StreamOptions { window_tasks: 4, batch_tasks: 2 };
    let mut answers = client.submit_stream(tokio_stream::iter(specs), pace);
    let mut became = Vec::new();
    while let Some(answer) = answers.next().await {
        became.push(answer.map_or_else(|error| format!("{:?}", error.code()), |it| it.task_id));
    }
    became
}

#[tokio::test]
async fn every_task_of_a_stream_has_one_answer_in_its_place() {
    let keys = ["a", "b", "c", "d", "e", "f"];
    let all = || keys.map(str::to_owned).to_vec();
    let without_b = || [&all()[..1], &["InvalidArgument".to_owned()], &all()[2..]].concat();
    let cases: [(&[Step], Vec<String>); 6] = [
        (&[], all()),
        (&[Answer, Refuse], without_b()),
        (&[Answer, Pushback, Answer, Pushback], all()),
        (&[Lose], all()),
        (&[Answer, Lose, Answer, Answer, Lose], all()),
        (&[Pushback, Lose, Pushback, Answer, Lose], all()),
    ];
    for (script, expected) in cases {
        let peer = Peer::start(script.iter().copied()).await;
        assert_eq!(stream(&peer, &keys).await, expected, "{script:?}");
    }
}

#[tokio::test]
async fn a_stream_says_what_tasks_have_in_common_once_where_that_is_understood() {
    let keys = ["a", "b", "c", "d"];
    for (features, alike) in [
        (None, [false; 4]),
        (Some("namespaces"), [false; 4]),
        // Two a message.
        (Some("namespaces,alike"), [false, true, false, true]),
    ] {
        let peer = Peer::start_with([], features).await;
        assert_eq!(stream(&peer, &keys).await, keys, "{features:?}");
        let found: Vec<_> = peer.streamed().iter().map(|it| it.alike_payload.is_some()).collect();
        assert_eq!(found, alike, "{features:?}");
        for request in peer.streamed() {
            assert_ne!(request.spec.is_some(), request.alike_payload.is_some(), "one or the other");
        }
    }
}

#[tokio::test]
async fn a_stream_that_rests_now_and_then_fills_its_messages_all_the_same() {
    let peer = Peer::start_with([], Some("alike")).await;
    let specs = vec![TaskSpec::new("a"); 200];
    let pace = StreamOptions { window_tasks: 400, batch_tasks: 100 };
    let mut answers = client(&peer).submit_stream(tokio_stream::iter(specs), pace);
    while let Some(answer) = answers.next().await {
        answer.expect("it is accepted");
    }
    let messages = peer.streamed().iter().filter(|it| it.spec.is_some()).count();
    assert_eq!(messages, 2, "the first of each says what all have in common");
}

#[tokio::test]
async fn a_stream_sends_again_only_what_has_no_answer() {
    let peer = Peer::start([Answer, Lose]).await;
    assert_eq!(stream(&peer, &["a", "b", "c"]).await, ["a", "b", "c"]);
    assert_eq!(peer.names(), ["a", "b", "b", "c"]);
}

#[tokio::test]
async fn a_stream_without_keys_says_what_is_in_doubt_and_ends() {
    let peer = Peer::start([Answer, Lose]).await;
    let became = stream(&peer, &["", "", ""]).await;
    assert_eq!(became.first().map(String::as_str), Some(""), "the first was accepted");
    assert!(became.len() > 1 && became[1..].iter().all(|it| it == "Unavailable"), "{became:?}");
    assert_eq!(peer.names().len(), 2, "nothing was sent twice");
}

#[tokio::test]
async fn a_stream_of_nothing_needs_no_coordinator() {
    let client = Client::connect("http://127.0.0.1:1").expect("the address is good");
    let nothing = tokio_stream::iter(Vec::<TaskSpec>::new());
    assert!(client.submit_stream(nothing, StreamOptions::default()).next().await.is_none());
}

#[tokio::test]
async fn a_message_over_the_limit_of_the_other_side_is_named_by_it() {
    let peer = Peer::start([]).await;
    let large = TaskSpec::new("a").payload(vec![0; 5 << 20]);
    let error = client(&peer).submit(large).await.expect_err("too large");
    let Error::MessageTooLarge { limit, .. } = &error else { panic!("{error:?}") };
    assert_eq!(limit, "4194304", "what a server takes unless it says otherwise");
    assert!(peer.seen().is_empty(), "the transport refused it");
}

#[tokio::test]
async fn a_task_too_large_for_a_stream_fails_alone() {
    let peer = Peer::start([]).await;
    let options = options(&peer).message_bytes_max(1_000);
    let client = Client::connect(options).expect("the address is good");
    let large = TaskSpec::new("a").payload(vec![0; 1_000]);
    let specs = [TaskSpec::new("a").idempotency_key("first"), large];
    let mut answers = client.submit_stream(tokio_stream::iter(specs), StreamOptions::default());
    assert!(answers.next().await.expect("the first has an answer").is_ok());
    let error = answers.next().await.expect("so has the second").expect_err("too large");
    assert!(matches!(error, Error::MessageTooLarge { .. }), "{error:?}");
    assert!(answers.next().await.is_none());
    assert_eq!(peer.names(), ["first"]);
}

#[tokio::test]
async fn a_wait_outlasts_answers_that_come_too_early_and_breaks() {
    let peer = Peer::start([NotYet, Lose, Lose, NotYet, Pushback, Answer]).await;
    let task = client(&peer).wait("id", None).await.expect("it ends");
    assert_eq!((task.state(), peer.seen().len()), (TaskState::Succeeded, 6));

    let peer = Peer::start([NotYet, Refuse]).await;
    let error = client(&peer).wait("id", None).await.expect_err("it is gone");
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn a_wait_ends_with_its_timeout_and_shows_how_far_the_task_is() {
    let peer = Peer::start(std::iter::repeat_n(NotYet, 1_000_000)).await;
    let wait = client(&peer).wait("id", Some(Duration::from_millis(20))).await;
    let Err(Error::NotEnded { task, waited }) = wait else {
        panic!("it has not ended: {wait:?}");
    };
    assert_eq!(task.state(), TaskState::Running);
    assert!(waited >= Duration::from_millis(20), "{waited:?}");
}

#[tokio::test]
async fn many_waits_answer_for_every_task() {
    // A watch that ends with a refusal leaves every task to be asked for by itself.
    let cases: [(&[Step], usize, usize); 3] = [
        (&[NotYet, Lose, Answer], 100, 103),
        (&[NotYet, Lose, Refuse, NotYet, Refuse], 99, 104),
        (&[Refuse, Lose], 100, 102),
    ];
    for (script, expected, calls) in cases {
        let peer = Peer::start(script.iter().copied()).await;
        assert_eq!(wait_for(&peer, 100).await, (expected, 100 - expected), "{script:?}");
        assert_eq!(peer.names().len(), calls, "{script:?}");
    }
}

#[tokio::test]
async fn few_waits_need_no_watch_and_a_task_named_twice_one_answer() {
    let peer = Peer::start([]).await;
    assert_eq!(wait_for(&peer, 3).await, (3, 0));
    assert_eq!(peer.names().len(), 3);
}

/// Waits for so many tasks, naming the first twice: how many ended, and how many were lost.
async fn wait_for(peer: &Peer, count: usize) -> (usize, usize) {
    let ids: Vec<String> = (0..count).chain([0]).map(|number| number.to_string()).collect();
    let mut waits = client(peer).wait_all(ids, None);
    let (mut ended, mut lost) = (Vec::new(), 0);
    while let Some(outcome) = waits.next().await {
        match outcome {
            Ok(task) => ended.push(task.task_id),
            Err(_refused) => lost += 1,
        }
    }
    ended.sort();
    ended.dedup();
    (ended.len(), lost)
}

#[tokio::test]
async fn times_without_end_are_a_year() {
    let peer = Peer::start([NotYet]).await;
    let options = options(&peer).call_timeout(Duration::MAX).outage_max(Duration::MAX);
    let client = Client::connect(options).expect("the address is good");
    client.get("id").await.expect("it is answered");
    client.wait("id", Some(Duration::MAX)).await.expect("it ends");
    let mut all = client.wait_all(vec!["id".to_owned()], Some(Duration::MAX));
    all.next().await.expect("an answer").expect("it ends");
}

#[tokio::test]
async fn a_watch_is_taken_up_again_with_the_same_tasks() {
    let peer = Peer::start([NotYet, Lose, Answer]).await;
    let tasks = vec!["a".to_owned(), "b".to_owned()];
    let mut watch = client(&peer).watch(WatchFilter::Tasks(tasks));
    for state in [TaskState::Running, TaskState::Succeeded] {
        for id in ["a", "b"] {
            let task = watch.next().await.expect("a change");
            assert_eq!((task.task_id.as_str(), task.state()), (id, state));
        }
    }
    assert_eq!(peer.names(), ["a,b", "a,b", "a,b"]);
}

#[tokio::test]
async fn a_watch_of_no_task_watches_nothing() {
    let peer = Peer::start([]).await;
    let watched = client(&peer).watch(WatchFilter::Tasks(Vec::new())).next().await;
    assert_eq!(watched.expect_err("there is nothing to watch").code(), Code::InvalidArgument);
    assert!(peer.seen().is_empty());
}

#[tokio::test]
async fn a_listing_goes_on_page_by_page_and_no_further_than_asked() {
    let peer = Peer::start([Answer, Lose, Pushback]).await;
    let mut listing = client(&peer).list(TaskFilter::default());
    let tasks = listing.take(2).await.expect("two pages");
    let ids: Vec<&str> = tasks.iter().map(|task| task.task_id.as_str()).collect();
    assert_eq!(ids, ["", "second"]);
    assert_eq!(peer.names(), ["", "second", "second", "second"]);
    assert_eq!(listing.take(9).await.expect("the last page").len(), 1);
    assert!(listing.next().await.expect("the end").is_none());
}

/// So long a call is tried that is refused each time: long enough for some tries on a busy machine.
const BRIEF: Duration = Duration::from_millis(300);

/// Submits tasks with these keys in one batch; what became of each, or of all.
async fn batch(client: &Client, keys: &[&str]) -> Result<Vec<String>, Code> {
    let spec = |key: &&str| TaskSpec::new("a").idempotency_key(*key);
    let answers = client.submit_batch(keys.iter().map(spec).collect()).await;
    let became = |answer: Result<leasehold_client::Receipt, Error>| {
        answer.map_or_else(|error| format!("{:?}", error.code()), |it| it.task_id)
    };
    Ok(answers.map_err(|error| error.code())?.into_iter().map(became).collect())
}

#[tokio::test]
async fn what_is_refused_of_a_batch_is_tried_again_when_the_coordinator_says() {
    let keys = ["a", "b", "c"];
    let cases: [(&[Step], &[&str], &[&str]); 5] = [
        (&[], &["a", "b", "c"], &["a", "b", "c"]),
        (&[Answer, Pushback], &["a", "b", "c", "b"], &["a", "b", "c"]),
        (
            &[Pushback, Refuse, Pushback, Pushback],
            &["a", "b", "c", "a", "c", "a"],
            &["a", "InvalidArgument", "c"],
        ),
        // What was lost is repeated as a whole, with what it was.
        (&[Pushback, Answer, Answer, Lose], &["a", "b", "c", "a", "a"], &["a", "b", "c"]),
        (&[Lose], &["a", "a", "b", "c"], &["a", "b", "c"]),
    ];
    for (script, names, became) in cases {
        let peer = Peer::start(script.iter().copied()).await;
        let answers = batch(&client(&peer), &keys).await.expect("each has its answer");
        assert_eq!(answers, became, "{script:?}");
        assert_eq!(peer.names(), names, "{script:?}");
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_for_too_long_says_so_and_keeps_what_was_accepted() {
    let script = [Answer].into_iter().chain(std::iter::repeat_n(Pushback, 10_000));
    let peer = Peer::start(script).await;
    let patient = options(&peer).call_timeout(BRIEF);
    let patient = Client::connect(patient).expect("the address is good");
    let answers = batch(&patient, &["a", "b"]).await.expect("each has its answer");
    assert_eq!(answers, ["a", "ResourceExhausted"]);
    assert!(peer.seen().len() > 3, "it was tried again");

    let peer = Peer::start([Answer, Pushback, Answer]).await;
    let hasty = options(&peer).retry(Retry::Never);
    let hasty = Client::connect(hasty).expect("the address is good");
    assert_eq!(batch(&hasty, &["a", "b"]).await, Ok(vec!["a".into(), "ResourceExhausted".into()]));
    assert_eq!(peer.names(), ["a", "b"]);

    let peer =
        Peer::start([Answer, Pushback].into_iter().chain(std::iter::repeat_n(Lose, 9_999))).await;
    let patient = options(&peer).call_timeout(BRIEF);
    let patient = Client::connect(patient).expect("the address is good");
    assert_eq!(batch(&patient, &["a", "b"]).await, Ok(vec!["a".into(), "Unavailable".into()]));
    let peer = Peer::start(std::iter::repeat_n(Lose, 10_000)).await;
    let options = options(&peer).call_timeout(BRIEF);
    let patient = Client::connect(options).expect("the address is good");
    assert_eq!(batch(&patient, &["a", "b"]).await, Err(Code::Unavailable));
}

/// The peer has no word of namespaces: what it would do with "default" is not asked of it.
#[tokio::test]
async fn nothing_is_asked_in_a_namespace_of_a_coordinator_that_knows_none() {
    let peer = Peer::start([]).await;
    let spec = || TaskSpec::new("a").idempotency_key("k");
    let team = Client::connect(options(&peer).namespace("team")).expect("the address is good");
    let mut stream = team.submit_stream(tokio_stream::iter([spec()]), StreamOptions::default());
    let refused = [
        team.submit(spec()).await.err(),
        team.submit_batch(vec![spec()]).await.err(),
        team.validate(spec()).await.err(),
        stream.next().await.and_then(Result::err),
        team.list(TaskFilter::default()).next().await.err(),
        team.list_dead_letters(TaskFilter::default()).next().await.err(),
        team.watch(WatchFilter::All).next().await.err(),
        team.pause_queue("mail").await.err(),
    ];
    let codes = refused.map(|error| error.map(|error| error.code()));
    assert_eq!(codes, [Some(Code::Unimplemented); 8]);
    assert_eq!(peer.names(), [""; 0], "it was sent nothing");
    for namespace in ["", "default"] {
        let client = Client::connect(options(&peer).namespace(namespace)).expect("it is good");
        client.submit(spec()).await.expect("it is answered");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_named() {
    let peer = Peer::start([Skip]).await;
    let error = client(&peer).cancel("id").await.expect_err("there is no task in the answer");
    assert!(matches!(error, Error::Malformed { missing: "a task", .. }), "{error:?}");
    let error = client(&peer).explain("id").await.expect_err("there is nothing in the answer");
    assert!(matches!(error, Error::Malformed { missing: "an explanation", .. }), "{error:?}");
    let specs = vec![TaskSpec::new("a"), TaskSpec::new("b")];
    let error = client(&peer).submit_batch(specs).await.expect_err("one outcome for two tasks");
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}
