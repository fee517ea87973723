//! What is noted is counted.

use std::sync::Arc;

use super::{Ledger, Tally};

#[test]
fn each_note_is_one_line_however_many_write_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    assert_eq!(Tally::read(&path).expect("none is empty"), Tally::default());

    let shared = Arc::new(Ledger::open(&path).expect("the ledger opens"));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let own = Ledger::open(&path).expect("the ledger opens");
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for token in 0..500 {
                    own.note(&format!("own-{writer}-{token}"), token).expect("noted");
                    shared.note("shared", token).expect("noted");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("the writer did not panic");
    }

    let tally = Tally::read(&path).expect("the ledger is read");
    assert_eq!(tally.executions("shared"), 2_000);
    assert_eq!(tally.executions("own-3-499"), 1);
    assert_eq!(tally.executions("never"), 0);
    let text = std::fs::read_to_string(&path).expect("the ledger is read");
    let pid = std::process::id().to_string();
    let is_whole = |line: &str| {
        let parts: Vec<&str> = line.split(' ').collect();
        matches!(parts.as_slice(), [_, token, it] if token.parse::<i64>().is_ok() && *it == pid)
    };
    assert!(text.lines().all(is_whole));
    assert_eq!(text.lines().count(), 4_000);
}
