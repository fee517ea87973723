//! The threads that the connections of this process's workers share. Each has a runtime of its own, on which no handler runs.
//!
//! A process with many workers would else have a thread for each, and a processor that goes from one to the next with every
//! message.

use std::{
    io,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// Those there are. Each lives as long as a connection on it.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

/// One of them. It ends with the last of its connections.
#[derive(Debug)]
pub(crate) struct Thread {
    runtime: Handle,
    /// Dropped with this, it ends the thread.
    _lives: oneshot::Sender<()>,
}

impl Thread {
    /// A thread for one more connection: one of its own as long as there are fewer than half as many as processors, then the one
    /// with the fewest.
    pub(crate) fn share() -> io::Result<Arc<Self>> {
        // Nothing can panic while the lock is held, so what it protects is whole.
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        let live: Vec<Arc<Self>> = threads.iter().filter_map(Weak::upgrade).collect();
        let most = thread::available_parallelism().map_or(1, |it| NonZero::get(it).div_ceil(2));
        let shared = if live.len() < most {
            None
        } else {
            live.iter().min_by_key(|it| Arc::strong_count(it))
        };
        if let Some(shared) = shared {
            return Ok(Arc::clone(shared));
        }
        let started = Arc::new(Self::start()?);
        threads.retain(|it| 0 < it.strong_count());
        threads.push(Arc::downgrade(&started));
        Ok(started)
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (lives, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let run = move || drop(runtime.block_on(ended));
        thread::Builder::new().name("leasehold-worker".to_owned()).spawn(run)?;
        Ok(Self { runtime: handle, _lives: lives })
    }

    /// Where connections run.
    pub(crate) const fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

#[cfg(test)]
mod tests;
