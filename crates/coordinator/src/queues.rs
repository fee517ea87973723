//! Which queues are meant: one, or all of a namespace.

use leasehold_policy::namespace;
use leasehold_queue::Name;

/// Which queues are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queues {
    /// All of a namespace.
    Of(Name),
    /// The one that is known by this name.
    One(Name),
}

impl Queues {
    /// Whether a queue is one of them.
    pub fn contains(&self, queue: &Name) -> bool {
        match self {
            Self::Of(space) => namespace::of(queue) == &**space,
            Self::One(one) => one == queue,
        }
    }

    /// The same for the rows that people read.
    pub(crate) fn rows(&self) -> leasehold_journal::Queues {
        match self {
            Self::Of(space) if **space == *namespace::DEFAULT => {
                leasehold_journal::Queues::Without(namespace::MARK)
            }
            Self::Of(space) => leasehold_journal::Queues::Under(namespace::join(space, "")),
            Self::One(queue) => leasehold_journal::Queues::One(queue.to_string()),
        }
    }
}
