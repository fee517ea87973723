//! Many seeds, each in a process of its own: what chance a process has is seeded once.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::stopwatch::Stopwatch;

/// What to search.
#[derive(Clone, Debug)]
pub struct Search {
    /// This program.
    pub program: PathBuf,
    /// The first seed.
    pub from: u64,
    /// How many seeds at most.
    pub seeds: u64,
    /// For how long at most.
    pub time: Duration,
    /// How many processes at once.
    pub jobs: usize,
    /// What else each process is told.
    pub arguments: Vec<String>,
    /// Whether the first broken seed ends it.
    pub until_broken: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many seeds were run.
    pub seeds: u64,
    /// The seeds that broke a promise, and what their processes said last.
    pub broken: Vec<(u64, String)>,
    /// Sums over all seeds, by name, as each process reports them.
    pub sums: Sums,
    /// How long it took.
    pub took: Duration,
}

/// What the processes reported, added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Tasks.
    pub tasks: u64,
    /// Handlers that began.
    pub runs: u64,
    /// Processes that started.
    pub starts: u64,
    /// Faults.
    pub faults: u64,
}

impl Sums {
    /// Adds what a process said in its report: words of a name, an equals sign and a number.
    fn add(&mut self, report: &str) {
        for (name, value) in report.split_whitespace().filter_map(|word| word.split_once('=')) {
            let sum = match name {
                "simulated_ms" => &mut self.simulated_ms,
                "tasks" => &mut self.tasks,
                "runs" => &mut self.runs,
                "starts" => &mut self.starts,
                "faults" => &mut self.faults,
                _ => continue,
            };
            *sum += value.parse::<u64>().unwrap_or_default();
        }
    }
}

/// Runs seeds until there are no more, the time is over, or one breaks a promise.
pub fn search(search: &Search) -> io::Result<Found> {
    let began = Stopwatch::begin()?;
    let (next, found) = (AtomicU64::new(search.from), Mutex::new(Found::default()));
    let end = search.from.saturating_add(search.seeds);
    let work = || -> io::Result<()> {
        while began.elapsed()? < search.time {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if end <= seed {
                return Ok(());
            }
            let run = one(search, seed)?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.seeds += 1;
            match run {
                Ok(report) => found.sums.add(&report),
                Err(said) => found.broken.push((seed, said)),
            }
            if search.until_broken && !found.broken.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let jobs: Vec<_> = (0..search.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Err(io::Error::other("a job panicked"));
        jobs.into_iter().try_for_each(|job| job.join().unwrap_or_else(panicked))
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.took = began.elapsed()?;
    found.broken.sort();
    Ok(found)
}

/// Runs a seed; the last line that its process said, or, if it broke a promise, why.
fn one(search: &Search, seed: u64) -> io::Result<Result<String, String>> {
    let mut command = Command::new(&search.program);
    command.args(["run", "--seed", &seed.to_string()]).args(&search.arguments);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().last().unwrap_or_default().to_owned();
    if output.status.success() {
        return Ok(Ok(last));
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Ok(Err(if last.is_empty() { format!("{}: {complained}", output.status) } else { last }))
}

/// Everything that a seed says of itself, line by line.
pub fn told(program: &Path, seed: u64) -> io::Result<Vec<String>> {
    let mut command = Command::new(program);
    let output = command.args(["run", "--trace", "--seed", &seed.to_string()]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// The same line without the journal's id, which the database draws from the system's chance.
pub fn without_journal_id(line: &str) -> String {
    let words = line.split(' ').filter(|word| !word.starts_with("journal_id="));
    words.collect::<Vec<_>>().join(" ")
}
