//! Workers for Leasehold: a task type is a Rust function, async, blocking or isolated, or a program.
//!
//! A worker holds one stream to the coordinator, runs what it is leased, and keeps each result until the coordinator
//! says that it has it. See `docs/worker.md` for a guide, and [`Worker`] for the entry point.
//!
//! The connection lives on a thread that no handler runs on, and speaks for a state machine that knows neither clock nor network
//! (`session.rs`); everything here is the shell around it. It knows nothing of the coordinator's queue or journal.

mod adjuster;
mod assignment;
mod clock;
mod context;
mod cpu;
mod ends;
mod error;
pub mod guard;
#[doc(hidden)]
pub mod guest;
mod held;
mod identity;
mod isolated;
mod limits;
mod open_files;
mod outcome;
mod panic_note;
mod piece;
mod program;
mod progress;
mod run;
mod session;
mod session_lost;
mod size;
mod slots;
mod state_dir;
mod stream;
mod task;
mod task_error;
mod term;
mod tether;
mod threads;
mod worker;

pub use bytes::Bytes;

pub use adjuster::Adjuster;
pub use context::{CancelReason, Context, LeaseOver};
pub use error::Error;
pub use limits::CheckpointTooLarge;
pub use program::Program;
#[doc(hidden)]
pub use session::simulated as simulation;
pub use session_lost::OnSessionLost;
pub use task::{Output, TaskResult};
pub use task_error::TaskError;
pub use term::NotExtended;
pub use worker::Worker;
