//! Which stream of each worker process is its latest.
//!
//! What a worker said on an earlier stream may arrive after it has said hello on a later one: the network keeps the order
//! within a connection and not between two. An overtaken hello would put an outdated inventory in the place of the true
//! one, and leases that run would be given to others.

use std::collections::BTreeMap;

use leasehold_policy::Mutant;
use leasehold_queue::{Hello, Name, Queue};

#[cfg(test)]
mod tests;

/// How many processes are remembered beyond those that have a session.
const SPARE: usize = 64;

/// The number of the latest stream of each worker process. At most twice as many as there are sessions, and some.
#[derive(Debug, Default)]
pub(super) struct Latest {
    numbers: BTreeMap<(Name, Name), i64>,
}

impl Latest {
    /// Whether this is the latest hello of its process so far. A worker that does not count its streams is believed.
    pub(super) fn admits(&mut self, hello: &Hello, number: i64, queue: &Queue) -> bool {
        if number == 0 || Mutant::OvertakenHelloHeard.is_alive() {
            return true;
        }
        let process = (Name::clone(&hello.worker), Name::clone(&hello.instance));
        if self.numbers.get(&process).is_some_and(|latest| number < *latest) {
            return false;
        }
        self.numbers.insert(process, number);
        self.forget(queue);
        true
    }

    /// Forgets processes whose sessions are over: nothing is leased under what they would say. It looks at all of them only
    /// after as many new ones as there are sessions, so that a hello costs the same however many come back at once.
    fn forget(&mut self, queue: &Queue) {
        if SPARE + 2 * queue.session_count() < self.numbers.len() {
            self.numbers.retain(|(worker, instance), _| queue.has_session(worker, instance));
        }
    }
}
