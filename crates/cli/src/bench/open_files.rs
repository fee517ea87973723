//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows as many as the system lets it: a connection each is more than many shells allow at first.
pub(super) fn allow_most() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused, opening one too many says so.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
