//! The threads that the connections of this process's workers share. Each is a runtime of its own, on which no handler runs.
//!
//! A process with many workers would else have a thread for each, and a processor that goes from one to the next with every
//! message.

use std::{
    io,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
};

use tokio::runtime::{Builder, Handle, Runtime};

/// Those there are. Each lives as long as a connection on it.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

/// One of them. It ends with the last of its connections.
#[derive(Debug)]
pub(crate) struct Thread {
    /// Of one thread, and not of the kind that lives on its caller's: that one is called out of the system by whoever has
    /// something for it even while it works. None: it ends.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Thread {
    /// A thread for one more connection: one of its own as long as there are fewer than half as many as processors, then the one
    /// with the fewest.
    pub(crate) fn share() -> io::Result<Arc<Self>> {
        // Nothing can panic while the lock is held, so what it protects is whole.
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        let live: Vec<Arc<Self>> = threads.iter().filter_map(Weak::upgrade).collect();
        let most = thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2);
        if most <= live.len()
            && let Some(shared) = live.into_iter().min_by_key(Arc::strong_count)
        {
            return Ok(shared);
        }
        let started = Arc::new(Self::start()?);
        threads.retain(|it| 0 < it.strong_count());
        threads.push(Arc::downgrade(&started));
        Ok(started)
    }

    fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime =
            builder.worker_threads(1).thread_name("leasehold-worker").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where connections run.
    pub(crate) const fn runtime(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Its last connection may be dropped on it, where it cannot be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
