//! Until when a worker may believe in its leases, and what it does when it may no longer.
//!
//! The coordinator counts a session's time from when it heard the last heartbeat; the worker counts from when it sent
//! the last one that was acknowledged, which is earlier, and gives away what the rates of two clocks may differ by.
//! So whatever the delay of the network or the offset of the clocks, the worker stops first.

use std::time::Duration;

use leasehold_policy::Mutant;
use leasehold_proto::v1;
use tracing::warn;

use super::{
    Command, Session,
    lease::{Lease, Stage, StopReason},
};
use crate::{OnSessionLost, assignment::Token, clock::Moment};

/// What the fence does to a lease.
enum Cut {
    /// It was not started and must not be.
    Decline,
    /// It is asked to stop.
    Cancel,
    /// It has been asked, and has less time than it was told.
    Shorten,
}

impl Session {
    /// A heartbeat sent at `sent` was acknowledged.
    pub(super) fn extend_validity(&mut self, sent: Option<Moment>) {
        let until = sent.map(|sent| sent + self.terms.validity());
        self.promise(self.valid_until.max(until));
    }

    /// The leases may be believed in until then, and whoever looks by himself is let know.
    pub(super) fn promise(&mut self, until: Option<Moment>) {
        self.valid_until = until;
        if let Some(valid_until) = until {
            let stop_margin = self.terms.stop_margin();
            if Mutant::GuardNotTold.is_alive() && !self.leases.is_empty() {
                return;
            }
            let more = if Mutant::GuardedLonger.is_alive() { stop_margin } else { Duration::ZERO };
            let valid_until = valid_until + more;
            self.commands.push_back(Command::Renew { valid_until, stop_margin });
        }
    }

    /// Whether a lease may be believed in long enough to start its work.
    pub(super) fn may_start(&self, now: Moment, lease: &Lease) -> bool {
        self.cancel_at(lease).is_some_and(|cancel_at| now < cancel_at)
    }

    /// Stops everything that could be leased to somebody else by the time it has stopped.
    pub(super) fn fence(&mut self, now: Moment) {
        let Some(valid_until) = self.valid_until else { return };
        let never = Mutant::NeverFences.is_alive();
        if never || now < valid_until - self.terms.stop_margin() || self.leases.is_empty() {
            return;
        }
        let cuts: Vec<(Token, Cut)> = self
            .leases
            .iter()
            .filter_map(|(token, lease)| Some((token, self.cut(now, valid_until, lease)?)))
            .collect();
        if !cuts.is_empty() {
            warn!(leases = cuts.len(), "the session may run out: stopping its work");
        }
        for (token, cut) in cuts {
            match cut {
                // A worker that drains is given nothing more; this one will be there again with its next heartbeat.
                Cut::Decline => self.decline(token, v1::DeclineReason::NoCapacity),
                Cut::Cancel => self.stop(token, StopReason::Fenced, valid_until),
                Cut::Shorten => self.shorten(token, valid_until),
            }
        }
    }

    /// When the fence has something to do.
    pub(super) fn fence_deadline(&self) -> Option<Moment> {
        if Mutant::NeverFences.is_alive() {
            return None;
        }
        let valid_until = self.valid_until.filter(|_| !self.leases.is_empty())?;
        let begin = valid_until - self.terms.stop_margin();
        if begin > self.ticked_at {
            return Some(begin);
        }
        // Within the margin each lease has its own time, given by its grace. Those asked to stop have timers, which ring too
        // late if the validity ends before: because the grace is long, or because the terms are shorter by now.
        let times = self.leases.iter().filter_map(|(_, lease)| match lease.stage {
            Stage::Pending { .. } => self.cancel_at(lease),
            Stage::Running { .. } => self.cancel_at(lease).filter(|_| self.stops()),
            Stage::Stopping { kill_at, .. } => {
                (self.stops() && kill_at > valid_until).then_some(begin)
            }
            Stage::Killed { .. } => None,
        });
        times.min()
    }

    fn cut(&self, now: Moment, valid_until: Moment, lease: &Lease) -> Option<Cut> {
        let is_time = self.cancel_at(lease).is_some_and(|at| at <= now);
        match lease.stage {
            Stage::Pending { .. } => is_time.then_some(Cut::Decline),
            Stage::Running { .. } => (self.stops() && is_time).then_some(Cut::Cancel),
            Stage::Stopping { kill_at, .. } => {
                (self.stops() && kill_at > valid_until).then_some(Cut::Shorten)
            }
            Stage::Killed { .. } => None,
        }
    }

    /// Whether running work is stopped before the session can be over.
    fn stops(&self) -> bool {
        self.leaving.on_session_lost == OnSessionLost::Stop
    }

    fn cancel_at(&self, lease: &Lease) -> Option<Moment> {
        let margin = lease.assignment.kill_grace.min(self.terms.stop_margin());
        self.valid_until.map(|until| until - margin)
    }

    fn shorten(&mut self, token: Token, kill_at: Moment) {
        if let Some(&Stage::Stopping { since, reason, .. }) =
            self.leases.get(token).map(|it| &it.stage)
        {
            self.leases.set_stage(token, Stage::Stopping { since, reason, kill_at });
        }
    }
}
