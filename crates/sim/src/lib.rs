//! The whole cluster in one thread from one seed: a coordinator, workers, clients, and everything that goes wrong.
//!
//! The real engine with its queue, codec, keeper, gate and stream sessions, and the real worker session run against a
//! simulated network, disk, clocks and processes. What the cluster does is judged by a ghost of its own: the ledger of
//! what became durable, and what the simulation knows of every process. It knows no clock and no chance but its seed.
#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a simulation that is wrong must stop, and names its seed"
)]
#![expect(
    clippy::fn_params_excessive_bools,
    clippy::wildcard_enum_match_arm,
    reason = "a judge is told whether something holds, and looks at a few kinds of what others add to"
)]

mod circuits;
pub mod deadlines;
pub mod disk;
pub mod fault;
pub mod judge;
pub mod ledger;
pub mod line;
pub mod make;
pub mod moment;
#[cfg(feature = "mutants")]
pub mod mutation;
pub mod outage;
pub mod plan;
pub mod probe;
mod rates;
pub mod regression;
pub mod run;
pub mod search;
pub mod shape;
pub mod shrink;
pub mod stored;
pub mod trace;
pub mod world;
