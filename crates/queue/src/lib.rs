//! The leased priority queue: a deterministic state machine.
//!
//! [`Queue::apply`] takes the time and a [`Command`] and answers with a [`Reply`]; what must be written
//! and sent piles up as [`Record`]s and [`Effect`]s until [`Queue::take_output`] hands it over. The state is
//! the fold of the records: [`Queue::replay`] rebuilds it from a journal.
//!
//! It contains no clock, disk, network, runtime, protobuf, serde or randomness: time, ids, seeds and epochs
//! are inputs, and the same inputs give the same outputs.

// The vocabulary.
mod claims;
mod command;
mod config;
mod effect;
mod id;
mod ledger;
mod payload;
mod record;
mod register;
mod size;
mod spec;
mod start;
mod task;
mod tasks;
mod templates;
mod view;

// The durable state, and what is derived from it.
mod ask;
mod book;
mod by_id;
mod checkpoint;
mod circuits;
mod decided;
mod eviction;
mod fairness;
mod flows;
mod fold;
mod gate;
mod idle;
mod keys;
mod kind;
mod lanes;
mod limits;
mod line;
mod mark;
mod market;
mod need;
mod order;
mod pace;
mod parking;
mod quota;
mod roster;
mod schema;
mod session;
mod slab;
mod sorted;
mod timers;

// The machine: one match, and a file for each noun of its arms.
mod admission;
mod ahead;
mod doom;
mod estimate;
mod extension;
mod feasibility;
mod grant;
mod inventory;
mod outcome;
mod passage;
mod prefetch;
mod price;
mod queue;
mod rehearsal;
mod reservation;
mod revocation;
mod settle;
mod stream;

// What people ask of it.
mod backlog;
mod explain;

// What checkers of the machine need.
mod fingerprint;
#[cfg(debug_assertions)]
mod invariant;

pub use checkpoint::{Checkpoint, Room, Saved};
pub use circuits::{Guarded, Turned};
pub use claims::Claims;
pub use command::{
    Accepted, Command, Dead, DeclineReason, Granted, HeldLease, Hello, Infeasible, LeasePhase,
    NotWelcome, Outcome, Refusal, ReplayRefusal, Replayed, Reply, Submit, Verdict, Welcome,
};
pub use config::{
    BreakerTerms, Caps, Config, Limits, QueueLimits, RetryBudget, Throttles, Weights,
};
pub use effect::{Assignment, Audience, CloseReason, Disposition, Effect, Ended, Output};
pub use estimate::{Bound, Estimate, Over};
pub use explain::{
    BlockedGroup, Blocker, Capacity, Explanation, Holder, LabelGap, LeaseBound, Misfit, Outlook,
    QueueExplanation, Shortage, Unfit,
};
pub use fold::{Corrupt, Unknown};
pub use gate::{Gate, Obstacle};
pub use id::{IdHasher, IdHashing, Minter, Name, SessionId, StreamId, TaskId, Token};
pub use ledger::{Charge, ENDS_MAX, EndFact, EndKind, LeaseEnd, Ledger, StopProof};
pub use limits::{Bucketed, Permit, Take, Use};
pub use payload::Payload;
pub use price::Reckoned;
pub use queue::Queue;
pub use quota::{Quota, Usage};
pub use record::{EndCause, Next, Record};
pub use schema::{SchemaPrint, SchemasRead};
pub use size::Size;
pub use spec::{
    Admission, Exclusivity, Extras, Guarantee, Key, LeaseTerms, Nanos, Retry, Shape, TaskSpec,
    Template, Trace,
};
pub use start::Start;
pub use task::{
    Blocked, Ending, Failure, FailureReason, Lease, Past, Phase, Progress, RevocationReason,
    Revoking, Task, Wait,
};
pub use view::{
    BreakerView, KeptKey, LoadView, NamespaceView, QueueView, SessionState, WorkerGlance,
    WorkerView,
};
