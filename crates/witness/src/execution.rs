//! One execution of a task: what it notes, what it holds while it lives, what it writes.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    ledger::{Event, Name},
    order::{Manners, Order},
    place::Place,
    presence::Presence,
    resource::{Resource, Write},
};

/// How often a resource that another has is tried again. The other may stand still in the middle of its write.
const RETRY: Duration = Duration::from_millis(2);

/// How an execution came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did its work. The result names task and token.
    Done(String),
    /// It was asked to stop, and did.
    Stopped,
    /// The resource refused it: somebody with a larger token has written.
    Fenced,
}

/// An execution underway. Dropped before its end it notes that it was aborted.
#[derive(Debug)]
pub(crate) struct Execution {
    place: Arc<Place>,
    name: Name,
    _presence: Presence,
    has_ended: bool,
}

impl Execution {
    /// Shows that it lives, notes that it begins, and looks for others.
    pub(crate) fn begin(place: Arc<Place>, name: Name) -> io::Result<Self> {
        let dir = place.presences(&name.task);
        let presence = Presence::show(&dir, name.token)?;
        place.ledger.note(&name, Event::Begin)?;
        for other in Presence::others(&dir, name.token)? {
            place.ledger.note(&name, Event::Saw(other))?;
        }
        Ok(Self { place, name, _presence: presence, has_ended: false })
    }

    /// Writes, works, and writes again. `asked` resolves when the work should stop.
    pub(crate) async fn work(
        mut self,
        order: Order,
        asked: impl Future<Output = ()>,
    ) -> io::Result<Ending> {
        let ending = match order.manners {
            Manners::Stubborn => self.toil(order.length).await?,
            Manners::Polite => {
                tokio::select! {
                    ending = self.toil(order.length) => ending?,
                    () = asked => Ending::Stopped,
                }
            }
        };
        self.has_ended = true;
        let event = if ending == Ending::Stopped { Event::Stopped } else { Event::End };
        self.place.ledger.note(&self.name, event)?;
        Ok(ending)
    }

    async fn toil(&self, length: Duration) -> io::Result<Ending> {
        if let Write::Refused(_) = self.write().await? {
            return Ok(Ending::Fenced);
        }
        sleep(length).await;
        Ok(match self.write().await? {
            Write::Done => Ending::Done(format!("{} {}", self.name.task, self.name.token)),
            Write::Refused(_) => Ending::Fenced,
        })
    }

    /// Writes to the task's resource. The ledger learns of it before anybody else can write.
    async fn write(&self) -> io::Result<Write> {
        let path = self.place.resource(&self.name.task);
        let mut tries = interval(RETRY);
        tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tries.tick().await;
            let Some(resource) = Resource::open(&path)? else { continue };
            let write = resource.write(self.name.token)?;
            let event = match write {
                Write::Done => Event::Wrote,
                Write::Refused(seen) => Event::Refused(seen),
            };
            self.place.ledger.note(&self.name, event)?;
            return Ok(write);
        }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if !self.has_ended {
            // The lock is given back all the same, and says that it is over.
            drop(self.place.ledger.note(&self.name, Event::Aborted));
        }
    }
}

#[cfg(test)]
mod tests;
