//! The queue against a naive reference, over random sequences of commands; and rebuilt from its records at random points.
//!
//! `PROPTEST_RNG_SEED` and `PROPTEST_CASES` choose other sequences; a failure names the seed and the shortest sequence.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a broken test has to stop, and what a sequence does not name it does not look at"
)]

mod cluster;
mod reference;
mod script;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, RngSeed, TestRunner},
};

use crate::{
    cluster::Cluster,
    script::{Script, reconfigured, scripts},
};

/// How many sequences each of the four tests runs: together more than the 10,000 that are promised.
const SEQUENCES: u32 = 3_000;

fn run(seed: u64, scripts: impl Strategy<Value = Script>, sequences: u32) {
    let mut config = Config {
        max_shrink_iters: 20_000,
        failure_persistence: None,
        // The default, ChaCha, takes most of the test in an unoptimized build.
        rng_algorithm: RngAlgorithm::XorShift,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = sequences;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(seed);
    }
    let seed = config.rng_seed;
    let outcome = TestRunner::new(config).run(&scripts, |script| {
        let mut cluster = Cluster::new(&script.setting);
        for step in &script.steps {
            cluster.take(step)?;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("seed {seed:?}: {failure}");
    }
}

/// How many sequences are run in which the configuration changes.
const RECONFIGURED: u32 = 600;

#[test]
fn agrees_with_the_reference_while_the_configuration_changes() {
    run(5, reconfigured(), RECONFIGURED);
}

#[test]
fn agrees_with_the_reference_seed_1() {
    run(1, scripts(), SEQUENCES);
}

#[test]
fn agrees_with_the_reference_seed_2() {
    run(2, scripts(), SEQUENCES);
}

#[test]
fn agrees_with_the_reference_seed_3() {
    run(3, scripts(), SEQUENCES);
}

#[test]
fn agrees_with_the_reference_seed_4() {
    run(4, scripts(), SEQUENCES);
}
