//! `instructions`: how many instructions the hot paths take for a task, counted by valgrind and held to a baseline.
//!
//! Counts, unlike times, are the same on a busy machine. Each case is run twice in a process of its own, the second time
//! with more tasks; the difference is what these cost, without the process's start and what was set up.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, Subcommand};

use crate::case::{CASES, Case};

mod case;
mod core;
#[cfg(feature = "coordinator")]
mod process;

/// By how many percent a count may differ from its baseline.
const TOLERANCE_PERCENT: u64 = 5;

/// How many tasks the first run of a case has.
const TASKS: u64 = 4_000;

/// How many more the second one has.
const MORE_TASKS: u64 = 8_000;

/// Counts the instructions that the queue, the codec and the engine take for a task.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Count, and fail if a case differs from its baseline by more than 5 %.
    Check,
    /// Count, and make what was found the baseline.
    Record,
    /// Run one case, to be looked at by a profiler.
    Run {
        /// Its name.
        case: String,
        /// How many tasks it has.
        tasks: u64,
    },
}

/// What every case took for a task.
struct Counts(BTreeMap<String, u64>);

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().verb {
        Verb::Run { case, tasks } => {
            case::named(&case)?.run(tasks)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Record => {
            let Counts(mut counts) = Counts::expected()?;
            counts.retain(|name, _| case::is_left_out(name));
            counts.extend(count_all()?.0);
            fs::write(baseline(), Counts(counts).to_string()).context("the baseline is written")?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Check => check(),
    }
}

fn check() -> anyhow::Result<ExitCode> {
    let (mut expected, mut is_fine) = (Counts::expected()?, true);
    expected.0.retain(|name, _| !case::is_left_out(name));
    let found = count_all()?;
    ensure!(expected.0.keys().eq(found.0.keys()), "the baseline has other cases: record it anew");
    let mut out = io::stdout().lock();
    for ((name, found), expected) in found.0.iter().zip(expected.0.values()) {
        let verdict = verdict(*found, *expected);
        is_fine &= verdict.is_none();
        let verdict = verdict.unwrap_or_default();
        writeln!(out, "{name:20} {found:>9} a task, baseline {expected:>9} {verdict}")?;
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with a count.
fn verdict(found: u64, expected: u64) -> Option<&'static str> {
    let (found, expected) = (found * 100, expected * 100);
    let margin = expected / 100 * TOLERANCE_PERCENT;
    if expected + margin < found {
        Some("TOO MANY: find out why")
    } else if found + margin < expected {
        Some("FEWER: record the new baseline, so that it holds")
    } else {
        None
    }
}

fn count_all() -> anyhow::Result<Counts> {
    let count = |case: &Case| {
        let some = count(case, TASKS)?;
        let more = count(case, TASKS + MORE_TASKS)?;
        ensure!(some < more, "{}: {some} instructions, then {more}", case.name);
        Ok((case.name.to_owned(), (more - some) / MORE_TASKS))
    };
    CASES.iter().map(count).collect::<anyhow::Result<_>>().map(Counts)
}

/// All instructions of a process that runs this case.
fn count(case: &Case, tasks: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["run", case.name, &tasks.to_string()])
        .output()
        .context("valgrind cannot be run: install Debian's package of that name")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} failed under valgrind: {said}", case.name);
    }
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = line.with_context(|| format!("valgrind does not say how many: {said}"))?;
    Ok(count.trim().parse()?)
}

fn baseline() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.txt")
}

impl Counts {
    fn expected() -> anyhow::Result<Self> {
        Self::read(&fs::read_to_string(baseline()).context("the baseline is read")?)
    }

    fn read(text: &str) -> anyhow::Result<Self> {
        let read = |line: &str| -> anyhow::Result<(String, u64)> {
            let (name, count) = line.split_once(' ').context("a name and a count")?;
            Ok((name.to_owned(), count.trim().parse()?))
        };
        let lines = text.lines().map(|line| read(line).with_context(|| format!("line {line:?}")));
        lines.collect::<anyhow::Result<_>>().map(Self)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{name} {count}"))
    }
}

#[cfg(test)]
mod tests;
