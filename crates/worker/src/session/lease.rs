//! The leases a worker holds, and what each is waiting for.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use leasehold_proto::v1;

use super::extension::Extension;
use crate::{
    CancelReason,
    assignment::{Assignment, Token},
    clock::Moment,
    held::{Held, Place},
    size::Size,
};

/// A lease the worker holds.
pub(super) struct Lease {
    pub(super) assignment: Arc<Assignment>,
    /// When the whole task's time is over.
    pub(super) total_due: Option<Moment>,
    pub(super) stage: Stage,
    /// The more time that its work has asked for. Of no matter once it is to stop.
    extension: Option<Extension>,
}

/// How far the work of a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for a slot.
    Pending {
        /// It is declined then. `None`: it may wait, behind work that it was granted ahead of.
        start_by: Option<Moment>,
    },
    /// It runs.
    Running {
        /// When it was started.
        since: Moment,
        /// It runs out of time then.
        due: Option<Moment>,
    },
    /// It has been asked to stop.
    Stopping {
        /// When it was started.
        since: Moment,
        /// Why it should stop; decides what its end means.
        reason: StopReason,
        /// It is killed then.
        kill_at: Moment,
    },
    /// It has been killed, and has not ended yet.
    Killed {
        /// When it was started.
        since: Moment,
        /// Why it had to stop; decides what its end means.
        reason: StopReason,
        /// It is said then that it does not end. `None`: it has been said.
        warn_at: Option<Moment>,
    },
}

/// Why work was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// The coordinator wants it.
    Revoked(v1::RevocationReason),
    /// The attempt ran out of time.
    AttemptTimeout,
    /// The whole task ran out of time.
    TotalTimeout,
    /// The drain's grace is over.
    Drained,
    /// The session may have run out at the coordinator.
    Fenced,
    /// The coordinator has another journal: nobody knows the lease any more.
    Forgotten,
}

impl StopReason {
    /// What the handler is told.
    pub(super) fn cancel_reason(self) -> CancelReason {
        use v1::RevocationReason as Reason;
        match self {
            Self::Revoked(Reason::AttemptTimeout) | Self::AttemptTimeout => {
                CancelReason::AttemptTimeout
            }
            Self::Revoked(Reason::ProgressTimeout) => CancelReason::ProgressTimeout,
            Self::Revoked(Reason::TotalTimeout) | Self::TotalTimeout => CancelReason::TotalTimeout,
            Self::Revoked(Reason::UnknownLease | Reason::StartTimeout)
            | Self::Fenced
            | Self::Forgotten => CancelReason::LeaseLost,
            Self::Revoked(
                Reason::Cancelled | Reason::Retracted | Reason::Operator | Reason::Unspecified,
            ) => CancelReason::Cancelled,
            Self::Drained => CancelReason::Draining,
        }
    }
}

impl Lease {
    /// A lease that has just been received.
    pub(super) fn new(now: Moment, assignment: Assignment) -> Self {
        Self {
            total_due: assignment.total_remaining.map(|remaining| now + remaining),
            stage: Stage::Pending { start_by: None },
            extension: None,
            assignment: Arc::new(assignment),
        }
    }

    /// What it was of: its own, if whoever worked at it has let go of it by now.
    pub(super) fn into_assignment(self) -> Assignment {
        Arc::unwrap_or_clone(self.assignment)
    }

    /// How far it is, for the inventory.
    pub(super) fn phase(&self) -> v1::LeasePhase {
        match self.stage {
            Stage::Pending { .. } => v1::LeasePhase::Pending,
            Stage::Running { .. } | Stage::Stopping { .. } | Stage::Killed { .. } => {
                v1::LeasePhase::Running
            }
        }
    }
}

impl Stage {
    /// When the work was started. `None`: it was not.
    pub(super) fn since(&self) -> Option<Moment> {
        match *self {
            Self::Pending { .. } => None,
            Self::Running { since, .. }
            | Self::Stopping { since, .. }
            | Self::Killed { since, .. } => Some(since),
        }
    }

    /// Why the work should stop. `None`: it should not.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        match *self {
            Self::Pending { .. } | Self::Running { .. } => None,
            Self::Stopping { reason, .. } | Self::Killed { reason, .. } => Some(reason),
        }
    }

    fn timer(&self) -> Option<Moment> {
        match *self {
            Self::Pending { start_by } => start_by,
            Self::Running { due, .. } => due,
            Self::Stopping { kill_at, .. } => Some(kill_at),
            Self::Killed { warn_at, .. } => warn_at,
        }
    }

    /// Whether it has been killed and is known not to end.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Killed { warn_at: None, .. })
    }

    fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }
}

/// All leases the worker holds. At most its slots and `WAITING_MAX` more.
pub(super) struct Leases {
    held: Held<Lease>,
    /// What `held` says of timers, in the order they ring.
    timers: BTreeSet<(Moment, Token)>,
    /// The pending ones, first come first.
    waiting: VecDeque<(Token, Place)>,
    /// What the others take of the worker.
    taken: Size,
}

impl Default for Leases {
    fn default() -> Self {
        let (held, timers, waiting) = (Held::default(), BTreeSet::new(), VecDeque::new());
        Self { held, timers, waiting, taken: Size::NOTHING }
    }
}

impl Leases {
    pub(super) fn insert(&mut self, lease: Lease) {
        let token = lease.assignment.token;
        debug_assert!(lease.stage.is_pending(), "a lease begins as pending");
        self.timers.extend(lease.stage.timer().map(|at| (at, token)));
        debug_assert!(self.get(token).is_none(), "a token is held once");
        let place = self.held.insert(token, lease);
        self.waiting.push_back((token, place));
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Lease> {
        let lease = self.held.remove(token)?;
        self.unlist(token, lease.stage);
        if !lease.stage.is_pending() {
            self.taken.remove(&lease.assignment.size);
        }
        Some(lease)
    }

    pub(super) fn set_stage(&mut self, token: Token, stage: Stage) {
        let Some(lease) = self.held.get_mut(token) else { return };
        let before = std::mem::replace(&mut lease.stage, stage);
        self.unlist(token, before);
        self.timers.extend(stage.timer().map(|at| (at, token)));
        debug_assert!(!stage.is_pending(), "work that began cannot wait again");
    }

    /// Turns the waiting lease whose turn it is into a running one, and says when its work runs out of time.
    pub(super) fn start_next(&mut self, now: Moment) -> Option<(Arc<Assignment>, Option<Moment>)> {
        let (token, place) = *self.waiting.front()?;
        let lease = self.held.at_mut(place)?;
        // The work counts from here, and may have waited for long.
        let total_remaining = lease.total_due.map(|due| due.since(now));
        Arc::make_mut(&mut lease.assignment).total_remaining = total_remaining;
        let assignment = Arc::clone(&lease.assignment);
        let attempt_due = assignment.attempt_timeout.map(|limit| now + limit);
        let due = match (attempt_due, lease.total_due) {
            (Some(attempt), Some(total)) => Some(attempt.min(total)),
            (attempt, total) => attempt.or(total),
        };
        let before = std::mem::replace(&mut lease.stage, Stage::Running { since: now, due });
        self.unlist(token, before);
        self.timers.extend(due.map(|at| (at, token)));
        self.taken.add(&assignment.size);
        Some((assignment, due))
    }

    /// What is asked for work that runs, if anything is. `None`: it does not run.
    pub(super) fn extension(&mut self, token: Token) -> Option<&mut Option<Extension>> {
        let lease = self.held.get_mut(token)?;
        matches!(lease.stage, Stage::Running { .. }).then_some(&mut lease.extension)
    }

    /// Everything that is asked for.
    pub(super) fn extensions(&mut self) -> impl Iterator<Item = (Token, &mut Extension)> {
        let all = self.held.values_mut();
        let asked = all.filter_map(|it| Some((it.assignment.token, it.extension.as_mut()?)));
        let mut asked: Vec<(Token, &mut Extension)> = asked.collect();
        asked.sort_unstable_by_key(|(token, _)| *token);
        asked.into_iter()
    }

    /// Lets work that runs, and has a limit, go on until then, within the whole task's time. Says when it is due.
    pub(super) fn postpone(&mut self, token: Token, until: Moment) -> Option<Moment> {
        let lease = self.held.get(token)?;
        let Stage::Running { since, due: Some(due) } = lease.stage else { return None };
        let later = due.max(until);
        let due = lease.total_due.map_or(later, |total| later.min(total));
        self.set_stage(token, Stage::Running { since, due: Some(due) });
        Some(due)
    }

    pub(super) fn get(&self, token: Token) -> Option<&Lease> {
        self.held.get(token)
    }

    /// All of them, by ascending token.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Lease)> {
        self.held.ascending()
    }

    /// A lease whose timer has run out.
    pub(super) fn due(&self, now: Moment) -> Option<Token> {
        self.timers.first().filter(|(at, _)| *at <= now).map(|(_, token)| *token)
    }

    pub(super) fn next_timer(&self) -> Option<Moment> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The pending one whose turn it is.
    pub(super) fn next_waiting(&self) -> Option<&Lease> {
        let (_, place) = *self.waiting.front()?;
        self.held.at(place)
    }

    /// The pending ones, first come first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Token> {
        self.waiting.iter().map(|(token, _)| *token)
    }

    /// From here on a pending lease must not wait longer than it may.
    pub(super) fn hurry(&mut self, now: Moment, token: Token) {
        let Some(lease) = self.held.get_mut(token) else { return };
        if let Stage::Pending { start_by: start_by @ None } = &mut lease.stage {
            *start_by = lease.assignment.start_timeout.map(|limit| now + limit);
            self.timers.extend(start_by.map(|at| (at, token)));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many have work running, or being stopped.
    pub(super) fn busy(&self) -> usize {
        self.held.len() - self.waiting.len()
    }

    /// How many have been killed and are known not to end.
    pub(super) fn lost_leases(&self) -> usize {
        self.held.values().filter(|it| it.stage.is_lost()).count()
    }

    /// How many slots those have.
    pub(super) fn lost(&self) -> usize {
        let lost = self.held.values().filter(|it| it.stage.is_lost());
        lost.map(|it| usize::try_from(it.assignment.size.slots).unwrap_or(usize::MAX)).sum()
    }

    /// Whether what a lease takes is left, of all that the worker has.
    pub(super) fn has_room(&self, whole: &Size, lease: &Lease) -> bool {
        whole.holds_beside(&self.taken, &lease.assignment.size)
    }

    /// For how many of the pending ones there is room, if nobody overtakes another.
    pub(super) fn ready(&self, whole: &Size) -> usize {
        let mut taken = self.taken.clone();
        let sizes = self.waiting.iter().filter_map(|(_, place)| self.held.at(*place));
        let ready = sizes.take_while(|lease| {
            let size = &lease.assignment.size;
            let fits = whole.holds_beside(&taken, size);
            taken.add(size);
            fits
        });
        ready.count()
    }

    fn unlist(&mut self, token: Token, stage: Stage) {
        if let Some(at) = stage.timer() {
            self.timers.remove(&(at, token));
        }
        if !stage.is_pending() {
            return;
        }
        // It is mostly that one's turn: the others need not be looked at.
        if self.waiting.front().is_some_and(|(first, _)| *first == token) {
            self.waiting.pop_front();
        } else {
            self.waiting.retain(|(it, _)| *it != token);
        }
    }
}
