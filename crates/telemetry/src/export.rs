//! Where spans go: to a collector in batches, or nowhere.
//!
//! Ending a span costs its process one push into a bounded queue. A thread and a runtime of the
//! exporter's own take it from there, so that a collector that is slow or away slows nobody down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData,
};
use tokio::runtime::Runtime;

/// Spans waiting for the collector; beyond it spans are dropped. About 16 MiB at 1 KiB a span, and
/// two seconds of a coordinator that finishes 8,000 traced tasks a second.
/// `OTEL_BSP_MAX_QUEUE_SIZE` overrides it.
const QUEUE_MAX: usize = 16_384;

/// How long a span waits for company. `OTEL_BSP_SCHEDULE_DELAY` overrides it.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// How long the collector may take over one batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What spans the environment wants to be recorded of traces that begin here.
pub(crate) const SAMPLER: &str = "OTEL_TRACES_SAMPLER";

/// A tracer provider and what it needs to live.
#[derive(Debug)]
pub(crate) struct Export {
    /// `None`: spans are not collected, and have their [`Places`](crate::places::Places) all the same.
    pub(crate) provider: Option<SdkTracerProvider>,
    /// Drives the connection to the collector; `None` if nothing is exported.
    pub(crate) runtime: Option<Runtime>,
}

impl Export {
    /// Spans go to the collector at `endpoint`.
    pub(crate) fn to(
        endpoint: &str,
        service_name: &'static str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ExportError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(ExportError::Runtime)?;
        let exporter = exporter(endpoint, &runtime)?;
        let batches = BatchSpanProcessor::builder(Reporting::of(exporter))
            .with_batch_config(batch_config(variable).build())
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(service_name))
            .with_span_processor(batches)
            .build();
        Ok(Self { provider: Some(provider), runtime: Some(runtime) })
    }

    /// Spans get their ids and go nowhere.
    pub(crate) fn nowhere(
        service_name: &'static str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        // What others are to record of traces that begin here only a tracer knows.
        let provider = variable(SAMPLER)
            .map(|_| SdkTracerProvider::builder().with_resource(resource(service_name)).build());
        Self { provider, runtime: None }
    }
}

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("cannot start the exporter's runtime")]
    Runtime(#[source] std::io::Error),
    #[error("not an OTLP endpoint")]
    Endpoint(#[source] ExporterBuildError),
}

fn exporter(endpoint: &str, runtime: &Runtime) -> Result<SpanExporter, ExportError> {
    // The connection is made by the first export, on the runtime that is entered here.
    let _entered = runtime.enter();
    SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(ExportError::Endpoint)
}

/// The environment's numbers, and ours where it names none.
fn batch_config(variable: impl Fn(&str) -> Option<String>) -> BatchConfigBuilder {
    let mut config = BatchConfigBuilder::default();
    if variable("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
        config = config.with_max_queue_size(QUEUE_MAX);
    }
    if variable("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        config = config.with_scheduled_delay(BATCH_DELAY);
    }
    config
}

/// What the environment says of this process, completed by what the process says of itself.
fn resource(service_name: &'static str) -> Resource {
    let detected = Resource::builder().build();
    let is_named = detected
        .get(&"service.name".into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if is_named { builder.build() } else { builder.with_service_name(service_name).build() }
}

/// Says once when the collector stops taking spans, and once when it takes them again.
#[derive(Debug)]
struct Reporting {
    exporter: SpanExporter,
    is_failing: AtomicBool,
}

impl Reporting {
    fn of(exporter: SpanExporter) -> Self {
        Self { exporter, is_failing: AtomicBool::new(false) }
    }

    fn report(&self, result: &OTelSdkResult) {
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => tracing::warn!(%error, "spans are being lost"),
            Ok(()) if was_failing => tracing::info!("spans are exported again"),
            Ok(()) | Err(_) => {}
        }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        self.report(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
