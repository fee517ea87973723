//! What everybody may know of the coordinator without asking the engine.
//!
//! Written by the engine, read by anybody: plain atomics, each true by itself, and the last picture of the load.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use leasehold_policy::Time;

use crate::{
    config::{Change, Config, Hash},
    handle::Unavailable,
    load::Load,
};

/// The coordinator itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The journal's id.
    pub journal_id: String,
    /// The epoch of this process.
    pub epoch: u32,
    /// When it began to serve.
    pub started: Time,
    /// Tasks that have not ended.
    pub open_tasks: u64,
    /// Workers with a stream.
    pub connected_workers: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Why no new tasks are accepted, if none are.
    pub refusal: Option<Unavailable>,
}

/// What a generation of a task may cost beside its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// How many of its leases may end with a lost worker before it fails.
    pub worker_losses: u32,
    /// How many leases it may have at all.
    pub leases: u32,
}

impl From<&Config> for Budgets {
    fn from(config: &Config) -> Self {
        let limits = &config.limits;
        Self { worker_losses: limits.worker_losses, leases: limits.leases_per_generation }
    }
}

/// A configuration that holds, whole.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// It.
    pub config: Arc<Config>,
    /// The file's hash, if it comes from one.
    pub hash: Option<Hash>,
    /// Since when.
    pub since: Time,
    /// What the file says and only the next start brings.
    pub pending: Vec<Change>,
}

impl From<Config> for Applied {
    fn from(config: Config) -> Self {
        Self { config: Arc::new(config), ..Self::default() }
    }
}

/// The shared state behind [`Cluster`].
#[derive(Debug)]
pub struct Status {
    journal_id: String,
    started: Time,
    applied: Mutex<Arc<Applied>>,
    epoch: AtomicU32,
    open_tasks: AtomicU64,
    connected_workers: AtomicU64,
    journal_bytes: AtomicU64,
    refusal: Mutex<Option<Unavailable>>,
    load: Mutex<Option<Arc<Load>>>,
}

impl Status {
    pub(crate) fn new(journal_id: String, epoch: u32, started: Time, applied: Applied) -> Self {
        let applied = Arc::new(Applied { since: started, ..applied });
        Self {
            journal_id,
            started,
            applied: Mutex::new(applied),
            epoch: AtomicU32::new(epoch),
            open_tasks: AtomicU64::new(0),
            connected_workers: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
            refusal: Mutex::new(None),
            load: Mutex::new(None),
        }
    }

    /// The id of the journal.
    pub fn journal_id(&self) -> &str {
        &self.journal_id
    }

    /// What a generation of a task may cost.
    pub fn budgets(&self) -> Budgets {
        Budgets::from(&*self.config())
    }

    /// The configuration that holds. Whoever does one thing under it asks once.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.applied().config)
    }

    /// The same, and where it comes from.
    pub fn applied(&self) -> Arc<Applied> {
        Arc::clone(&self.applied.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn apply(&self, applied: Arc<Applied>) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
    }

    /// The epoch of this process.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Whether new tasks are accepted.
    pub fn admission(&self) -> Result<(), Unavailable> {
        self.refusal().map_or(Ok(()), Err)
    }

    /// Everything.
    pub fn cluster(&self) -> Cluster {
        Cluster {
            journal_id: self.journal_id.clone(),
            epoch: self.epoch(),
            started: self.started,
            open_tasks: self.open_tasks.load(Ordering::Relaxed),
            connected_workers: self.connected_workers.load(Ordering::Relaxed),
            journal_bytes: self.journal_bytes.load(Ordering::Relaxed),
            refusal: self.refusal(),
        }
    }

    /// The newest picture of the load. None: the engine has not taken any yet.
    pub fn load(&self) -> Option<Arc<Load>> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_load(&self, load: Load) {
        let load = Some(Arc::new(load));
        let before =
            std::mem::replace(&mut *self.load.lock().unwrap_or_else(PoisonError::into_inner), load);
        // Outside of the lock: it may be large.
        drop(before);
    }

    fn refusal(&self) -> Option<Unavailable> {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn refuse(&self, refusal: Option<Unavailable>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    pub(crate) fn set_epoch(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    pub(crate) fn set_counts(&self, open_tasks: u64, connected_workers: u64) {
        self.open_tasks.store(open_tasks, Ordering::Relaxed);
        self.connected_workers.store(connected_workers, Ordering::Relaxed);
    }

    pub(crate) fn set_journal_bytes(&self, bytes: u64) {
        self.journal_bytes.store(bytes, Ordering::Relaxed);
    }
}
