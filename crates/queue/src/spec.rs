//! What a submitter says of a task, checked and with defaults filled in.

use std::{
    fmt,
    hash::{Hash, Hasher},
    mem::discriminant,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use leasehold_policy::Backoff;

use crate::{Claims, Name, Payload, SchemaPrint, Size};

/// A task as it was asked for. It never changes.
///
/// What tasks can have in common is [shared](Template), and found on the task itself.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// What it can have in common with others.
    pub template: Arc<Template>,
    /// The handler's input.
    pub payload: Payload,
    /// From the submit (or replay) to the end of the task.
    pub total_timeout: Nanos,
    /// The submitter's trace: all that one call brings share it.
    pub trace: Option<Arc<Trace>>,
    /// What few ask for. None: nothing of it; never one that asks for nothing.
    pub extras: Option<Box<Extras>>,
}

/// A duration of at most 584 years in one word, where the library's own takes two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nanos(u64);

impl From<Duration> for Nanos {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(nanos.0)
    }
}

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration::from(*self).fmt(f)
    }
}

/// What few tasks ask for: the others take no room for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras {
    /// How long to wait before it may first be leased.
    pub initial_delay: Duration,
    /// Names for people and filters.
    pub labels: Vec<(Name, Name)>,
    /// The idempotency key it was submitted under.
    pub key: Option<Key>,
}

impl Extras {
    /// What a task keeps of these.
    pub fn kept(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// What tasks can have in common. Whoever submits many that do hands the same one over each time, so that it is known at a
/// glance.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Template {
    /// The queue it waits in.
    pub queue: Name,
    /// The kind of work.
    pub task_type: Name,
    /// How to read the payload; not interpreted.
    pub content_type: Name,
    /// 0 (most urgent) to 9.
    pub priority: u8,
    /// From the grant to the worker's start.
    pub start_timeout: Duration,
    /// From the worker's start to the end of the attempt.
    pub attempt_timeout: Duration,
    /// From a request to stop to the kill.
    pub kill_grace: Duration,
    /// When and how often to try again.
    pub retry: Retry,
    /// What it asks of its leases.
    pub terms: LeaseTerms,
    /// What its leases take beside a slot, and which circuits they pass. None: nothing; never an empty one.
    pub claims: Option<Arc<Claims>>,
    /// With which tasks of its queue it shares what the queue gets; empty: with those that name nothing either.
    pub fairness_key: Name,
    /// What it asks of its worker.
    pub shape: Shape,
    /// Whether it is accepted though it is unlikely to be over in time.
    pub admission: Admission,
}

impl Template {
    /// How many bytes what it says takes in memory, as far as whoever submits it decides that.
    pub(crate) fn bytes(&self) -> u64 {
        let Self { content_type, fairness_key, shape, claims, .. } = self;
        let selector: usize = shape.selector.iter().map(|(name, it)| name.len() + it.len()).sum();
        let claims = claims.as_ref().map_or(0, |claims| claims.bytes());
        let texts = content_type.len() + fairness_key.len() + selector;
        (texts + shape.size.bytes() + claims) as u64
    }
}

impl TaskSpec {
    /// A task that asks for nothing that few do.
    pub fn new(template: Arc<Template>, payload: Payload, total_timeout: Duration) -> Self {
        let total_timeout = total_timeout.into();
        Self { template, payload, total_timeout, trace: None, extras: None }
    }

    /// How long it waits before it may first be leased.
    pub fn initial_delay(&self) -> Duration {
        self.extras.as_ref().map_or(Duration::ZERO, |extras| extras.initial_delay)
    }

    /// Its names for people and filters.
    pub fn labels(&self) -> &[(Name, Name)] {
        self.extras.as_ref().map_or(&[], |extras| &extras.labels)
    }

    /// The idempotency key it was submitted under.
    pub fn key(&self) -> Option<&Key> {
        self.extras.as_ref()?.key.as_ref()
    }

    /// The same with something else in what it can have in common with others.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Template)) -> Self {
        change(&mut self);
        self
    }
}

impl Deref for TaskSpec {
    type Target = Template;

    fn deref(&self) -> &Template {
        &self.template
    }
}

/// Others that share the template keep what they have.
impl DerefMut for TaskSpec {
    fn deref_mut(&mut self) -> &mut Template {
        Arc::make_mut(&mut self.template)
    }
}

/// What a task asks of the worker that runs it, beside its type.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Labels that the worker must have, ascending by name.
    pub selector: Vec<(Name, Name)>,
    /// What its payload looks like. The worker has to read it. None: whoever takes its type reads it.
    pub schema: Option<SchemaPrint>,
    /// How much of the worker a lease takes.
    pub size: Size,
}

/// Whether a task is accepted that is unlikely to be over in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Admission {
    /// It is, and nobody said by when it has to be over: nothing is reckoned.
    #[default]
    Unasked,
    /// It is, and whoever submits it is told.
    BestEffort,
    /// It is refused.
    Strict,
}

/// What a task asks of its leases beyond their times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaseTerms {
    /// How often its work may be started.
    pub guarantee: Guarantee,
    /// Whether another worker may have it while the one before may still run it.
    pub exclusivity: Exclusivity,
    /// From when it may first be leased to the first start of its work in a generation. None: as long as it lives.
    pub queue_timeout: Option<Duration>,
    /// For how long running work may give no sign of progress. None: as long as it runs.
    pub progress_timeout: Option<Duration>,
}

/// How often the work of a task may be started in one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// Until it succeeds or its budgets are used up.
    #[default]
    AtLeastOnce,
    /// Once: it is leased again only with the proof that it was never started.
    AtMostOnce,
}

/// Whether a task may be leased again while the worker of its last lease may still run it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusivity {
    /// No: only after its worker has answered, or its session is over.
    #[default]
    Strict,
    /// Yes, once the kill grace of a revocation is over. The slot of the one before stays taken, and its token is stale.
    BestEffort,
}

/// When and how often a failed attempt is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// How many counted attempts there may be; at least 1.
    pub max_attempts: u32,
    /// How long to wait between them.
    pub backoff: Backoff,
}

impl Hash for Retry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { max_attempts, backoff } = self;
        let Backoff { initial, factor, cap, jitter } = backoff;
        // Two that are equal have the same bits: there is no negative factor, nor one that is no number.
        (max_attempts, initial, factor.to_bits(), cap, discriminant(jitter)).hash(state);
    }
}

/// W3C trace context, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The `traceparent` header.
    pub parent: Name,
    /// The `tracestate` header; empty if there was none.
    pub state: Name,
}

/// An idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the client called it.
    pub name: Name,
    /// A digest of task type and payload: another one under the same key is a conflict.
    pub digest: [u8; 16],
}
