//! The judge of what processes believe: who works on what, and whether somebody else may.

use std::collections::BTreeMap;

use leasehold_queue::{EndKind, FailureReason, Record, StopProof, Token};
use leasehold_worker::simulation::Finish;

use super::{World, crew::of_instance, piece::Piece};
use crate::{
    judge::Violation,
    ledger::{Entry, Fact},
    plan::{KEYS, queue_name},
    probe::Probe,
};

impl World {
    /// No two handlers that anybody believes in run the same task, unless it does not insist on that. One that was killed
    /// and does not die, one in a process that stands still and has no guard to end it, and one under a clock that is off by
    /// more than was promised are not believed in.
    pub(super) fn check_exclusive(&mut self, worker: usize) {
        let mut holders: BTreeMap<&str, Vec<(usize, i64)>> = BTreeMap::new();
        for (index, hand) in self.crew.iter().enumerate() {
            let insists = |piece: &Piece| hand.believes(piece) && !piece.make.is_shared;
            for (token, piece) in hand.pieces.iter().filter(|(_, piece)| insists(piece)) {
                holders.entry(&piece.task_id).or_default().push((index, *token));
            }
        }
        let doubled = holders
            .into_iter()
            .find(|(_, held)| 1 < held.len() && held.iter().any(|(index, _)| *index == worker));
        let seen = doubled.map(|(task, held)| format!("{task} runs twice: {held:?}"));
        if let Some(seen) = seen {
            self.fail(Violation::new("exclusive", seen));
        }
    }

    /// No more handlers that anybody believes in run under a limit than it has permits, in the same sense. A lease that had
    /// ended without its worker's word when the coordinator died is not counted: the next one does not know of it.
    pub(super) fn check_permits(&mut self) {
        let Some(limits) = self.plan.setting.limits else { return };
        let mut running: BTreeMap<String, u32> = BTreeMap::new();
        for hand in &self.crew {
            for (token, _) in hand.pieces.iter().filter(|(_, piece)| hand.believes(piece)) {
                let token = Token::from_i64(*token);
                let task = self.ledger.granted(token).and_then(|it| self.ledger.task(it.task));
                let is_counted =
                    self.ledger.is_current(token) || self.ledger.is_of_this_epoch(token);
                let Some(entry) = task.filter(|_| is_counted) else { continue };
                let keys = entry.spec.claims.iter().flat_map(|claims| &claims.keys);
                let names = keys.map(ToString::to_string).chain([entry.queue.to_string()]);
                names.for_each(|name| *running.entry(name).or_default() += 1);
            }
        }
        let caps = [
            (KEYS[0].to_owned(), limits.cap),
            (KEYS[1].to_owned(), 1),
            (queue_name(1), limits.queue_cap),
        ];
        for (name, cap) in caps {
            let runs = running.get(&name).copied().unwrap_or(0);
            if cap == runs {
                self.sometimes(Probe::LimitReached);
            }
            if cap < runs {
                self.fail(Violation::new("permits", format!("{runs} run under {name}")));
            }
        }
    }

    /// What the journal says of how work stopped is so.
    pub(super) fn judge_proof(&mut self, record: &Record) {
        let (token, fact) = match record {
            Record::LeaseEnded { token, fact: Some(fact), .. } => (Some(*token), fact),
            Record::TaskEnded { task, fact: Some(fact), .. } => {
                let lease = self.ledger.task(*task).and_then(|entry| entry.lease.as_ref());
                (lease.map(|lease| lease.token), fact)
            }
            _ => return,
        };
        let is_inferred = matches!(fact.kind, EndKind::WorkerLost | EndKind::NotHeld);
        if matches!(record, Record::LeaseEnded { .. })
            && fact.stop == StopProof::Unproved
            && !is_inferred
        {
            self.sometimes(Probe::GivenUp);
        }
        let Some(token) = token else { return };
        let holder = self.ledger.granted(token).and_then(|lease| of_instance(&lease.instance));
        let Some((worker, incarnation)) = holder else { return };
        let hand = &self.crew[worker];
        let lives = hand.incarnation == incarnation && hand.pieces.contains_key(&token.as_i64());
        let is_so = match fact.stop {
            StopProof::NotStarted => !self.started.contains(&token),
            StopProof::Returned
            | StopProof::Aborted
            | StopProof::Killed
            | StopProof::NotHeld
            | StopProof::ProcessGone => !lives,
            StopProof::Unproved => true,
        };
        let has_result = fact.kind != EndKind::Succeeded || self.finished.contains_key(&token);
        if !is_so || !has_result {
            self.fail(Violation::new("proof", format!("{token} did not end like that: {fact:?}")));
        }
    }

    /// What runs at most once in a generation was not started before: whatever clocks and processes do.
    pub(super) fn check_once(&mut self, token: i64) {
        let Some(lease) = self.ledger.granted(Token::from_i64(token)) else { return };
        let (task, generation) = (lease.task, lease.generation);
        let runs_once = self.ledger.task(task).is_some_and(Entry::runs_once);
        if runs_once && !self.once.insert((task, generation)) {
            let message = format!("{task} may be started once and is started again under {token}");
            self.fail(Violation::new("once", message));
        }
    }

    /// The coordinator gave a session up: from here on its leases are given to others, so nobody may work under them who
    /// believes in them. The same are not believed in as above.
    pub(super) fn check_believed(&mut self, worker: usize, incarnation: u32) {
        let hand = &self.crew[worker];
        if hand.incarnation != incarnation {
            return;
        }
        let believed = hand.pieces.iter().find(|(_, piece)| hand.believes(piece));
        let seen = believed.map(|(token, piece)| {
            format!("w{worker}-{incarnation} was given up and runs {} under {token}", piece.task_id)
        });
        if let Some(seen) = seen {
            self.fail(Violation::new("believed", seen));
        }
    }

    /// Work ended with a result: as long as its process lives and its session goes on, it counts.
    pub(super) fn note_finish(&mut self, worker: usize, token: i64, finish: &Finish) {
        if matches!(finish, Finish::Result(_)) {
            let incarnation = self.crew[worker].incarnation;
            self.finished.insert(Token::from_i64(token), (worker, incarnation));
        }
    }

    /// What a durable end of a lease means for those who are still there.
    pub(super) fn judge_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Succeeded(token) => {
                let entry = self.ledger.granted(token).map(|lease| lease.task);
                let cancelled = entry.and_then(|task| self.ledger.task(task));
                if cancelled.is_some_and(|entry| entry.cancel_requested) {
                    self.sometimes(Probe::CancelLost);
                }
            }
            Fact::Ended { is_cancel: true, .. } => {}
            Fact::Ended { task, held, reason, .. } => {
                let Some((worker, incarnation)) = of_instance(&held.instance) else { return };
                let hand = &self.crew[worker];
                let lives = hand.incarnation == incarnation && hand.session.is_some();
                if !lives || self.expired.contains(&(worker, incarnation)) {
                    return;
                }
                let token = held.token;
                // An outcome that is no result says that the work was stopped: then it is the worker's own word.
                let holds_it = hand.session.as_ref().is_some_and(|session| {
                    session.holds(token.as_i64()) && !session.has_outcome(token.as_i64())
                });
                let lost =
                    matches!(reason, FailureReason::WorkerLost | FailureReason::WorkerLossLimit);
                if lost && holds_it {
                    let message = format!("{task} was taken from {worker}, which holds {token}");
                    self.fail(Violation::new("inventory", message));
                }
                if lost && self.finished.contains_key(&token) {
                    let message = format!("{task} was done under {token} and was not believed");
                    self.fail(Violation::new("forgotten", message));
                }
            }
        }
    }
}
