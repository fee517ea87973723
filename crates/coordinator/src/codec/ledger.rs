//! How leases ended, as bytes: what a record says of one end, and what a task keeps of all of them.

use leasehold_queue::{Charge, ENDS_MAX, EndFact, EndKind, LeaseEnd, Ledger, Revoking, StopProof};

use super::{
    task::{read_revocation_reason, revocation_reason},
    wire::{Cursor, Malformed, Pen},
};

/// The first format that says how a lease ended.
const FACT_FORMAT: u8 = 2;

impl Pen {
    pub(super) fn fact(&mut self, fact: &EndFact) {
        let EndFact { kind, stop, delivered, message } = fact;
        self.byte(end_kind(*kind));
        self.byte(stop_proof(*stop));
        self.option(delivered.as_ref(), |pen, time| pen.time(*time));
        self.text(message);
    }

    pub(super) fn ledger(&mut self, ledger: &Ledger) {
        self.integer(ledger.forgotten());
        self.integer(ledger.ends().len() as u64);
        for end in ledger.ends() {
            self.lease_end(end);
        }
    }

    fn lease_end(&mut self, end: &LeaseEnd) {
        let LeaseEnd {
            token,
            worker,
            instance,
            generation,
            attempt,
            granted,
            started,
            revoking,
            ended,
            kind,
            stop,
            charge: charged,
            eligible,
            message,
        } = end;
        self.token(*token);
        self.name(worker);
        self.name(instance);
        self.integer(*generation);
        self.integer(*attempt);
        self.time(*granted);
        self.option(started.as_ref(), |pen, time| pen.time(*time));
        self.option(revoking.as_ref(), |pen, Revoking { reason, since, grace, delivered }| {
            pen.byte(revocation_reason(*reason));
            pen.time(*since);
            pen.duration(*grace);
            pen.option(delivered.as_ref(), |pen, time| pen.time(*time));
        });
        self.time(*ended);
        self.byte(end_kind(*kind));
        self.byte(stop_proof(*stop));
        self.byte(charge(*charged));
        self.option(eligible.as_ref(), |pen, time| pen.time(*time));
        self.text(message);
        self.end_extras();
    }
}

impl Cursor<'_> {
    /// The fact in the record of an end, if records of its format have one.
    pub(super) fn fact_if_written(&mut self) -> Result<Option<EndFact>, Malformed> {
        if !self.since(FACT_FORMAT) {
            return Ok(None);
        }
        self.option("fact of an end", |cursor| {
            Ok(EndFact {
                kind: read_end_kind(cursor.byte("kind of end")?)?,
                stop: read_stop_proof(cursor.byte("proof of stop")?)?,
                delivered: cursor.option("delivery", Self::time)?,
                message: cursor.text("message")?,
            })
        })
    }

    pub(super) fn ledger(&mut self) -> Result<Ledger, Malformed> {
        let forgotten = self.small("count of ends")?;
        let count = self.count("ledger")?;
        if ENDS_MAX < count {
            return Err(Malformed::OutOfRange { what: "ledger" });
        }
        let ends = (0..count).map(|_| self.lease_end()).collect::<Result<Vec<_>, _>>()?;
        Ok(Ledger::new(ends, forgotten))
    }

    fn lease_end(&mut self) -> Result<LeaseEnd, Malformed> {
        let end = LeaseEnd {
            token: self.token()?,
            worker: self.name("worker")?,
            instance: self.name("instance")?,
            generation: self.small("generation")?,
            attempt: self.small("attempt")?,
            granted: self.time()?,
            started: self.option("start", Self::time)?,
            revoking: self.option("revocation", |cursor| {
                Ok(Revoking {
                    reason: read_revocation_reason(cursor.byte("revocation reason")?)?,
                    since: cursor.time()?,
                    grace: cursor.duration()?,
                    delivered: cursor.option("delivery", Self::time)?,
                })
            })?,
            ended: self.time()?,
            kind: read_end_kind(self.byte("kind of end")?)?,
            stop: read_stop_proof(self.byte("proof of stop")?)?,
            charge: read_charge(self.byte("charge")?)?,
            eligible: self.option("end of a wait", Self::time)?,
            message: self.text("message")?,
        };
        self.no_extras("extra of an end")?;
        Ok(end)
    }
}

/// Numbers on disk: never changed, never used again for something else.
const fn end_kind(kind: EndKind) -> u8 {
    match kind {
        EndKind::Succeeded => 1,
        EndKind::Error => 2,
        EndKind::Panic => 3,
        EndKind::ResultTooLarge => 4,
        EndKind::AttemptTimeout => 5,
        EndKind::TotalTimeout => 6,
        EndKind::StartTimeout => 7,
        EndKind::Cancelled => 8,
        EndKind::NoCapacity => 9,
        EndKind::Unsupported => 10,
        EndKind::Drained => 11,
        EndKind::Fenced => 12,
        EndKind::WorkerLost => 13,
        EndKind::NotHeld => 14,
        EndKind::Retracted => 15,
        EndKind::ProgressTimeout => 16,
        EndKind::Revoked => 17,
    }
}

const fn read_end_kind(kind: u8) -> Result<EndKind, Malformed> {
    Ok(match kind {
        1 => EndKind::Succeeded,
        2 => EndKind::Error,
        3 => EndKind::Panic,
        4 => EndKind::ResultTooLarge,
        5 => EndKind::AttemptTimeout,
        6 => EndKind::TotalTimeout,
        7 => EndKind::StartTimeout,
        8 => EndKind::Cancelled,
        9 => EndKind::NoCapacity,
        10 => EndKind::Unsupported,
        11 => EndKind::Drained,
        12 => EndKind::Fenced,
        13 => EndKind::WorkerLost,
        14 => EndKind::NotHeld,
        15 => EndKind::Retracted,
        16 => EndKind::ProgressTimeout,
        17 => EndKind::Revoked,
        kind => return Err(Malformed::UnknownKind { what: "kind of end", kind }),
    })
}

/// Numbers on disk: never changed, never used again for something else.
const fn stop_proof(stop: StopProof) -> u8 {
    match stop {
        StopProof::Returned => 1,
        StopProof::Aborted => 2,
        StopProof::Killed => 3,
        StopProof::NotStarted => 4,
        StopProof::NotHeld => 5,
        StopProof::Unproved => 6,
        StopProof::ProcessGone => 7,
    }
}

const fn read_stop_proof(kind: u8) -> Result<StopProof, Malformed> {
    Ok(match kind {
        1 => StopProof::Returned,
        2 => StopProof::Aborted,
        3 => StopProof::Killed,
        4 => StopProof::NotStarted,
        5 => StopProof::NotHeld,
        6 => StopProof::Unproved,
        7 => StopProof::ProcessGone,
        kind => return Err(Malformed::UnknownKind { what: "proof of stop", kind }),
    })
}

/// Numbers on disk: never changed, never used again for something else.
const fn charge(charge: Charge) -> u8 {
    match charge {
        Charge::Attempt => 1,
        Charge::WorkerLoss => 2,
        Charge::Nothing => 3,
    }
}

const fn read_charge(kind: u8) -> Result<Charge, Malformed> {
    Ok(match kind {
        1 => Charge::Attempt,
        2 => Charge::WorkerLoss,
        3 => Charge::Nothing,
        kind => return Err(Malformed::UnknownKind { what: "charge", kind }),
    })
}
