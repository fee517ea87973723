//! `model check`: explores configurations of the model and prints what was found.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use leasehold_model::{
    CONFIGS, Cluster, Config, INVARIANTS, INVARIANTS_MAX, NO_STUCK_STATES, Report, VARIANTS,
    Verdict, explore,
};

/// Explores every state of a small cluster around the real queue.
#[derive(Debug, Parser)]
#[command(name = "model")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Explore configurations; the small ones, unless something else is asked for.
    Check(Check),
}

#[derive(Debug, Args)]
struct Check {
    /// Only this configuration; may be given several times.
    #[arg(long, value_name = "NAME")]
    config: Vec<String>,
    /// The large configurations too: minutes, and gigabytes of memory.
    #[arg(long)]
    large: bool,
    /// The large configurations and every wrong variant, which must be caught.
    #[arg(long)]
    all: bool,
    /// Give up on a configuration after so many states.
    #[arg(long, value_name = "N", default_value_t = 60_000_000)]
    states_max: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let Cli { verb: Verb::Check(check) } = Cli::parse();
    let mut is_fine = true;
    let (mut judged, mut states) = ([0; INVARIANTS_MAX], 0);
    for config in CONFIGS.iter().filter(|config| check.asks_for(config)) {
        let report = explore(&Cluster { config: *config, variant: None }, check.states_max);
        is_fine &= !matches!(report.verdict, Verdict::Broken { .. });
        show(config.name, &report)?;
        states += report.states;
        judged.iter_mut().zip(report.judged).for_each(|(sum, steps)| *sum += steps);
    }
    show_invariants(&judged, states)?;
    if check.all {
        is_fine &= catch_variants(check.states_max)?;
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Check {
    fn asks_for(&self, config: &Config) -> bool {
        if self.config.is_empty() {
            self.large || self.all || !config.is_large
        } else {
            self.config.iter().any(|name| name == config.name)
        }
    }
}

/// Whether every wrong variant breaks what it should.
fn catch_variants(states_max: usize) -> anyhow::Result<bool> {
    let mut is_fine = true;
    for (variant, name, invariant) in VARIANTS {
        let Some(config) = leasehold_model::named(name) else { continue };
        let report = explore(&Cluster { config, variant: Some(*variant) }, states_max);
        is_fine &= matches!(&report.verdict, Verdict::Broken { violation, .. } if violation.invariant == *invariant);
        show(&format!("{variant:?} in {name}"), &report)?;
    }
    Ok(is_fine)
}

fn show(name: &str, report: &Report) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{name:<24} {report}")?;
    Ok(())
}

/// What held, how often it was looked at, and which wrong variants break it.
fn show_invariants(judged: &[usize; INVARIANTS_MAX], states: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for ((name, text), steps) in INVARIANTS.iter().zip(judged) {
        let (looked_at, unit) =
            if *name == NO_STUCK_STATES { (states, "states") } else { (*steps, "steps ") };
        let breakers = VARIANTS.iter().filter(|(.., broken)| broken == name);
        let breakers: Vec<String> = breakers.map(|(it, ..)| format!("{it:?}")).collect();
        let breakers = breakers.join(", ");
        writeln!(out, "{name:<4} {looked_at:>10} {unit}  {text:<80} broken by {breakers}")?;
    }
    Ok(())
}
