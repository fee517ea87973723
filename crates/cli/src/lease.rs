//! `leasehold lease`: taking leases away.

use std::time::Duration;

use clap::{Args, Subcommand};
use leasehold_client::{Client, LeaseName};

use crate::{Done, duration::parse_duration, exit::Exit, output::Output, task};

/// What to do with leases.
#[derive(Debug, Subcommand)]
pub(crate) enum LeaseCommand {
    /// Take a lease away from its worker; once that has stopped, the task is leased again at no cost. A task that runs at
    /// most once and was started ends as a dead letter instead
    Revoke(RevokeArgs),
}

/// Which lease to take away.
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The task whose lease it is
    #[arg(value_name = "TASK", required_unless_present = "token")]
    task: Option<String>,
    /// The lease, by its fencing token
    #[arg(long, value_name = "TOKEN", conflicts_with = "task")]
    token: Option<i64>,
    /// How long the handler may take to stop by itself [default: the task's kill grace]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
    /// Why, for the coordinator's log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(crate) async fn run(command: LeaseCommand, client: &Client, output: Output) -> Done {
    let LeaseCommand::Revoke(RevokeArgs { task, token, grace, reason }) = command;
    let lease = match token {
        Some(token) => LeaseName::Token(token),
        None => LeaseName::OfTask(task.unwrap_or_default()),
    };
    let revoked = client.revoke_lease(lease, grace, &reason).await?;
    task::show(&revoked, output)?;
    Ok(Exit::Ok)
}
