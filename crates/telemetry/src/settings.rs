//! What a process decides about its own telemetry, and what the environment decides for it.

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: time, level, message, then `key=value`.
    #[default]
    Text,
    /// For machines: one flat JSON object a line.
    Json,
}

/// What a process wants of its telemetry.
///
/// The standard `OTEL_*` variables apply too: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
/// `OTEL_TRACES_SAMPLER` (with its `_ARG`), `OTEL_BSP_*`, and the two this type resolves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service's name in traces, unless the environment names another.
    pub service_name: &'static str,
    /// Where spans go, as OTLP over gRPC: `http://host:4317`. `None`: where
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` says, or nowhere.
    pub otlp_endpoint: Option<String>,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// Which log lines are written, in the syntax of `RUST_LOG`. `None`: what `RUST_LOG` says, or
    /// `info`.
    pub log_filter: Option<String>,
    /// A field that every log line has, where several processes write to the same place: its name and its value.
    pub log_field: Option<(&'static str, String)>,
}

impl Settings {
    /// Text logs at `info`, spans to wherever the environment says.
    pub fn new(service_name: &'static str) -> Self {
        let log_format = LogFormat::Text;
        Self { service_name, otlp_endpoint: None, log_format, log_filter: None, log_field: None }
    }

    /// Where spans go; `None` if they are not to be exported.
    pub(crate) fn endpoint(&self, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
        let is_set = |value: &String| !value.trim().is_empty();
        let set = |name: &str| variable(name).filter(is_set);
        let is_disabled =
            set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if is_disabled {
            return None;
        }
        self.otlp_endpoint
            .clone()
            .filter(is_set)
            .or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
            .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"))
    }

    /// Which log lines are written.
    pub(crate) fn filter(&self, variable: impl Fn(&str) -> Option<String>) -> String {
        self.log_filter
            .clone()
            .or_else(|| variable("RUST_LOG").filter(|value| !value.trim().is_empty()))
            .unwrap_or_else(|| "info".to_owned())
    }
}

#[cfg(test)]
mod tests;
