//! The command line of the network simulator.
#![expect(clippy::print_stdout, reason = "it is a program whose answer is what it prints")]

use std::{env, io, path::Path, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use leasehold_net_sim::{
    plan::Plan,
    run,
    search::{Found, Search, search, told, without_journal_id},
    trace,
};
use rand::{SeedableRng as _, rngs::StdRng};

/// Runs coordinator, workers and clients of Leasehold over a simulated network from one seed, with everything going
/// wrong.
#[derive(Debug, Parser)]
#[command(name = "net-sim", version)]
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
        /// Print everything that happens.
        #[arg(long)]
        trace: bool,
        /// Bring a deliberate bug to life, by its name.
        #[cfg(feature = "mutants")]
        #[arg(long)]
        mutant: Option<String>,
    },
    /// Run many seeds, each in a process of its own, until one breaks a promise.
    Search(SearchArgs),
    /// Bring deliberate bugs to life, and count the seeds that find each.
    #[cfg(feature = "mutants")]
    Mutants {
        /// How many seeds.
        #[arg(long, default_value_t = 50)]
        seeds: u64,
        /// How many processes at once.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
    },
    /// Run seeds twice: every word they say must be the same.
    Twice {
        /// How many.
        #[arg(long, default_value_t = 20)]
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
    /// How many processes at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// How much a run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// What came of it.
    Result,
    /// Everything.
    All,
}

/// What is looked at when nothing is said.
const SEEDS: u64 = 100;

/// How many of the last lines of a broken seed are shown.
const LINES_SHOWN: usize = 200;

/// A file system in memory: what the disk of a simulation promises is simulated.
const MEMORY: &str = "/dev/shm";

fn main() -> io::Result<ExitCode> {
    match Cli::parse().verb {
        #[cfg(feature = "mutants")]
        Verb::Run { seed, trace, mutant } => {
            if let Some(name) = mutant {
                live(&name)?;
            }
            run_one(seed, if trace { Detail::All } else { Detail::Result })
        }
        #[cfg(not(feature = "mutants"))]
        Verb::Run { seed, trace } => {
            run_one(seed, if trace { Detail::All } else { Detail::Result })
        }
        Verb::Search(args) => run_many(&args),
        #[cfg(feature = "mutants")]
        Verb::Mutants { seeds, jobs } => hunt(seeds, jobs),
        Verb::Twice { seeds, from } => run_twice(from, seeds),
    }
}

fn run_one(seed: u64, detail: Detail) -> io::Result<ExitCode> {
    // The order of a hash map, and which branch of a `select!` is looked at first, come from the system's chance; what
    // asks for the time without asking the runtime, from the system's clock. Both are replaced, for the whole process.
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    let _clocks = mad_turmoil::time::SimClocksGuard::init();
    let memory = Some(Path::new(MEMORY)).filter(|it| it.is_dir());
    let data = memory.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    if detail == Detail::All {
        println!("{:#?}", Plan::of(seed));
        trace::begin();
    }
    let report = run::seed(seed, data.path());
    if let Some(violation) = report.violation {
        println!("seed {seed} breaks a promise: {violation}");
        return Ok(ExitCode::FAILURE);
    }
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}

fn run_many(args: &SearchArgs) -> io::Result<ExitCode> {
    let minutes = args.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let program = env::current_exe()?;
    let found = search(&Search {
        program: program.clone(),
        from: args.from,
        seeds: args.seeds.unwrap_or(if minutes.is_some() { u64::MAX } else { SEEDS }),
        time: minutes.unwrap_or(Duration::MAX),
        jobs: args.jobs,
        arguments: Vec::new(),
        until_broken: true,
    })?;
    report(&found, args.jobs);
    let Some((seed, said)) = found.broken.first() else { return Ok(ExitCode::SUCCESS) };
    let lines = told(&program, *seed)?;
    for line in lines.iter().skip(lines.len().saturating_sub(LINES_SHOWN)) {
        println!("{line}");
    }
    println!("{said}");
    println!("everything it says: net-sim run --trace --seed {seed}");
    Ok(ExitCode::FAILURE)
}

fn report(found: &Found, jobs: usize) {
    let seconds = found.took.as_secs_f64();
    let per_minute = Duration::from_secs(60 * found.seeds).as_secs_f64() / seconds;
    let jobs = f64::from(u32::try_from(jobs.max(1)).unwrap_or(u32::MAX));
    println!(
        "{} seeds in {seconds:.1} s: {per_minute:.0} a minute, {:.0} a minute and process",
        found.seeds,
        per_minute / jobs
    );
    let sums = found.sums;
    println!(
        "{:.1} simulated hours, {} faults, {} starts, {} tasks, {} handlers, {} broken promises",
        Duration::from_millis(sums.simulated_ms).as_secs_f64() / 3_600.0,
        sums.faults,
        sums.starts,
        sums.tasks,
        sums.runs,
        found.broken.len()
    );
}

fn run_twice(from: u64, seeds: u64) -> io::Result<ExitCode> {
    let program = env::current_exe()?;
    let words = |seed| -> io::Result<Vec<String>> {
        Ok(told(&program, seed)?.iter().map(|line| without_journal_id(line)).collect())
    };
    let mut different = 0;
    for seed in from..from.saturating_add(seeds) {
        let (first, second) = (words(seed)?, words(seed)?);
        if first == second {
            continue;
        }
        different += 1;
        let mut both = first.iter().zip(&second).enumerate();
        if let Some((number, (first, second))) = both.find(|(_, (first, second))| first != second) {
            println!("seed {seed} differs from itself in line {number}:\n  {first}\n  {second}");
        }
    }
    println!("{seeds} seeds, twice each: {different} of them differ");
    Ok(if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(feature = "mutants")]
fn live(name: &str) -> io::Result<()> {
    let all = leasehold_policy::Mutant::ALL;
    let mutant = all.iter().find(|it| format!("{it:?}") == name);
    let mutant = mutant.ok_or_else(|| io::Error::other(format!("there is no mutant {name}")))?;
    mutant.live();
    Ok(())
}

#[cfg(feature = "mutants")]
fn hunt(seeds: u64, jobs: usize) -> io::Result<ExitCode> {
    let mut survived = 0;
    for mutant in leasehold_net_sim::HUNTED {
        let found = search(&Search {
            program: env::current_exe()?,
            from: 0,
            seeds,
            time: Duration::MAX,
            jobs,
            arguments: vec!["--mutant".to_owned(), format!("{mutant:?}")],
            until_broken: false,
        })?;
        let (broken, first) = (found.broken.len(), found.broken.first());
        println!("{broken:>4} of {seeds}  {mutant:?}: {}", mutant.text());
        if let Some((_, said)) = first {
            println!("              {said}");
        }
        survived += u32::from(found.broken.is_empty());
    }
    Ok(if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
