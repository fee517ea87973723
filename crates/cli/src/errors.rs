//! `leasehold errors`: what each reason for a refusal means and what to do about it.
//!
//! The text is that of docs/errors, carried along so that it is there where neither the network nor the coordinator is.

use leasehold_client::v1::Reason;
use serde::Serialize;

use crate::{
    Done,
    args::Format,
    exit::Exit,
    output::Output,
    table::{Column, Table},
};

/// What to read.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ErrorsArgs {
    /// A reason, such as `QUEUE_FULL`; without it, all of them with a line each
    #[arg(value_parser = parse_reason)]
    reason: Option<Reason>,
}

/// A page, in JSON.
#[derive(Debug, Serialize)]
struct PageJson {
    reason: &'static str,
    summary: &'static str,
    page: &'static str,
}

pub(crate) fn run(args: &ErrorsArgs, output: Output) -> Done {
    match (args.reason, output.format()) {
        (Some(reason), Format::Table) => output.bytes(page(reason).as_bytes())?,
        (Some(reason), Format::Json) => output.document(&PageJson::of(reason))?,
        (None, Format::Table) => output.table(&table())?,
        (None, Format::Json) => {
            output.document(&reasons().map(PageJson::of).collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Ok)
}

/// No reason has a larger number.
const NUMBER_MAX: i32 = 1_000;

/// Every reason that is sent.
fn reasons() -> impl Iterator<Item = Reason> {
    (1..=NUMBER_MAX).filter_map(|number| Reason::try_from(number).ok())
}

fn table() -> Table {
    let mut table = Table::new([Column::Left("REASON"), Column::Left("MEANS")]);
    for reason in reasons() {
        table.row([reason.name().into(), summary(reason).into()]);
    }
    table
}

/// The page's first sentence, which stands below its title.
fn summary(reason: Reason) -> &'static str {
    page(reason).lines().nth(2).unwrap_or_default()
}

/// A reason, written as errors show it or as a person types it.
fn parse_reason(text: &str) -> Result<Reason, String> {
    let wanted = text.to_uppercase().replace('-', "_");
    reasons().find(|reason| reason.name() == wanted).ok_or_else(|| {
        let known = reasons().map(Reason::name).collect::<Vec<_>>().join(", ");
        format!("no such reason; there are {known}")
    })
}

impl PageJson {
    fn of(reason: Reason) -> Self {
        Self { reason: reason.name(), summary: summary(reason), page: page(reason) }
    }
}

/// What there is to say about a reason.
fn page(reason: Reason) -> &'static str {
    match reason {
        // Never sent.
        Reason::Unspecified => "",
        Reason::InvalidField => include_str!("../../../docs/errors/INVALID_FIELD.md"),
        Reason::PayloadTooLarge => include_str!("../../../docs/errors/PAYLOAD_TOO_LARGE.md"),
        Reason::TaskNotFound => include_str!("../../../docs/errors/TASK_NOT_FOUND.md"),
        Reason::QueueNotFound => include_str!("../../../docs/errors/QUEUE_NOT_FOUND.md"),
        Reason::IdempotencyKeyConflict => {
            include_str!("../../../docs/errors/IDEMPOTENCY_KEY_CONFLICT.md")
        }
        Reason::QueueFull => include_str!("../../../docs/errors/QUEUE_FULL.md"),
        Reason::StorageFull => include_str!("../../../docs/errors/STORAGE_FULL.md"),
        Reason::ShuttingDown => include_str!("../../../docs/errors/SHUTTING_DOWN.md"),
        Reason::Recovering => include_str!("../../../docs/errors/RECOVERING.md"),
        Reason::NotFailed => include_str!("../../../docs/errors/NOT_FAILED.md"),
        Reason::ProtocolUnsupported => include_str!("../../../docs/errors/PROTOCOL_UNSUPPORTED.md"),
        Reason::ProtocolViolation => include_str!("../../../docs/errors/PROTOCOL_VIOLATION.md"),
        Reason::Overloaded => include_str!("../../../docs/errors/OVERLOADED.md"),
        Reason::LowerEpoch => include_str!("../../../docs/errors/LOWER_EPOCH.md"),
        Reason::DeadlineInfeasible => include_str!("../../../docs/errors/DEADLINE_INFEASIBLE.md"),
        Reason::LeaseNotFound => include_str!("../../../docs/errors/LEASE_NOT_FOUND.md"),
        Reason::WorkerNotFound => include_str!("../../../docs/errors/WORKER_NOT_FOUND.md"),
        Reason::RateLimited => include_str!("../../../docs/errors/RATE_LIMITED.md"),
        Reason::CircuitOpen => include_str!("../../../docs/errors/CIRCUIT_OPEN.md"),
        Reason::NamespaceQuota => include_str!("../../../docs/errors/NAMESPACE_QUOTA.md"),
        Reason::ConfigInvalid => include_str!("../../../docs/errors/CONFIG_INVALID.md"),
        Reason::WorkerBanned => include_str!("../../../docs/errors/WORKER_BANNED.md"),
    }
}

#[cfg(test)]
mod tests;
