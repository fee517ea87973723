//! The command line of the simulator.
#![expect(clippy::print_stdout, reason = "it is a program whose answer is what it prints")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use leasehold_sim::{
    outage::{Outage, breakers, play},
    plan::Plan,
    probe::Probe,
    regression::{EXTENSION, Regression, regressions},
    run,
    search::{Bounds, Found, search, twice},
    shrink::shrink,
    stored::Stored,
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
    /// Run one seed, or one plan.
    Run {
        /// The seed.
        #[arg(long, required_unless_present = "plan")]
        seed: Option<u64>,
        /// The file of a plan.
        #[arg(long, conflicts_with = "seed")]
        plan: Option<PathBuf>,
        /// Print everything that happens; if a promise is broken, in the shrunk plan.
        #[arg(long)]
        trace: bool,
    },
    /// Keep the plan of a seed that broke a promise, as far as it is needed for that.
    Keep {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// What to call it.
        #[arg(long)]
        name: String,
        /// What was broken, in words.
        #[arg(long)]
        story: String,
    },
    /// Run many seeds, until one breaks a promise.
    Search(SearchArgs),
    /// Bring each deliberate bug to life, and count the seeds that it survives.
    #[cfg(feature = "mutants")]
    Mutants(MutantsArgs),
    /// Run every plan that ever broke a promise.
    Regressions,
    /// Measure what an outage of something that all tasks call costs, with circuit breakers and without.
    Outage {
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
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
    /// On how many threads; without it, one a core.
    #[arg(long)]
    threads: Option<usize>,
}

#[cfg(feature = "mutants")]
#[derive(Debug, Args)]
struct MutantsArgs {
    /// How often each is hunted, from other seeds each time.
    #[arg(long, default_value_t = 5)]
    hunts: u64,
    /// Only those whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// On how many threads; without it, one a core.
    #[arg(long)]
    threads: Option<usize>,
}

/// What is looked at when nothing is said.
const SEEDS: u64 = 1_000;

/// Fewer seeds cannot be expected to meet everything.
const SEEDS_FOR_PROBES: u64 = 5_000;

/// Where the plans that broke a promise are, seen from the root of the repository.
const REGRESSIONS: &str = "crates/sim/regressions";

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Run { seed, plan, trace } => {
            let detail = if trace { Detail::All } else { Detail::Silent };
            match plan.as_deref().map(Regression::read) {
                None => run_one(&Plan::of(seed.unwrap_or_default()), detail),
                Some(Ok(regression)) => run_one(&regression.stored.plan, detail),
                Some(Err(error)) => refuse(&error),
            }
        }
        Verb::Keep { seed, name, story } => match keep(seed, &name, story) {
            Ok(path) => {
                println!("kept as {}", path.display());
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&*error),
        },
        Verb::Search(args) => run_many(&args),
        #[cfg(feature = "mutants")]
        Verb::Mutants(args) => hunt_all(&args),
        Verb::Regressions => run_regressions(),
        Verb::Outage { seed } => {
            compare_outages(seed);
            ExitCode::SUCCESS
        }
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

/// A minute of outage in five of work, for each breaker.
fn compare_outages(seed: u64) {
    println!(
        "{:<49} {:>6} {:>8} {:>6} {:>6} {:>14} {:>12}",
        "breaker", "tasks", "failed", "dead", "open", "first success", "flows again"
    );
    let after =
        |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |it| format!("{it:?}"));
    for (name, terms) in breakers() {
        let Outage { tasks, failed, dead, open_most, first, flows } = play(seed, terms);
        let (first, flows) = (after(first), after(flows));
        println!(
            "{name:<49} {tasks:>6} {failed:>8} {dead:>6} {open_most:>6} {first:>14} {flows:>12}"
        );
    }
}

fn refuse(error: &(dyn Error + 'static)) -> ExitCode {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    println!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    ExitCode::FAILURE
}

fn run_one(plan: &Plan, detail: Detail) -> ExitCode {
    let run = run::plan(plan.clone(), detail);
    if run.violation.is_some() {
        explain(plan, if detail == Detail::All { detail } else { Detail::Tail });
        return ExitCode::FAILURE;
    }
    for line in &run.tail {
        println!("{line}");
    }
    println!("seed {}: {:?}, hash {:016x}", plan.seed, run.stats, run.hash);
    ExitCode::SUCCESS
}

fn keep(seed: u64, name: &str, story: String) -> Result<PathBuf, Box<dyn Error>> {
    let path = Path::new(REGRESSIONS).join(name).with_extension(EXTENSION);
    let lines = Stored { story, plan: shrink(&Plan::of(seed)) }.lines()?;
    fs::write(&path, lines.join("\n") + "\n")?;
    Ok(path)
}

fn run_many(args: &SearchArgs) -> ExitCode {
    let minutes = args.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let found = search(Bounds {
        from: args.from,
        seeds: args.seeds.unwrap_or(if minutes.is_some() { u64::MAX } else { SEEDS }),
        time: minutes.unwrap_or(Duration::MAX),
        threads: threads(args.threads),
    });
    report(&found, threads(args.threads));
    if let Some((seed, _)) = &found.broken {
        explain(&Plan::of(*seed), Detail::Tail);
        return ExitCode::FAILURE;
    }
    let missed = found.probes.missed();
    if SEEDS_FOR_PROBES <= found.seeds && !missed.is_empty() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// One thread a core, unless something else is asked for.
fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn run_regressions() -> ExitCode {
    let regressions = match regressions(Path::new(REGRESSIONS)) {
        Ok(regressions) => regressions,
        Err(error) => return refuse(&error),
    };
    let mut is_fine = true;
    for regression in regressions {
        let Regression { name, stored: Stored { story, .. } } = &regression;
        match regression.replay() {
            None => println!("{name:<24} holds   {story}"),
            Some(violation) => {
                println!("{name:<24} BROKEN  {story}: {violation}");
                is_fine = false;
            }
        }
    }
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "mutants")]
fn hunt_all(args: &MutantsArgs) -> ExitCode {
    use std::sync::atomic::{AtomicU32, Ordering};

    use leasehold_policy::Mutant;
    use leasehold_sim::mutation::{SEEDS_MAX, hunt};

    let all = Mutant::ALL.iter().copied();
    let mutants: Vec<Mutant> = all
        .filter(|it| format!("{it:?}").to_lowercase().contains(&args.only.to_lowercase()))
        .collect();
    let survived = AtomicU32::new(0);
    println!(
        "{:>6} {:>6}  {:<24} {:<60} killed by",
        "median", "most", "mutant", "what it does wrong"
    );
    let number = |seeds: Option<u64>| seeds.map_or_else(|| "-".to_owned(), |it| it.to_string());
    hunt(&mutants, args.hunts, threads(args.threads), |it| {
        let (median, most) = (number(it.median()), number(it.most()));
        let name = format!("{:?}", it.mutant);
        println!(
            "{median:>6} {most:>6}  {name:<24} {:<60} {}",
            it.mutant.text(),
            it.judges.join(", ")
        );
        survived.fetch_add(u32::from(0 < it.survived), Ordering::Relaxed);
    });
    let survived = survived.into_inner();
    let (count, hunts) = (mutants.len(), args.hunts);
    println!("{count} mutants, {survived} survived one of {hunts} hunts of {SEEDS_MAX} seeds");
    if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(found: &Found, threads: usize) {
    let (stats, seconds) = (found.stats, found.took.as_secs_f64());
    let per_minute = Duration::from_secs(60 * found.seeds).as_secs_f64() / seconds;
    let threads = f64::from(u32::try_from(threads.max(1)).unwrap_or(u32::MAX));
    println!(
        "{} seeds in {seconds:.1} s: {per_minute:.0} a minute, {:.0} a minute and thread",
        found.seeds,
        per_minute / threads
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

/// Shrinks a plan until little is left of it, and shows that.
fn explain(plan: &Plan, detail: Detail) {
    let (seed, plan) = (plan.seed, shrink(plan));
    let run = run::plan(plan.clone(), detail);
    for line in &run.tail {
        println!("{line}");
    }
    let story = match run.violation {
        Some(violation) => violation.to_string(),
        None => "the shrunk plan is harmless".to_owned(),
    };
    for line in (Stored { story: story.clone(), plan }).lines().unwrap_or_default() {
        println!("{line}");
    }
    println!("seed {seed}: {story}");
}
