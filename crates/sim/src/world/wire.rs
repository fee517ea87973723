//! Connections: frames in order, late, cut or stalled; nothing else.

use std::collections::{BTreeMap, VecDeque};

use leasehold_coordinator::simulation::Farewell;
use leasehold_proto::v1;
use leasehold_queue::StreamId;
use leasehold_worker::simulation::Hangup;

use super::{Event, World};
use crate::{fault::Way, moment::Micros, probe::Probe};

/// Which connection.
pub(super) type WireId = u64;

/// How many frames may be on their way in one direction before a sender waits.
pub(super) const ROOM: usize = 8;

/// What travels.
#[derive(Debug)]
pub(super) enum Parcel {
    /// From a worker.
    Said(v1::ConnectRequest),
    /// From the coordinator.
    Told(v1::ConnectResponse),
    /// Nothing follows.
    Fin(Hangup),
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) parcels: VecDeque<Parcel>,
    last_arrival: Micros,
    pub(super) stalled_until: Micros,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) worker: usize,
    /// Which start of the worker made it.
    pub(super) incarnation: u32,
    /// Which start of the coordinator it leads to.
    pub(super) site: u32,
    /// Whether the coordinator's side is open.
    pub(super) is_open: bool,
    /// Nothing sent from here on arrives.
    pub(super) is_cut: bool,
    /// Since when the coordinator has had something to say that the connection does not take.
    pub(super) blocked_since: Option<Micros>,
    pub(super) inward: Lane,
    pub(super) outward: Lane,
}

impl Wire {
    pub(super) fn new(worker: usize, incarnation: u32, site: u32) -> Self {
        Self {
            worker,
            incarnation,
            site,
            is_open: true,
            is_cut: false,
            blocked_since: None,
            inward: Lane::default(),
            outward: Lane::default(),
        }
    }

    pub(super) fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::In => &mut self.inward,
            Way::Out => &mut self.outward,
        }
    }
}

/// All connections, for their ids.
pub(super) fn next_id(wires: &BTreeMap<WireId, Wire>) -> WireId {
    wires.last_key_value().map_or(1, |(last, _)| last + 1)
}

impl World {
    /// Puts something on its way.
    pub(super) fn send(&mut self, id: WireId, way: Way, parcel: Parcel) {
        let delay = self.delay();
        let earliest = self.now + delay;
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if wire.is_cut {
            return;
        }
        let lane = wire.lane(way);
        lane.last_arrival = lane.last_arrival.max(earliest);
        lane.parcels.push_back(parcel);
        let at = lane.last_arrival;
        self.schedule(at, Event::Arrive(id, way));
    }

    /// Every connection flows again: what was held up arrives at once, and not when the stall would have ended.
    pub(super) fn unstall(&mut self) {
        let mut held_up = Vec::new();
        for (id, wire) in &mut self.wires {
            for way in [Way::In, Way::Out] {
                let lane = wire.lane(way);
                if self.now < lane.stalled_until {
                    lane.stalled_until = self.now;
                    held_up.extend(lane.parcels.iter().map(|_| Event::Arrive(*id, way)));
                }
            }
        }
        for event in held_up {
            self.after(0, event);
        }
    }

    pub(super) fn has_room(&self, id: WireId, way: Way) -> bool {
        self.wires.get(&id).is_some_and(|wire| match way {
            Way::In => wire.inward.parcels.len() < ROOM,
            Way::Out => wire.outward.parcels.len() < ROOM,
        })
    }

    pub(super) fn arrive(&mut self, id: WireId, way: Way) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let stalled_until = wire.lane(way).stalled_until;
        if self.now < stalled_until {
            return self.schedule(stalled_until, Event::Arrive(id, way));
        }
        let Some(parcel) = wire.lane(way).parcels.pop_front() else { return };
        match way {
            Way::In => self.arrive_at_site(id, parcel),
            Way::Out => self.arrive_at_worker(id, parcel),
        }
    }

    fn arrive_at_site(&mut self, id: WireId, parcel: Parcel) {
        let Some(wire) = self.wires.get(&id) else { return };
        let (worker, incarnation, is_there) =
            (wire.worker, wire.incarnation, wire.is_open && wire.site == self.site.incarnation);
        if is_there && self.site.machine.is_some() {
            if self.crew[worker].wire != Some(id) && matches!(parcel, Parcel::Said(_)) {
                self.sometimes(Probe::LateFrame);
            }
            self.note_heard((worker, incarnation), id, &parcel);
            if self.site.is_paused() {
                self.site.backlog.push_back((id, parcel));
            } else {
                self.take_in(id, parcel);
            }
        }
        if self.crew[worker].wire == Some(id) {
            self.settle(worker);
        }
    }

    /// The coordinator reads what has arrived.
    pub(super) fn take_in(&mut self, id: WireId, parcel: Parcel) {
        let Some(machine) = &mut self.site.machine else { return };
        let stream = StreamId(id);
        match parcel {
            Parcel::Said(frame) => {
                if let Err(last) = machine.hear(stream, frame) {
                    self.part(id, last);
                }
            }
            Parcel::Fin(_) => {
                machine.disconnect(stream);
                self.close(id, Hangup::Closed);
            }
            Parcel::Told(_) => {}
        }
        self.turn_soon();
    }

    fn arrive_at_worker(&mut self, id: WireId, parcel: Parcel) {
        let Some(wire) = self.wires.get(&id) else { return };
        let (worker, incarnation) = (wire.worker, wire.incarnation);
        let hand = &mut self.crew[worker];
        if hand.incarnation == incarnation && hand.wire == Some(id) {
            if hand.is_paused() {
                hand.backlog.push_back((id, parcel));
            } else {
                self.hear(worker, id, parcel);
            }
        }
        self.pump(id);
    }

    /// Says the last words on a stream, and closes it.
    pub(super) fn part(&mut self, id: WireId, last: leasehold_coordinator::simulation::LastWords) {
        for frame in last.frames {
            self.judge_frame(id, &frame);
            self.send(id, Way::Out, Parcel::Told(frame));
        }
        let hangup = match last.farewell {
            Farewell::Closed => Hangup::Closed,
            Farewell::Refused => Hangup::Refused,
            Farewell::Broken => Hangup::Broken,
        };
        self.close(id, hangup);
    }

    /// The coordinator's side of a connection is closed.
    pub(super) fn close(&mut self, id: WireId, hangup: Hangup) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if std::mem::replace(&mut wire.is_open, false) {
            self.send(id, Way::Out, Parcel::Fin(hangup));
        }
    }

    /// One side learns that a connection is dead.
    pub(super) fn learn(&mut self, id: WireId, way: Way) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let (worker, incarnation, site) = (wire.worker, wire.incarnation, wire.site);
        match way {
            Way::In if site == self.site.incarnation && wire.is_open => {
                if self.site.is_paused() {
                    return self.site.backlog.push_back((id, Parcel::Fin(Hangup::Broken)));
                }
                wire.is_open = false;
                if let Some(machine) = &mut self.site.machine {
                    machine.disconnect(StreamId(id));
                    self.turn_soon();
                }
            }
            Way::Out
                if self.crew[worker].incarnation == incarnation
                    && self.crew[worker].wire == Some(id) =>
            {
                let parcel = Parcel::Fin(Hangup::Broken);
                if self.crew[worker].is_paused() {
                    return self.crew[worker].backlog.push_back((id, parcel));
                }
                self.hear(worker, id, parcel);
            }
            Way::In | Way::Out => {}
        }
    }
}
