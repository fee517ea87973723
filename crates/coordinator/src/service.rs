//! The services of the contract. Each reads a request, asks the engine or the archive, and writes the answer.
//!
//! They hold no state of their own and decide nothing about a task.

mod admin;
mod dead_letter;
mod intake;
mod lookup;
mod page;
mod scaler;
mod stream;
mod task;
#[cfg(test)]
mod tests;
mod turnstile;
mod watch;
mod worker;

pub use admin::AdminApi;
pub use dead_letter::DeadLetterApi;
pub use scaler::ScalerApi;
pub use task::TaskApi;
pub use worker::WorkerApi;

use leasehold_proto::{ALIKE, NAMESPACES};
use leasehold_telemetry::TraceContext;
use tonic::metadata::MetadataMap;

/// What this coordinator knows beyond the first version of the contract.
const FEATURES: [&str; 2] = [NAMESPACES, ALIKE];

/// The trace a call belongs to: that of its span, else its caller's, else a new one.
fn trace_of(metadata: &MetadataMap) -> TraceContext {
    TraceContext::current()
        .or_else(|| TraceContext::from_metadata(metadata))
        .unwrap_or_else(TraceContext::generate)
}
