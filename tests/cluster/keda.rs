//! What KEDA asks, asked as KEDA does: over gRPC, by the names of its own contract, through every one of its calls.

use std::fs;

use leasehold_proto::externalscaler::{
    GetMetricsRequest, IsActiveResponse, MetricSpec, ScaledObjectRef,
    external_scaler_client::ExternalScalerClient,
};
use leasehold_proto::v1::PauseQueueRequest;
use rustix::process::Signal;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    client::{endpoint, spec},
    condition::{SOON, eventually, until},
    coordinator::{Coordinator, Options},
    process::Process,
    program::{PATIENT, shell_task, tokens},
    worker,
};

/// A scaler of a coordinator, and the metadata of one trigger.
struct Keda {
    client: ExternalScalerClient<Channel>,
}

/// A worker that runs what waits for leave in the directory it is given, and what ends at once.
fn worker(coordinator: &Coordinator, id: &str, slots: u32) -> Process {
    let script = coordinator.dir().join("patient.sh");
    fs::write(&script, PATIENT).expect("the script can be written");
    let patient = format!("sh {}", script.display());
    let programs = [("script", patient.as_str()), ("echo", "cat")];
    let options = worker::Options { id, slots, programs: &programs, ..worker::Options::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// Sessions so short that a coordinator soon stops waiting for workers of a time before it.
async fn coordinator() -> Coordinator {
    Coordinator::start_with(Options::short_sessions()).await
}

fn object(metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let address = ("scalerAddress", "leasehold.default:7171");
    let metadata = metadata.iter().chain([&address]);
    ScaledObjectRef {
        name: "thumbs".to_owned(),
        namespace: "prod".to_owned(),
        scaler_metadata: metadata.map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    }
}

impl Keda {
    fn new(coordinator: &Coordinator) -> Self {
        Self { client: ExternalScalerClient::new(endpoint(coordinator.address).connect_lazy()) }
    }

    /// The one metric of a trigger.
    async fn spec(&mut self, metadata: &[(&str, &str)]) -> Result<MetricSpec, Status> {
        let answer = self.client.get_metric_spec(object(metadata)).await?.into_inner();
        let [spec] = answer.metric_specs.as_slice() else { panic!("one metric: {answer:?}") };
        Ok(spec.clone())
    }

    /// A poll: what the metric is, and whether it is active, each as KEDA asks for it.
    async fn poll(&mut self, metadata: &[(&str, &str)]) -> Result<(f64, bool), Status> {
        let spec = self.spec(metadata).await?;
        let request = GetMetricsRequest {
            scaled_object_ref: Some(object(metadata)),
            metric_name: spec.metric_name.clone(),
        };
        let answer = self.client.get_metrics(request).await?.into_inner();
        let [value] = answer.metric_values.as_slice() else { panic!("one value: {answer:?}") };
        assert_eq!(value.metric_name, spec.metric_name);
        // A KEDA before 2.17 reads whole numbers only, and nothing must not come of something.
        for (float, whole) in [
            (value.metric_value_float, value.metric_value),
            (spec.target_size_float, spec.target_size),
        ] {
            let rounded = format!("{:.0}", float.ceil());
            assert_eq!(rounded, whole.to_string(), "{float}");
        }
        let active = self.client.is_active(object(metadata)).await?.into_inner();
        Ok((value.metric_value_float, active.result))
    }

    async fn polls(&mut self, metadata: &[(&str, &str)], expected: (f64, bool)) {
        until(&format!("{metadata:?} is {expected:?}"), SOON, async || {
            self.poll(metadata).await.is_ok_and(|found| found == expected)
        })
        .await;
    }
}

async fn next<T>(stream: &mut Streaming<T>) -> T {
    let told = timeout(SOON, stream.message()).await.expect("it is told");
    told.expect("the stream goes on").expect("there is more")
}

#[tokio::test]
async fn every_metric_follows_what_there_is() {
    let coordinator = coordinator().await;
    let (mut client, mut keda) = (coordinator.client(), Keda::new(&coordinator));
    let _worker = worker(&coordinator, "worker", 4);
    for _ in 0..6 {
        client.submit(shell_task(coordinator.dir())).await;
    }
    client.submit(spec("other")).await;
    tokens(coordinator.dir(), 4).await;
    let pool = |metric| [("metric", metric), ("workerPool", "default")];
    // Four are leased, and two wait for the same worker; nobody serves the seventh.
    keda.polls(&pool("work"), (6.0, true)).await;
    keda.polls(&pool("backlog"), (2.0, true)).await;
    keda.polls(&[("metric", "backlog")], (3.0, true)).await;
    keda.polls(&[("metric", "backlog"), ("queue", "nothing")], (0.0, false)).await;
    keda.polls(&[("metric", "backlog"), ("taskTypes", "other")], (1.0, true)).await;
    keda.polls(&pool("slot_utilization"), (1.0, true)).await;
    // One worker with four slots is planned to have 3.2 tasks.
    let target = keda.spec(&pool("work")).await.expect("it is known").target_size_float;
    assert!((target - 3.2).abs() < 1e-9, "{target}");
    // At once more are wanted, twice as many at most; a pool that nobody knows can be told of.
    keda.polls(&pool("desired_workers"), (2.0, true)).await;
    keda.polls(&[("workerPool", "new"), ("taskTypes", "other")], (1.0, true)).await;
    for metric in ["oldest_age_seconds", "wait_p95_seconds", "drain_seconds"] {
        until(&format!("{metric} is there"), SOON, async || {
            let value = keda.poll(&pool(metric)).await.map_or(0.0, |(value, _)| value);
            0.0 < value
        })
        .await;
    }
    // What is leased keeps a deployment that would go for want of a backlog.
    let pause = PauseQueueRequest { queue: "default".to_owned(), ..Default::default() };
    client.admin.pause_queue(pause).await.expect("the queue can be paused");
    keda.polls(&pool("backlog"), (0.0, true)).await;
    keda.polls(&[("metric", "backlog"), ("taskTypes", "other")], (0.0, false)).await;
}

#[tokio::test]
async fn streams_say_what_is_at_once_and_then_what_changes() {
    let coordinator = coordinator().await;
    let (mut client, mut keda) = (coordinator.client(), Keda::new(&coordinator));
    let _first = worker(&coordinator, "first", 5);
    let metadata = [("metric", "work"), ("workerPool", "default")];
    until("it is known", SOON, async || keda.spec(&metadata).await.is_ok()).await;
    let mut specs = keda.client.stream_metric_spec(object(&metadata)).await;
    let specs = specs.as_mut().expect("it is served").get_mut();
    assert_eq!(next(specs).await.metric_specs, [keda.spec(&metadata).await.expect("it is known")]);
    let mut active = keda.client.stream_is_active(object(&metadata)).await;
    let active = active.as_mut().expect("it is served").get_mut();
    assert_eq!(next(active).await, IsActiveResponse { result: false });

    client.submit(shell_task(coordinator.dir())).await;
    assert_eq!(next(active).await, IsActiveResponse { result: true });
    fs::write(coordinator.dir().join("go"), "").expect("the program is given leave");
    assert_eq!(next(active).await, IsActiveResponse { result: false });

    // With a second worker one has 10 slots on average, and is worth eight tasks.
    let _second = worker(&coordinator, "second", 15);
    let spec = eventually("it is worth more", SOON, async || {
        let [spec] = next(specs).await.metric_specs.try_into().ok()?;
        let spec: MetricSpec = spec;
        ((spec.target_size_float - 8.0).abs() < 1e-9).then_some(spec)
    })
    .await;
    assert_eq!(keda.spec(&metadata).await.expect("it is known"), spec);
}

#[tokio::test]
async fn trouble_is_no_zero() {
    // A pool may go down to nothing, so that nothing is what a mistake would say.
    let config = "scaling: {min_workers: 0}\n".to_owned();
    // So long that its worker is back by then on a busy machine too.
    let options = Options { config: Some(config), ..Options::with_args(&["--session-ttl", "6s"]) };
    let mut coordinator = Coordinator::start_with(options).await;
    let mut keda = Keda::new(&coordinator);
    let _worker = worker(&coordinator, "worker", 1);
    let metadata = [("workerPool", "default"), ("taskTypes", "echo")];
    keda.polls(&metadata, (1.0, false)).await;
    coordinator.kill();
    until("nobody is there", SOON, async || {
        keda.poll(&metadata).await.is_err_and(|it| it.code() == Code::Unavailable)
    })
    .await;
    coordinator.restart().await;
    // Its worker is on its way back: a number would be wrong, and is not said.
    until("there is a number again", SOON, async || match keda.poll(&metadata).await {
        Ok(found) => {
            assert_eq!(found, (1.0, false));
            true
        }
        Err(refused) => {
            assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
            false
        }
    })
    .await;

    let mut active = keda.client.stream_is_active(object(&metadata)).await;
    let active = active.as_mut().expect("it is served").get_mut();
    next(active).await;
    coordinator.process.signal(Signal::TERM);
    let ended = timeout(SOON, active.message()).await.expect("it is told");
    assert_eq!(ended.expect_err("the coordinator goes").code(), Code::Unavailable);
    coordinator.process.exits_with(0, SOON).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_trigger_is_named() {
    let coordinator = coordinator().await;
    let mut keda = Keda::new(&coordinator);
    let _worker = worker(&coordinator, "worker", 1);
    keda.polls(&[], (1.0, false)).await;
    for (metadata, field) in [
        (&[("metric", "queue_length")][..], "scalerMetadata.metric"),
        (&[("targt", "5")], "scalerMetadata.targt"),
        (&[("workerPool", "nobody")], "scalerMetadata.workerPool"),
    ] {
        let refused = keda.poll(metadata).await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        let violations = refused.get_details_bad_request().map(|it| it.field_violations);
        let fields: Vec<String> =
            violations.unwrap_or_default().into_iter().map(|it| it.field).collect();
        assert_eq!(fields, [field]);
    }
    let request = GetMetricsRequest {
        scaled_object_ref: Some(object(&[])),
        metric_name: "s0-leasehold-desired-workers-default".to_owned(),
    };
    let refused = keda.client.get_metrics(request).await.expect_err("KEDA takes the index away");
    assert_eq!(refused.code(), Code::InvalidArgument);
}
