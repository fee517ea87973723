//! What the small numbers of a step stand for: one of the tasks, sessions, streams and leases there are.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, Config, DeclineReason, Exclusivity, Extras, Failure, FailureReason, Guarantee,
    HeldLease, Key, LeasePhase, LeaseTerms, Limits, Name, Outcome, Retry, SchemaPrint, SchemasRead,
    SessionId, Shape, Size, StopProof, StreamId, Submit, TaskId, TaskSpec, Template, Token,
};

use super::{Cluster, SECOND};
use crate::script::{Held, Submission, Wanted};

impl Cluster {
    pub(super) fn submission(&mut self, submission: &Submission) -> Submit {
        let hurried = submission.hurried;
        let or = |short: u64, long: u64| Duration::from_millis(if hurried { short } else { long });
        let asked = |bit: u8| submission.terms >> bit & 1 == 1;
        let digest = [submission.digest; 16];
        let spec = TaskSpec {
            template: Arc::new(Template {
                queue: queue_name(submission.queue),
                task_type: type_name(submission.task_type),
                content_type: "".into(),
                priority: submission.priority,
                start_timeout: or(300, 900),
                attempt_timeout: or(500, 2_000),
                kill_grace: or(200, 1_000),
                retry: Retry {
                    max_attempts: u32::from(submission.max_attempts),
                    backoff: Backoff {
                        initial: SECOND / 4,
                        factor: 2.0,
                        cap: SECOND,
                        jitter: Jitter::None,
                    },
                },
                claims: None,
                terms: LeaseTerms {
                    guarantee: if asked(0) {
                        Guarantee::AtMostOnce
                    } else {
                        Guarantee::AtLeastOnce
                    },
                    exclusivity: if asked(1) {
                        Exclusivity::BestEffort
                    } else {
                        Exclusivity::Strict
                    },
                    queue_timeout: asked(2).then(|| or(600, 2_500)),
                    progress_timeout: asked(3).then(|| or(400, 1_500)),
                },
                fairness_key: ["", "red", "blue"][usize::from(submission.fairness)].into(),
                shape: Shape {
                    selector: zone_labels(submission.zone),
                    schema: (0 < submission.schema).then(|| schema(submission.schema)),
                    size: Size::default(),
                },
                admission: Admission::Unasked,
            }),
            payload: Bytes::from_static(b"payload").into(),
            total_timeout: or(3_000, 20_000).into(),
            trace: None,
            extras: Extras {
                initial_delay: if submission.delayed { SECOND } else { Duration::ZERO },
                labels: Vec::new(),
                key: submission.key.map(|key| Key { name: format!("k{key}").into(), digest }),
            }
            .kept(),
        };
        let id = self.minter.mint(self.now, 0);
        Submit { id, spec, validate_only: submission.validate_only }
    }

    /// One of the open tasks, or now and then one that is not.
    pub(super) fn task(&self, pick: u8) -> TaskId {
        let open: Vec<TaskId> = self.reference.jobs.iter().map(|job| job.id).collect();
        one_of(&open, pick).copied().unwrap_or(TaskId::from_u128(7))
    }

    pub(super) fn session(&self, pick: u8) -> Option<(SessionId, Option<StreamId>)> {
        one_of(&self.reference.sessions, pick).map(|session| (session.id, session.stream))
    }

    /// The stream of one of the sessions, or one that is gone.
    pub(super) fn stream(&self, pick: u8) -> StreamId {
        let stream = self.session(pick).and_then(|(_, stream)| stream);
        stream.unwrap_or(StreamId(self.streams.saturating_sub(1)))
    }

    /// One of the newest leases, and mostly the stream of the session that holds it.
    pub(super) fn lease(&self, pick: u8, stray: u8) -> (Token, StreamId) {
        let newest = self.tokens.iter().rev().take(6).copied().collect::<Vec<_>>();
        let token = one_of(&newest, pick).copied().unwrap_or(Token::from_i64(99));
        let holder = self.reference.sessions.iter().find(|session| {
            self.reference.leases_of(session.id).iter().any(|(_, own)| *own == token)
        });
        match holder.and_then(|session| session.stream) {
            Some(stream) if 40 < stray => (token, stream),
            _ => (token, self.stream(stray)),
        }
    }

    pub(super) fn held(&self, own: Option<SessionId>, held: &Held) -> Vec<HeldLease> {
        match held {
            Held::Truth { running } => {
                let leases = own.map(|id| self.reference.leases_of(id)).unwrap_or_default();
                let tokens = leases.iter().map(|(_, token)| *token);
                tokens.enumerate().map(|(n, token)| lease(token, n, *running, 0)).collect()
            }
            Held::Some { mask, running, finished } => {
                let newest = self.tokens.iter().rev().take(8).copied().enumerate();
                let some = newest.filter(|(n, _)| mask >> n & 1 == 1);
                some.map(|(n, token)| lease(token, n, *running, *finished)).collect()
            }
        }
    }
}

fn lease(token: Token, n: usize, running: u8, finished: u8) -> HeldLease {
    let bit = |bits: u8| bits >> (n % 8) & 1 == 1;
    let phase = match (bit(finished), bit(running)) {
        (true, _) => LeasePhase::Finished,
        (_, true) => LeasePhase::Running,
        _ => LeasePhase::Pending,
    };
    HeldLease { token, phase, size: Size::default() }
}

pub(super) fn outcome_of(pick: u8) -> Outcome {
    let failure = Failure {
        reason: FailureReason::Error,
        message: "no luck".into(),
        details: "".into(),
        counted: false,
        token: None,
        worker: None,
        time: Time::default(),
    };
    let (retryable, retry_delay, stop) = (true, Duration::ZERO, StopProof::Returned);
    match pick {
        0..=2 => Outcome::Succeeded { result: Bytes::from_static(b"42") },
        3 | 4 => Outcome::Failed { failure, retryable, retry_delay, stop },
        5 => Outcome::Failed { failure, retryable, retry_delay: SECOND * 2, stop },
        6 => {
            let stop = StopProof::Killed;
            Outcome::Failed { failure, retryable: false, retry_delay, stop }
        }
        7 => Outcome::Invalid { failure },
        8 => Outcome::Stopped(StopProof::Aborted),
        9 => Outcome::Declined(DeclineReason::NoCapacity, StopProof::NotStarted),
        10 => Outcome::Declined(DeclineReason::Unsupported, StopProof::NotStarted),
        11 => Outcome::Declined(DeclineReason::Draining, StopProof::Killed),
        15 => Outcome::Stopped(StopProof::NotStarted),
        16 => Outcome::Declined(DeclineReason::Draining, StopProof::NotStarted),
        12 => Outcome::Declined(DeclineReason::StartTimeout, StopProof::NotStarted),
        _ => Outcome::Declined(DeclineReason::Retracted, StopProof::NotStarted),
    }
}

/// The configuration that somebody wants in place of this one.
pub(super) fn configured(config: &Config, wanted: &Wanted) -> Config {
    let chosen = |bits: u8| (0..4).filter(move |n| bits >> n & 1 == 1).map(queue_name);
    Config {
        session_ttl: Duration::from_millis(wanted.ttl_ms),
        worker_losses_max: wanted.worker_losses_max,
        leases_max: wanted.leases_max,
        attempt_max: Duration::from_millis(wanted.attempt_ms),
        key_retention: if wanted.keep_keys { 3 * SECOND } else { Duration::ZERO },
        declared_queues: chosen(wanted.declared).collect(),
        late_results: chosen(wanted.late).collect(),
        create_queues: wanted.create_queues,
        limits: Limits {
            open_tasks: wanted.open_tasks,
            queues: wanted.queues,
            ..config.limits.clone()
        },
        ..config.clone()
    }
}

pub(super) fn one_of<T>(all: &[T], pick: u8) -> Option<&T> {
    if all.is_empty() { None } else { all.get(usize::from(pick) % all.len()) }
}

pub(super) fn queue_name(n: u8) -> Name {
    ["left", "right", "middle", "declared"][usize::from(n)].into()
}

pub(super) fn type_name(n: u8) -> Name {
    ["resize", "hash"][usize::from(n)].into()
}

/// Nothing, or one zone.
pub(super) fn zone_labels(zone: u8) -> Vec<(Name, Name)> {
    (0 < zone).then(|| ("zone".into(), format!("z{zone}").into())).into_iter().collect()
}

fn schema(n: u8) -> SchemaPrint {
    SchemaPrint([n; 32])
}

/// What a worker says that it reads, by the bits of its schemas; nothing, if there are none.
pub(super) fn reads(bits: u8) -> SchemasRead {
    let read: BTreeSet<_> = (1..3).filter(|n| bits >> (n - 1) & 1 == 1).map(schema).collect();
    (0 < bits).then(|| (type_name(0), read)).into_iter().collect()
}

pub(super) fn instance_name(n: u8) -> Name {
    format!("i{n}").into()
}

pub(super) fn worker_name(n: u8) -> Name {
    format!("w{n}").into()
}
