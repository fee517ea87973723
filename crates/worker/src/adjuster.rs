//! How much a worker takes, while it works and its owner changes his mind.

use tokio::sync::watch;

use crate::{Error, open_files, worker};

/// How much a worker takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// How many tasks it runs.
    pub(crate) slots: u32,
    /// How many it takes beyond them.
    pub(crate) prefetch: u32,
}

/// Changes how much a worker takes, while it works: see [`Worker::adjustable`](crate::Worker::adjustable). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Adjuster(watch::Sender<Room>);

/// Where a worker hears of it.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    told: watch::Receiver<Room>,
    /// Each program that runs has files open.
    has_programs: bool,
}

impl Adjuster {
    /// Somebody who can, and where it is heard.
    pub(crate) fn new(room: Room) -> (Self, Rooms) {
        let (sender, told) = watch::channel(room);
        (Self(sender), Rooms { told, has_programs: false })
    }

    /// From here on the worker runs so many tasks at once and takes so many beyond them. Fewer than it runs take nothing away: it
    /// gets nothing new until enough of them have ended.
    ///
    /// # Errors
    ///
    /// Numbers that no worker may have.
    pub fn set(&self, slots: u32, prefetch: u32) -> Result<(), Error> {
        worker::check_size(slots, prefetch)?;
        // A worker that has ended hears nothing.
        self.0.send_replace(Room { slots, prefetch });
        Ok(())
    }
}

impl Rooms {
    /// The same, of a worker that runs programs.
    pub(crate) fn of_programs(self) -> Self {
        Self { has_programs: true, ..self }
    }

    /// The next one that is another one than before; never, once nobody can say any more.
    pub(crate) async fn next(&mut self) -> Room {
        if self.told.changed().await.is_err() {
            return std::future::pending().await;
        }
        let room = *self.told.borrow_and_update();
        if self.has_programs {
            open_files::provide(room.slots);
        }
        room
    }
}
