//! `model check`: explores configurations of the model and prints what was found.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use leasehold_model::{CONFIGS, Cluster, Config, Report, VARIANTS, Verdict, explore};

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
    for config in CONFIGS.iter().filter(|config| check.asks_for(config)) {
        let report = explore(&Cluster { config: *config, variant: None }, check.states_max);
        is_fine &= !matches!(report.verdict, Verdict::Broken { .. });
        show(config.name, &report)?;
    }
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
