//! Logs and traces that share one trace id.
//!
//! A task meets several processes: the one that submits it, the coordinator, a worker, perhaps a
//! program the worker runs. [`TraceContext`] is how the trace travels between them (W3C Trace
//! Context, as text); [`init`] is what a process calls once, so that its spans carry the same ids,
//! its log lines name them, and a collector gets them if there is one.
//!
//! This crate knows nothing of tasks, queues or leases.

mod export;
mod lazy;
mod line;
mod metadata;
mod places;
mod settings;
mod sink;
mod span;
mod telemetry;
mod trace_context;

pub use lazy::{LazySpan, Unseen};
pub use settings::{LogFormat, Settings};
pub use span::{add_link, give_place, place, set_parent};
pub use telemetry::{InitError, Telemetry, check, init};
pub use trace_context::TraceContext;
