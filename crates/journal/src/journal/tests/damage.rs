//! What is done to the file behind our back, and whether it is seen.

use std::{convert::Infallible, fs};

use super::*;
use crate::{Damage, ReadError};

/// What reading says of a journal: the damaged batch and how, or nothing if it is whole.
fn verdict(journal: &Journal) -> Option<(u64, &'static str)> {
    let read = journal.read(Position(0), |_| Ok::<_, Infallible>(()));
    match read {
        Ok(()) => None,
        Err(ReadError::Damaged { position, damage }) => Some((position.0, name(&damage))),
        Err(other) => panic!("{other:?}"),
    }
}

fn name(damage: &Damage) -> &'static str {
    match damage {
        Damage::Missing => "missing",
        Damage::Checksum { .. } => "checksum",
        Damage::Unreadable(_) => "unreadable",
    }
}

/// Five batches of which the first is trimmed, changed by this SQL: what reading says of them.
fn check(sql: &str, expected: Option<(u64, &'static str)>) {
    let (dir, mut journal, epoch) = journal_of(&["1", "2", "3", "4"]);
    let trim = Batch { drop_before: Some(Position(2)), ..sample::batch("5") };
    journal.append(epoch, &trim).expect("it is durable");
    assert_eq!(verdict(&journal), None, "before: {sql}");
    drop(journal);
    let vandal = Connection::open(dir.path().join(database::FILE)).expect("it opens");
    vandal.execute_batch(sql).expect(sql);
    vandal.close().expect("it closes");
    let found = match Journal::open(dir.path(), options()) {
        Ok(journal) => verdict(&journal),
        Err(OpenError::Damaged { position, damage }) => Some((position.0, name(&damage))),
        Err(other) => panic!("{sql}: {other:?}"),
    };
    assert_eq!(found, expected, "{sql}");
}

#[test]
fn a_changed_row_is_named() {
    check("UPDATE journal SET body = x'33' WHERE position = 3", None);
    check("UPDATE journal SET body = x'34' WHERE position = 3", Some((3, "checksum")));
    check("UPDATE journal SET body = x'' WHERE position = 3", Some((3, "checksum")));
    check("UPDATE journal SET epoch = epoch + 1 WHERE position = 4", Some((4, "checksum")));
    check("UPDATE journal SET crc = crc - 1 WHERE position = 2", Some((2, "checksum")));
    check("UPDATE journal SET crc = -1 WHERE position = 2", Some((2, "unreadable")));
    check("UPDATE journal SET epoch = 1 << 40 WHERE position = 5", Some((5, "unreadable")));
    check("UPDATE journal_state SET crc_before_first = 1", Some((2, "checksum")));
}

#[test]
fn a_missing_row_is_named() {
    check("DELETE FROM journal WHERE position = 2", Some((2, "missing")));
    check("DELETE FROM journal WHERE position = 4", Some((4, "missing")));
    check("DELETE FROM journal WHERE position < 5", Some((2, "missing")));
    check("DELETE FROM journal", Some((2, "missing")));
    check("UPDATE journal SET position = 9 WHERE position = 5", Some((5, "missing")));
    check(
        "CREATE TEMP TABLE t AS SELECT * FROM journal WHERE position IN (3, 4);
         DELETE FROM journal WHERE position IN (3, 4);
         INSERT INTO journal SELECT 7 - position, epoch, crc, body FROM t",
        Some((3, "checksum")),
    );
}

#[test]
fn what_cannot_be_seen_is_a_shorter_end() {
    // To SQLite, and so to us, this is a journal whose last batch was never appended.
    check("DELETE FROM journal WHERE position = 5", None);
}

/// A journal of three batches, one of them filled with a pattern; its file, and where the pattern lies in it.
fn marked() -> (TempDir, Vec<u8>, usize) {
    let (dir, mut journal, epoch) = journal_of(&["one"]);
    journal.append(epoch, &sample::batch(vec![0xa7; 40_000])).expect("it is durable");
    journal.append(epoch, &sample::batch("three")).expect("it is durable");
    drop(journal);
    let bytes = fs::read(dir.path().join(database::FILE)).expect("it is read");
    let at = bytes.windows(100).position(|window| window == [0xa7; 100]);
    (dir, bytes, at.expect("the pattern is in the file"))
}

/// The verdict on a file with these bytes.
fn judge(dir: &TempDir, bytes: &[u8]) -> Option<(u64, &'static str)> {
    fs::write(dir.path().join(database::FILE), bytes).expect("it is written");
    verdict(&Journal::open(dir.path(), options()).expect("it opens"))
}

#[test]
fn a_flipped_bit_is_named() {
    for bit in 0..8 {
        let (dir, mut bytes, at) = marked();
        bytes[at + 50] ^= 1 << bit;
        assert_eq!(judge(&dir, &bytes), Some((2, "checksum")), "bit {bit}");
    }
}

#[test]
fn a_page_of_zeros_is_named() {
    let (dir, mut bytes, _) = marked();
    // The largest pieces of a long body have pages of their own.
    let own = bytes.chunks_mut(16_384).find(|page| page[100..200] == [0xa7; 100]);
    own.expect("a piece has a page of its own").fill(0);
    let (position, _) = judge(&dir, &bytes).expect("it is seen");
    assert_eq!(position, 2);
}

#[test]
fn a_table_without_its_page_is_refused() {
    let (dir, mut bytes, _) = marked();
    let short = b"three";
    let page = bytes.chunks_mut(16_384).find(|page| page.windows(5).any(|window| window == short));
    page.expect("the short bodies lie in the table").fill(0);
    fs::write(dir.path().join(database::FILE), bytes).expect("it is written");
    let error = Journal::open(dir.path(), options()).expect_err("it is seen");
    assert!(matches!(error, OpenError::Database(_)), "{error:?}");
}

#[test]
fn damage_says_the_way_out() {
    let (_dir, journal, _) = journal_of(&["one"]);
    journal.connection.execute("UPDATE journal SET crc = 0", ()).expect("it is changed");
    let error = journal.read(Position(0), |_| Ok::<_, Infallible>(())).expect_err("it is seen");
    let text = error.to_string();
    assert_eq!(
        text,
        "batch 1 is damaged: restore the data directory from a backup, or see docs/journal.md"
    );
}

#[test]
fn a_database_that_is_deleted_or_replaced_under_its_owner_is_missed() {
    let (dir, journal, _) = journal_of(&["a"]);
    assert!(journal.is_in_place());
    let file = dir.path().join(database::FILE);
    let aside = dir.path().join("aside");
    fs::rename(&file, &aside).expect("it can be moved");
    assert!(!journal.is_in_place(), "deleted");
    fs::copy(&aside, &file).expect("it can be copied");
    assert!(!journal.is_in_place(), "replaced");
}
