//! The disk under the coordinator, and the thread that writes to it: one thing at a time, slow, full or failing.

use std::collections::VecDeque;

use leasehold_coordinator::simulation::{Word, Work, records};
use leasehold_journal::{Batch, Position};

use super::{Event, World};
use crate::{
    disk::Disk,
    judge::Violation,
    ledger::Fact,
    moment::{MS, Micros},
    probe::Probe,
};

/// How often a full disk is tried again.
const RETRY: Micros = 100 * MS;

/// After so long without a sync nothing more is leased.
const STUCK: Micros = 200 * MS;

/// The disk and what is to be done with it.
#[derive(Debug, Default)]
pub(super) struct Drive {
    pub(super) disk: Disk,
    jobs: VecDeque<Work>,
    /// Since when it has been at work on the first job.
    busy_since: Option<Micros>,
    pub(super) slow: (Micros, Micros),
    pub(super) full_until: Micros,
    pub(super) fails_next: bool,
    is_tight: bool,
    /// Whether there was ever too little room on it.
    pub(super) was_tight: bool,
}

impl Drive {
    pub(super) fn heal(&mut self, now: Micros) {
        self.slow = (0, 0);
        self.full_until = now;
        self.fails_next = false;
    }

    /// Whether what it does takes longer than a disk should.
    pub(super) fn is_stuck(&self, now: Micros) -> bool {
        now < self.full_until || self.busy_since.is_some_and(|since| since + STUCK <= now)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.busy_since.is_none()
    }
}

impl World {
    /// The coordinator hands something to its writer.
    pub(super) fn give(&mut self, work: Work) {
        self.drive.jobs.push_back(work);
        self.work_on();
    }

    fn work_on(&mut self) {
        if self.drive.busy_since.is_some() || self.drive.jobs.is_empty() {
            return;
        }
        self.drive.busy_since = Some(self.now);
        let (least, most) = self.plan.setting.append;
        let (slow, until) = self.drive.slow;
        let wait = if self.now < until { slow } else { self.rng.u64(least..=most) };
        self.after(wait, Event::Disk(self.site.incarnation));
    }

    pub(super) fn disk_done(&mut self, incarnation: u32) {
        if incarnation != self.site.incarnation {
            return;
        }
        if let Some(until) = self.site.paused_until.filter(|until| self.now < *until) {
            return self.schedule(until, Event::Disk(incarnation));
        }
        let Some(work) = self.drive.jobs.pop_front() else { return };
        match work {
            Work::Append(position, batch) => self.append(position, batch),
            Work::Unfilled(unfilled) => {
                self.fail(Violation::new("payload", format!("{unfilled:?}")));
                self.done(Word::Failed);
            }
            Work::Claim(unix_s) => {
                let epoch = self.drive.disk.claim(unix_s);
                self.done(Word::Claimed(epoch));
            }
            Work::ReadDead(row_id) => {
                let row = self.drive.disk.failed(row_id).cloned().map(Box::new);
                self.done(Word::Dead(row_id, row));
            }
        }
    }

    fn append(&mut self, position: Position, batch: Box<Batch>) {
        if std::mem::take(&mut self.drive.fails_next) {
            self.sometimes(Probe::AppendFailed);
            if self.rng.bool() {
                self.sometimes(Probe::AppendFailedButDone);
                self.become_durable(position, &batch);
            }
            return self.done(Word::Failed);
        }
        if self.now < self.drive.full_until {
            self.sometimes(Probe::DiskFull);
            let had_ballast = !std::mem::replace(&mut self.drive.is_tight, true);
            self.drive.was_tight = true;
            self.report(Word::Tight(true));
            if !had_ballast {
                self.drive.jobs.push_front(Work::Append(position, batch));
                return self.after(RETRY, Event::Disk(self.site.incarnation));
            }
        }
        self.become_durable(position, &batch);
        self.done(Word::Durable(position));
    }

    /// There may be room again.
    pub(super) fn room(&mut self) {
        if self.drive.full_until <= self.now && std::mem::take(&mut self.drive.is_tight) {
            self.report(Word::Tight(false));
        }
    }

    fn done(&mut self, word: Word) {
        self.drive.busy_since = None;
        self.report(word);
        self.work_on();
    }

    fn report(&mut self, word: Word) {
        if let Some(machine) = &mut self.site.machine {
            machine.report(word);
            self.turn_soon();
        }
    }

    /// A batch is durable: from here on it counts.
    fn become_durable(&mut self, position: Position, batch: &Batch) {
        self.trace.mix_bytes(&batch.body);
        self.site.has_appended = true;
        let settled = self.drive.disk.settled();
        if let Err(refused) = self.drive.disk.append(position, batch) {
            return self.fail(Violation::new("disk", refused.0));
        }
        if settled < self.drive.disk.settled() {
            self.sometimes(Probe::Trimmed);
        }
        let records = match records(&batch.body) {
            Ok(records) => records,
            Err(error) => return self.fail(Violation::new("codec", format!("{error:?}"))),
        };
        for record in &records {
            self.trace.note(self.now, || format!("  durable {position:?} {record:?}"));
            self.count(record);
            self.judge_proof(record);
        }
        match self.ledger.take(batch, &records) {
            Ok(facts) => facts.into_iter().for_each(|fact: Fact| self.judge_fact(fact)),
            Err(violation) => self.fail(violation),
        }
        let (opened, closed) = self.ledger.circuit_turns();
        if opened {
            self.sometimes(Probe::CircuitOpened);
        }
        if closed {
            self.sometimes(Probe::CircuitClosed);
        }
        for record in &records {
            self.judge_saved(record);
        }
    }

    /// The process dies with a batch on its way: the disk has all of it or nothing.
    pub(super) fn drop_work(&mut self) {
        let jobs = std::mem::take(&mut self.drive.jobs);
        let was_busy = self.drive.busy_since.take().is_some();
        self.drive.is_tight = false;
        for work in jobs {
            let Work::Append(position, batch) = work else { continue };
            if was_busy && self.drive.full_until <= self.now && self.rng.bool() {
                self.sometimes(Probe::BatchKept);
                self.become_durable(position, &batch);
            } else {
                self.sometimes(Probe::BatchLost);
            }
            // Batches are written one at a time: there is at most one.
            return;
        }
    }
}
