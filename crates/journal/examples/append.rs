//! Measures what an append costs: tasks a second for two batch sizes, with and without a finished row per task, each
//! durable, with the prefix trimmed on the way; and what the files take afterwards.
//!
//! `cargo run -p leasehold-journal --example append [TASKS] [DIR]`

#![expect(clippy::print_stdout, reason = "the numbers are its output")]

use std::{env, error::Error, path::Path, time::Instant};

use bytes::Bytes;
use leasehold_journal::{Batch, Class, Epoch, FinishedRow, Journal, Options, Position};

/// The records of one task: accepted with a payload of 100 bytes, leased, ended.
const TASK_BYTES: usize = 260;

/// How many batches are kept: about what twice the live tasks of a busy coordinator need.
const BATCHES_KEPT: u32 = 20;

/// How many finished rows are alive at a time: each expires this many tasks after its own.
const ROWS_KEPT: u64 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let tasks: u32 = args.next().map_or(Ok(1_000_000), |number| number.parse())?;
    let dir = args.next();
    println!("tasks\tbatch\trows\ttasks/s\tus/append p50\tp99\tmax\tKiB after");
    for (batch, rows) in [(100, false), (100, true), (1_000, false), (1_000, true)] {
        let temp = match &dir {
            Some(dir) => tempfile::tempdir_in(Path::new(dir))?,
            None => tempfile::tempdir()?,
        };
        measure(temp.path(), Load { tasks, batch, rows })?;
    }
    Ok(())
}

/// What is appended.
#[derive(Clone, Copy)]
struct Load {
    tasks: u32,
    batch: u32,
    rows: bool,
}

fn measure(dir: &Path, load: Load) -> Result<(), Box<dyn Error>> {
    let mut journal = Journal::open(dir, Options::default())?;
    let epoch = journal.claim(1)?;
    let begin = Instant::now();
    let mut times = Vec::new();
    for number in 0..load.tasks / load.batch {
        let batch = make(number, load);
        times.push(append(&mut journal, epoch, &batch)?);
    }
    let seconds = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1));
    let [half, most, all] = [50, 99, 100].map(|share| at(share).copied().unwrap_or(0));
    let Load { tasks, batch, rows } = load;
    let per_second = f64::from(tasks) / seconds;
    let kibibytes = journal.bytes()? / 1024;
    println!("{tasks}\t{batch}\t{rows}\t{per_second:.0}\t{half}\t{most}\t{all}\t{kibibytes}");
    Ok(())
}

fn append(journal: &mut Journal, epoch: Epoch, batch: &Batch) -> Result<u128, Box<dyn Error>> {
    let begin = Instant::now();
    journal.append(epoch, batch)?;
    Ok(begin.elapsed().as_micros())
}

fn make(number: u32, load: Load) -> Batch {
    let first = number * load.batch;
    let finished = if load.rows { first..first + load.batch } else { 0..0 };
    Batch {
        body: Bytes::from(vec![0x5a; TASK_BYTES * load.batch as usize]),
        finished: finished.map(row).collect(),
        drop_before: number.checked_sub(BATCHES_KEPT).map(|before| Position(before.into())),
        now_ms: first.into(),
        ..Batch::default()
    }
}

fn row(task: u32) -> FinishedRow {
    let task = u64::from(task);
    FinishedRow {
        row_id: (task + 1).cast_signed(),
        task_id: u128::from(task).to_be_bytes(),
        queue: "default".to_owned(),
        task_type: "example/sha256".to_owned(),
        class: Class::Succeeded,
        attempts: 1,
        submit_ms: task,
        finish_ms: task,
        expire_ms: task + ROWS_KEPT,
        trace_id: format!("{task:032x}"),
        result: Bytes::from_static(&[0x5a; 64]),
        state: Bytes::from_static(&[0x5a; 120]),
        leases: String::new(),
    }
}
