//! Payloads reach only workers that read them: through the command line, the wire, the journal and back.

use std::fs;

use leasehold_proto::v1::{BlockedReason, TaskSpec, TaskState};

use crate::{
    client::spec,
    command_line::run,
    condition::{SOON, until},
    coordinator::Coordinator,
    process::Process,
    script::bytes,
    worker,
};

/// The schema of what is queued, and that of the deploy after it.
const OLD: &str = r#"{"type": "object", "properties": {"name": {"type": "string"}}}"#;
const NEW: &str =
    r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 9}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_nobody_reads_waits_and_says_so_until_somebody_does() {
    let mut coordinator = Coordinator::start().await;
    let (old, new) = (fingerprint(&coordinator, "old", OLD), fingerprint(&coordinator, "new", NEW));
    assert_ne!(old, new);
    let newer = reader(&coordinator, "newer", &[&new]);
    let mut client = coordinator.client();
    let id = client.submit(TaskSpec { payload_schema: old.clone(), ..task() }).await;
    let anything = client.submit(task()).await;
    assert_eq!(client.ended(&anything).await.state(), TaskState::Succeeded, "{}", newer.tail());

    let waiting = client.task(&id).await;
    assert_eq!(waiting.blocked_reason(), BlockedReason::NoEligibleWorker);
    let (want, got) = (short(&old), short(&new));
    let detail = format!("payload schema {want} is read by no connected worker; they read {got}");
    assert_eq!(waiting.blocked_detail, detail);
    let shown = run(coordinator.address, &["task", "get", &id], b"");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(&detail) && shown.contains(&old), "{shown}");
    let listed = run(coordinator.address, &["worker", "list"], b"");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(&format!("read[{got}]")), "{listed}");

    // What it wants is durable.
    coordinator.kill();
    coordinator.restart().await;
    let mut client = coordinator.client();
    until("the worker is back", SOON, async || {
        client.worker("newer").await.is_some() && client.task(&id).await.blocked_detail == detail
    })
    .await;
    assert_eq!(client.task(&id).await.lease_count, 0, "nobody was asked to run it");

    let both = reader(&coordinator, "both", &[&new, &old]);
    let ended = client.ended(&id).await;
    assert_eq!(ended.state(), TaskState::Succeeded, "{}", both.tail());
    assert_eq!(ended.lease_ends[0].worker_id, "both");
    assert_eq!((ended.result, ended.lease_count), (bytes(b"{}"), 1));
    let ended = client.task(&id).await;
    assert_eq!(
        (ended.blocked_detail.as_str(), ended.spec.expect("a spec").payload_schema),
        ("", old)
    );
}

fn task() -> TaskSpec {
    TaskSpec { payload: bytes(b"{}"), ..spec("read") }
}

/// A worker that reads payloads of these schemas.
fn reader(coordinator: &Coordinator, id: &str, schemas: &[&str]) -> Process {
    let config = coordinator.dir().join(format!("{id}.yaml"));
    let schemas = schemas.join(", ");
    let text = format!("programs: {{ read: {{ command: cat, schemas: [{schemas}] }} }}\n");
    fs::write(&config, text).expect("the configuration can be written");
    let args = ["--config", config.to_str().expect("a path of UTF-8")];
    let options = worker::Options { id, args: &args, ..Default::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// The fingerprint of a JSON Schema, as the command line has it.
fn fingerprint(coordinator: &Coordinator, name: &str, schema: &str) -> String {
    let file = coordinator.dir().join(format!("{name}.json"));
    fs::write(&file, schema).expect("the schema can be written");
    let path = file.to_str().expect("a path of UTF-8");
    let printed = run(coordinator.address, &["schema", "fingerprint", path], b"");
    String::from_utf8(printed.stdout).expect("a line").trim().to_owned()
}

fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(12).collect()
}
