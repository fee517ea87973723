//! The process that stands between a worker and a program it runs.
//!
//! A worker may die at any moment without a chance to clean up; its programs must not live on. So each program is the
//! child of a guard: the worker's own executable, started again. Guard and program share a process group. The guard
//! holds one end of a socket pair; the worker holds the other. When the worker's end closes, for whatever reason, the
//! guard kills the whole group at once. When the program exits, the guard kills what it left behind, makes sure that
//! nothing is left, and reports how the program ended.
//!
//! A process that leaves the group (`setsid`, `setpgid`) leaves the guard's reach. The guard knows nothing of tasks,
//! and it has no runtime: one thread, one `poll`.

mod feed;
mod link;
mod watch;

use std::{
    ffi::OsStr,
    sync::atomic::{AtomicBool, Ordering},
};

pub(crate) use self::link::{Report, header};

/// The first argument that makes a worker's executable a guard.
pub(crate) const ARGUMENT: &str = "--leasehold-guard";

/// Whether `main` began as it must.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// Becomes a guard, and never returns, if this process was started as one; otherwise does nothing.
///
/// It must be the first thing in the `main` of a worker that runs programs, before that reads its arguments or starts
/// a runtime.
pub fn run_if_guard() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() == Some(OsStr::new(ARGUMENT)) {
        let code = watch::run(arguments);
        #[expect(clippy::exit, reason = "a guard is a process, and this is its end")]
        std::process::exit(code);
    }
    IS_READY.store(true, Ordering::Relaxed);
}

/// Whether [`run_if_guard`] has been called, so that this executable can be started as a guard.
pub(crate) fn is_ready() -> bool {
    IS_READY.load(Ordering::Relaxed)
}
