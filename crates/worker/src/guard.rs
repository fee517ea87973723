//! The process that stands between a worker and a program it runs.
//!
//! A worker may die at any moment without a chance to clean up; its programs must not live on. So each program is the
//! child of a guard: the worker's own executable, started again. Guard and program share a process group. The guard
//! holds one end of a socket pair; the worker holds the other. When the worker's end closes, for whatever reason, the
//! guard kills the whole group at once. When the program exits, the guard kills what it left behind, makes sure that
//! nothing is left, and reports how the program ended.
//!
//! A worker may also be stopped, or starved, and not notice that a lease is over. The guard has a clock of its own and
//! reads from memory it shares with the worker until when the lease holds: then it asks the program to stop, and kills it
//! after its grace.
//!
//! A process that leaves the group (`setsid`, `setpgid`) leaves the guard's reach. The guard knows nothing of tasks,
//! and it has no runtime: one thread, one `poll`.

mod feed;
mod lifeline;
mod link;
mod refuge;
mod watch;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::consts::SIGCHLD;

pub(crate) use self::{
    lifeline::{Asker, Lifeline, Lookout, Reached, Renewal, Strand, Window},
    link::{Report, header},
};
use crate::isolated;

/// The first argument that makes a worker's executable a guard.
const ARGUMENT: &str = "--leasehold-guard";

/// Whether `main` began as it must.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// Becomes a guard, and never returns, if this process was started as one.
///
/// It must be the first thing in the `main` of a worker that runs programs or isolated functions, before that reads its
/// arguments or starts a runtime. In the process of an isolated function it takes the attempt from the worker, so that
/// `main` may go on and find the function.
pub fn run_if_guard() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() == Some(OsStr::new(ARGUMENT)) {
        let code = watch::run(arguments);
        #[expect(clippy::exit, reason = "a guard is a process, and this is its end")]
        std::process::exit(code);
    }
    if let Err(error) = isolated::adopt() {
        #[expect(clippy::print_stderr, reason = "the worker keeps it with the failure")]
        #[expect(clippy::exit, reason = "a process without the attempt it is for is of no use")]
        {
            eprintln!("the process of an isolated handler cannot take its attempt: {error}");
            std::process::exit(watch::EXIT_BROKEN);
        }
    }
    expect_children();
    refuge::provide();
    IS_READY.store(true, Ordering::Relaxed);
}

/// What a guard stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ward {
    /// Any program.
    Program,
    /// The worker's own executable, which looks at its lease itself.
    Isolated,
}

impl Ward {
    fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Isolated => "isolated",
        }
    }
}

/// What a guard is called with, before the program and its arguments: where it finds refuge from its own kill, the
/// directory to run in, if not the worker's, where its lease's bounds are written, and whether its ward can read them.
///
/// The guard goes to the directory: one on a file system that does not answer holds up nobody else.
pub(crate) fn arguments(directory: Option<&Path>, ward: Ward, window: &Window) -> [OsString; 5] {
    let refuge = refuge::own().map_or(0, |group| group.as_raw_nonzero().get());
    let directory = directory.map(Path::as_os_str).unwrap_or_default();
    let strand = window.index().to_string();
    let (refuge, directory) = (refuge.to_string().into(), directory.to_owned());
    [ARGUMENT.into(), refuge, directory, strand.into(), ward.as_str().into()]
}

/// Lets this process hear how its children end. Where SIGCHLD is ignored, which a process inherits, nobody does.
fn expect_children() {
    // Caught, not reset: that needs no unsafe code, and a child starts with the default again.
    let _impossible = signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)));
}

/// Whether [`run_if_guard`] has been called, so that this executable can be started as a guard.
pub(crate) fn is_ready() -> bool {
    IS_READY.load(Ordering::Relaxed)
}
