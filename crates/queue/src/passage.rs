//! What becomes of what leases took of limits and of circuits: it goes back, and whoever waited for it goes on.

use std::time::Duration;

use leasehold_policy::{Call, CallEnd};

use crate::{
    Effect, EndKind, Guarded, Queue, RevocationReason, Task, TaskId, Token, gate::Gate,
    session::Work, settle::End,
};

impl Queue {
    /// The limits of the configuration hold from here on, for leases that there are and for those that wait. A lease holds its
    /// permits of limits that it was granted before; what has outlived its task keeps those that it has.
    pub(crate) fn throttle(&mut self) {
        let gates = &mut self.index.lanes.gates;
        gates.configure(&self.config.throttles);
        for (token, work) in self.roster.iter().flat_map(|(_, session)| session.held()) {
            if let Work::Lease(task) = work
                && let Some(task) = self.book.task(task)
            {
                gates.adopt(task, token);
            }
        }
        self.index.lanes.open_all();
    }

    /// The work of a lease is over for sure: its permits are free.
    pub(crate) fn release(&mut self, token: Token) {
        for gate in self.index.lanes.gates.release(token) {
            self.index.lanes.open(&gate);
        }
    }

    /// The lease of a task ends: the circuits that it passed count what that says of what its work calls.
    pub(crate) fn observe(&mut self, id: TaskId, end: &End, kind: EndKind, ran: Duration) {
        if self.config.throttles.breakers.is_empty() {
            return;
        }
        let Some(task) = self.book.task(id) else { return };
        let Some(token) = task.lease().map(|lease| lease.token) else { return };
        let Some(end) = call_end(task, end, kind) else { return };
        let call = Call { end, ran };
        let lanes = &mut self.index.lanes;
        let (turned, credited) = lanes.gates.count(token, call);
        for gate in &turned {
            lanes.open(gate);
        }
        for of in &credited {
            lanes.open_bucket(of);
        }
    }

    /// Closes a circuit, whatever it did. Says whether there is such a one.
    pub(crate) fn reset_breaker(&mut self, guarded: Guarded) -> bool {
        let lanes = &mut self.index.lanes;
        let is_known = lanes.gates.close(&guarded);
        lanes.open(&Gate::Circuit(guarded));
        is_known
    }

    /// Tells people of the circuits that have turned.
    pub(crate) fn tell_turned(&mut self) {
        for turned in self.index.lanes.gates.take_turned() {
            self.emit(Effect::Turned(Box::new(turned)));
        }
    }

    /// A lease was never started: what it took of rates comes back, as far as time has not made up for it.
    pub(crate) fn refund(&mut self, token: Token) {
        for of in self.index.lanes.gates.refund(token) {
            self.index.lanes.open_bucket(&of);
        }
    }
}

/// What the end of a lease says of what its work called. An error after somebody asked for the end of it says nothing, and
/// neither does one that its handler calls final: that is what was asked for being wrong, not who was asked. What became
/// of a worker, or of the task beside its work, is nobody's doing whom it called.
fn call_end(task: &Task, end: &End, kind: EndKind) -> Option<CallEnd> {
    let revoked = task.lease()?.revoking.map(|revoking| revoking.reason);
    let timeouts = [RevocationReason::AttemptTimeout, RevocationReason::ProgressTimeout];
    match (kind, end) {
        (EndKind::Succeeded, _) => Some(CallEnd::Succeeded),
        (EndKind::Error | EndKind::Panic, End::Failed { retryable: true, .. })
            if revoked.is_none_or(|reason| timeouts.contains(&reason)) =>
        {
            Some(CallEnd::Failed)
        }
        (EndKind::AttemptTimeout | EndKind::ProgressTimeout, _) => Some(CallEnd::Failed),
        _ => None,
    }
}
