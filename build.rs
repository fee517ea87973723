//! Compiles `proto/` with protox, a protobuf compiler in Rust: no `protoc` is needed.
//! Writes the generated code and the file descriptor set (for reflection and the schema lock) to
//! `OUT_DIR`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 8] = [
    "leasehold/v1/task.proto",
    "leasehold/v1/explain.proto",
    "leasehold/v1/task_service.proto",
    "leasehold/v1/worker_service.proto",
    "leasehold/v1/dead_letter_service.proto",
    "leasehold/v1/admin_service.proto",
    "leasehold/v1/reason.proto",
    "externalscaler/externalscaler.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/leasehold");
    println!("cargo:rerun-if-changed=proto/externalscaler");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("leasehold.v1.bin"), descriptors.encode_to_vec())?;
    // Without the transport helpers: `Connect` would collide with the generated constructor `connect`.
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::Codec")
        .bytes(".")
        // What is large and rare would make everything beside it as large.
        .boxed(".leasehold.v1.SubmitTaskRequest.spec")
        .boxed(".leasehold.v1.SubmitOutcome.outcome.refused")
        .boxed(".leasehold.v1.WorkerEvent.event.hello")
        .boxed(".leasehold.v1.CoordinatorEvent.event.assignment")
        .boxed(".leasehold.v1.CoordinatorEvent.event.welcome")
        .compile_fds(descriptors)?;
    Ok(())
}
