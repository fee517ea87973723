//! What a pool is: its name, how many workers, and what each of them is.

use std::{io, path::PathBuf, time::Duration};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::{
    args::PoolArgs,
    config::{Config, ConfigError, Drain},
};

/// The most workers on one machine: each is a process with threads and a connection of its own.
const WORKERS_MAX: u32 = 1_000;

/// The most characters that a number and its dash add to a worker's id.
const NUMBER_CHARS_MAX: usize = 5;

/// The longest id of a worker.
const WORKER_ID_CHARS_MAX: usize = 128;

const MIN_DEFAULT: u32 = 1;
const MAX_DEFAULT: u32 = 16;

/// How often the coordinator is asked.
const POLL_DEFAULT: Duration = Duration::from_secs(2);

/// And how often at the most.
const POLL_MIN: Duration = Duration::from_millis(50);

/// The label by which the coordinator knows the workers of a pool.
const LABEL: &str = "pool";

/// A pool to be kept.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) range: (u32, u32),
    pub(crate) poll: Duration,
    /// Where the coordinator listens.
    pub(crate) address: String,
    /// What its workers serve.
    pub(crate) task_types: Vec<String>,
}

impl Plan {
    /// The plan that a configuration describes, if its workers can be what it says.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let worker = config.worker();
        let name = worker.worker_id().to_owned();
        if WORKER_ID_CHARS_MAX < name.len() + NUMBER_CHARS_MAX {
            let problem = format!("the id {name:?} is too long to get a number behind it");
            return Err(ConfigError::Pool(problem));
        }
        member(config.clone(), &name, 1).worker().check()?;
        let (min, max) =
            (config.pool.min.unwrap_or(MIN_DEFAULT), config.pool.max.unwrap_or(MAX_DEFAULT));
        if !(1..=WORKERS_MAX).contains(&max) || max < min {
            let problem = format!(
                "min is {min} and max {max}: max must be 1 to {WORKERS_MAX}, and min no more than it"
            );
            return Err(ConfigError::Pool(problem));
        }
        let poll = config.pool.poll.map_or(POLL_DEFAULT, |Drain(poll)| poll);
        if poll < POLL_MIN {
            return Err(ConfigError::Pool(format!("poll is {poll:?}, less than {POLL_MIN:?}")));
        }
        Ok(Self {
            range: (min, max),
            poll,
            address: worker.coordinator().to_owned(),
            task_types: worker.task_types().map(str::to_owned).collect(),
            name,
        })
    }

    /// What a worker of the pool is called.
    pub(crate) fn member(&self, number: u32) -> String {
        name(&self.name, number)
    }

    /// Which number the worker of this name has. None: it is none of this pool.
    pub(crate) fn number(&self, worker: &str) -> Option<u32> {
        worker.strip_prefix(&self.name)?.strip_prefix('-')?.parse().ok()
    }
}

/// A worker of a pool that this process is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    number: u32,
    /// The process of the pool.
    parent: u32,
}

impl Member {
    /// Which worker of which process this one is to be, if it is to be one.
    pub(crate) fn of(args: &PoolArgs) -> Option<Self> {
        let [number, parent] = *args.member.as_slice() else { return None };
        Some(Self { number, parent })
    }

    /// Binds this process to the pool's: from here on it does not outlive it, however that ends.
    pub(crate) fn bind(self) -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The pool may have died before that.
        let parent = getppid().map(Pid::as_raw_nonzero);
        if parent.and_then(|it| u32::try_from(it.get()).ok()) == Some(self.parent) {
            return Ok(());
        }
        Err(io::Error::other("the pool that started this worker is gone"))
    }

    /// The configuration of this worker of the pool.
    pub(crate) fn config(self, config: Config) -> Config {
        let pool = config.worker().worker_id().to_owned();
        member(config, &pool, self.number)
    }
}

/// The configuration of one worker of a pool: an id, a label, and a state directory of its own.
fn member(config: Config, pool: &str, number: u32) -> Config {
    let id = name(pool, number);
    let mut labels = config.labels;
    labels.insert(LABEL.to_owned(), pool.to_owned());
    let state_dir: Option<PathBuf> = config.state_dir.map(|directory| directory.join(&id));
    Config { id: Some(id), labels, state_dir, ..config }
}

fn name(pool: &str, number: u32) -> String {
    format!("{pool}-{number}")
}
