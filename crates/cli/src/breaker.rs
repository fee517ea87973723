//! `leasehold breaker`: circuit breakers, what their circuits do, and closing them by hand.

use std::time::SystemTime;

use clap::Subcommand;
use leasehold_client::{
    Client,
    v1::{Breaker, CircuitState},
};

use crate::{
    Done,
    args::Format,
    exit::Exit,
    json::{BreakerJson, BreakersJson},
    output::Output,
    table::{Cell, Column, Table, Tone},
    words,
};

/// What to do with circuit breakers.
#[derive(Debug, Subcommand)]
pub(crate) enum BreakerCommand {
    /// List every breaker of the configuration and what its circuit does
    List,
    /// Close a circuit; what it has counted is forgotten
    Reset {
        /// The breaker, such as dependencies.stripe
        name: String,
    },
}

pub(crate) async fn run(command: BreakerCommand, client: &Client, output: Output) -> Done {
    match command {
        BreakerCommand::List => list(client, output).await,
        BreakerCommand::Reset { name } => show(&client.reset_breaker(&name).await?, output),
    }
}

async fn list(client: &Client, output: Output) -> Done {
    let breakers = client.breakers().await?;
    match output.format() {
        Format::Json => output.document(&BreakersJson::from(breakers.as_slice()))?,
        Format::Table => output.table(&table(&breakers))?,
    }
    Ok(Exit::Ok)
}

fn show(breaker: &Breaker, output: Output) -> Done {
    match output.format() {
        Format::Json => output.document(&BreakerJson::from(breaker))?,
        Format::Table => output.table(&table(std::slice::from_ref(breaker)))?,
    }
    Ok(Exit::Ok)
}

fn table(breakers: &[Breaker]) -> Table {
    let mut table = Table::new([
        Column::Left("BREAKER"),
        Column::Left("CIRCUIT"),
        Column::Left("SINCE"),
        Column::Left("HALF-OPENS"),
        Column::Right("CALLS"),
        Column::Right("FAILED"),
        Column::Right("SLOW"),
        Column::Right("PROBES"),
        Column::Right("WAITING"),
    ]);
    let now = SystemTime::now();
    for breaker in breakers {
        let state = words::circuit_state(breaker.state());
        let state = match breaker.state() {
            CircuitState::Closed | CircuitState::Unspecified => Cell::from(state),
            CircuitState::Open => Cell::toned(state, Tone::Bad),
            CircuitState::HalfOpen => Cell::toned(state, Tone::Busy),
        };
        table.row([
            breaker.name.as_str().into(),
            state,
            words::age(breaker.since_time.as_ref(), now).into(),
            words::age(breaker.half_open_time.as_ref(), now).into(),
            breaker.call_count.to_string().into(),
            breaker.failure_count.to_string().into(),
            breaker.slow_count.to_string().into(),
            format!("{} of {}", breaker.probe_count, breaker.probe_max).into(),
            breaker.waiting_count.to_string().into(),
        ]);
    }
    table
}
