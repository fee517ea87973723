//! The work: one submitter and one worker, each a thread with connections of its own.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use hdrhistogram::Histogram;

use crate::{args::Case, cpu::Cpu, peer::Peer, standing::Figures};

/// The size of every payload, in bytes. The first eight are the task's number.
pub(crate) const PAYLOAD_BYTES: usize = 100;

/// How many submits may be unconfirmed at a time, unless a submitter says otherwise.
pub(crate) const WINDOW: u64 = 1_000;

/// How long before the first task is due: the worker reads by then.
const WARM_UP: Duration = Duration::from_millis(500);

/// Submits tasks over one connection.
pub(crate) trait Submitter {
    /// How many submits may be unconfirmed at a time.
    fn window(&self) -> u64 {
        WINDOW
    }

    /// Sends these tasks, without waiting for what becomes of them.
    fn send(&mut self, numbers: std::ops::Range<u64>) -> Result<()>;

    /// How many more have been confirmed. Waits for at least one, or only takes what is there.
    fn confirmed(&mut self, patience: Patience) -> Result<u64>;
}

/// Does the work of tasks over one connection.
pub(crate) trait Worker {
    /// Takes some tasks, tells `started` the payload of each, and completes them. How many completions have been
    /// confirmed; those of the last tasks before it returns. At most `left` are asked for.
    fn work(&mut self, left: u64, started: &mut dyn FnMut(&[u8])) -> Result<u64>;
}

/// Whether to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until there is something.
    Wait,
    /// Not at all.
    Look,
}

/// When tasks come.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As fast as confirmations do.
    Window,
    /// By the clock, whatever the server does.
    Clock { start: Instant, rate: u64 },
}

/// Does the work of a case.
pub(crate) fn turn(peer: &Peer, case: Case) -> Result<Figures> {
    match case {
        Case::Flow { tasks } => flow(peer, tasks),
        Case::Latency { rate, secs } => latency(peer, rate, rate * secs),
    }
}

fn flow(peer: &Peer, tasks: u64) -> Result<Figures> {
    let cpu = Cpu::start(peer.pid());
    let start = Instant::now();
    both(peer, tasks, Pace::Window, &mut |_| {})?;
    Ok(Figures::flow(tasks, start.elapsed(), cpu.used()))
}

fn latency(peer: &Peer, rate: u64, tasks: u64) -> Result<Figures> {
    let mut delays = Histogram::<u64>::new_with_max(60_000_000, 3)?;
    let start = Instant::now() + WARM_UP;
    let pace = Pace::Clock { start, rate };
    both(peer, tasks, pace, &mut |payload| {
        let delay = number(payload).map(|number| pace.due(number).elapsed()).unwrap_or_default();
        delays.saturating_record(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
    })?;
    Ok(Figures::latency(&delays))
}

/// Submits and works at once, until every completion has been confirmed.
fn both(peer: &Peer, tasks: u64, pace: Pace, started: &mut dyn FnMut(&[u8])) -> Result<()> {
    let mut submitter = peer.submitter()?;
    let mut worker = peer.worker()?;
    thread::scope(|scope| {
        let submits = scope.spawn(move || submit(submitter.as_mut(), tasks, pace));
        let mut left = tasks;
        while left > 0 {
            left = left.saturating_sub(worker.work(left, started).context("the worker")?);
        }
        let done = submits.join().map_err(|_panic| anyhow!("the submitter panicked"))?;
        done.context("the submitter")
    })
}

fn submit(submitter: &mut dyn Submitter, tasks: u64, pace: Pace) -> Result<()> {
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < tasks {
        let may = pace.may(sent, confirmed + submitter.window()).min(tasks);
        if sent < may {
            submitter.send(sent..may)?;
            sent = may;
        }
        confirmed += submitter.confirmed(pace.patience(sent, tasks))?;
        pace.rest(sent, tasks);
    }
    Ok(())
}

impl Pace {
    /// Up to which task may be sent, where the window ends there.
    fn may(self, sent: u64, window_end: u64) -> u64 {
        match self {
            Self::Window => window_end,
            Self::Clock { start, rate } => {
                let passed = start.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
                let due = if Instant::now() < start { 0 } else { passed + 1 };
                u64::try_from(due).unwrap_or(u64::MAX).max(sent)
            }
        }
    }

    /// The clock waits for nobody, until all has been sent.
    fn patience(self, sent: u64, tasks: u64) -> Patience {
        match self {
            Self::Clock { .. } if sent < tasks => Patience::Look,
            Self::Window | Self::Clock { .. } => Patience::Wait,
        }
    }

    /// Waits until the next task is due.
    fn rest(self, sent: u64, tasks: u64) {
        if let Self::Clock { .. } = self
            && sent < tasks
        {
            let due = self.due(sent);
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                thread::park_timeout(left);
            }
        }
    }

    fn due(self, number: u64) -> Instant {
        match self {
            Self::Window => Instant::now(),
            Self::Clock { start, rate } => {
                let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate);
                start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
        }
    }
}

/// The payload of a task.
pub(crate) fn payload(number: u64) -> [u8; PAYLOAD_BYTES] {
    let mut payload = [b'.'; PAYLOAD_BYTES];
    for (byte, digit) in payload.iter_mut().zip(number.to_be_bytes()) {
        *byte = digit;
    }
    payload
}

/// The number in a payload.
fn number(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|digits| u64::from_be_bytes(*digits))
}

#[cfg(test)]
mod tests;
