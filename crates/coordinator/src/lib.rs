//! The coordinator of Leasehold: an engine that owns the queue and its journal, and the services around it.
//!
//! In reading order: what is asked ([`handle`]), who decides (the engine), what is written and read.

pub mod archive;
mod egress;
pub mod handle;
mod request;
pub mod snapshot;
pub mod status;
pub mod watch;
pub mod args;
pub mod config;
pub mod metrics;
pub mod parse;
pub mod refusal;
pub mod view;
pub mod ops;
pub mod service;
pub mod transport;
