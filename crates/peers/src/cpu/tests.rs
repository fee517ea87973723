//! What is read from `/proc`.

use std::{collections::BTreeMap, time::Duration};

use super::{Cpu, Process, of, parse};

#[test]
fn a_process_is_read_behind_any_name() {
    let process = |parent, ms| Some(Process { parent, time: Duration::from_millis(ms) });
    let cases = [
        ("7 (sh) S 1 7 7 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 1", process(1, 100)),
        ("7 (a) b) S 3 7 7 0 -1 4194304 100 0 0 0 1 0 0 0 20 0 1", process(3, 10)),
        ("7 (sh) S 1 7", None),
        ("", None),
    ];
    for (stat, expected) in cases {
        assert_eq!(parse(stat), expected, "{stat}");
    }
}

#[test]
fn a_server_is_charged_for_its_children() {
    let process = |parent| Process { parent, time: Duration::from_secs(1) };
    let all = BTreeMap::from([(1, process(0)), (2, process(1)), (3, process(2)), (4, process(0))]);
    for (root, secs) in [(1, 3), (2, 2), (4, 1), (9, 0)] {
        assert_eq!(of(root, &all), Duration::from_secs(secs), "{root}");
    }
    assert!(Cpu::start(std::process::id()).used() < Duration::from_mins(1));
}
