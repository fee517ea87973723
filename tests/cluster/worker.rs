//! A `leasehold-worker` process that runs programs.

use std::{net::SocketAddr, path::Path};

use crate::{binary, process::Process};

/// How a worker is started.
pub(crate) struct Options<'a> {
    /// Its name.
    pub(crate) id: &'a str,
    /// How many programs run at once.
    pub(crate) slots: u32,
    /// Task types and the command that serves each.
    pub(crate) programs: &'a [(&'a str, &'a str)],
    /// Further flags.
    pub(crate) args: &'a [&'a str],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { id: "worker", slots: 4, programs: &[], args: &[] }
    }
}

/// Starts a worker; it connects by itself. Its log goes into `dir`.
pub(crate) fn start(address: SocketAddr, dir: &Path, options: &Options<'_>) -> Process {
    let mut command = binary::worker();
    command.args(["--address", &format!("http://{address}"), "--id", options.id]);
    command.args(["--slots", &options.slots.to_string()]);
    command.args(["--log-format", "json", "--log-filter", "debug,h2=info,hyper=info,tower=info"]);
    for (task_type, program) in options.programs {
        command.args(["--program", &format!("{task_type}={program}")]);
    }
    command.args(options.args);
    Process::spawn(options.id, command, dir.join(format!("{}.log", options.id)))
}
