//! The two threads that decide and write. Each can do both.
//!
//! Whoever has decided, and finds that a batch came of it and nothing else waits, writes it, and decides again once it is
//! durable: a task that is alone goes from its submit to its start through one thread, which wakes no other. Meanwhile the
//! other one decides about whatever comes in: so nothing waits for the disk but what has to, and while one batch is synced the
//! next gathers. When there is always more to decide, the one goes on deciding and the other writes.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    thread,
    time::Duration,
};

use tokio::{runtime::Runtime, sync::oneshot};

use crate::{
    engine::{Ended, Engine, Pause},
    writer::{Done, Writer},
};

mod rota;

use rota::{HANDS, Role, Rota};

/// How long nobody looks after the journal at the most.
const IDLE: Duration = Duration::from_secs(1);

/// What the threads share.
struct Hands {
    rota: Arc<Rota>,
    /// None: it has ended. Nobody ever waits for this lock or the other: the rota says whose turn it is.
    deciding: Mutex<Option<Deciding>>,
    writing: Mutex<Option<Writing>>,
}

/// Who decides, and who is told how that ended.
struct Deciding {
    engine: Engine,
    end: oneshot::Sender<Ended>,
}

/// Who writes, and who is told that the journal is closed.
struct Writing {
    writer: Writer,
    wrote: oneshot::Sender<()>,
}

/// Begins to work. A panic drops `end`, and with it the process ends: the engine's state may be torn.
pub(crate) fn begin(
    (engine, end): (Engine, oneshot::Sender<Ended>),
    (mut writer, wrote): (Writer, oneshot::Sender<()>),
) -> io::Result<()> {
    let rota = Arc::new(Rota::new(IDLE));
    writer.call_by(Waker::from(Arc::clone(&rota)));
    let hands = Arc::new(Hands {
        rota,
        deciding: Mutex::new(Some(Deciding { engine, end })),
        writing: Mutex::new(Some(Writing { writer, wrote })),
    });
    for hand in 0..HANDS {
        // For the writer's pauses alone.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let leaving = Leaving(Arc::clone(&hands));
        let work = move || leaving.0.work(hand, &runtime);
        thread::Builder::new().name(format!("leasehold-hand{hand}")).spawn(work)?;
    }
    Ok(())
}

/// A thread's part in it. When one leaves, be it by a panic, it is over for all.
struct Leaving(Arc<Hands>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // In this order: a writer that waits for room on its disk ends when there is nobody to write for.
        drop(lock(&self.0.deciding).take());
        self.0.rota.close();
        self.0.close_journal();
    }
}

impl Hands {
    fn work(&self, hand: usize, runtime: &Runtime) {
        let waker = Waker::from(Arc::clone(&self.rota));
        loop {
            match self.rota.next(hand) {
                Role::Decide => {
                    let Some(pause) = self.decide(&waker) else { return };
                    self.rota.decided(pause);
                }
                Role::Write => {
                    let done = self.write(|writer| runtime.block_on(writer.work_off()));
                    self.rota.wrote(done);
                }
                Role::Tidy => {
                    let done = self.write(|writer| runtime.block_on(writer.tidy_up()));
                    self.rota.wrote(done);
                }
                Role::Leave => return,
            }
        }
    }

    /// None: there is nothing to decide any more.
    fn decide(&self, waker: &Waker) -> Option<Pause> {
        let mut deciding = lock(&self.deciding);
        let ended = match deciding.as_mut()?.engine.play(waker) {
            Ok(pause) => return Some(pause),
            Err(ended) => ended,
        };
        let Deciding { engine, end } = deciding.take()?;
        drop(engine);
        // Nobody listens any more: the process ends already.
        drop(end.send(ended));
        None
    }

    /// Does something for the journal. Of a failure the engine learns, and ends.
    fn write(&self, work: impl FnOnce(&mut Writer) -> Option<Done>) -> Done {
        let mut writing = lock(&self.writing);
        let done = writing.as_mut().map(|it| work(&mut it.writer));
        drop(writing);
        if done == Some(None) {
            self.close_journal();
        }
        done.flatten().unwrap_or(Done { has_worked: false, has_reported: true })
    }

    fn close_journal(&self) {
        if let Some(Writing { writer, wrote }) = lock(&self.writing).take() {
            drop(writer);
            // The directory is given back by now. The same.
            let _unheard = wrote.send(());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
