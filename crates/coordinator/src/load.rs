//! What the engine shows of its load, once a second while something changes: what waits for what, what is leased, how
//! long that took lately, and who does it.
//!
//! It is a picture: whoever looks at it asks neither the engine nor the disk. It knows no pool and no decision.

use leasehold_policy::Time;
use leasehold_queue::{LoadView, Name, SessionState, WorkerGlance};

mod flow;

pub(crate) use flow::Flows;
pub use flow::{Flow, Histogram};

/// One look at everything.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// When it was taken, by the engine's clock.
    pub time: Time,
    /// What waits and what is leased, by queue and task type.
    pub rows: Vec<Row>,
    /// Every worker session.
    pub workers: Vec<WorkerLoad>,
}

/// One task type in one queue.
#[derive(Clone, Debug)]
pub struct Row {
    /// What waits and what is leased.
    pub view: LoadView,
    /// How long it took lately. None: nothing of it was leased, started or ended, or too many kinds are known.
    pub flow: Option<Box<Flow>>,
}

/// One worker session.
#[derive(Clone, Debug)]
pub struct WorkerLoad {
    /// The worker's own name.
    pub worker: Name,
    /// The pool it says that it belongs to. None: it does not say.
    pub pool: Option<Name>,
    /// The task types it serves.
    pub task_types: Vec<Name>,
    /// How its session is.
    pub state: SessionState,
    /// Its slots: how many tasks of one slot it can run at once.
    pub slots: u32,
    /// How many slots what it holds takes, or waits for.
    pub used: u32,
    /// How busy the processor is that it may use, in thousandths. None: it has not said.
    pub cpu: Option<u16>,
}

/// The label by which a worker says to which pool it belongs.
pub const POOL_LABEL: &str = "pool";

impl WorkerLoad {
    pub(crate) fn new(worker: WorkerGlance<'_>, cpu: Option<u16>) -> Self {
        Self {
            worker: Name::clone(worker.worker()),
            pool: worker.label(POOL_LABEL).filter(|pool| !pool.is_empty()).cloned(),
            task_types: worker.task_types().cloned().collect(),
            state: worker.state(),
            slots: worker.slots(),
            used: worker.used(),
            cpu,
        }
    }
}
