//! The cluster as its users meet it: real processes, real sockets, and the contract alone.
//!
//! Nothing here knows how a coordinator or a worker is built. Each module is one thing the cluster promises; the
//! modules above the line are the stage it is shown on.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a failed expectation is a failed test, and a test may speak and look away"
)]

mod binary;
mod client;
mod collector;
mod condition;
mod coordinator;
mod crew;
mod fault;
mod judge;
mod postgres;
mod process;
mod refusal;
mod script;
mod worker;

mod absence;
mod bench;
mod breaker;
mod cancel;
mod chaos;
mod checkpoint;
mod command_line;
mod crash;
mod dead_letter;
mod deadline;
mod drain;
mod eviction;
mod explain;
mod extension;
mod fencing;
mod footprint;
mod identity;
mod keda;
mod late;
mod limits;
mod lost_slot;
mod namespaces;
mod operations;
mod ownership;
mod pool;
mod prefetch;
mod program;
mod reload;
mod rollout;
mod schema;
mod shutdown;
mod sizes;
mod state_dir;
mod storage;
mod stream;
mod submit;
mod terms;
mod timeout;
mod trace;
mod wait;
mod wall_clock;
mod worker_reload;
