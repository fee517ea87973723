//! What is read of a report.

use std::time::Duration;

use serde_json::json;

use super::figures;
use crate::{args::Case, standing::Figures};

#[test]
fn a_report_is_read_by_its_keys() -> anyhow::Result<()> {
    let flow = json!({ "flowTasksPerSec": 12.5, "coordinator": { "cpuMicrosPerTask": 4.5 } });
    let latency = json!({ "scheduleToStart": { "p50Micros": 300, "p99Micros": 900 } });
    let (p50, p99) = (Duration::from_micros(300), Duration::from_micros(900));
    let cases = [
        (
            Case::Flow { tasks: 1 },
            flow,
            Figures::Flow { tasks_per_sec: 12.5, micros_per_task: 4.5 },
        ),
        (Case::Latency { rate: 1, secs: 1 }, latency, Figures::Latency { p50, p99 }),
    ];
    for (case, report, expected) in cases {
        assert_eq!(figures(case, &report)?, expected);
        assert!(figures(case, &json!({})).is_err(), "nothing is made up");
    }
    Ok(())
}
