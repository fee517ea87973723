//! The first thing a worker says, checked.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_proto::{PROTOCOL_VERSION, duration, v1};
use leasehold_queue::{
    HeldLease, Hello, LeasePhase, Name, SchemaPrint, SchemasRead, Size, Start, StreamId, Token,
};

use crate::{
    config::{is_namespace, is_resource, is_worker_id},
    parse::AMOUNT_MAX,
    refusal::{Reason, Refusal},
    status::Status,
};

/// The same for people, as what is said of an id that breaks it.
pub(crate) const WORKER_ID_RULE: &str = "must be 1 to 128 characters of [A-Za-z0-9._-]";
const INSTANCE_ID_CHARS_MAX: usize = 64;
const BOOT_ID_CHARS_MAX: usize = 64;
const REPLACED_MAX: usize = 16;
const TASK_TYPE_CHARS_MAX: usize = 128;
const TASK_TYPES_MAX: usize = 1_000;
/// Each tells sessions apart; who serves more of them serves all.
const NAMESPACES_MAX: usize = 100;
const LABELS_MAX: usize = 16;
const LABEL_NAME_BYTES_MAX: usize = 63;
const LABEL_VALUE_BYTES_MAX: usize = 255;
const SOFTWARE_BYTES_MAX: usize = 128;
/// Payload schemas of one task type, and of all: code that reads more versions than that at once is not written by hand.
const SCHEMAS_OF_TYPE_MAX: usize = 100;
const SCHEMAS_MAX: usize = 1_000;

/// The most tasks a worker may run at once, what it takes ahead included.
pub(super) const SLOTS_MAX: u32 = 10_000;

/// The same for people.
pub(super) const CAPACITY_RULE: &str = "slots and prefetch must be 0 to 10,000 together, and resources at most 32, names of 1 to 63 \
    bytes without control characters and amounts of 1 to 2^53";

/// The most resources that it may name.
const RESOURCES_MAX: usize = 32;

/// The most leases it may hold: those it runs, and as many outcomes that were not acknowledged yet.
pub(super) const HELD_MAX: usize = 2 * SLOTS_MAX as usize;

/// Reads a hello, or says everything that is wrong with it.
pub(super) fn read(
    stream: StreamId,
    hello: v1::Hello,
    coordinator: &Status,
) -> Result<Hello, Refusal> {
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(Refusal::new(
            Reason::ProtocolUnsupported,
            format!(
                "the worker speaks protocol version {}, this coordinator version {PROTOCOL_VERSION}",
                hello.protocol_version
            ),
        )
        .with("workerVersion", hello.protocol_version)
        .with("coordinatorVersion", PROTOCOL_VERSION));
    }
    refuse_superseded(&hello, coordinator)?;
    let capacity = capacity(&hello.capacity.clone().unwrap_or_default());
    let violations = violations(&hello);
    if !violations.is_empty() {
        return Err(Refusal::fields(Reason::InvalidField, violations));
    }
    let reads = reads(&hello.payload_schemas);
    let name = |text: String| Name::from(text);
    let (Size { slots, resources }, prefetch) = capacity.unwrap_or_default();
    Ok(Hello {
        stream,
        worker: name(hello.worker_id),
        instance: name(hello.instance_id),
        start: hello.process_start.as_ref().and_then(start),
        replaces: hello.replaces_instance_ids.into_iter().map(name).collect(),
        task_types: hello.task_types.into_iter().map(name).collect(),
        namespaces: hello.namespaces.into_iter().map(name).collect(),
        reads: reads.unwrap_or_default(),
        slots,
        resources,
        knows_sizes: hello.knows_sizes,
        prefetch,
        held: hello.held_leases.iter().map(held).collect(),
        labels: hello.labels.into_iter().map(|(key, value)| (name(key), name(value))).collect(),
        software: name(hello.software),
    })
}

/// When a process was started, if that can be read.
fn start(sent: &v1::ProcessStart) -> Option<Start> {
    let after = duration::from_wire(&sent.after_boot.unwrap_or_default()).ok()?;
    let is_boot = is_name(&sent.boot_id, BOOT_ID_CHARS_MAX, "-");
    is_boot.then(|| Start { boot: Name::from(sent.boot_id.as_str()), after })
}

/// Which payload schemas are read, if that can be read.
fn reads(said: &[v1::PayloadSchemas]) -> Option<SchemasRead> {
    let mut types = BTreeMap::new();
    for v1::PayloadSchemas { task_type, fingerprints } in said {
        let count = 1..=SCHEMAS_OF_TYPE_MAX;
        if !is_name(task_type, TASK_TYPE_CHARS_MAX, "._/-") || !count.contains(&fingerprints.len())
        {
            return None;
        }
        let prints = fingerprints.iter().map(|it| SchemaPrint::read(it));
        let prints: BTreeSet<SchemaPrint> = prints.collect::<Option<_>>()?;
        if types.insert(Name::from(task_type.as_str()), prints).is_some() {
            return None;
        }
    }
    let count: usize = types.values().map(BTreeSet::len).sum();
    (count <= SCHEMAS_MAX).then(|| types.into_iter().collect())
}

/// Slots and what else there is, and prefetch, in range.
pub(super) fn capacity(capacity: &v1::Capacity) -> Option<(Size, u32)> {
    let slots = u32::try_from(capacity.slots).ok()?;
    let prefetch = u32::try_from(capacity.prefetch).ok()?;
    let sorted: BTreeMap<_, _> = capacity.resources.iter().collect();
    let resource = |(name, amount): (&String, &i64)| {
        let amount = u64::try_from(*amount).ok().filter(|it| (1..=AMOUNT_MAX).contains(it))?;
        is_resource(name).then(|| (Name::from(name.as_str()), amount))
    };
    let resources: Vec<(Name, u64)> = sorted.into_iter().map(resource).collect::<Option<_>>()?;
    let is_right = resources.len() <= RESOURCES_MAX && slots.saturating_add(prefetch) <= SLOTS_MAX;
    is_right.then_some((Size { slots, resources }, prefetch))
}

/// A worker that has seen a later epoch of this journal must not listen to this one.
fn refuse_superseded(hello: &v1::Hello, coordinator: &Status) -> Result<(), Refusal> {
    let epoch = i64::from(coordinator.epoch());
    if hello.journal_id != coordinator.journal_id() || hello.seen_epoch <= epoch {
        return Ok(());
    }
    let message = format!(
        "the worker has seen epoch {} of this journal: this coordinator, of epoch {epoch}, is superseded",
        hello.seen_epoch
    );
    Err(Refusal::new(Reason::LowerEpoch, message)
        .with("seenEpoch", hello.seen_epoch)
        .with("epoch", epoch))
}

fn violations(hello: &v1::Hello) -> Vec<v1::FieldViolation> {
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, field: &str, description: &str| {
        if !is_right {
            let (field, description) = (format!("hello.{field}"), description.to_owned());
            wrong.push(v1::FieldViolation { field, description });
        }
    };
    check(is_worker_id(&hello.worker_id), "worker_id", WORKER_ID_RULE);
    check(
        is_name(&hello.instance_id, INSTANCE_ID_CHARS_MAX, "-"),
        "instance_id",
        "must be 1 to 64 characters of [A-Za-z0-9-]",
    );
    check(
        hello.process_start.as_ref().is_none_or(|it| start(it).is_some()),
        "process_start",
        "must name a boot by 1 to 64 characters of [A-Za-z0-9-] and a time since then that is not negative",
    );
    let replaced = &hello.replaces_instance_ids;
    check(
        replaced.len() <= REPLACED_MAX
            && replaced.iter().all(|it| is_name(it, INSTANCE_ID_CHARS_MAX, "-")),
        "replaces_instance_ids",
        "must be at most 16, each 1 to 64 characters of [A-Za-z0-9-]",
    );
    let types = &hello.task_types;
    check(
        (1..=TASK_TYPES_MAX).contains(&types.len())
            && types.iter().all(|name| is_name(name, TASK_TYPE_CHARS_MAX, "._/-")),
        "task_types",
        "must be 1 to 1,000 names of 1 to 128 characters of [A-Za-z0-9._/-]",
    );
    let namespaces = &hello.namespaces;
    check(
        namespaces.len() <= NAMESPACES_MAX && namespaces.iter().all(|name| is_namespace(name)),
        "namespaces",
        "must be at most 100, each 1 to 63 characters of [A-Za-z0-9._-]",
    );
    check(
        reads(&hello.payload_schemas).is_some(),
        "payload_schemas",
        "must name each task type once, with 1 to 100 fingerprints of 64 lower-case hexadecimal digits, 1,000 in all; a type that \
         is left out reads every schema",
    );
    let said = hello.capacity.clone().unwrap_or_default();
    check(capacity(&said).is_some(), "capacity", CAPACITY_RULE);
    check(
        hello.held_leases.len() <= HELD_MAX
            && hello.held_leases.iter().all(|it| 0 < it.fencing_token && size_of(it).is_some()),
        "held_leases",
        "must be at most 20,000 leases with positive tokens, none larger than a worker may be",
    );
    let are_labels_right = hello.labels.len() <= LABELS_MAX
        && hello.labels.iter().all(|(name, value)| {
            (1..=LABEL_NAME_BYTES_MAX).contains(&name.len())
                && value.len() <= LABEL_VALUE_BYTES_MAX
                && !name.chars().chain(value.chars()).any(char::is_control)
        });
    check(
        are_labels_right,
        "labels",
        "must be at most 16, keys of 1 to 63 and values of 0 to 255 bytes, without control characters",
    );
    check(
        hello.software.len() <= SOFTWARE_BYTES_MAX && !hello.software.chars().any(char::is_control),
        "software",
        "must be at most 128 bytes without control characters",
    );
    wrong
}

fn is_name(text: &str, chars_max: usize, others: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || others.contains(letter);
    (1..=chars_max).contains(&text.len()) && text.chars().all(is_allowed)
}

/// How much a lease takes, in range: as much as a worker may have.
fn size_of(lease: &v1::HeldLease) -> Option<Size> {
    let (slots, resources) = (lease.slots.max(1), lease.resources.clone());
    capacity(&v1::Capacity { slots, prefetch: 0, resources }).map(|(size, _)| size)
}

fn held(lease: &v1::HeldLease) -> HeldLease {
    HeldLease {
        size: size_of(lease).unwrap_or_default(),
        token: Token::from_i64(lease.fencing_token),
        phase: match lease.phase() {
            v1::LeasePhase::Pending => LeasePhase::Pending,
            v1::LeasePhase::Finished => LeasePhase::Finished,
            v1::LeasePhase::Unspecified | v1::LeasePhase::Running => LeasePhase::Running,
        },
    }
}
