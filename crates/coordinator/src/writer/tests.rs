//! The writer by itself, on a real journal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Wake,
};

use leasehold_journal::{Batch, Counts, Options};

use super::*;

/// When the row of these tests expires.
const EXPIRE_MS: u64 = 1_000_000;

/// A writer whose journal has one dead letter, and what it needs to be kept alive.
struct Bench {
    writer: Writer,
    _ends: (mpsc::Sender<Job>, mpsc::Receiver<Report>, tempfile::TempDir),
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { ballast_bytes: 0, ..Options::default() };
        let mut journal = Journal::open(dir.path(), options).expect("it opens");
        let epoch = journal.claim(1).expect("it is claimed");
        let batch = Batch { failed: vec![dead_letter()], ..Batch::default() };
        journal.append(epoch, &batch).expect("it is durable");
        let (jobs, job_queue) = mpsc::channel(JOBS_MAX);
        let (reports, reported) = mpsc::channel(JOBS_MAX);
        let writer = Writer::new(journal, epoch, dir.path(), job_queue, reports);
        Self { writer: writer.expect("it is made"), _ends: (jobs, reported, dir) }
    }
}

fn dead_letter() -> FailedRow {
    FailedRow {
        row_id: 1,
        task_id: [1; 16],
        queue: "q".to_owned(),
        task_type: "t".to_owned(),
        generation: 1,
        attempts: 1,
        reason: "ERROR".to_owned(),
        error: String::new(),
        error_stack: String::new(),
        submit_ms: 0,
        finish_ms: 0,
        expire_ms: EXPIRE_MS,
        trace_id: String::new(),
        payload: bytes::Bytes::new(),
        state: bytes::Bytes::new(),
        leases: String::new(),
    }
}

#[test]
fn what_has_expired_goes_although_nothing_is_appended() {
    let second = Duration::from_secs(1);
    let long_ago = |ago| Instant::now().checked_sub(ago).expect("the machine is up");
    for (what, seen_ms, appended, tidied, left) in [
        ("an append did it just now", EXPIRE_MS, Duration::ZERO, 2 * second, 1),
        ("it was done just now", EXPIRE_MS, 2 * second, Duration::ZERO, 1),
        ("it has not expired", EXPIRE_MS - 60_000, 2 * second, 2 * second, 1),
        ("it has expired since the last batch", EXPIRE_MS - 2_000, 2 * second, 2 * second, 0),
    ] {
        let Bench { mut writer, _ends } = Bench::new();
        writer.seen = Seen { now_ms: seen_ms, at: long_ago(appended) };
        writer.tidied = long_ago(tidied);
        writer.tidy_if_due().expect("the journal is sound");
        assert_eq!(writer.journal.counts(), Counts { finished: 0, failed: left }, "{what}");
    }
}

/// Counts how often it is called.
#[derive(Debug, Default)]
struct Calls(AtomicU32);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn the_engine_is_called_to_all_that_is_reported_but_the_last() {
    for (jobs, calls) in [(0, 0), (1, 0), (3, 2)] {
        let Bench { mut writer, _ends: (sender, mut reports, _dir) } = Bench::new();
        let called = Arc::new(Calls::default());
        writer.call_by(Waker::from(Arc::clone(&called)));
        for _ in 0..jobs {
            sender.try_send(Job::ReadDead { row_id: 1 }).expect("there is room");
        }
        let done = writer.work_off().await.expect("the engine is there");
        assert_eq!(done.has_worked, 0 < jobs, "{jobs} jobs");
        let heard = std::iter::from_fn(|| reports.try_recv().ok());
        let dead = heard.filter(|report| matches!(report, Report::Dead(1, Ok(Some(_))))).count();
        assert_eq!((dead, called.0.load(Ordering::Relaxed)), (jobs, calls), "{jobs} jobs");
    }
}
