//! The programs under test: built once per test process, found beside it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The packages whose programs the tests run.
const PACKAGES: [&str; 4] =
    ["leasehold-coordinator", "leasehold-worker", "leasehold-cli", "leasehold-witness"];

/// The coordinator.
pub(crate) fn coordinator() -> Command {
    Command::new(built().join("leasehold-coordinator"))
}

/// The worker.
pub(crate) fn worker() -> Command {
    Command::new(built().join("leasehold-worker"))
}

/// The command line client.
pub(crate) fn cli() -> Command {
    Command::new(built().join("leasehold"))
}

/// The work that writes down what it does.
pub(crate) fn witness() -> Command {
    Command::new(built().join("leasehold-witness"))
}

/// The example of `docs/fencing.md`.
pub(crate) fn fenced() -> Command {
    example("fenced")
}

/// The example of work that asks for more time.
pub(crate) fn extend() -> Command {
    example("extend")
}

/// The example of work that goes on where it was interrupted.
pub(crate) fn resume() -> Command {
    example("resume")
}

/// A worker that uses the library.
fn example(name: &str) -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let examples = BUILT.get_or_init(|| {
        let dir = built();
        let all = ["--example", "fenced", "--example", "extend", "--example", "resume"];
        cargo_build(dir, &[&["-p", "leasehold-worker"][..], &all].concat());
        dir.join("examples")
    });
    Command::new(examples.join(name))
}

/// The directory of the programs, up to date with their sources.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = env::current_exe().expect("a test has a path");
        let dir = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_owned();
        let packages: Vec<&str> = PACKAGES.iter().flat_map(|package| ["-p", package]).collect();
        cargo_build(&dir, &packages);
        dir
    })
}

/// Builds into the directory of the programs.
fn cargo_build(dir: &Path, what: &[&str]) {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet"]);
    if dir.ends_with("release") {
        build.arg("--release");
    }
    build.args(what);
    assert!(build.status().expect("cargo runs").success(), "the programs do not build");
}
