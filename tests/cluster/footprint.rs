//! The journal stays small however much passes through it.
//!
//! `LEASEHOLD_SOAK_TASKS` says how much; by hand: 1000000.

use std::{fs, path::Path, time::Duration};

use leasehold_proto::v1::{SubmitTaskRequest, TaskSpec, submit_outcome::Outcome};
use tokio::time::Instant;

use crate::{
    client::spec,
    condition::until,
    coordinator::{Coordinator, Options},
    crash::setting,
    crew::Crew,
    script::bytes,
};

/// How many tasks pass through in a plain test run.
const TASKS: usize = 20_000;

/// How many tasks are open at most.
const WAVE: usize = 5_000;

/// What database and write-ahead log together may take when nothing is kept.
const BYTES_MAX: u64 = 64 << 20;

/// How long a wave may take.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_does_not_grow_with_what_has_passed() {
    let tasks = setting("LEASEHOLD_SOAK_TASKS", TASKS);
    let config = "retention:\n  finished: 0s\n".to_owned();
    let options = Options { config: Some(config), ..Options::default() };
    let mut coordinator = Coordinator::start_with(options).await;
    let mut client = coordinator.client();
    let _crew = Crew::hire(coordinator.address, 2, "crew", 256, 0);
    let spec = TaskSpec { payload: bytes(&[b'x'; 100]), ..spec("crew") };
    let request = SubmitTaskRequest { spec: Some(spec.into()), ..Default::default() };
    let (began, mut largest) = (Instant::now(), 0);
    for _ in 0..tasks.div_ceil(WAVE) {
        let mut accepted = 0;
        let wave = vec![request.clone(); WAVE];
        let count =
            |_: usize, outcome| accepted += usize::from(matches!(outcome, Outcome::Accepted(_)));
        client.submit_all(&wave, count).await.expect("there is room");
        assert_eq!(accepted, WAVE);
        until("the wave is done", PATIENCE, async || client.is_drained("default").await).await;
        largest = largest.max(journal_bytes(&coordinator.data()));
        assert!(largest < BYTES_MAX, "the journal takes {largest} bytes");
    }
    let took = began.elapsed();
    coordinator.kill();
    let began = Instant::now();
    coordinator.restart().await;
    println!("{tasks} tasks in {took:?}, at most {largest} bytes, back in {:?}", began.elapsed());
}

/// What the database and its write-ahead log take.
fn journal_bytes(data: &Path) -> u64 {
    let size = |name: &str| fs::metadata(data.join(name)).map_or(0, |it| it.len());
    size("leasehold.db") + size("leasehold.db-wal")
}
