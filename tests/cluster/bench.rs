//! The benchmarks: every verb measures what it says, on a coordinator of its own, and leaves nothing behind.

use std::fs;

use serde_json::Value;

use crate::{binary, coordinator::Coordinator};

#[test]
fn every_verb_says_what_it_measured_and_what_that_depends_on() {
    let verbs = [
        ("flow --tasks 500 --queued 500", "/flowTasksPerSec"),
        ("flow --tasks 20 --payload-bytes 1048576", "/flowTasksPerSec"),
        ("latency --secs 1 --rate 100", "/scheduleToStart/p99Micros"),
        ("prefill --tasks 2000", "/residentBytesPerTask"),
        ("connections --connections 20 --secs 1 --rate 100", "/residentBytesPerConnection"),
        ("recovery --tasks 500", "/leasesSecs"),
        ("expiry --leases 3 --after 6s --grace 1s", "/deafDied/p99Micros"),
        ("expiry --leases 3 --after 6s --grace 1s --kind async", "/promptDied/p99Micros"),
    ];
    for (verb, figure) in verbs {
        let dir = tempfile::tempdir().expect("a directory");
        let bench = binary::cli()
            .args(["-o", "json", "bench"])
            .args(verb.split(' '))
            .args(["--spawn", "--data-in"])
            .arg(dir.path())
            .output()
            .expect("the command runs");
        assert!(bench.status.success(), "{verb}: {bench:?}");
        let report: Value = serde_json::from_slice(&bench.stdout).expect("a JSON document");
        for key in [figure, "/durability", "/workerSlots", "/fdatasync/p99Micros"] {
            assert!(report.pointer(key).is_some(), "{verb} says no {key}: {report}");
        }
        let left = fs::read_dir(dir.path()).expect("the directory is there").count();
        assert_eq!(left, 0, "{verb} removes what it made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_coordinator_of_its_own_is_killed() {
    let coordinator = Coordinator::start().await;
    let address = format!("http://{}", coordinator.address);
    for verb in ["recovery", "expiry", "stall"] {
        let mut bench = binary::cli();
        let bench = bench.args(["bench", verb, "--address", &address]).output();
        let bench = bench.expect("the command runs");
        let said = String::from_utf8_lossy(&bench.stderr);
        assert_eq!(bench.status.code(), Some(2), "{verb}: {bench:?}");
        assert!(said.contains("--spawn"), "{verb}: {said}");
    }
}
