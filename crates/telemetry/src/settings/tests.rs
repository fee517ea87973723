//! Who decides: the process, the environment, or the default.

use super::Settings;

fn settings(endpoint: Option<&str>, filter: Option<&str>) -> Settings {
    Settings {
        otlp_endpoint: endpoint.map(str::to_owned),
        log_filter: filter.map(str::to_owned),
        ..Settings::new("test")
    }
}

fn variables<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

#[track_caller]
fn check_endpoint(own: Option<&str>, set: &[(&str, &str)], expected: Option<&str>) {
    let endpoint = settings(own, None).endpoint(variables(set));
    assert_eq!(endpoint.as_deref(), expected, "{own:?} {set:?}");
}

#[test]
fn the_endpoint_is_the_nearest_one_named() {
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
    check_endpoint(None, &[], None);
    check_endpoint(Some("http://own:4317"), &[], Some("http://own:4317"));
    check_endpoint(Some("http://own:4317"), &[general, traces], Some("http://own:4317"));
    check_endpoint(None, &[general], Some("http://general:4317"));
    check_endpoint(None, &[general, traces], Some("http://traces:4317"));
    check_endpoint(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], None);
    check_endpoint(Some(""), &[general], Some("http://general:4317"));
}

#[test]
fn the_environment_can_switch_export_off() {
    let endpoint = Some("http://own:4317");
    check_endpoint(endpoint, &[("OTEL_SDK_DISABLED", "true")], None);
    check_endpoint(endpoint, &[("OTEL_SDK_DISABLED", "TRUE")], None);
    check_endpoint(endpoint, &[("OTEL_SDK_DISABLED", "false")], endpoint);
    check_endpoint(endpoint, &[("OTEL_SDK_DISABLED", "")], endpoint);
    check_endpoint(endpoint, &[("OTEL_SDK_DISABLED", "1")], endpoint);
}

#[test]
fn the_filter_is_the_processes_then_the_environments_then_info() {
    let filter = |own, set: &[(&str, &str)]| settings(None, own).filter(variables(set));
    assert_eq!(filter(None, &[]), "info");
    assert_eq!(filter(None, &[("RUST_LOG", "")]), "info");
    assert_eq!(filter(None, &[("RUST_LOG", "debug")]), "debug");
    assert_eq!(filter(Some("warn,h2=off"), &[("RUST_LOG", "debug")]), "warn,h2=off");
}
