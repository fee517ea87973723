//! What operators take away: a lease from its worker, or a worker from the cluster.
//!
//! Neither is believed to have stopped before it said so or its session is over.

use std::{collections::BTreeMap, time::Duration};

use leasehold_policy::Time;

use crate::{
    Hello, Name, NotWelcome, Queue, RevocationReason, SessionId, TaskId, Token,
    session::{Session, Work},
};

/// How many bans are remembered; beyond that the one that ends first is forgotten. They are said by people.
const BANS_MAX: usize = 10_000;

/// Workers that are not let in until a time. Not durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bans(BTreeMap<Name, Time>);

impl Bans {
    fn insert(&mut self, worker: Name, until: Time, now: Time) {
        self.0.retain(|_, until| now < *until);
        self.0.insert(worker, until);
        if BANS_MAX < self.0.len() {
            let first = self.0.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(worker, _)| Name::clone(worker)) {
                self.0.remove(&first);
            }
        }
    }

    fn until(&self, worker: &str) -> Option<Time> {
        self.0.get(worker).copied()
    }

    /// Those that still hold, and for how much longer.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, Time)> {
        self.0.iter().map(|(worker, until)| (worker, *until))
    }
}

impl Queue {
    /// Asks for a lease to end, at no cost to its task. One that has to end anyway is left to that.
    pub(crate) fn revoke_lease(&mut self, token: Token, grace: Option<Duration>) -> Option<TaskId> {
        let id = *self.index.leases.get(&token)?;
        let task = self.book.task(id)?;
        if task.lease()?.revoking.is_none() {
            let grace = grace.unwrap_or(task.spec.kill_grace);
            self.revoke_within(id, RevocationReason::Operator, grace);
        }
        Some(id)
    }

    /// Gives a worker up without giving its leases away: they end by its word or with its sessions.
    pub(crate) fn evict(&mut self, worker: &Name, grace: Option<Duration>, ban: Duration) -> bool {
        if !ban.is_zero() {
            self.bans.insert(Name::clone(worker), self.now + ban, self.now);
        }
        let sessions = self.roster.of_worker(worker);
        for id in &sessions {
            self.update(*id, |session| session.is_evicted = true);
            for token in self.leases_of(*id) {
                self.revoke_lease(token, grace);
            }
        }
        !sessions.is_empty()
    }

    /// Whether a process may not come in: it is banned, or its session has to end first.
    pub(crate) fn unwelcome(&self, hello: &Hello, known: Option<SessionId>) -> Option<NotWelcome> {
        if self.roster.is_outlived(hello) {
            return Some(NotWelcome::Outlived);
        }
        let banned = self.bans.until(&hello.worker);
        let session = known.and_then(|id| self.roster.get(id));
        let given_up = session.filter(|it| it.is_given_up(&hello.held, self.now));
        let until =
            banned.max(given_up.map(Session::expires_at)).filter(|until| self.now < *until)?;
        Some(NotWelcome::Banned { left: until.since(self.now) })
    }

    fn leases_of(&self, id: SessionId) -> Vec<Token> {
        let held = self.roster.get(id).into_iter().flat_map(Session::held);
        let leases = held.filter(|(_, work)| matches!(work, Work::Lease(_)));
        leases.map(|(token, _)| token).collect()
    }
}
