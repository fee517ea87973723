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
    reason = "a failed expectation is a failed test, and a test may speak"
)]

mod binary;
mod client;
mod condition;
mod coordinator;
mod crew;
mod judge;
mod process;
mod refusal;
mod script;
mod worker;

mod cancel;
mod crash;
mod dead_letter;
mod drain;
mod program;
mod stream;
mod submit;
