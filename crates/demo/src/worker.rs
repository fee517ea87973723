//! A worker of the demo: one Rust handler and one program, both of which keep the ledger.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leasehold_telemetry::{LogFormat, Settings};
use leasehold_worker::{Bytes, Context, Program, TaskError, Worker};

use crate::args::WorkerArgs;
use crate::digest::Digest;
use crate::ledger::Ledger;
use crate::workload::{DIGEST, SHA256SUM};

/// Tasks a worker runs at once. More than there are cores, so that a slot that waits for the disk,
/// for a process to start or for the coordinator does not leave a core idle.
const SLOTS: u32 = 4;

/// Notes the execution, then lets `sha256sum` read the file whose name is on stdin.
const SCRIPT: &str = r#"echo "$LEASEHOLD_TASK_ID $LEASEHOLD_FENCING_TOKEN $$" >> "$DEMO_LEDGER" && exec sha256sum < "$(cat)""#;

/// Works until it is told to stop.
pub(crate) async fn serve(args: WorkerArgs) -> anyhow::Result<()> {
    let settings =
        Settings { log_format: LogFormat::Json, ..Settings::new("leasehold-demo-worker") };
    let telemetry = leasehold_telemetry::init(&settings)?;
    let ledger = Arc::new(Ledger::open(&args.ledger)?);
    let program = Program::new("sh").arg("-c").arg(SCRIPT).env("DEMO_LEDGER", &args.ledger);
    let worked = Worker::default()
        .address(args.address)
        .id(args.id)
        .slots(SLOTS)
        .task(DIGEST, move |payload, context| digest(payload, context, Arc::clone(&ledger)))
        .program(SHA256SUM, program)
        .run()
        .await;
    telemetry.shutdown();
    Ok(worked?)
}

/// SHA-256, lines and bytes of the file the payload names.
async fn digest(
    payload: Bytes,
    context: Context,
    ledger: Arc<Ledger>,
) -> Result<String, TaskError> {
    ledger.note(context.task_id(), context.fencing_token())?;
    let path = PathBuf::from(OsStr::from_bytes(&payload));
    // Reading a file blocks.
    let digest = tokio::task::spawn_blocking(move || Digest::of_file(Path::new(&path))).await??;
    Ok(digest.to_string())
}
