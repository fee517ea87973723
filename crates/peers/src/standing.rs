//! How all stand after their turns: the best of each, its worst beside it, and the ratio to the first.

use std::{fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;

use crate::args::Case;

/// What one turn found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Figures {
    /// Throughput.
    Flow {
        /// Tasks a second, submit to confirmed completion.
        tasks_per_sec: f64,
        /// Processor time of the server for each.
        micros_per_task: f64,
    },
    /// From the time tasks were due to their start.
    Latency {
        /// The median.
        p50: Duration,
        /// What one in a hundred exceeds.
        p99: Duration,
    },
}

/// The turns of everybody, in the order they first came.
#[derive(Debug, Default)]
pub(crate) struct Standings(Vec<(String, Vec<Figures>)>);

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "far fewer tasks than 2^52")]
    pub(crate) fn flow(tasks: u64, took: Duration, processor: Duration) -> Self {
        Self::Flow {
            tasks_per_sec: tasks as f64 / took.as_secs_f64(),
            micros_per_task: processor.as_secs_f64() * 1e6 / tasks as f64,
        }
    }

    pub(crate) fn latency(delays: &Histogram<u64>) -> Self {
        let quantile = |quantile| Duration::from_micros(delays.value_at_quantile(quantile));
        Self::Latency { p50: quantile(0.50), p99: quantile(0.99) }
    }

    /// What is compared, the more the better, and what goes with it.
    fn row(self) -> (f64, [f64; 2]) {
        match self {
            Self::Flow { tasks_per_sec, micros_per_task } => {
                (tasks_per_sec, [tasks_per_sec, micros_per_task])
            }
            Self::Latency { p50, p99 } => {
                let micros = [p50, p99].map(|it| it.as_secs_f64() * 1e6);
                (-micros[1], micros)
            }
        }
    }
}

impl Standings {
    pub(crate) fn add(&mut self, contender: &str, figures: Figures) {
        match self.0.iter_mut().find(|(name, _)| name == contender) {
            Some((_, turns)) => turns.push(figures),
            None => self.0.push((contender.to_owned(), vec![figures])),
        }
    }

    /// A line for each; the last column is how often the first one's figure goes into this one's.
    pub(crate) fn table(&self, case: Case) -> String {
        let titles = match case {
            Case::Flow { .. } => ["tasks/s best", "us/task", "tasks/s worst"],
            Case::Latency { .. } => ["p50 us", "p99 us best", "p99 us worst"],
        };
        let [a, b, c] = titles;
        let mut table = format!("{:40} {a:>14} {b:>14} {c:>14} {:>8}\n", "", "ratio");
        let mut first = None;
        for (name, turns) in &self.0 {
            let mut rows: Vec<_> = turns.iter().map(|it| it.row()).collect();
            rows.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            let (Some((best, shown)), Some((worst, _))) = (rows.first(), rows.last()) else {
                continue;
            };
            let ratio = best / *first.get_or_insert(*best);
            let [a, b] = shown;
            let worst = worst.abs();
            // Memory takes whatever is written.
            let _always =
                writeln!(table, "{name:40} {a:>14.0} {b:>14.1} {worst:>14.0} {ratio:>7.2}x");
        }
        table
    }
}

#[cfg(test)]
mod tests;
