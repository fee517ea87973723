//! The command line of the simulator.
#![expect(clippy::print_stdout, reason = "it is a program whose answer is what it prints")]

use std::{process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use leasehold_sim::{
    plan::Plan,
    probe::Probe,
    run,
    search::{Bounds, Found, search, twice},
    shrink::shrink,
    trace::Detail,
};

/// Runs the whole cluster of Leasehold in one thread from one seed, with everything going wrong.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run one seed.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Print everything that happens; if a promise is broken, in the shrunk plan.
        #[arg(long)]
        trace: bool,
    },
    /// Run many seeds, until one breaks a promise.
    Search(SearchArgs),
    /// Bring each deliberate bug to life, and count the seeds that it survives.
    #[cfg(feature = "mutants")]
    Mutants,
    /// Run seeds twice: the same must happen.
    Twice {
        /// How many.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
}

#[derive(Debug, Args)]
struct SearchArgs {
    /// For how long.
    #[arg(long, conflicts_with = "seeds")]
    minutes: Option<f64>,
    /// How many.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// On how many threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// What is looked at when nothing is said.
const SEEDS: u64 = 1_000;

/// Fewer seeds cannot be expected to meet everything.
const SEEDS_FOR_PROBES: u64 = 5_000;

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Run { seed, trace } => {
            run_one(seed, if trace { Detail::All } else { Detail::Silent })
        }
        Verb::Search(args) => run_many(&args),
        #[cfg(feature = "mutants")]
        Verb::Mutants => hunt_all(),
        Verb::Twice { seeds, from } => match twice(from, seeds) {
            None => {
                println!("{seeds} seeds, twice each: the same events");
                ExitCode::SUCCESS
            }
            Some(seed) => {
                println!("seed {seed} differs from itself");
                ExitCode::FAILURE
            }
        },
    }
}

fn run_one(seed: u64, detail: Detail) -> ExitCode {
    let run = run::seed(seed, detail);
    if run.violation.is_some() {
        explain(seed, if detail == Detail::All { detail } else { Detail::Tail });
        return ExitCode::FAILURE;
    }
    for line in &run.tail {
        println!("{line}");
    }
    println!("seed {seed}: {:?}, hash {:016x}", run.stats, run.hash);
    ExitCode::SUCCESS
}

fn run_many(args: &SearchArgs) -> ExitCode {
    let minutes = args.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let found = search(Bounds {
        from: args.from,
        seeds: args.seeds.unwrap_or(if minutes.is_some() { u64::MAX } else { SEEDS }),
        time: minutes.unwrap_or(Duration::MAX),
        jobs: args.jobs,
    });
    report(&found, args.jobs);
    if let Some((seed, _)) = &found.broken {
        explain(*seed, Detail::Tail);
        return ExitCode::FAILURE;
    }
    let missed = found.probes.missed();
    if SEEDS_FOR_PROBES <= found.seeds && !missed.is_empty() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[cfg(feature = "mutants")]
fn hunt_all() -> ExitCode {
    use leasehold_sim::mutation::{HUNTS, SEEDS_MAX, hunt};

    let mut survived = 0;
    println!("{:>7}  {:<60} killed by", "seeds", "mutant");
    for mutant in leasehold_policy::Mutant::ALL {
        let hunted = hunt(*mutant);
        let seeds = hunted.seeds.map_or_else(|| "-".to_owned(), |seeds| seeds.to_string());
        println!("{seeds:>7}  {:<60} {}", mutant.text(), hunted.judges.join(", "));
        survived += u32::from(hunted.seeds.is_none());
    }
    let count = leasehold_policy::Mutant::ALL.len();
    println!("{count} mutants, {survived} survived {SEEDS_MAX} seeds; medians of {HUNTS} hunts");
    if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(found: &Found, jobs: usize) {
    let (stats, seconds) = (found.stats, found.took.as_secs_f64());
    let per_minute = Duration::from_secs(60 * found.seeds).as_secs_f64() / seconds;
    let jobs = f64::from(u32::try_from(jobs.max(1)).unwrap_or(u32::MAX));
    println!(
        "{} seeds in {seconds:.1} s: {per_minute:.0} a minute, {:.0} a minute and thread",
        found.seeds,
        per_minute / jobs
    );
    println!(
        "{:.1} simulated hours, {} events, {} crashes, {} recoveries, {} tasks, {} leases, {} comparisons",
        Duration::from_micros(stats.simulated).as_secs_f64() / 3_600.0,
        stats.events,
        stats.crashes,
        stats.recoveries,
        stats.tasks,
        stats.leases,
        stats.comparisons
    );
    let missed = found.probes.missed();
    println!("{} of {} probes hit", Probe::ALL.len() - missed.len(), Probe::ALL.len());
    for probe in missed {
        println!("  never: {}", probe.text());
    }
}

/// Shrinks what a seed does until little is left of it, and shows that.
fn explain(seed: u64, detail: Detail) {
    let plan = shrink(&Plan::of(seed));
    let run = run::plan(plan.clone(), detail);
    for line in &run.tail {
        println!("{line}");
    }
    println!("seed {seed}: {:#?}", plan.setting);
    for fault in &plan.faults {
        println!("fault {fault:?}");
    }
    for wish in &plan.wishes {
        println!("wish {wish:?}");
    }
    match run.violation {
        Some(violation) => println!("seed {seed} breaks a promise: {violation}"),
        None => println!("seed {seed}: the shrunk plan is harmless"),
    }
}
