//! What a figure looks like to people and to scripts.

use std::time::Duration;

use super::{Delays, Report, Value, per_sec};

#[test]
fn a_figure_has_a_text_and_a_number() {
    let delays = Delays::of((1..=1_000).map(Duration::from_micros)).map(Value::Delays);
    let cases = [
        (Value::Text("as it is".to_owned()), "as it is", "\"as it is\""),
        (Value::Count(7), "7", "7"),
        (Value::PerSec(1_234.5), "1234 tasks/s", "1234.5"),
        (Value::Secs(0.25), "0.250 s", "0.25"),
        (per_sec(3, Duration::from_secs(2)), "2 tasks/s", "1.5"),
        (Value::Ratio(1.5), "1.50x", "1.5"),
        (
            delays.unwrap_or(Value::Count(0)),
            "p50 0.50 ms, p99 0.99 ms, p99.9 1.00 ms, max 1.00 ms",
            r#"{"count":1000,"p50Micros":500,"p90Micros":900,"p99Micros":990,"p999Micros":999,"maxMicros":1000}"#,
        ),
    ];
    for (value, text, json) in cases {
        let mut report = Report::default();
        report.add("title", "key", value.clone());
        assert_eq!(value.to_string(), text);
        let document = serde_json::to_string(&report).unwrap_or_default();
        assert_eq!(document, format!("{{\"key\":{json}}}"));
    }
}
