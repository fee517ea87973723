//! The coordinator of Leasehold: an engine that owns the queue and its journal, and the services around it.
//!
//! In reading order: what is asked ([`handle`]), who decides (the engine), what is written and read.

pub mod archive;
pub mod args;
mod assembly;
mod clock;
mod codec;
pub mod coordinator;
mod egress;
mod engine;
mod ferry;
mod gaps;
mod gate;
pub mod handle;
mod hands;
mod keeper;
pub mod load;
pub mod metrics;
pub mod ops;
pub mod parse;
pub mod queues;
mod recovery;
pub mod refusal;
pub mod reload;
mod request;
pub mod scaling;
pub mod service;
mod session;
mod signals;
#[doc(hidden)]
pub mod simulation;
pub mod snapshot;
pub mod status;
pub mod terms;
pub mod transport;
pub mod view;
pub mod watch;
mod writer;

pub use leasehold_config as config;
