//! Every small configuration holds, and everything that can be done wrong is noticed.
//!
//! One test each, so that they run side by side.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is a failed test, and counts are worth reading"
)]

use leasehold_model::{CONFIGS, Cluster, VARIANTS, Variant, Verdict, explore, named};

/// More states than any configuration of the test run has.
const STATES_MAX: usize = 1_000_000;

#[track_caller]
fn holds(name: &str) {
    let config = named(name).expect("a configuration of this name");
    assert!(!config.is_large, "{name} takes too long for every test run");
    let report = explore(&Cluster { config, variant: None }, STATES_MAX);
    println!("{name} {report}");
    assert_eq!(report.verdict, Verdict::Holds, "{name}\n{report}");
}

#[track_caller]
fn caught(variant: Variant) {
    let rows: Vec<_> = VARIANTS.iter().filter(|(it, ..)| *it == variant).collect();
    let [(_, name, invariant)] = rows.as_slice() else { panic!("{variant:?} has one row") };
    let config = named(name).expect("a configuration of this name");
    let report = explore(&Cluster { config, variant: Some(variant) }, STATES_MAX);
    println!("{variant:?} in {name} {report}");
    let Verdict::Broken { violation, trace } = &report.verdict else { panic!("{report}") };
    assert_eq!(violation.invariant, *invariant, "{report}");
    assert!(!trace.is_empty(), "it is not wrong from the start: {report}");
}

macro_rules! each {
    ($check:ident: $($test:ident => $what:expr,)*) => {
        $(#[test] fn $test() { $check($what); })*
    };
}

each! { holds:
    nothing_goes_wrong => "calm",
    two_tasks => "two-tasks",
    streams_drop => "drops",
    a_coordinator_and_a_worker_crash => "crashes",
    a_stream_drops_and_a_coordinator_crashes => "drop-crash",
    workers_fall_silent => "silence",
    the_only_worker_falls_silent => "lone-silence",
    the_only_worker_brings_a_late_result => "lone-late",
    a_task_is_cancelled => "cancel",
    a_dead_letter_is_replayed => "replay",
    a_submit_is_repeated => "resubmit",
    a_restart_promises_less => "shorter-ttl",
    a_coordinator_is_replaced_unnoticed => "superseded",
}

each! { caught:
    effects_before_durable => Variant::EffectsBeforeDurable,
    answers_before_durable => Variant::AnswersBeforeDurable,
    ends_before_durable => Variant::EndsBeforeDurable,
    grants_unwritten => Variant::GrantsUnwritten,
    fence_by_worker => Variant::FenceByWorker,
    no_fence => Variant::NoFence,
    generation_ignored => Variant::GenerationIgnored,
    requeue_on_drop => Variant::RequeueOnDrop,
    requeue_at_boot => Variant::RequeueAtBoot,
    ttl_forgotten => Variant::TtlForgotten,
    unsent_survives => Variant::UnsentSurvives,
    tokens_reused => Variant::TokensReused,
    forgotten_when_sent => Variant::ForgottenWhenSent,
    no_inventory => Variant::NoInventory,
    fenced_says_draining => Variant::FencedSaysDraining,
    no_self_fence => Variant::NoSelfFence,
    heartbeats_unconfirmed => Variant::HeartbeatsUnconfirmed,
    hellos_out_of_order => Variant::HellosOutOfOrder,
}

#[test]
fn every_small_configuration_is_among_the_tests() {
    let source = include_str!("model.rs");
    for config in CONFIGS.iter().filter(|config| !config.is_large) {
        let name = config.name;
        assert!(source.contains(&format!("=> \"{name}\"")), "{name} is explored by no test");
    }
    for (variant, ..) in VARIANTS {
        assert!(source.contains(&format!("Variant::{variant:?},")), "{variant:?} is not tried");
    }
}
