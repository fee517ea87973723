//! Connections: what many idle workers cost the coordinator, in memory and in the dispatch to one that is busy.

use std::time::Duration;

use tokio::time;

use super::{
    Subject,
    delays::Delays,
    idle::Idle,
    latency,
    load::PAYLOAD_BYTES,
    open_files,
    report::{Report, Value},
};
use crate::failure::Failure;

/// What is held only while a connection comes up is given back by then.
const SETTLED: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setup {
    /// How many idle workers: 1 to 50,000
    #[arg(long, default_value_t = 1_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=50_000))]
    connections: u32,
    /// What the busy worker has to do
    #[command(flatten)]
    busy: latency::Setup,
}

pub(super) async fn measure(setup: &Setup, subject: &mut Subject) -> Result<Report, Failure> {
    open_files::allow_most();
    let (alone, _repeated) = latency::delays(&setup.busy, subject).await?;
    let before = subject.resident_bytes();
    let idle = Idle::crowd(subject.client.address(), setup.connections).await?;
    time::sleep(SETTLED).await;
    let meter = subject.meter();
    let after = subject.resident_bytes();
    let (among, _repeated) = latency::delays(&setup.busy, subject).await?;
    let usage = meter.stop(0);
    idle.all_live()?;
    let mut report = Report::default();
    if let Some((before, after)) = before.zip(after) {
        let each = after.saturating_sub(before) / u64::from(setup.connections);
        report.add(
            "resident bytes per connection",
            "residentBytesPerConnection",
            Value::Count(each),
        );
    }
    let p99 = |delays: &Delays| delays.quantile(0.99).as_secs_f64();
    let ratio = p99(&among) / p99(&alone);
    report.add("schedule to start, alone", "alone", Value::Delays(alone));
    report.add("schedule to start, among them", "among", Value::Delays(among));
    report.add("p99 among them to alone", "amongToAlone", Value::Ratio(ratio));
    report.add("connections", "connections", Value::Count(setup.connections.into()));
    report.payloads(PAYLOAD_BYTES);
    report.usage(usage);
    Ok(report)
}
