//! Records as bytes: a kind, then its fields in the order in which they are declared.

use std::sync::Arc;

use leasehold_queue::{EndCause, Next, Record};

use super::{
    task::{ending, read_ending, read_revocation_reason, revocation_reason},
    wire::{Cursor, Malformed, Pen},
};

impl Pen {
    pub(super) fn record(&mut self, record: &Record) {
        match record {
            Record::EpochStarted { epoch, time, session_ttl } => {
                self.byte(1);
                self.integer(*epoch);
                self.time(*time);
                self.duration(*session_ttl);
            }
            Record::TaskAccepted(task) => {
                self.byte(2);
                self.task(task);
            }
            Record::TaskMoved(task) => {
                self.byte(3);
                self.task(task);
            }
            Record::TaskReplayed(task) => {
                self.byte(4);
                self.task(task);
            }
            Record::LeaseGranted { task, token, worker, instance, time } => {
                self.byte(5);
                self.task_id(*task);
                self.token(*token);
                self.name(worker);
                self.name(instance);
                self.time(*time);
            }
            Record::LeaseStarted { task, token, time } => {
                self.byte(6);
                self.task_id(*task);
                self.token(*token);
                self.time(*time);
            }
            Record::LeaseRevoking { task, token, reason, grace, time } => {
                self.byte(7);
                self.task_id(*task);
                self.token(*token);
                self.byte(revocation_reason(*reason));
                self.duration(*grace);
                self.time(*time);
            }
            Record::LeaseEnded { task, token, cause, next, failure, fact, time } => {
                self.byte(8);
                self.task_id(*task);
                self.token(*token);
                self.byte(end_cause(*cause));
                self.next_step(*next);
                self.option(failure.as_deref(), Self::failure);
                self.option(fact.as_ref(), Self::fact);
                self.time(*time);
            }
            Record::CancelRequested { task, time } => {
                self.byte(9);
                self.task_id(*task);
                self.time(*time);
            }
            Record::TaskEnded { task, ending: how, token, failure, fact, time } => {
                self.byte(10);
                self.task_id(*task);
                self.byte(ending(*how));
                self.option(token.as_ref(), |pen, token| pen.token(*token));
                self.option(failure.as_deref(), Self::failure);
                self.option(fact.as_ref(), Self::fact);
                self.time(*time);
            }
            Record::KeyKept { queue, key, task, until } => {
                self.byte(11);
                self.name(queue);
                self.key(key);
                self.task_id(*task);
                self.time(*until);
            }
            Record::QueuePaused { queue, paused } => {
                self.byte(12);
                self.name(queue);
                self.flag(*paused);
            }
            Record::LeaseExtended { task, token, until, time } => {
                self.byte(13);
                self.task_id(*task);
                self.token(*token);
                self.time(*until);
                self.time(*time);
            }
            Record::CheckpointSaved { task, token, data, time } => {
                self.byte(14);
                self.task_id(*task);
                self.token(*token);
                self.blob(data);
                self.time(*time);
            }
        }
    }

    fn next_step(&mut self, next: Next) {
        match next {
            Next::Queued => self.byte(1),
            Next::Backoff(until) => {
                self.byte(2);
                self.time(until);
            }
        }
    }
}

impl Cursor<'_> {
    pub(super) fn record(&mut self) -> Result<Record, Malformed> {
        Ok(match self.byte("record")? {
            1 => Record::EpochStarted {
                epoch: self.small("epoch")?,
                time: self.time()?,
                session_ttl: self.duration()?,
            },
            2 => Record::TaskAccepted(Box::new(self.task()?)),
            3 => Record::TaskMoved(Box::new(self.task()?)),
            4 => Record::TaskReplayed(Box::new(self.task()?)),
            5 => Record::LeaseGranted {
                task: self.task_id()?,
                token: self.token()?,
                worker: self.name("worker")?,
                instance: self.name("instance")?,
                time: self.time()?,
            },
            6 => Record::LeaseStarted {
                task: self.task_id()?,
                token: self.token()?,
                time: self.time()?,
            },
            7 => Record::LeaseRevoking {
                task: self.task_id()?,
                token: self.token()?,
                reason: read_revocation_reason(self.byte("revocation reason")?)?,
                grace: self.duration()?,
                time: self.time()?,
            },
            8 => Record::LeaseEnded {
                task: self.task_id()?,
                token: self.token()?,
                cause: read_end_cause(self.byte("end cause")?)?,
                next: self.next_step()?,
                failure: self.option("failure", Self::failure)?.map(Arc::new),
                fact: self.fact_if_written()?,
                time: self.time()?,
            },
            9 => Record::CancelRequested { task: self.task_id()?, time: self.time()? },
            10 => Record::TaskEnded {
                task: self.task_id()?,
                ending: read_ending(self.byte("ending")?)?,
                token: self.option("token", Self::token)?,
                failure: self.option("failure", Self::failure)?.map(Arc::new),
                fact: self.fact_if_written()?,
                time: self.time()?,
            },
            11 => Record::KeyKept {
                queue: self.name("queue")?,
                key: self.key()?,
                task: self.task_id()?,
                until: self.time()?,
            },
            12 => {
                Record::QueuePaused { queue: self.name("queue")?, paused: self.flag("pause flag")? }
            }
            13 => Record::LeaseExtended {
                task: self.task_id()?,
                token: self.token()?,
                until: self.time()?,
                time: self.time()?,
            },
            14 => Record::CheckpointSaved {
                task: self.task_id()?,
                token: self.token()?,
                data: self.blob("checkpoint")?,
                time: self.time()?,
            },
            kind => return Err(Malformed::UnknownKind { what: "record", kind }),
        })
    }

    fn next_step(&mut self) -> Result<Next, Malformed> {
        Ok(match self.byte("next step")? {
            1 => Next::Queued,
            2 => Next::Backoff(self.time()?),
            kind => return Err(Malformed::UnknownKind { what: "next step", kind }),
        })
    }
}

/// Numbers on disk: never changed, never used again for something else.
const fn end_cause(cause: EndCause) -> u8 {
    match cause {
        EndCause::Failed => 1,
        EndCause::WorkerLost => 2,
        EndCause::NotRun => 3,
        EndCause::Retracted => 4,
    }
}

const fn read_end_cause(kind: u8) -> Result<EndCause, Malformed> {
    Ok(match kind {
        1 => EndCause::Failed,
        2 => EndCause::WorkerLost,
        3 => EndCause::NotRun,
        4 => EndCause::Retracted,
        kind => return Err(Malformed::UnknownKind { what: "end cause", kind }),
    })
}
