//! What the machine takes to end as many processes: they are started, killed and seen to die without us.

use std::{
    env, io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{super::delays::Delays, crowd::Door, failed};
use crate::failure::Failure;

/// From the first of as many kills to each death.
pub(super) async fn killed(count: u32, door: &Door, patience: Duration) -> Result<Delays, Failure> {
    let mut crowd = door.crowd();
    let mut groups = Groups::default();
    for _ in 0..count {
        groups.start(door).map_err(|error| failed("start a handler", &error))?;
        crowd.admit().await.map_err(|error| failed("listen to a handler", &error))?;
    }
    let deaths = crowd.deaths(patience);
    let start = Instant::now();
    groups.kill();
    let moments = deaths.await.map_err(|error| failed("see a death", &error))?;
    Delays::of(moments.iter().map(|moment| moment.saturating_duration_since(start)))
}

/// Handlers in process groups of their own. They are killed and waited for when this is dropped.
#[derive(Debug, Default)]
struct Groups(Vec<Child>);

impl Groups {
    fn start(&mut self, door: &Door) -> io::Result<()> {
        let child = Command::new(env::current_exe()?)
            .args(["bench", "handler"])
            .arg(door.path())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()?;
        self.0.push(child);
        Ok(())
    }

    fn kill(&self) {
        for child in &self.0 {
            // One that is gone need not be killed.
            let _gone = kill_process_group(Pid::from_child(child), Signal::KILL);
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.kill();
        for child in &mut self.0 {
            let _gone = child.wait();
        }
    }
}
