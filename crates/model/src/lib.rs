//! An explicit-state model of the lease protocol: every order of everything that can happen to a small cluster.
//!
//! The coordinator's decisions are those of the real queue. Around it are the things that make them hard: a journal of
//! which a crash keeps any durable beginning, effects that wait for it, streams that break and are noticed late, worker
//! processes, time. [`explore`] looks at every reachable state and at the way back from each; [`Cluster`] is what it
//! explores, [`CONFIGS`] how large, and [`Variant`] what could be done wrong.
//!
//! It knows no clock, network or disk, and nothing of how the shells are built.

mod action;
mod cluster;
mod config;
mod coordinator;
mod describe;
mod explore;
mod fingerprint;
mod judge;
mod log;
mod state;
mod step;
mod stream;
mod turn;
mod variant;
mod worker;

pub use action::{Action, Process};
pub use cluster::Cluster;
pub use config::{Begin, Budget, CONFIGS, Config, SESSION_TTL, WORKERS, named};
pub use explore::{INVARIANTS_MAX, Machine, NO_STUCK_STATES, Report, Verdict, Violation, explore};
pub use judge::INVARIANTS;
pub use state::State;
pub use stream::Outcome;
pub use variant::{VARIANTS, Variant};
