//! Submit, await and watch Leasehold tasks from Rust.
//!
//! ```no_run
//! # async fn example() -> Result<(), leasehold_client::Error> {
//! use leasehold_client::{Client, TaskSpec};
//!
//! let client = Client::connect("http://127.0.0.1:7171")?;
//! let receipt = client.submit(TaskSpec::new("sha256").queue("files").payload("/etc/hosts")).await?;
//! let task = client.wait(&receipt.task_id, None).await?;
//! println!("{:?}: {} bytes", task.state(), task.result.len());
//! # Ok(())
//! # }
//! ```
//!
//! Every call has a deadline, sent along as `grpc-timeout`, and is repeated within it where repeating is
//! safe: see [`ClientOptions`]. Answers are the messages of the contract, re-exported as [`v1`].
//! The crate knows nothing of terminals, files or how the coordinator works inside.

mod admin;
mod call;
mod client;
mod dead;
mod error;
mod listing;
mod options;
mod outage;
mod spec;
mod submit;
mod wait;
mod watch;

pub use admin::{Eviction, LeaseName};
pub use client::Client;
pub use error::{Error, Refusal, Violation};
pub use leasehold_policy::{Backoff, Jitter};
pub use leasehold_proto::{duration, v1};
pub use listing::{Listing, TaskFilter};
pub use options::{ClientOptions, GeneratedKeys, Retry};
pub use spec::TaskSpec;
pub use submit::{Receipt, StreamOptions, SubmitStream};
pub use tonic::Code;
pub use wait::{WaitAll, has_ended};
pub use watch::{Watch, WatchFilter};
