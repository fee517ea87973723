//! Leaving without losing anything: take nothing new, finish, hand back the rest, say goodbye.

use std::time::Duration;

use leasehold_proto::v1;
use tracing::{error, info, warn};

use super::{
    Session,
    conversation::Notice,
    lease::{Stage, StopReason},
    link::Link,
};
use crate::{Error, assignment::Token, clock::Moment};

/// How long a drained worker tries to deliver its outcomes after its grace is over.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(10);

/// The longest reason the coordinator accepts.
const REASON_CHARS_MAX: usize = 200;

/// A drain that has begun.
pub(super) struct Drain {
    /// What runs after this is stopped and handed back.
    pub(super) deadline: Moment,
    /// Why, for people.
    pub(super) reason: String,
    /// When the last of what runs is killed. Known once the deadline is over.
    stopped_by: Option<Moment>,
    /// Whether goodbye is waiting to be sent.
    is_goodbye_due: bool,
    /// Whether the worker drains because it has lost too many slots.
    is_recycling: bool,
}

impl Session {
    /// Somebody wants the worker to leave. `grace`: how long it may wait for what runs; unset, its own setting. A
    /// second wish can only hasten it.
    pub(crate) fn handle_drain(&mut self, now: Moment, grace: Option<Duration>, reason: &str) {
        let deadline = now + grace.unwrap_or(self.leaving.drain_grace);
        if let Some(drain) = &mut self.drain {
            drain.deadline = drain.deadline.min(deadline);
            return;
        }
        info!(reason, running = self.leases.busy(), "draining");
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        self.drain = Some(Drain {
            deadline,
            reason,
            stopped_by: None,
            is_goodbye_due: false,
            is_recycling: false,
        });
        self.notify(Notice::Drain);
        let pending = self.leases.iter().filter(|(_, it)| it.stage.since().is_none());
        let pending: Vec<Token> = pending.map(|(token, _)| token).collect();
        for token in pending {
            self.decline(token, v1::DeclineReason::Draining);
        }
        self.conclude();
    }

    /// A slot's work cannot be stopped. With too many of them only another process helps.
    pub(super) fn slot_lost(&mut self, now: Moment) {
        self.notify(Notice::SlotsLost);
        let lost = self.leases.lost();
        if lost <= self.leaving.lost_slots_max || self.drain.is_some() {
            return;
        }
        error!(lost, "too many slots are lost: the worker drains, and has to be started again");
        self.handle_drain(now, None, "lost slots");
        if let Some(drain) = &mut self.drain {
            drain.is_recycling = true;
        }
        self.conclude();
    }

    /// Somebody wants the worker to end at once.
    pub(crate) fn handle_interrupt(&mut self) {
        let running = self.leases.busy();
        self.exit(Err(Error::Interrupted { running }));
    }

    /// Stops what runs beyond the grace, and gives up when even that does not help.
    pub(super) fn drain_due(&mut self, now: Moment) {
        let Some(drain) = &self.drain else { return };
        if now < drain.deadline {
            return;
        }
        if drain.stopped_by.is_none() {
            return self.stop_all(now);
        }
        if self.give_up_at().is_some_and(|at| at <= now) {
            let (outcomes, running) = (self.outbox.len(), self.leases.len());
            warn!(outcomes, running, "drained, but not everything could be delivered");
            self.exit(Err(Error::Undelivered { outcomes, running }));
        }
    }

    /// When the drain has something to do.
    pub(super) fn drain_deadline(&self) -> Option<Moment> {
        let drain = self.drain.as_ref()?;
        match drain.stopped_by {
            None => Some(drain.deadline),
            Some(_) => self.give_up_at(),
        }
    }

    /// Leaves once there is nothing left to do or to say.
    pub(super) fn conclude(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let lost = self.leases.lost();
        if self.leases.len() > self.leases.lost_leases() || !self.outbox.is_empty() {
            return;
        }
        if lost > 0 {
            // Goodbye would be a lie as long as the process lives: the session ends by itself after it.
            if drain.is_recycling {
                self.exit(Err(Error::SlotsLost { lost }));
            }
            return;
        }
        match &mut self.link {
            Link::Up(conversation) if conversation.is_welcome => {
                if !drain.is_goodbye_due {
                    drain.is_goodbye_due = true;
                    conversation.push(Notice::Goodbye);
                }
            }
            // The session ends by itself, and nothing is leased under it.
            Link::Down { .. } | Link::Dialing => self.exit(Ok(())),
            Link::Up(_) | Link::Leaving { .. } => {}
        }
    }

    fn stop_all(&mut self, now: Moment) {
        let running =
            self.leases.iter().filter(|(_, it)| matches!(it.stage, Stage::Running { .. }));
        let running: Vec<(Token, Moment)> =
            running.map(|(token, it)| (token, now + it.assignment.kill_grace)).collect();
        let stopped_by = running.iter().map(|(_, kill_at)| *kill_at).max().unwrap_or(now);
        for (token, kill_at) in running {
            self.stop(token, StopReason::Drained, kill_at);
        }
        if let Some(drain) = &mut self.drain {
            drain.stopped_by = Some(stopped_by);
        }
    }

    fn give_up_at(&self) -> Option<Moment> {
        self.drain.as_ref()?.stopped_by.map(|stopped_by| stopped_by + DELIVERY_WAIT_MAX)
    }
}
