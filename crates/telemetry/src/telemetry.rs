//! Turning telemetry on for a process, and off again without losing what it saw.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

use crate::export::{Export, ExportError};
use crate::lazy::Lazily;
use crate::line::{KeptFields, LineFormat};
use crate::places::Places;
use crate::settings::{LogFormat, Settings};
use crate::sink::{Drained, LINES_MAX, Sink};

/// How long a process that ends waits for the collector to take its last spans.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How long it waits for whoever reads its log to take the last lines.
const LINES_WAIT: Duration = Duration::from_secs(1);

/// The name of our instrumentation in exported spans.
const SCOPE: &str = "leasehold";

/// Spans of this level and above are traced; the log filter does not matter to them.
pub(crate) const TRACED: LevelFilter = LevelFilter::INFO;

/// A process's telemetry while it is on. Dropping it is the same as [`Telemetry::shutdown`].
#[derive(Debug)]
#[must_use = "dropping it ends the export of spans"]
pub struct Telemetry {
    pub(crate) export: Export,
    pub(crate) lines: Drained,
    pub(crate) refilter: Refilter,
}

/// Puts another filter into the place of the one that lines pass.
pub(crate) struct Refilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl std::fmt::Debug for Refilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refilter")
    }
}

/// Why telemetry cannot be turned on.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The log filter cannot be parsed.
    #[error("log filter {filter:?} cannot be parsed")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Spans cannot be exported to this endpoint.
    #[error("cannot export spans to {endpoint:?}")]
    Export {
        /// The endpoint as given.
        endpoint: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This process has telemetry already.
    #[error("telemetry is already on in this process")]
    AlreadyOn,
}

/// Turns on logs and traces for this process: once, as early in `main` as possible.
///
/// It needs no runtime, and no collector: if an endpoint is set and nobody listens there, spans are
/// dropped and one log line says so.
pub fn init(settings: &Settings) -> Result<Telemetry, InitError> {
    let variable = |name: &str| std::env::var(name).ok();
    let filter = parse_filter(settings.filter(variable))?;
    let export = export(settings, variable)?;
    let (sink, lines) = Sink::start(LINES_MAX, io::stderr(), |lines| {
        tracing::warn!(lines, "log lines were dropped: nobody read them in time");
    });
    let output = Output {
        format: settings.log_format,
        timer: SystemTime,
        writer: sink,
        is_coloured: io::stderr().is_terminal() && variable("NO_COLOR").is_none(),
        field: settings.log_field.clone(),
    };
    let (subscriber, refilter) = subscriber(export.provider.as_ref(), filter, output);
    let telemetry = Telemetry { export, lines, refilter };
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::AlreadyOn)?;
    Ok(telemetry)
}

/// Whether a process could be given these settings, whatever its environment says. Nothing is turned on, and no collector asked.
pub fn check(settings: &Settings) -> Result<(), InitError> {
    parse_filter(settings.filter(|_| None))?;
    export(settings, |_| None).map(drop)
}

impl Telemetry {
    /// Whether spans go to a collector.
    pub fn is_exporting(&self) -> bool {
        self.export.runtime.is_some()
    }

    /// Writes the lines of this filter from here on; without one, those that are written where settings say nothing.
    pub fn set_filter(&self, filter: Option<&str>) -> Result<(), InitError> {
        let log_filter = filter.map(str::to_owned);
        let settings = Settings { log_filter, ..Settings::new(SCOPE) };
        (self.refilter.0)(parse_filter(settings.filter(|name| std::env::var(name).ok()))?);
        Ok(())
    }

    /// Hands the last spans to the collector, for two seconds at most, and stops exporting.
    ///
    /// Logging goes on. It blocks: it belongs at the end of `main`.
    pub fn shutdown(self) {
        drop(self);
    }

    /// The same for `limit` at most. Zero: what the collector does not have yet is lost.
    pub fn shutdown_within(self, limit: Duration) {
        // Dropped next, it finds the provider shut down and waits no more.
        self.stop_export(limit);
    }
}

impl Telemetry {
    fn stop_export(&self, limit: Duration) {
        if let Some(provider) = &self.export.provider {
            // An error here means that the collector is away or slow, and that was logged.
            drop(provider.shutdown_with_timeout(limit));
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.stop_export(FLUSH_MAX);
        if let Some(runtime) = self.export.runtime.take() {
            // Waiting for a runtime is forbidden inside another one, where we may well be.
            runtime.shutdown_background();
        }
        self.lines.wait(LINES_WAIT);
    }
}

/// Where lines go and how they look.
pub(crate) struct Output<T, W> {
    pub(crate) format: LogFormat,
    pub(crate) timer: T,
    pub(crate) writer: W,
    pub(crate) is_coloured: bool,
    /// What every line says beside its own.
    pub(crate) field: Option<(&'static str, String)>,
}

/// Everything between a span or event and its destinations.
pub(crate) fn subscriber<T, W>(
    provider: Option<&SdkTracerProvider>,
    filter: EnvFilter,
    output: Output<T, W>,
) -> (Box<dyn Subscriber + Send + Sync>, Refilter)
where
    T: FormatTime + Send + Sync + 'static,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let traced_spans = || {
        filter_fn(|metadata| metadata.is_span() && *metadata.level() <= TRACED)
            .with_max_level_hint(TRACED)
    };
    // A layer that is not there has its filter all the same: without one it counts as a layer that may want everything, and each
    // event that nobody wants would have its fields looked at.
    let traces = provider.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
    });
    let traces = traces.with_filter(traced_spans());
    let places = provider.is_none().then_some(Places);
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_ansi(output.is_coloured)
        .with_writer(output.writer)
        .fmt_fields(KeptFields)
        .event_format(LineFormat {
            format: output.format,
            timer: output.timer,
            field: output.field,
            places,
        })
        // A filter that hides events must not hide the spans that name their task. It is not asked about those: it takes longer.
        .with_filter(traced_spans().or(filter));
    // It wants nothing of spans but to be found.
    let places = places.with_filter(LevelFilter::OFF);
    let refilter = move |filter| {
        // It fails only where the subscriber is gone, and nobody writes lines any more.
        let _gone = handle.reload(filter);
    };
    let all = Registry::default().with(traces).with(places).with(lines);
    // A tracer finds its own parts only where nothing is around them, and wants every span.
    let all: Box<dyn Subscriber + Send + Sync> =
        if provider.is_some() { Box::new(all) } else { Box::new(Lazily::new(all)) };
    (all, Refilter(Box::new(refilter)))
}

fn parse_filter(filter: String) -> Result<EnvFilter, InitError> {
    EnvFilter::builder().parse(&filter).map_err(|source| InitError::Filter { filter, source })
}

fn export(
    settings: &Settings,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Export, InitError> {
    let Some(endpoint) = settings.endpoint(&variable) else {
        return Ok(Export::nowhere(settings.service_name, variable));
    };
    Export::to(&endpoint, settings.service_name, variable)
        .map_err(|source: ExportError| InitError::Export { endpoint, source: source.into() })
}

#[cfg(test)]
mod tests;
