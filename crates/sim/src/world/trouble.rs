//! Faults, carried out.

use leasehold_coordinator::simulation::Ask;

use super::{Event, World};
use crate::{
    fault::{Trouble, Way},
    moment::{Micros, SECOND},
    plan::Ruin,
    probe::Probe,
};

/// The ticket of an order to shut down: nobody waits for an answer.
const NOBODY: u64 = u64::MAX;

/// How long a process that was asked to end may take for what is to become durable.
const SHUTDOWN_GRACE: Micros = 10 * SECOND;

impl World {
    /// Not everything became durable within the grace.
    pub(super) fn undurable(&mut self, incarnation: u32) {
        if incarnation == self.site.incarnation {
            self.crash(SECOND);
        }
    }

    pub(super) fn fault(&mut self, index: usize) {
        let Some(fault) = self.plan.faults.get(index) else { return };
        let trouble = fault.trouble;
        self.trace.note(self.now, || format!("FAULT {trouble:?}"));
        match trouble {
            Trouble::Crash(down) => self.crash(down),
            Trouble::Retune(down, session_ttl) => {
                self.crash(down);
                if self.site.machine.is_none() {
                    self.site.session_ttl = session_ttl;
                }
            }
            Trouble::Terminate(_) => self.terminate(),
            Trouble::Pause(pause) => self.pause_site(pause),
            Trouble::Sleep(pause) => {
                if self.site.machine.is_some() && !self.site.is_paused() {
                    self.site.asleep_since = Some(self.now);
                }
                self.pause_site(pause);
            }
            Trouble::Crawl(step, time) => self.crawl(None, step, self.now + time),
            Trouble::WallStep(ms) => self.site.wall_offset_ms += ms,
            Trouble::SlowDisk(latency, pause) => {
                self.drive.slow = (latency, self.now + pause);
            }
            Trouble::FullDisk(pause) => {
                self.drive.full_until = self.now + pause;
                self.after(pause, Event::Room);
            }
            Trouble::FailedAppend => self.drive.fails_next = true,
            Trouble::WorkerCrash(worker, down) => self.dismiss(worker, down),
            Trouble::WorkerPause(worker, pause) => self.pause_worker(worker, pause),
            Trouble::WorkerCrawl(worker, step, time) => {
                self.crawl(Some(worker), step, self.now + time);
            }
            Trouble::WorkerLeaves(worker) => self.leave(worker),
            Trouble::Cut { worker, worker_learns, coordinator_learns, is_lost } => {
                self.cut(worker, (worker_learns, coordinator_learns), is_lost);
            }
            Trouble::Stall(worker, way, pause) => self.stall(worker, way, pause),
            Trouble::StallNext(worker, pause) => self.crew[worker].stall_next = Some(pause),
            Trouble::Partition(worker, pause) => self.partition(worker, pause),
            Trouble::Blackout(pause) => {
                for worker in 0..self.crew.len() {
                    self.partition(worker, pause);
                }
            }
        }
    }

    /// A process stands still for a step, and then again after as long, until its trouble is over.
    pub(super) fn crawl(&mut self, worker: Option<usize>, step: Micros, until: Micros) {
        if self.is_healed || until <= self.now {
            return;
        }
        match worker {
            Some(worker) => self.pause_worker(worker, step),
            None => self.pause_site(step),
        }
        self.after(2 * step, Event::Crawl(worker, step, until));
    }

    /// What becomes of a worker for good, when everybody else recovers.
    pub(super) fn ruin(&mut self, worker: usize, ruin: Ruin) {
        self.sometimes(Probe::Ruined);
        self.crew[worker].is_ruined = true;
        match ruin {
            Ruin::Dead => {
                self.dismiss(worker, 0);
                self.crew[worker].is_coming = false;
            }
            Ruin::Frozen => self.crew[worker].paused_until = Some(Micros::MAX),
            // No connection comes up of which one direction is dead.
            Ruin::Mute => {
                self.stall_until(worker, Way::In, Micros::MAX);
                self.crew[worker].partition_until = Micros::MAX;
            }
            Ruin::Deaf => {
                self.stall_until(worker, Way::Out, Micros::MAX);
                self.crew[worker].partition_until = Micros::MAX;
            }
        }
    }

    fn terminate(&mut self) {
        if self.site.is_paused() {
            return;
        }
        if let Some(machine) = &mut self.site.machine {
            machine.ask(NOBODY, Ask::Shutdown);
            self.site.is_stopping = true;
            self.after(SHUTDOWN_GRACE, Event::Undurable(self.site.incarnation));
            self.turn_soon();
        }
    }

    fn cut(
        &mut self,
        worker: usize,
        (worker_learns, coordinator_learns): (Option<Micros>, Option<Micros>),
        is_lost: bool,
    ) {
        let Some(id) = self.crew[worker].wire else { return };
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.is_cut = true;
        if is_lost {
            wire.inward.parcels.clear();
            wire.outward.parcels.clear();
        }
        if let Some(wait) = worker_learns {
            self.after(wait, Event::Learn(id, Way::Out));
        }
        if let Some(wait) = coordinator_learns {
            self.after(wait, Event::Learn(id, Way::In));
        }
    }

    fn stall(&mut self, worker: usize, way: Way, pause: Micros) {
        self.stall_until(worker, way, self.now + pause);
    }

    fn stall_until(&mut self, worker: usize, way: Way, until: Micros) {
        for wire in self.wires.values_mut().filter(|wire| wire.worker == worker) {
            let lane = wire.lane(way);
            lane.stalled_until = lane.stalled_until.max(until);
        }
    }

    fn partition(&mut self, worker: usize, pause: Micros) {
        self.stall(worker, Way::In, pause);
        self.stall(worker, Way::Out, pause);
        let hand = &mut self.crew[worker];
        hand.partition_until = hand.partition_until.max(self.now + pause);
    }
}
