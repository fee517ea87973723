//! Faults, carried out.

use leasehold_coordinator::simulation::Ask;

use super::{Event, World};
use crate::{
    fault::{Trouble, Way},
    moment::{Micros, SECOND},
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
        let until = self.now + pause;
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
