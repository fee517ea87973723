//! A wall clock that jumps ends no lease, hurries no task and holds none up: only people read it.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use leasehold_proto::v1::{SubmitTaskRequest, Task, TaskSpec, TaskState, Timeouts};
use prost_types::Timestamp;
use tokio::time::Instant;

use crate::{
    client::{Client, duration, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    fault,
    program::{PATIENT, shell_task, tokens},
    script::bytes,
    worker,
};

/// By how many seconds the clock is wrong, one after the other.
const JUMPS: [i64; 2] = [3_600, -3_600];

/// For how long a task waits under each. A session lasts less: a clock that it trusted would have ended it.
const DELAY: Duration = Duration::from_millis(2_500);

#[tokio::test]
async fn a_wall_clock_that_jumps_moves_nothing() {
    let dir = tempfile::TempDir::with_prefix("leasehold-").expect("a temporary directory");
    let clock = dir.path().join("clock");
    let env = [
        ("LD_PRELOAD", fault::library("clock", dir.path()).display().to_string()),
        ("LEASEHOLD_CLOCK_FILE", clock.display().to_string()),
    ];
    let owned = env.clone().map(|(key, value)| (key.to_owned(), value)).to_vec();
    let options = Options { env: owned, ..Options::short_sessions() };
    let coordinator = Coordinator::start_with(options).await;
    let mut client = coordinator.client();
    let _worker = start_worker(&coordinator, &env);
    let id = client.submit(shell_task(coordinator.dir())).await;
    let token = tokens(coordinator.dir(), 1).await[0];
    client.in_state(&id, TaskState::Running).await;

    for jump in JUMPS {
        // Replaced in one step, so that nobody reads half of it.
        fs::write(dir.path().join("next"), jump.to_string()).expect("the clock can be set");
        fs::rename(dir.path().join("next"), &clock).expect("the clock can be set");
        until("the coordinator sees the jump", SOON, async || sees(&mut client, jump).await).await;
        let begun = Instant::now();
        let delayed = TaskSpec { initial_delay: Some(duration(DELAY)), ..spec("echo") };
        let delayed = client.submit(delayed).await;
        let task = client.ended(&delayed).await;
        assert_eq!(
            (task.state(), task.lease_count),
            (TaskState::Succeeded, 1),
            "{jump}: {task:#?}"
        );
        // Half a percent is how fast the coordinator works the difference off.
        assert!(DELAY * 99 / 100 <= begun.elapsed(), "{jump}: a task began before its time");
        let task = client.task(&id).await;
        assert_eq!((task.state(), task.lease_count), (TaskState::Running, 1), "{jump}: {task:#?}");
    }

    fs::write(coordinator.dir().join("go"), "").expect("the program is given leave");
    let task: Task = client.ended(&id).await;
    assert_eq!((task.state(), task.lease_count), (TaskState::Succeeded, 1), "{task:#?}");
    assert_eq!(task.result, bytes(format!("done by {token}\n").as_bytes()));
}

/// A worker under the same clock, with room for a program that waits and for one that does not.
fn start_worker(coordinator: &Coordinator, env: &[(&str, String)]) -> crate::process::Process {
    let script = coordinator.dir().join("patient.sh");
    fs::write(&script, PATIENT).expect("the script can be written");
    let patient = format!("sh {}", script.display());
    let programs = [("script", patient.as_str()), ("echo", "cat")];
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let options = worker::Options { programs: &programs, env: &env, ..Default::default() };
    worker::start(coordinator.address, coordinator.dir(), &options)
}

/// Whether the coordinator's wall clock is wrong by about as much: a deadline is refused if it seems to be past.
async fn sees(client: &mut Client, jump: i64) -> bool {
    let mut deadline = Timestamp::from(SystemTime::now());
    deadline.seconds += jump / 2;
    let timeouts = Timeouts { deadline: Some(deadline), ..Timeouts::default() };
    let request = SubmitTaskRequest {
        spec: Some(Box::new(TaskSpec { timeouts: Some(timeouts), ..spec("echo") })),
        validate_only: true,
        ..SubmitTaskRequest::default()
    };
    client.tasks.submit_task(request).await.is_err() == (0 < jump)
}
