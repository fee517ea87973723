//! A `leasehold-worker` process that runs programs.

use std::{net::SocketAddr, path::Path};

use leasehold_proto::v1::ResultDisposition;
use serde_json::Value;

use crate::{binary, crew::Answer, process::Process};

/// How a worker is started.
pub(crate) struct Options<'a> {
    /// Its name.
    pub(crate) id: &'a str,
    /// How many programs run at once.
    pub(crate) slots: u32,
    /// Task types and the command that serves each.
    pub(crate) programs: &'a [(&'a str, &'a str)],
    /// Environment variables, which its programs inherit.
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// Further flags.
    pub(crate) args: &'a [&'a str],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { id: "worker", slots: 4, programs: &[], env: &[], args: &[] }
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
    command.envs(options.env.iter().copied());
    Process::spawn(options.id, command, dir.join(format!("{}.log", options.id)))
}

/// What a worker was told about its outcomes, from its log.
pub(crate) fn answers(id: &str, worker: &Process) -> Vec<Answer> {
    worker.events().iter().filter_map(|line| answer(id, line)).collect()
}

fn answer(id: &str, line: &Value) -> Option<Answer> {
    let text = |key: &str| line.get(key)?.as_str();
    let disposition = match text("disposition")? {
        "accepted" => ResultDisposition::Accepted,
        "duplicate" => ResultDisposition::Duplicate,
        "stale" => ResultDisposition::Stale,
        other => panic!("an unknown answer to an outcome: {other}"),
    };
    Some(Answer {
        worker: id.to_owned(),
        task: text("task_id")?.to_owned(),
        token: line.get("fencing_token")?.as_i64()?,
        success: text("outcome")? == "success",
        disposition,
    })
}
