//! A few seeds over the real network stack, and one of them twice.
#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::process::Command;

/// How many seeds each test run looks at: about a second each in a build that is not optimised.
const SEEDS: &str = "16";

fn check(arguments: &[&str], says: &str) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_net-sim"));
    let output = program.args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(says), "{arguments:?} said: {said}");
}

#[test]
fn no_seed_breaks_a_promise() {
    check(&["search", "--seeds", SEEDS, "--jobs", "2"], " 0 broken promises");
}

#[test]
fn the_same_seed_says_the_same() {
    check(&["twice", "--seeds", "2", "--from", "1000"], " 0 of them differ");
}
