//! `leasehold cluster`: the coordinator itself.

use std::time::SystemTime;

use leasehold_client::{Client, v1::GetClusterResponse};

use crate::{
    Done,
    args::Format,
    exit::Exit,
    json::ClusterJson,
    output::Output,
    table::{Cell, Details, Tone},
    words,
};

pub(crate) async fn run(client: &Client, output: Output) -> Done {
    let cluster = client.cluster().await?;
    match output.format() {
        Format::Json => output.document(&ClusterJson::from(&cluster))?,
        Format::Table => output.details(&details(&cluster, client.address()))?,
    }
    Ok(Exit::Ok)
}

fn details(cluster: &GetClusterResponse, address: &str) -> Details {
    let now = SystemTime::now();
    let mut details = Details::default();
    details.line("address", address);
    details.line("version", cluster.version.as_str());
    details.line("journal", cluster.journal_id.as_str());
    details.line("epoch", cluster.epoch.to_string());
    details.maybe("started", cluster.start_time.as_ref().map(|time| words::time(time, now)));
    details.line("admission", admission(&cluster.admission_refusal));
    details.line("configuration", configuration(cluster));
    details.line("open tasks", cluster.open_task_count.to_string());
    details.line("connected workers", cluster.connected_worker_count.to_string());
    details.line("journal bytes", cluster.journal_bytes.to_string());
    details.line("protocol fingerprint", cluster.descriptor_fingerprint.as_str());
    details
}

/// Which file holds, and why a later one does not.
fn configuration(cluster: &GetClusterResponse) -> Cell {
    let hash = match words::hash(&cluster.config_hash) {
        "" => "no file",
        hash => hash,
    };
    if cluster.config_refusal.is_empty() {
        hash.into()
    } else {
        Cell::toned(&format!("{hash}; the file is refused: {}", cluster.config_refusal), Tone::Bad)
    }
}

fn admission(refusal: &str) -> Cell {
    if refusal.is_empty() {
        Cell::toned("open", Tone::Good)
    } else {
        Cell::toned(&format!("refused: {refusal}"), Tone::Bad)
    }
}
