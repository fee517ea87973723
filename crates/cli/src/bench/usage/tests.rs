//! What is read from `/proc`.

use std::time::Duration;

use super::{Meter, Process, Usage, Used, bytes, cpu};

#[test]
fn times_are_found_behind_any_name() {
    let cases = [
        ("7 (sh) S 1 7 7 0 -1 4194304 100 0 0 0 12 34 0 0 20 0 1", Some(460)),
        ("7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 1 0 0 0 20 0 1", Some(10)),
        ("7 (sh) S 1 7", None),
        ("7 (sh) S 1 7 7 0 -1 4194304 100 0 0 0 x 34 0 0", None),
        ("", None),
    ];
    for (stat, ms) in cases {
        assert_eq!(cpu(stat), ms.map(Duration::from_millis), "{stat}");
    }
}

#[test]
fn memory_is_found_among_others() {
    let cases = [
        ("Name:\tsh\nVmHWM:\t    1024 kB\nVmRSS:\t     512 kB\n", Some(1 << 20)),
        ("Name:\tkthreadd\n", None),
        ("VmHWM:\t1024\n", None),
    ];
    for (status, size) in cases {
        assert_eq!(bytes("VmHWM:", status), size, "{status}");
    }
}

#[test]
fn a_process_uses_something_and_nobody_uses_nothing() {
    let [own, nobody] = [std::process::id(), u32::MAX].map(|pid| Process { name: "it", pid });
    let used = Meter::start([own, nobody]).stop(1);
    assert!(matches!(used.as_slice(), [("it", usage)] if usage.rss_max_bytes > 0), "{used:?}");
}

#[test]
fn only_what_came_between_is_charged_to_the_tasks() {
    let used = |secs| Used { cpu: Duration::from_secs(secs), rss_max_bytes: 3 << 20 };
    let cases =
        [(1_000_000, "2.0 us/task, 3.0 MiB at most"), (0, "2.00 s of cpu, 3.0 MiB at most")];
    for (tasks, text) in cases {
        assert_eq!(Usage::between(used(5), used(7), tasks).to_string(), text);
    }
}
