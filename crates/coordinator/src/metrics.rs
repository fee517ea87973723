//! What the coordinator counts, in the names that Prometheus reads.
//!
//! [`Metrics`] is cheap to clone. A counter or gauge is updated by one atomic operation, a histogram under its own
//! short lock. Labels are enums: the set of series is known from the start. It knows nothing of who counts, and no
//! id of a task or worker ever comes here.
//!
//! The engine calls, once a fact is durable: [`Metrics::submitted`], [`Metrics::deduplicated`], [`Metrics::waited`],
//! [`Metrics::attempt_started`], [`Metrics::attempt_ended`], [`Metrics::ran`], [`Metrics::task_ended`],
//! [`Metrics::revoked`], [`Metrics::revocation_came_to`], [`Metrics::stopped_late`], [`Metrics::checkpoint`], [`Metrics::stale`], [`Metrics::replayed`], [`Metrics::culled`], [`Metrics::turned`], [`Metrics::committed`], [`Metrics::read_back`], [`Metrics::payloads_read`], [`Metrics::stalled`]; and
//! now and then, from a look at its state: the `set_` methods.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use leasehold_policy::{CircuitState, Turn};
use leasehold_queue::{EndKind, Ending, Guarded, RevocationReason};
use prometheus_client::{encoding::text, registry::Registry};

mod label;
mod series;
#[cfg(test)]
mod tests;

use crate::config::Hash;
use label::Label as _;
pub use label::{
    CheckpointFate, ReloadResult, RevocationStage, Scaled, SlotState, TaskState, WorkerState,
};
use series::{Call, Series, Turned};

/// Everything the coordinator counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    series: Arc<Series>,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("leasehold");
        let series = Arc::new(Series::register(&mut registry));
        Self { series, registry: Arc::new(registry) }
    }
}

/// Facts of the engine.
impl Metrics {
    /// This many tasks were accepted; those that an idempotency key named already are not among them.
    pub fn submitted(&self, count: u64) {
        self.series.submitted.inc_by(count);
    }

    /// This many submits named a task that existed already.
    pub fn deduplicated(&self, count: u64) {
        self.series.deduplicated.inc_by(count);
    }

    /// A task was leased this long after it could be.
    pub fn waited(&self, wait: Duration) {
        self.series.queue_wait.observe(wait.as_secs_f64());
    }

    /// A worker said that it started.
    pub fn attempt_started(&self) {
        self.series.attempts_started.inc();
    }

    /// A lease ended.
    pub fn attempt_ended(&self, kind: EndKind) {
        self.series.attempts_ended.of(kind).inc();
    }

    /// An attempt took this long from its start to its end.
    pub fn ran(&self, run: Duration) {
        self.series.run.observe(run.as_secs_f64());
    }

    /// A task ended, this long after it was submitted.
    pub fn task_ended(&self, ending: Ending, end_to_end: Duration) {
        self.series.tasks_ended.of(ending).inc();
        self.series.end_to_end.observe(end_to_end.as_secs_f64());
    }

    /// A worker was told that a lease has to end.
    pub fn revoked(&self, reason: RevocationReason) {
        self.series.revocations.of(reason).inc();
    }

    /// A revocation came so far, this long after it was decided.
    pub fn revocation_came_to(&self, stage: RevocationStage, took: Duration) {
        let label = [(RevocationStage::NAME, stage.value())];
        self.series.revocation.get_or_create_owned(&label).observe(took.as_secs_f64());
    }

    /// The work of a lease was known to be over only after the lease had ended.
    pub fn stopped_late(&self) {
        self.series.stopped_late.inc();
    }

    /// An outcome came for a lease that was not current.
    pub fn stale(&self) {
        self.series.stale.inc();
    }

    /// A dead letter became a task again.
    pub fn replayed(&self) {
        self.series.replayed.inc();
    }

    /// So many tasks were ended because the time left to them could not suffice; they would have run for that long.
    pub fn culled(&self, count: u64, spared: Duration) {
        self.series.culled.inc_by(count);
        self.series.spared.inc_by(spared.as_secs_f64());
    }

    /// A batch of this many records became durable, this long after it was handed to the journal.
    pub fn committed(&self, took: Duration, records: usize) {
        self.series.commit.observe(took.as_secs_f64());
        // No batch comes near 2^52 records, from where on a float would round.
        #[expect(clippy::cast_precision_loss, reason = "a batch is bounded to a megabyte")]
        self.series.commit_batch.observe(records as f64);
    }

    /// What a batch did without was read from the journal, and took so long.
    pub fn read_back(&self, took: Duration) {
        self.series.read_back.observe(took.as_secs_f64());
    }

    /// A checkpoint was said by a worker.
    pub fn checkpoint(&self, fate: CheckpointFate) {
        self.series.checkpoints.of(fate).inc();
    }

    /// A worker was asked to give back a lease that it got ahead.
    pub fn retracted(&self) {
        self.series.retractions.inc();
    }

    /// So many payloads were read from the journal for leases.
    pub fn payloads_read(&self, count: u64) {
        self.series.payloads_read.inc_by(count);
    }

    /// The engine was late by this much.
    pub fn stalled(&self, by: Duration) {
        self.series.stall.inc_by(by.as_secs_f64());
    }

    /// How many tasks are in a state.
    pub fn set_tasks(&self, state: TaskState, count: u64) {
        self.series.tasks.of(state).set(signed(count));
    }

    /// How many sessions are in a state.
    pub fn set_workers(&self, state: WorkerState, count: u64) {
        self.series.workers.of(state).set(signed(count));
    }

    /// How many slots of workers are in a state.
    pub fn set_slots(&self, state: SlotState, count: u64) {
        self.series.slots.of(state).set(signed(count));
    }

    /// For how long the oldest task that could be leased has waited.
    pub fn set_oldest_queued(&self, age: Duration) {
        self.series.oldest_queued.set(age.as_secs_f64());
    }

    /// How many bytes the journal takes, and how many are free on its volume.
    pub fn set_store(&self, bytes: u64, free_bytes: u64) {
        self.series.store_bytes.set(signed(bytes));
        self.series.store_free_bytes.set(signed(free_bytes));
    }

    /// How many bytes of payloads are in memory.
    pub fn set_payloads(&self, bytes: u64) {
        self.series.payload_bytes.set(signed(bytes));
    }

    /// The file as it was seen holds, or does not.
    pub fn reloaded(&self, result: ReloadResult) {
        self.series.reloads.of(result).inc();
        let is_right = result != ReloadResult::Refused;
        self.series.config_is_right.set(is_right.into());
    }

    /// The configuration with this hash holds since then. None: it comes from no file.
    pub fn configured(&self, hash: Option<Hash>, since: SystemTime) {
        let label = [("hash", hash.map(Hash::short).unwrap_or_default())];
        // There is one at a time.
        self.series.config.clear();
        self.series.config.get_or_create_owned(&label).set(1);
        self.series.config_is_right.set(1);
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.series.config_since.set(since.as_secs_f64());
    }

    /// The epoch under which this process writes.
    pub fn set_epoch(&self, epoch: u32) {
        self.series.epoch.set(i64::from(epoch));
    }
}

/// Facts of circuit breakers. There are only as many as are configured.
impl Metrics {
    /// A circuit changed what it does.
    pub fn turned(&self, guarded: &Guarded, turn: Turn) {
        let label = Turned { breaker: guarded.to_string(), to: turn.value() };
        self.series.circuit_turns.get_or_create_owned(&label).inc();
    }

    /// What a circuit does.
    pub fn set_circuit(&self, guarded: &Guarded, state: CircuitState) {
        let number = match state {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen { .. } => 1,
            CircuitState::Open { .. } => 2,
        };
        let label = [("breaker", guarded.to_string())];
        self.series.circuits.get_or_create_owned(&label).set(number);
    }

    /// A circuit is not there any more.
    pub fn forget_circuit(&self, guarded: &Guarded) {
        self.series.circuits.remove(&[("breaker", guarded.to_string())]);
    }
}

/// Facts of pools of workers. There are only so many.
impl Metrics {
    /// How many workers a pool has, and how many it should have.
    pub fn set_pool(&self, pool: &str, workers: u64, desired: u64) {
        let label = [("pool", pool.to_owned())];
        self.series.pool_workers.get_or_create_owned(&label).set(signed(workers));
        self.series.desired_workers.get_or_create_owned(&label).set(signed(desired));
    }

    /// A pool is not scaled any more.
    pub fn forget_pool(&self, pool: &str) {
        let label = [("pool", pool.to_owned())];
        self.series.pool_workers.remove(&label);
        self.series.desired_workers.remove(&label);
    }

    /// A pool is to have another number of workers.
    pub fn scaled(&self, direction: Scaled) {
        self.series.scaling_decisions.of(direction).inc();
    }
}

/// Facts of the services and the transport.
impl Metrics {
    /// A call was answered.
    pub fn answered(&self, method: &'static str, code: &'static str, took: Duration) {
        self.series.calls.get_or_create_owned(&Call { method, code }).observe(took.as_secs_f64());
    }

    /// A call, or a task in one, was refused for this reason of the contract.
    pub fn refused(&self, reason: &'static str) {
        self.series.refusals.get_or_create_owned(&[("reason", reason)]).inc();
    }

    /// A call's code panicked.
    pub fn panicked(&self) {
        self.series.panics.inc();
    }

    /// A worker sent an event of a kind this version does not know.
    pub fn skipped_event(&self) {
        self.series.skipped_events.inc();
    }

    /// A connection was opened.
    pub fn connected(&self) {
        self.series.connections.inc();
    }

    /// A connection was closed.
    pub fn disconnected(&self) {
        self.series.connections.dec();
    }

    /// A connection was turned away, because there are too many or the process may open no more files.
    pub fn turned_away(&self) {
        self.series.connections_turned_away.inc();
    }

    /// Everything, in the `OpenMetrics` text format.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
