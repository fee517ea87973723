//! Leasehold itself, measured by the command its users have: `leasehold bench --spawn`, at the defaults they get.

use std::{env, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{args::Case, standing::Figures};

/// Whether a row is kept of each task that succeeded. It is a good part of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// For a day, which is the default.
    Kept,
    /// Not at all, as the peers do.
    Dropped,
}

pub(crate) fn turn(rows: Rows, slots: u32, case: Case, data_in: &Path) -> Result<Figures> {
    let own = env::current_exe()?;
    let mut command = Command::new(own.with_file_name("leasehold"));
    command.args(["-o", "json", "bench"]);
    match case {
        Case::Flow { tasks } => command.args(["flow", "--tasks", &tasks.to_string()]),
        Case::Latency { rate, secs } => {
            command.args(["latency", "--rate", &rate.to_string(), "--secs", &secs.to_string()])
        }
    };
    command.args(["--slots", &slots.to_string(), "--spawn", "--data-in"]).arg(data_in);
    if rows == Rows::Dropped {
        command.arg("--retention-zero");
    }
    let bench = command.output().context("there is no leasehold beside this program")?;
    let said = String::from_utf8_lossy(&bench.stderr);
    ensure!(bench.status.success(), "{}", said.trim());
    figures(case, &serde_json::from_slice(&bench.stdout)?)
}

/// Reads what `leasehold bench` printed.
fn figures(case: Case, report: &Value) -> Result<Figures> {
    let number = |pointer: &str| {
        let number = report.pointer(pointer).and_then(Value::as_f64);
        number.with_context(|| format!("leasehold bench says no {pointer}"))
    };
    Ok(match case {
        Case::Flow { .. } => Figures::Flow {
            tasks_per_sec: number("/flowTasksPerSec")?,
            micros_per_task: number("/coordinator/cpuMicrosPerTask")?,
        },
        Case::Latency { .. } => {
            let micros =
                |pointer| Ok::<_, anyhow::Error>(Duration::from_secs_f64(number(pointer)? / 1e6));
            Figures::Latency {
                p50: micros("/scheduleToStart/p50Micros")?,
                p99: micros("/scheduleToStart/p99Micros")?,
            }
        }
    })
}

#[cfg(test)]
mod tests;
