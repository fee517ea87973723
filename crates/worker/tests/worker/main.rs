//! The worker as its users meet it: real processes and handlers, driven by a coordinator that plays a script.
#![expect(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod coordinator;
mod functions;
mod isolated;
mod processes;
mod programs;
mod readme;
