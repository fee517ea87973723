//! What becomes of what leases took of limits: it goes back, and whoever waited for it goes on.

use crate::{Queue, Token, session::Work};

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
                gates.adopt(&task.spec, token);
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

    /// A lease was never started: what it took of rates comes back, as far as time has not made up for it.
    pub(crate) fn refund(&mut self, token: Token) {
        for of in self.index.lanes.gates.refund(token) {
            self.index.lanes.open_bucket(&of);
        }
    }
}
