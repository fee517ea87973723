//! A RabbitMQ node of its own: its ports, its name and its directory are nobody else's, and all it listens on is loopback.
//!
//! Erlang would start its port mapper by itself and leave it behind, so that it is started here, and ends with the node.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::server::{Place, Program, Server, User, free_port, program};

/// Where the package has the program itself. What it puts on the path wants to be its user and in its directory.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// What keeps the node's talk with other nodes, of which there are none, on loopback.
const DISTRIBUTION: &str = "-kernel inet_dist_use_interface {127,0,0,1}";

pub(super) fn start(data_in: &Path) -> Result<Server> {
    let installed = Some(PathBuf::from(PROGRAM)).filter(|it| it.is_file());
    let installed = installed.map_or_else(|| program("rabbitmq-server"), Ok)?;
    let mapper = program("epmd")?;
    let place = Place::new(data_in)?;
    let [mapper_port, node_port] = [free_port()?.to_string(), free_port()?.to_string()];
    let directory = fs::canonicalize(place.directory())?;
    // No plugin: what they serve listens everywhere.
    let plugins = directory.join("enabled_plugins");
    fs::write(&plugins, "[].\n")?;
    let user = User::unprivileged()?;
    if let Some(user) = &user {
        place.hand_over(user)?;
    }
    let as_user = |program: PathBuf| {
        let mut command = Command::new(program);
        command
            .current_dir(&directory)
            .env("HOME", &directory)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", &mapper_port)
            .stdin(Stdio::null());
        if let Some(user) = &user {
            user.runs(&mut command);
        }
        command
    };
    let mapper = Program::start(as_user(mapper).stdout(Stdio::null()).stderr(Stdio::null()))?;
    let mut node = as_user(installed);
    node.env("RABBITMQ_NODENAME", format!("leasehold-peers-{}@localhost", place.port()))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", place.port())
        .env("RABBITMQ_DIST_PORT", node_port)
        .env("RABBITMQ_MNESIA_BASE", directory.join("data"))
        .env("RABBITMQ_LOG_BASE", &directory)
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
        .env("RABBITMQ_GENERATED_CONFIG_DIR", directory.join("config"))
        .env("RABBITMQ_CONFIG_FILE", directory.join("rabbitmq"))
        .env("RABBITMQ_CONF_ENV_FILE", directory.join("rabbitmq-env.conf"))
        .env("RABBITMQ_PID_FILE", directory.join("pid"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", DISTRIBUTION);
    Ok(place.serve(node)?.beside(mapper))
}
