//! Tasks and what they are made of, as bytes.
//!
//! Writers take their structs apart field by field, so that a new field cannot be forgotten.

use std::sync::Arc;

use leasehold_policy::{Backoff, Jitter};
use leasehold_queue::{
    Admission, Checkpoint, Ending, Extras, Failure, FailureReason, Key, Lease, LeaseTerms, Name,
    Past, Payload, Phase, Reckoned, Retry, RevocationReason, Revoking, Shape, Task, TaskSpec,
    Template, Wait,
};

use super::wire::{Cursor, Malformed, Pen};

/// The first format that tells what tasks have in common from what is their own, and writes it once.
const TEMPLATE_FORMAT: u8 = 3;

/// The extras of a task.
const LEDGER: u8 = 1;
const RAN: u8 = 2;
const CHECKPOINT: u8 = 3;

/// The extras of a lease.
const EXTENDED: u8 = 1;

impl Pen {
    pub(super) fn task(&mut self, task: &Task) {
        self.task_with(task, &task.spec.payload, &task.phase);
    }

    /// A task that ended: its payload is not kept here, and what its last lease was is in its ledger.
    pub(super) fn ended_task(&mut self, task: &Task) {
        self.task_with(task, &Payload::default(), &Phase::Queued);
    }

    fn task_with(&mut self, task: &Task, payload: &Payload, phase: &Phase) {
        let Task {
            id,
            spec,
            submitted,
            deadline,
            revision,
            attempts,
            leases,
            ran,
            cancel_requested,
            past: _,
            phase: _,
        } = task;
        self.task_id(*id);
        self.spec(spec, payload);
        self.time(*submitted);
        self.time(*deadline);
        self.integer(task.generation());
        self.integer(*revision);
        self.integer(*attempts);
        self.integer(*leases);
        self.integer(task.worker_losses());
        self.flag(*cancel_requested);
        self.option(task.last_failure(), Self::failure);
        self.option(task.last_token().as_ref(), |pen, token| pen.token(*token));
        self.phase(phase);
        self.extra(LEDGER, task.ledger(), Self::ledger);
        self.extra(RAN, ran.then_some(&()), |_, ()| ());
        self.extra(CHECKPOINT, task.checkpoint(), Self::checkpoint);
        self.end_extras();
    }

    fn spec(&mut self, spec: &TaskSpec, payload: &Payload) {
        let TaskSpec { template, payload: _, total_timeout, trace, extras: _ } = spec;
        self.template(template);
        match payload {
            Payload::Here(payload) => self.blob(payload),
            Payload::Away(len) => self.gap(*len),
        }
        self.duration(spec.initial_delay());
        self.duration((*total_timeout).into());
        self.integer(spec.labels().len() as u64);
        for (name, value) in spec.labels() {
            self.name(name);
            self.text(value);
        }
        self.trace(trace.as_ref());
        self.option(spec.key(), Self::key);
        self.end_extras();
    }

    pub(super) fn whole_template(&mut self, template: &Template) {
        let Template {
            queue,
            task_type,
            content_type,
            priority,
            start_timeout,
            attempt_timeout,
            kill_grace,
            retry,
            terms: _,
            fairness_key: _,
            shape: _,
            claims: _,
            admission: _,
        } = template;
        self.name(queue);
        self.name(task_type);
        self.name(content_type);
        self.byte(*priority);
        self.duration(*start_timeout);
        self.duration(*attempt_timeout);
        self.duration(*kill_grace);
        self.retry(*retry);
        self.template_extras(template);
    }

    fn retry(&mut self, retry: Retry) {
        let Retry { max_attempts, backoff } = retry;
        let Backoff { initial, factor, cap, jitter } = backoff;
        self.integer(max_attempts);
        self.duration(initial);
        self.raw(&factor.to_be_bytes());
        self.duration(cap);
        self.byte(match jitter {
            Jitter::Full => 1,
            Jitter::None => 2,
        });
    }

    pub(super) fn key(&mut self, key: &Key) {
        let Key { name, digest } = key;
        self.text(name);
        self.raw(digest);
    }

    pub(super) fn failure(&mut self, failure: &Failure) {
        let Failure { reason, message, details, counted, token, worker, time } = failure;
        self.byte(failure_reason(*reason));
        self.text(message);
        self.text(details);
        self.flag(*counted);
        self.option(token.as_ref(), |pen, token| pen.token(*token));
        self.option(worker.as_ref(), Self::name);
        self.time(*time);
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { token, data, time } = checkpoint;
        self.token(*token);
        self.blob(data);
        self.time(*time);
    }

    fn phase(&mut self, phase: &Phase) {
        match phase {
            Phase::Scheduled { eligible, wait } => {
                self.byte(1);
                self.time(*eligible);
                self.byte(match wait {
                    Wait::Delay => 1,
                    Wait::Backoff => 2,
                });
            }
            Phase::Queued => self.byte(2),
            Phase::Leased(lease) => {
                self.byte(3);
                self.lease(lease);
            }
        }
    }

    fn lease(&mut self, lease: &Lease) {
        // What a restart forgets is not written.
        let Lease {
            token,
            worker,
            instance,
            session: _,
            granted,
            started,
            extended,
            revoking,
            progress: _,
            heard: _,
            silence_since: _,
            reckoned: _,
        } = lease;
        self.token(*token);
        self.name(worker);
        self.name(instance);
        self.time(*granted);
        self.option(started.as_ref(), |pen, time| pen.time(*time));
        self.option(revoking.as_ref(), |pen, Revoking { reason, since, grace, delivered: _ }| {
            pen.byte(revocation_reason(*reason));
            pen.time(*since);
            pen.duration(*grace);
        });
        self.extra(EXTENDED, extended.as_ref(), |pen, time| pen.time(*time));
        self.end_extras();
    }
}

impl Cursor<'_> {
    pub(super) fn task(&mut self) -> Result<Task, Malformed> {
        let (id, spec) = (self.task_id()?, self.spec()?);
        let (submitted, deadline) = (self.time()?, self.time()?);
        let (generation, revision) = (self.small("generation")?, self.integer("revision")?);
        let revision = u32::try_from(revision).unwrap_or(u32::MAX);
        let (attempts, leases) = (self.small("attempts")?, self.small("leases")?);
        let worker_losses = self.small("worker losses")?;
        let cancel_requested = self.flag("cancel flag")?;
        let last_failure = self.option("failure", Self::failure)?.map(Arc::new);
        let last_token = self.option("token", Self::token)?;
        let phase = self.phase()?;
        let last_token = last_token.filter(|_| !matches!(phase, Phase::Leased(_)));
        let replays =
            generation.checked_sub(1).ok_or(Malformed::OutOfRange { what: "generation" })?;
        let past = Past { replays, worker_losses, last_token, last_failure, ..Past::default() };
        let (mut ran, mut past) = (false, past);
        while let Some(kind) = self.extra()? {
            match kind {
                LEDGER => past.ledger = self.ledger()?,
                RAN => ran = true,
                CHECKPOINT => past.checkpoint = Some(Arc::new(self.checkpoint()?)),
                kind => return Err(Malformed::UnknownKind { what: "extra of a task", kind }),
            }
        }
        Ok(Task {
            id,
            spec,
            submitted,
            deadline,
            revision,
            attempts,
            leases,
            ran,
            cancel_requested,
            past: past.kept(),
            phase,
        })
    }

    fn spec(&mut self) -> Result<TaskSpec, Malformed> {
        if !self.since(TEMPLATE_FORMAT) {
            return self.spec_in_one();
        }
        let (template, payload) = (self.template()?, Payload::from(self.blob("payload")?));
        let (initial_delay, total_timeout) = (self.duration()?, self.duration()?.into());
        let (labels, trace) = (self.labels()?, self.trace()?);
        let key = self.option("key", Self::key)?;
        let extras = Extras { initial_delay, labels, key }.kept();
        let spec = TaskSpec { template, payload, total_timeout, trace, extras };
        self.no_extras("extra of a specification")?;
        Ok(spec)
    }

    pub(super) fn whole_template(&mut self) -> Result<Template, Malformed> {
        let mut template = Template {
            queue: self.name("queue")?,
            task_type: self.name("task type")?,
            content_type: self.name("content type")?,
            priority: self.byte("priority")?,
            start_timeout: self.duration()?,
            attempt_timeout: self.duration()?,
            kill_grace: self.duration()?,
            retry: self.retry()?,
            terms: LeaseTerms::default(),
            fairness_key: Name::default(),
            shape: Shape::default(),
            admission: Admission::default(),
            claims: None,
        };
        self.template_extras(&mut template)?;
        Ok(template)
    }

    /// As earlier formats have it: what is shared among what is not.
    fn spec_in_one(&mut self) -> Result<TaskSpec, Malformed> {
        let (queue, task_type) = (self.name("queue")?, self.name("task type")?);
        let payload = Payload::from(self.blob("payload")?);
        let (content_type, priority) = (self.name("content type")?, self.byte("priority")?);
        let (initial_delay, start_timeout) = (self.duration()?, self.duration()?);
        let (attempt_timeout, total_timeout) = (self.duration()?, self.duration()?.into());
        let (kill_grace, retry) = (self.duration()?, self.retry()?);
        let labels = self.labels()?;
        let trace = self.option("trace", Self::whole_trace)?.map(Arc::new);
        let key = self.option("key", Self::key)?;
        let mut template = Template {
            queue,
            task_type,
            content_type,
            priority,
            start_timeout,
            attempt_timeout,
            kill_grace,
            retry,
            terms: LeaseTerms::default(),
            fairness_key: Name::default(),
            shape: Shape::default(),
            admission: Admission::default(),
            claims: None,
        };
        self.template_extras(&mut template)?;
        let template = Arc::new(template);
        let extras = Extras { initial_delay, labels, key }.kept();
        Ok(TaskSpec { template, payload, total_timeout, trace, extras })
    }

    fn labels(&mut self) -> Result<Vec<(Name, Name)>, Malformed> {
        let count = self.count("labels")?;
        (0..count).map(|_| Ok((self.name("label")?, self.text("label")?))).collect()
    }

    fn retry(&mut self) -> Result<Retry, Malformed> {
        Ok(Retry {
            max_attempts: self.small("attempt limit")?,
            backoff: Backoff {
                initial: self.duration()?,
                factor: self.float()?,
                cap: self.duration()?,
                jitter: match self.byte("jitter")? {
                    1 => Jitter::Full,
                    2 => Jitter::None,
                    kind => return Err(Malformed::UnknownKind { what: "jitter", kind }),
                },
            },
        })
    }

    pub(super) fn key(&mut self) -> Result<Key, Malformed> {
        Ok(Key { name: self.text("key")?, digest: self.digest()? })
    }

    pub(super) fn failure(&mut self) -> Result<Failure, Malformed> {
        Ok(Failure {
            reason: read_failure_reason(self.byte("failure reason")?)?,
            message: self.text("message")?,
            details: self.text("details")?,
            counted: self.flag("counted flag")?,
            token: self.option("token", Self::token)?,
            worker: self.option("worker", |cursor| cursor.name("worker"))?,
            time: self.time()?,
        })
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, Malformed> {
        let (token, data) = (self.token()?, self.blob("checkpoint")?);
        Ok(Checkpoint { token, data, time: self.time()? })
    }

    fn phase(&mut self) -> Result<Phase, Malformed> {
        Ok(match self.byte("phase")? {
            1 => Phase::Scheduled {
                eligible: self.time()?,
                wait: match self.byte("wait")? {
                    1 => Wait::Delay,
                    2 => Wait::Backoff,
                    kind => return Err(Malformed::UnknownKind { what: "wait", kind }),
                },
            },
            2 => Phase::Queued,
            3 => Phase::Leased(Box::new(self.lease()?)),
            kind => return Err(Malformed::UnknownKind { what: "phase", kind }),
        })
    }

    fn lease(&mut self) -> Result<Lease, Malformed> {
        let mut lease = Lease {
            token: self.token()?,
            worker: self.name("worker")?,
            instance: self.name("instance")?,
            session: None,
            granted: self.time()?,
            started: self.option("start", Self::time)?,
            extended: None,
            revoking: self.option("revocation", |cursor| {
                Ok(Revoking {
                    reason: read_revocation_reason(cursor.byte("revocation reason")?)?,
                    since: cursor.time()?,
                    grace: cursor.duration()?,
                    delivered: None,
                })
            })?,
            progress: None,
            heard: None,
            silence_since: None,
            reckoned: Reckoned::default(),
        };
        while let Some(kind) = self.extra()? {
            match kind {
                EXTENDED => lease.extended = Some(self.time()?),
                kind => return Err(Malformed::UnknownKind { what: "extra of a lease", kind }),
            }
        }
        Ok(lease)
    }
}

/// Numbers on disk: never changed, never used again for something else.
pub(super) const fn ending(ending: Ending) -> u8 {
    match ending {
        Ending::Succeeded => 1,
        Ending::Failed => 2,
        Ending::Cancelled => 3,
    }
}

pub(super) const fn read_ending(kind: u8) -> Result<Ending, Malformed> {
    Ok(match kind {
        1 => Ending::Succeeded,
        2 => Ending::Failed,
        3 => Ending::Cancelled,
        kind => return Err(Malformed::UnknownKind { what: "ending", kind }),
    })
}

/// Numbers on disk: never changed, never used again for something else.
const fn failure_reason(reason: FailureReason) -> u8 {
    match reason {
        FailureReason::Error => 1,
        FailureReason::Panic => 2,
        FailureReason::AttemptTimeout => 3,
        FailureReason::TotalTimeout => 4,
        FailureReason::WorkerLost => 5,
        FailureReason::WorkerLossLimit => 6,
        FailureReason::ResultTooLarge => 7,
        FailureReason::StartTimeout => 8,
        FailureReason::Cancelled => 9,
        FailureReason::HandedBack => 10,
        FailureReason::ProgressTimeout => 11,
        FailureReason::QueueTimeout => 12,
        FailureReason::OutcomeUnknown => 13,
        FailureReason::Revoked => 14,
    }
}

const fn read_failure_reason(kind: u8) -> Result<FailureReason, Malformed> {
    Ok(match kind {
        1 => FailureReason::Error,
        2 => FailureReason::Panic,
        3 => FailureReason::AttemptTimeout,
        4 => FailureReason::TotalTimeout,
        5 => FailureReason::WorkerLost,
        6 => FailureReason::WorkerLossLimit,
        7 => FailureReason::ResultTooLarge,
        8 => FailureReason::StartTimeout,
        9 => FailureReason::Cancelled,
        10 => FailureReason::HandedBack,
        11 => FailureReason::ProgressTimeout,
        12 => FailureReason::QueueTimeout,
        13 => FailureReason::OutcomeUnknown,
        14 => FailureReason::Revoked,
        kind => return Err(Malformed::UnknownKind { what: "failure reason", kind }),
    })
}

/// Numbers on disk: never changed, never used again for something else.
pub(super) const fn revocation_reason(reason: RevocationReason) -> u8 {
    match reason {
        RevocationReason::Cancelled => 1,
        RevocationReason::StartTimeout => 2,
        RevocationReason::AttemptTimeout => 3,
        RevocationReason::TotalTimeout => 4,
        RevocationReason::UnknownLease => 5,
        RevocationReason::ProgressTimeout => 6,
        RevocationReason::Operator => 8,
    }
}

pub(super) const fn read_revocation_reason(kind: u8) -> Result<RevocationReason, Malformed> {
    Ok(match kind {
        1 => RevocationReason::Cancelled,
        2 => RevocationReason::StartTimeout,
        3 => RevocationReason::AttemptTimeout,
        4 => RevocationReason::TotalTimeout,
        5 => RevocationReason::UnknownLease,
        6 => RevocationReason::ProgressTimeout,
        8 => RevocationReason::Operator,
        kind => return Err(Malformed::UnknownKind { what: "revocation reason", kind }),
    })
}
