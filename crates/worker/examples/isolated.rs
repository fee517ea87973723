//! A function in a process of its own: whatever goes wrong in it costs one attempt, and it can be stopped.
//!
//! The payload says what is to go wrong. `docs/worker.md` says what `main` has to do for it.
#![expect(clippy::print_stdout, clippy::panic, reason = "a function may do anything")]

use std::process::{abort, exit};

use leasehold_worker::{Context, TaskError, Worker, guard};
use rustix::process::{Signal, getpid, kill_process};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leasehold_worker::Error> {
    guard::run_if_guard();
    Worker::from_env()?.slots(4).isolated("act", act).run().await
}

#[expect(clippy::exit, clippy::infinite_loop, reason = "a function may do anything")]
fn act(payload: &[u8], ctx: &Context) -> Result<String, TaskError> {
    ctx.guard()?;
    match payload {
        b"panic" => panic!("as asked"),
        b"abort" => abort(),
        // The first is for Rust, which looks whether the stack has overflowed.
        b"segfault" => loop {
            kill_process(getpid(), Signal::SEGV)?;
        },
        b"exit" => exit(3),
        b"fail" => return Err(TaskError::permanent("as asked").with_details("in detail")),
        b"hang" => {
            ctx.progress(None, getpid().as_raw_nonzero().to_string());
            loop {
                std::thread::yield_now();
            }
        }
        b"wait" => {
            ctx.progress(0.5, "waiting");
            while !ctx.is_cancelled() {
                std::thread::yield_now();
            }
            let reason = ctx.cancel_reason().map(|it| it.to_string());
            return Ok(format!("{} {:?}", reason.unwrap_or_default(), ctx.guard().is_err()));
        }
        b"save" => {
            ctx.save_checkpoint("60")?;
            let found = ctx.checkpoint().map(leasehold_worker::Bytes::len);
            ctx.save_checkpoint(vec![0; 1_000])?;
            return Err(TaskError::retry(format!("{found:?}")));
        }
        b"large" => return Ok("x".repeat(100_001)),
        _ => println!("what a function prints is no result"),
    }
    let (task, attempt, token) = (ctx.task_id(), ctx.attempt(), ctx.fencing_token());
    let (labels, worker, length) = (ctx.labels(), ctx.worker_id(), payload.len());
    let trace = ctx.trace().trace_id();
    Ok(format!("{task} {attempt} {token} {worker} {labels:?} {trace} {length}"))
}
