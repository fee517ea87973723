//! Work in parts that goes on where an earlier attempt was interrupted, and says which parts it did itself.

use std::time::Duration;

use leasehold_worker::{Bytes, Context, TaskError, Worker};

/// How long a part takes.
const PART: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leasehold_worker::Error> {
    Worker::from_env()?.task("parts", parts).run().await
}

async fn parts(payload: Bytes, ctx: Context) -> Result<String, TaskError> {
    let all = number(&payload)?;
    let begun = ctx.checkpoint().map_or(Ok(0), |saved| number(saved))?;
    for done in begun + 1..=all {
        tokio::time::sleep(PART).await;
        ctx.save_checkpoint(done.to_string())?;
        ctx.progress(f64::from(done) / f64::from(all), format!("{done} of {all}"));
    }
    Ok(format!("{begun} to {all}"))
}

/// Payload and checkpoint are numbers.
fn number(text: &[u8]) -> Result<u32, TaskError> {
    Ok(std::str::from_utf8(text)?.parse()?)
}
