//! The coordinator's answer to a hello: whose journal it is, and what has become of the held leases.

use leasehold_policy::Mutant;
use leasehold_proto::v1;
use tracing::{info, warn};

use super::{
    Session,
    lease::{Stage, StopReason},
    link::Link,
    terms::Terms,
};
use crate::{Error, assignment::Token, clock::Moment};

/// A journal, and the highest epoch seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) id: String,
    pub(super) epoch: i64,
}

impl Session {
    pub(super) fn handle_welcome(&mut self, now: Moment, welcome: &v1::Welcome) {
        let Link::Up(conversation) = &self.link else { return };
        if conversation.is_welcome {
            return warn!("a second welcome was skipped");
        }
        if welcome.protocol_version != leasehold_proto::PROTOCOL_VERSION {
            return self.exit(Err(Error::Protocol(welcome.protocol_version)));
        }
        let Some(hello_sent) = conversation.hello_sent else {
            return self.hang_up(now, "a welcome before the hello");
        };
        if !self.acknowledges(welcome) {
            let (epoch, session_id) = (welcome.epoch, welcome.session_id);
            warn!(epoch, session_id, "a coordinator that has been superseded said welcome");
            return self.hang_up(now, "superseded coordinator");
        }
        self.adopt(now, welcome);
        // In place of whatever was promised before: under shorter terms the coordinator gives up sooner as well.
        let longest = self.valid_until.filter(|_| Mutant::PromiseKept.is_alive());
        self.promise(longest.max(Some(hello_sent + self.terms.validity())));
        self.judge(now, &welcome.verdicts);
        self.repeat_checkpoints();
        let (session_id, resumed, epoch) = (welcome.session_id, welcome.resumed, welcome.epoch);
        let (worker_id, journal_id) = (&self.identity.worker_id, &welcome.journal_id);
        info!(worker_id, session_id, resumed, journal_id, epoch, "connected to the coordinator");
    }

    /// Whether the coordinator is no older than the last one.
    fn acknowledges(&self, welcome: &v1::Welcome) -> bool {
        let known = self.journal.as_ref().filter(|it| it.id == welcome.journal_id);
        known.is_none_or(|it| it.epoch <= welcome.epoch)
    }

    /// Takes what the welcome says for what holds.
    fn adopt(&mut self, now: Moment, welcome: &v1::Welcome) {
        let is_other = self.journal.as_ref().is_some_and(|it| it.id != welcome.journal_id);
        if is_other {
            self.forget_all(now, &welcome.journal_id);
        }
        self.journal = Some(Journal { id: welcome.journal_id.clone(), epoch: welcome.epoch });
        self.terms = Terms::parse(welcome.settings);
        (self.retries, self.displaced_since) = (0, None);
        if let Link::Up(conversation) = &mut self.link {
            conversation.is_welcome = true;
            conversation.owes_answer = true;
            conversation.next_heartbeat = now + self.terms.heartbeat_interval;
        }
    }

    /// What was said on an earlier stream may not have arrived, or may not have been durable.
    fn repeat_checkpoints(&mut self) {
        for (token, data) in &self.checkpoints {
            self.progress.entry(*token).or_default().checkpoint.get_or_insert_with(|| data.clone());
        }
    }

    /// Nobody will ever ask for the leases of another journal.
    fn forget_all(&mut self, now: Moment, journal_id: &str) {
        let (leases, outcomes) = (self.leases.len(), self.outbox.len());
        warn!(journal_id, leases, outcomes, "the coordinator has another journal: dropped all");
        self.outbox.clear();
        self.checkpoints.clear();
        let held: Vec<(Token, Stage)> =
            self.leases.iter().map(|(token, lease)| (token, lease.stage)).collect();
        for (token, stage) in held {
            match stage.since() {
                None => drop(self.leases.remove(token)),
                Some(since) => self.kill(now, token, since, StopReason::Forgotten),
            }
        }
    }

    /// Stops what is lost. What has finished is said all the same, and answered.
    fn judge(&mut self, now: Moment, verdicts: &[v1::LeaseVerdict]) {
        for verdict in verdicts {
            if verdict.verdict() == v1::Verdict::Retained {
                continue;
            }
            let token = Token(verdict.fencing_token);
            let Some(lease) = self.leases.get(token) else { continue };
            let (task_id, trace_id) =
                (lease.assignment.task_id.as_str(), lease.assignment.trace.trace_id());
            warn!(task_id, trace_id, fencing_token = token.0, "the lease is lost");
            let kill_at = now + lease.assignment.kill_grace;
            match lease.stage {
                Stage::Pending { .. } => drop(self.leases.remove(token)),
                Stage::Running { .. } => {
                    let reason = StopReason::Revoked(v1::RevocationReason::UnknownLease);
                    self.stop(token, reason, kill_at);
                }
                Stage::Stopping { .. } | Stage::Killed { .. } => {}
            }
        }
        self.start_waiting(now);
    }
}
