//! The worker of the README: a task type is an async function.
use leasehold_worker::{Bytes, Context, TaskError, Worker};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leasehold_worker::Error> {
    Worker::from_env()?.slots(8).task("greet", greet).run().await
}

async fn greet(payload: Bytes, ctx: Context) -> Result<String, TaskError> {
    let name = std::str::from_utf8(&payload)?;
    ctx.progress(0.5, "thinking of something nice to say");
    Ok(format!("Hello, {name}! This is attempt {}.", ctx.attempt()))
}
