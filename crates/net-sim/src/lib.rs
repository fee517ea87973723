//! The real coordinator, workers and clients over HTTP/2 on a simulated network, from one seed.
//!
//! Everything is the shipped code but the sockets, the clocks and the threads (docs/decisions/0008-shells-as-guests.md). A
//! seed draws the machines, the tasks and what goes wrong; judges look at it from outside, by what handlers did and what
//! clients were told. Chance of the whole process is seeded, so that there is one seed to a process.

mod caller;
mod chance;
mod crew;
pub mod fault;
pub mod judge;
mod ledger;
pub mod plan;
pub mod run;
pub mod search;
mod site;
mod stopwatch;
pub mod trace;
mod wire;

/// The deliberate bugs that are looked for. The simulator of the core hunts them all; these show that the judges here see.
#[cfg(feature = "mutants")]
pub const HUNTED: &[leasehold_policy::Mutant] = &[
    leasehold_policy::Mutant::EffectsBeforeDurable,
    leasehold_policy::Mutant::RequeueOnDrop,
    leasehold_policy::Mutant::LeaseForgottenAtBoot,
    leasehold_policy::Mutant::NeverFences,
];
