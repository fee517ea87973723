//! The journal as its caller meets it.

use std::convert::Infallible;

use super::*;
use crate::Row;

/// Every batch from the first on.
fn rows(journal: &Journal) -> Vec<Row> {
    let mut rows = Vec::new();
    let collect = |row| -> Result<(), Infallible> {
        rows.push(row);
        Ok(())
    };
    journal.read(Position(0), collect).expect("the journal is whole");
    rows
}

#[test]
fn what_was_appended_is_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut journal = Journal::open(dir.path(), Options::default()).expect("it opens");
    let epoch = journal.claim(7).expect("it is claimed");
    let batch = Batch { body: Bytes::from_static(b"one"), ..Batch::default() };
    assert_eq!(journal.append(epoch, &batch).expect("it is durable"), Position(1));
    let expected = vec![Row { position: Position(1), epoch, body: batch.body }];
    assert_eq!(rows(&journal), expected);
    drop(journal);
    let journal = Journal::open(dir.path(), Options::default()).expect("it opens");
    assert_eq!(rows(&journal), expected);
}
