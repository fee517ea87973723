//! Turning telemetry on.

use std::error::Error as _;

use super::{InitError, init};
use crate::Settings;

/// What a start would refuse is known without one.
#[test]
fn settings_are_checked_without_a_process() {
    let filter =
        |text: &str| Settings { log_filter: Some(text.to_owned()), ..Settings::new("test") };
    let endpoint =
        |text: &str| Settings { otlp_endpoint: Some(text.to_owned()), ..Settings::new("test") };
    for right in [filter("debug,h2=info"), endpoint(""), endpoint("http://127.0.0.1:4317")] {
        assert!(super::check(&right).is_ok(), "{right:?}");
    }
    assert!(matches!(super::check(&filter("a=b=c")), Err(InitError::Filter { .. })));
    assert!(matches!(super::check(&endpoint("not a url")), Err(InitError::Export { .. })));
}

#[test]
fn what_cannot_work_is_refused_with_its_reason() {
    let filter = Settings { log_filter: Some("a=b=c".to_owned()), ..Settings::new("test") };
    let error = init(&filter).expect_err("the filter is wrong");
    assert_eq!(error.to_string(), "log filter \"a=b=c\" cannot be parsed");
    assert!(error.source().is_some());

    let endpoint = Some("not a uri".to_owned());
    let error = init(&Settings { otlp_endpoint: endpoint, ..Settings::new("test") })
        .expect_err("the endpoint is wrong");
    assert_eq!(error.to_string(), "cannot export spans to \"not a uri\"");
    assert!(error.source().is_some());
}

/// The only test that touches the process's own subscriber.
#[test]
fn a_process_has_one_telemetry() {
    let quiet = Settings { log_filter: Some("off".to_owned()), ..Settings::new("test") };
    let telemetry = init(&quiet).expect("it is off");
    assert!(!telemetry.is_exporting());
    assert!(matches!(init(&quiet), Err(InitError::AlreadyOn)));
    let span = tracing::info_span!("traced");
    assert!(crate::TraceContext::of_span(&span).is_some(), "ids do not need a collector");
    telemetry.shutdown();
}
