//! Work that cannot say beforehand how long it takes, and asks for more time as it gets on; and work that does not ask.

use std::time::Duration;

use leasehold_worker::{Bytes, Context, TaskError, Worker};

/// How long a step takes.
const STEP: Duration = Duration::from_millis(100);

/// How long a step may take at the most.
const STEP_MAX: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leasehold_worker::Error> {
    Worker::from_env()?.task("patient", patient).task("hasty", hasty).run().await
}

async fn patient(payload: Bytes, ctx: Context) -> Result<(), TaskError> {
    for _ in 0..steps(&payload)? {
        ctx.extend(STEP_MAX).await?;
        step(&ctx).await?;
    }
    Ok(())
}

async fn hasty(payload: Bytes, ctx: Context) -> Result<(), TaskError> {
    for _ in 0..steps(&payload)? {
        step(&ctx).await?;
    }
    Ok(())
}

/// What cannot be taken back would come behind the guard.
async fn step(ctx: &Context) -> Result<(), TaskError> {
    tokio::time::sleep(STEP).await;
    Ok(ctx.guard()?)
}

/// The payload is a number.
fn steps(payload: &[u8]) -> Result<u32, TaskError> {
    Ok(std::str::from_utf8(payload)?.parse()?)
}
