//! The series themselves: their names, units and help texts.

use std::{marker::PhantomData, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        TypedMetric, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
        info::Info,
    },
    registry::{Metric, Registry, Unit},
};

use leasehold_queue::{EndKind, Ending, RevocationReason};

use super::label::{
    CheckpointFate, Label, ReloadResult, RevocationStage, Scaled, SlotState, TaskState, WorkerState,
};

/// Bounds in seconds for what a worker does: from a millisecond to two hours.
const TASK_SECONDS: [f64; 15] =
    [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 900.0, 7_200.0];

/// Bounds in seconds for what a disk does, and for a call: from a tenth of a millisecond to ten seconds.
const FAST_SECONDS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// Bounds for the records of one batch: powers of four.
const BATCH_RECORDS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// One label with a free but bounded set of values.
type Pair = [(&'static str, &'static str); 1];

/// A pool of workers; there are at most as many as are scaled.
type Pool = [(&'static str, String); 1];

/// A float that only grows.
type Seconds = Counter<f64, AtomicU64>;

/// A call that was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) code: &'static str,
}

/// A circuit that changed what it does. There are only so many breakers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Turned {
    pub(super) breaker: String,
    pub(super) to: &'static str,
}

/// One histogram per stage of a revocation.
type Stages = Family<Pair, Histogram, fn() -> Histogram>;

/// One metric per value of a label, all made at the start, so that counting looks nothing up.
#[derive(Debug)]
pub(super) struct Split<L, M> {
    members: Vec<M>,
    /// What a value without a member would count into; there is none.
    spare: M,
    label: PhantomData<fn(L)>,
}

impl<L: Label, M: Metric + TypedMetric + Clone + Default> Split<L, M> {
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<Pair, M>::default();
        registry.register(name, help, family.clone());
        let member = |label: &L| family.get_or_create_owned(&[(L::NAME, label.value())]);
        Self {
            members: L::ALL.iter().map(member).collect(),
            spare: M::default(),
            label: PhantomData,
        }
    }

    pub(super) fn of(&self, label: L) -> &M {
        self.members.get(label.index()).unwrap_or(&self.spare)
    }
}

#[derive(Debug)]
pub(super) struct Series {
    pub(super) submitted: Counter,
    pub(super) deduplicated: Counter,
    pub(super) attempts_started: Counter,
    pub(super) attempts_ended: Split<EndKind, Counter>,
    pub(super) tasks_ended: Split<Ending, Counter>,
    pub(super) revocations: Split<RevocationReason, Counter>,
    pub(super) retractions: Counter,
    pub(super) revocation: Stages,
    pub(super) stopped_late: Counter,
    pub(super) checkpoints: Split<CheckpointFate, Counter>,
    pub(super) stale: Counter,
    pub(super) replayed: Counter,
    pub(super) culled: Counter,
    pub(super) spared: Seconds,
    pub(super) refusals: Family<Pair, Counter>,
    pub(super) panics: Counter,
    pub(super) skipped_events: Counter,
    pub(super) stall: Seconds,
    pub(super) connections: Gauge,
    pub(super) connections_turned_away: Counter,
    pub(super) tasks: Split<TaskState, Gauge>,
    pub(super) workers: Split<WorkerState, Gauge>,
    pub(super) slots: Split<SlotState, Gauge>,
    pub(super) circuits: Family<[(&'static str, String); 1], Gauge>,
    pub(super) circuit_turns: Family<Turned, Counter>,
    pub(super) pool_workers: Family<Pool, Gauge>,
    pub(super) desired_workers: Family<Pool, Gauge>,
    pub(super) scaling_decisions: Split<Scaled, Counter>,
    pub(super) oldest_queued: Gauge<f64, AtomicU64>,
    pub(super) store_bytes: Gauge,
    pub(super) store_free_bytes: Gauge,
    pub(super) payload_bytes: Gauge,
    pub(super) payloads_read: Counter,
    pub(super) epoch: Gauge,
    pub(super) reloads: Split<ReloadResult, Counter>,
    pub(super) config: Family<[(&'static str, String); 1], Gauge>,
    pub(super) config_is_right: Gauge,
    pub(super) config_since: Gauge<f64, AtomicU64>,
    pub(super) queue_wait: Histogram,
    pub(super) run: Histogram,
    pub(super) end_to_end: Histogram,
    pub(super) commit: Histogram,
    pub(super) commit_batch: Histogram,
    pub(super) read_back: Histogram,
    pub(super) calls: Family<Call, Histogram, fn() -> Histogram>,
}

impl Series {
    pub(super) fn register(registry: &mut Registry) -> Self {
        registry.register(
            "build",
            "The program that answers",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            submitted: plain(registry, "tasks_submitted", "Tasks accepted"),
            deduplicated: plain(
                registry,
                "tasks_deduplicated",
                "Submits whose idempotency key named a task already",
            ),
            attempts_started: plain(
                registry,
                "task_attempts_started",
                "Attempts that workers started",
            ),
            attempts_ended: Split::register(
                registry,
                "task_attempts_finished",
                "Leases that ended, by outcome",
            ),
            tasks_ended: Split::register(
                registry,
                "tasks_finished",
                "Tasks that ended, by outcome",
            ),
            revocations: Split::register(
                registry,
                "lease_revocations",
                "Leases that workers were told to end, by reason",
            ),
            retractions: plain(
                registry,
                "lease_retractions",
                "Leases granted ahead that workers were asked to give back",
            ),
            revocation: stages(registry),
            stopped_late: plain(
                registry,
                "leases_stopped_late",
                "Leases whose work was known to be over only after they had ended",
            ),
            checkpoints: Split::register(
                registry,
                "checkpoints",
                "Checkpoints that workers said, by what became of them",
            ),
            stale: plain(
                registry,
                "stale_results",
                "Outcomes for leases that were not current, which changed nothing",
            ),
            culled: plain(
                registry,
                "tasks_culled",
                "Tasks that were ended when it was their turn because the time left to them could not suffice",
            ),
            spared: in_unit(
                registry,
                "culled_run",
                "How long culled tasks would have run, by the medians of their types",
                Unit::Seconds,
            ),
            replayed: plain(registry, "dead_letters_replayed", "Dead letters that are tasks again"),
            refusals: plain(
                registry,
                "refusals",
                "Calls, and tasks of batches, refused, by reason",
            ),
            panics: plain(registry, "panics", "Panics in the code of a call"),
            skipped_events: plain(
                registry,
                "worker_events_skipped",
                "Events of workers of a kind this version does not know",
            ),
            stall: in_unit(registry, "stall", "Time by which the engine was late", Unit::Seconds),
            connections: plain(registry, "connections", "Open gRPC connections"),
            connections_turned_away: plain(
                registry,
                "connections_turned_away",
                "Connections closed at once because there were too many",
            ),
            tasks: Split::register(registry, "tasks", "Tasks that have not ended, by state"),
            workers: Split::register(registry, "workers", "Sessions of workers, by state"),
            slots: Split::register(registry, "worker_slots", "Slots of workers, by state"),
            circuits: plain(
                registry,
                "circuit_state",
                "What the circuit of a breaker does: 0 closed, 1 half-open, 2 open",
            ),
            circuit_turns: plain(
                registry,
                "circuit_transitions",
                "Circuits that changed what they do, by breaker and what they do from then on",
            ),
            pool_workers: plain(
                registry,
                "pool_workers",
                "Workers of a pool that take tasks or are being started",
            ),
            desired_workers: plain(registry, "desired_workers", "Workers that a pool should have"),
            scaling_decisions: Split::register(
                registry,
                "scaling_decisions",
                "Changes of how many workers a pool should have, by direction",
            ),
            oldest_queued: in_unit(
                registry,
                "oldest_runnable_age",
                "How long the oldest task that could be leased has waited",
                Unit::Seconds,
            ),
            store_bytes: in_unit(
                registry,
                "store",
                "Size of the journal on disk, write-ahead log included",
                Unit::Bytes,
            ),
            store_free_bytes: in_unit(
                registry,
                "store_free",
                "Free space on the journal's volume",
                Unit::Bytes,
            ),
            payload_bytes: in_unit(
                registry,
                "payload_memory",
                "Payloads of open tasks that are in memory",
                Unit::Bytes,
            ),
            payloads_read: plain(
                registry,
                "payloads_read",
                "Payloads that were read from the journal, for leases that needed them",
            ),
            epoch: plain(registry, "epoch", "Epoch under which this process writes"),
            reloads: Split::register(
                registry,
                "config_reloads",
                "Looks at the configuration file that saw something new or were asked for, by result",
            ),
            config: plain(
                registry,
                "config_info",
                "The configuration that holds, by the first digits of its file's SHA-256",
            ),
            config_is_right: plain(
                registry,
                "config_last_reload_successful",
                "Whether the configuration file as it was seen last holds",
            ),
            config_since: in_unit(
                registry,
                "config_last_reload_success_timestamp",
                "When the configuration file was last taken, since 1970",
                Unit::Seconds,
            ),
            queue_wait: histogram(
                registry,
                "task_queue_wait",
                "From the time a task can be leased to its lease",
                TASK_SECONDS,
            ),
            run: histogram(
                registry,
                "task_run",
                "From the start of an attempt to its end",
                TASK_SECONDS,
            ),
            end_to_end: histogram(
                registry,
                "task_end_to_end",
                "From the submit of a task to its end",
                TASK_SECONDS,
            ),
            commit: histogram(
                registry,
                "store_commit",
                "From handing a batch to the journal until it is durable",
                FAST_SECONDS,
            ),
            commit_batch: registered(
                registry,
                "store_commit_batch_size",
                "Records that became durable together",
                Histogram::new(BATCH_RECORDS),
            ),
            read_back: histogram(
                registry,
                "store_read_back",
                "Reads of all that a batch needs of earlier ones, before it is appended",
                FAST_SECONDS,
            ),
            calls: calls(registry),
        }
    }
}

/// Registers a metric and hands back the half that counts.
fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn plain<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    registered(registry, name, help, M::default())
}

fn in_unit<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Unit,
) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

fn histogram(
    registry: &mut Registry,
    name: &str,
    help: &str,
    bounds: impl IntoIterator<Item = f64>,
) -> Histogram {
    let metric = Histogram::new(bounds);
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

fn stages(registry: &mut Registry) -> Stages {
    let make: fn() -> Histogram = || Histogram::new(TASK_SECONDS);
    let family = Family::new_with_constructor(make);
    registry.register_with_unit(
        "lease_revocation",
        "From the revocation of a lease to when its worker had received it, and to the end of the lease",
        Unit::Seconds,
        family.clone(),
    );
    for stage in RevocationStage::ALL {
        drop(family.get_or_create(&[(RevocationStage::NAME, stage.value())]));
    }
    family
}

fn calls(registry: &mut Registry) -> Family<Call, Histogram, fn() -> Histogram> {
    let make: fn() -> Histogram = || Histogram::new(FAST_SECONDS);
    let family = Family::new_with_constructor(make);
    registry.register_with_unit(
        "rpc_server_call_duration",
        "From the arrival of a call to its answer, by method and status code",
        Unit::Seconds,
        family.clone(),
    );
    family
}
