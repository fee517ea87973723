//! The order of hellos.

use leasehold_queue::{Config, SchemasRead, StreamId};

use super::*;

fn hello(instance: &str) -> Hello {
    Hello {
        stream: StreamId(1),
        worker: Name::from("w"),
        instance: Name::from(instance),
        start: None,
        replaces: Vec::new(),
        task_types: Vec::new(),
        namespaces: Vec::new(),
        reads: SchemasRead::default(),
        slots: 1,
        resources: Vec::new(),
        knows_sizes: true,
        prefetch: 0,
        held: Vec::new(),
        labels: Vec::new(),
        software: Name::from(""),
    }
}

#[test]
fn an_overtaken_hello_is_not_heard() {
    let queue = Queue::new(Config::default(), 1);
    let mut latest = Latest::default();
    let cases = [
        ("a", 1, true),
        ("a", 3, true),
        ("a", 2, false),
        ("a", 3, true),
        ("b", 1, true),
        ("a", 0, true),
        ("a", 2, false),
    ];
    for (instance, number, heard) in cases {
        assert_eq!(latest.admits(&hello(instance), number, &queue), heard, "{instance} {number}");
    }
}

#[test]
fn processes_without_a_session_are_forgotten_in_time() {
    let queue = Queue::new(Config::default(), 1);
    let mut latest = Latest::default();
    for process in 0..10_000 {
        assert!(latest.admits(&hello(&process.to_string()), 1, &queue), "a new process");
        assert!(latest.numbers.len() <= SPARE + 1, "no more than the spare ones");
    }
}
