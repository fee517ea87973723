//! `leasehold namespace`: what each namespace has open, and may have.

use clap::Subcommand;
use leasehold_client::{Client, v1::Namespace};

use crate::{
    Done,
    args::Format,
    exit::Exit,
    json::NamespacesJson,
    output::Output,
    table::{Column, Table},
};

/// What is shown of a bound that there is none of.
const UNBOUNDED: &str = "-";

/// What to do with namespaces.
#[derive(Debug, Subcommand)]
pub(crate) enum NamespaceCommand {
    /// List every namespace that has a queue or limits of its own, with what it has open
    List,
}

pub(crate) async fn run(command: NamespaceCommand, client: &Client, output: Output) -> Done {
    let NamespaceCommand::List = command;
    let namespaces = client.namespaces().await?;
    match output.format() {
        Format::Json => output.document(&NamespacesJson::from(namespaces.as_slice()))?,
        Format::Table => output.table(&table(&namespaces))?,
    }
    Ok(Exit::Ok)
}

fn table(namespaces: &[Namespace]) -> Table {
    let mut table = Table::new([
        Column::Left("NAMESPACE"),
        Column::Right("OPEN"),
        Column::Right("MAX"),
        Column::Right("BYTES"),
        Column::Right("MAX BYTES"),
        Column::Left("SUBMIT RATE"),
    ]);
    for it in namespaces {
        let bound = |max: Option<i64>| max.map_or(UNBOUNDED.to_owned(), |max| max.to_string());
        let rate = if it.submit_rate.is_empty() { UNBOUNDED } else { &it.submit_rate };
        table.row([
            it.name.as_str().into(),
            it.open_task_count.to_string().into(),
            bound(it.open_task_max).into(),
            it.open_bytes.to_string().into(),
            bound(it.open_bytes_max).into(),
            rate.into(),
        ]);
    }
    table
}
