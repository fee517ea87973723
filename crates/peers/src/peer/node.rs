//! Servers whose users speak to them by a library for Node. Each end is a process that runs a program of ours and speaks
//! to this one in lines: it is connected, it may begin, it is done.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::json;

use super::{postgres, rabbitmq};
use crate::{
    args::Case,
    cpu::Cpu,
    driver::WINDOW,
    server::{Program, Server, program},
    standing::Figures,
};

/// What each end runs.
const DRIVER: &str = include_str!("../../drivers/node.js");

/// What says that an end is connected.
const READY: &str = "ready";

/// A library, and the server that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// RabbitMQ.
    Amqplib,
    /// PostgreSQL, where it keeps jobs in tables of its own.
    GraphileWorker,
}

/// A running server, and where the library is.
#[derive(Debug)]
pub(crate) struct Peer {
    library: Library,
    read: usize,
    server: Server,
    node: PathBuf,
    prefix: PathBuf,
}

/// A process that submits or works.
#[derive(Debug)]
struct End {
    role: &'static str,
    said: BufReader<ChildStdout>,
    told: ChildStdin,
    _program: Program,
}

impl Library {
    /// What the driver calls its server.
    const fn peer(self) -> &'static str {
        match self {
            Self::Amqplib => "rabbitmq",
            Self::GraphileWorker => "graphile",
        }
    }

    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Amqplib => &["amqplib"],
            Self::GraphileWorker => &["graphile-worker", "pg"],
        }
    }

    /// Where npm has put its packages.
    fn installed(self, prefix: Option<&Path>) -> Result<&Path> {
        let prefix = prefix.context("--npm-prefix does not say where its packages are")?;
        let modules = prefix.join("node_modules");
        for package in self.packages() {
            let is_there = modules.join(package).join("package.json").is_file();
            ensure!(is_there, "{package} is not installed in {}", modules.display());
        }
        Ok(prefix)
    }
}

impl Peer {
    /// Starts one. `read` is how many tasks its worker takes at a time, and `prefix` where npm has put packages.
    pub(crate) fn start(
        library: Library,
        read: usize,
        data_in: &Path,
        prefix: Option<&Path>,
    ) -> Result<Self> {
        let prefix = library.installed(prefix)?.to_owned();
        let node = program("node")?;
        let server = match library {
            Library::Amqplib => rabbitmq::start(data_in),
            Library::GraphileWorker => postgres::cluster(data_in),
        }?;
        Ok(Self { library, read, server, node, prefix })
    }

    /// Does the work of a case.
    pub(crate) fn turn(&self, case: Case) -> Result<Figures> {
        let (tasks, rate) = match case {
            Case::Flow { tasks } => (tasks, 0),
            Case::Latency { rate, secs } => (rate * secs, rate),
        };
        // The worker makes the queue.
        let mut worker = self.end("work", tasks, rate)?;
        let mut submitter = self.end("submit", tasks, rate)?;
        let cpu = Cpu::start(self.server.pid());
        let start = Instant::now();
        worker.begin()?;
        submitter.begin()?;
        submitter.delays()?;
        let delays = worker.delays()?;
        let (took, used) = (start.elapsed(), cpu.used());
        Ok(match case {
            Case::Flow { .. } => Figures::flow(tasks, took, used),
            Case::Latency { .. } => Figures::latency(&histogram(&delays, tasks)?),
        })
    }

    fn end(&self, role: &'static str, tasks: u64, rate: u64) -> Result<End> {
        let task = json!({
            "peer": self.library.peer(),
            "role": role,
            "port": self.server.address().port(),
            "tasks": tasks,
            "read": self.read,
            "window": WINDOW,
            "rate": rate,
        });
        let mut command = Command::new(&self.node);
        // It finds packages from the directory it is run in.
        command.current_dir(&self.prefix).args(["--eval", DRIVER, &task.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Program::start(&mut command)?;
        let (told, said) = program.pipes().context("an end without its pipes")?;
        let mut end = End { role, said: BufReader::new(said), told, _program: program };
        let line = end.line()?;
        ensure!(line == READY, "the end that should {role} says {line:?}");
        Ok(end)
    }
}

impl End {
    fn begin(&mut self) -> Result<()> {
        Ok(self.told.write_all(b"go\n")?)
    }

    /// Waits until it is done. How long after its submit each task was started, in microseconds, if there was a rate.
    fn delays(&mut self) -> Result<Vec<u64>> {
        delays(&self.line()?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.said.read_line(&mut line)? == 0 {
            // It has told the user why.
            bail!("the end that should {} has ended", self.role);
        }
        Ok(line.trim_end().to_owned())
    }
}

fn delays(line: &str) -> Result<Vec<u64>> {
    serde_json::from_str(line).with_context(|| format!("an end says {line:?}"))
}

fn histogram(delays: &[u64], tasks: u64) -> Result<Histogram<u64>> {
    ensure!(delays.len() as u64 == tasks, "{} of {tasks} tasks were started", delays.len());
    let mut histogram = Histogram::new_with_max(60_000_000, 3)?;
    for delay in delays {
        histogram.saturating_record(*delay);
    }
    Ok(histogram)
}

#[cfg(test)]
mod tests;
