//! The coordinator takes a lease back.

use leasehold_policy::Mutant;
use leasehold_proto::v1::{self, RevocationReason};
use tracing::info;

use super::{
    Session, answer,
    lease::{Stage, StopReason},
    letter,
    outbox::Letter,
};
use crate::{
    assignment::{Token, duration},
    clock::Moment,
};

impl Session {
    pub(super) fn handle_revocation(&mut self, now: Moment, revocation: v1::Revocation) {
        let token = Token(revocation.fencing_token);
        if revocation.unstarted_only {
            return self.give_back(now, token);
        }
        let Some(lease) = self.leases.get(token) else {
            return self.deny(token, revocation.reason());
        };
        info!(
            task_id = lease.assignment.task_id,
            trace_id = lease.assignment.trace.trace_id(),
            fencing_token = token.0,
            reason = revocation.reason().as_str_name(),
            "the lease is revoked"
        );
        let reason = StopReason::Revoked(revocation.reason());
        let kill_at = now + revocation.grace.map_or(lease.assignment.kill_grace, duration);
        match lease.stage {
            Stage::Pending { .. } => {
                if let Some(lease) = self.leases.remove(token) {
                    self.put(letter(lease.into_assignment(), answer::not_started(), None));
                }
                self.start_waiting(now);
            }
            Stage::Running { .. } => self.stop(token, reason, kill_at),
            Stage::Stopping { since, reason: earlier, kill_at: before } => {
                let (reason, kill_at) = (revised(earlier, reason), kill_at.min(before));
                self.leases.set_stage(token, Stage::Stopping { since, reason, kill_at });
            }
            Stage::Killed { since, reason: earlier, warn_at } => {
                let reason = revised(earlier, reason);
                self.leases.set_stage(token, Stage::Killed { since, reason, warn_at });
            }
        }
    }

    /// Gives a lease back whose work has not begun. Otherwise nothing has to be said: that it began is said anyway, and so is
    /// its outcome.
    fn give_back(&mut self, now: Moment, token: Token) {
        let may = Mutant::RunningGivenBack.is_alive();
        if self.leases.get(token).is_some_and(|lease| may || lease.stage.since().is_none()) {
            self.decline(token, v1::DeclineReason::Retracted);
            self.start_waiting(now);
        }
    }

    /// Answers for a lease that is not held: nothing of its work runs. A lease the coordinator does not know needs no
    /// answer, and one in the outbox has its answer on the way.
    fn deny(&mut self, token: Token, reason: RevocationReason) {
        if reason != RevocationReason::UnknownLease && self.outbox.get(token).is_none() {
            let outcome = v1::LeaseOutcome {
                fencing_token: token.0,
                outcome: Some(answer::not_started()),
                run_time: None,
            };
            self.put(Letter::new(String::new(), None, outcome));
        }
    }
}

/// What the end of work means that had been asked to stop before it was revoked. The worker's own reasons give way,
/// except that a timeout stays one, and what is forgotten stays forgotten.
fn revised(earlier: StopReason, revoked: StopReason) -> StopReason {
    match earlier {
        StopReason::Drained | StopReason::Fenced => revoked,
        StopReason::Revoked(_)
        | StopReason::AttemptTimeout
        | StopReason::TotalTimeout
        | StopReason::Forgotten => earlier,
    }
}
