//! The journal as its caller meets it.

use std::convert::Infallible;

use rusqlite::types::Value;
use tempfile::TempDir;

use super::*;
use crate::{Batch, Row, sample};

mod damage;
mod disk;
mod fence;
mod full;
mod trim;

/// Most tests need no ballast, and a lock is waited for only as long as it takes to see that it is.
fn options() -> Options {
    Options { ballast_bytes: 0, busy: Duration::from_millis(20), ..Options::default() }
}

/// A new journal, claimed, with batches of these bodies.
fn journal_of(bodies: &[&str]) -> (TempDir, Journal, Epoch) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut journal = Journal::open(dir.path(), options()).expect("it opens");
    let epoch = journal.claim(1).expect("it is claimed");
    for body in bodies {
        let batch = sample::batch((*body).to_owned());
        journal.append(epoch, &batch).expect("it is durable");
    }
    (dir, journal, epoch)
}

/// Closes the journal and opens it again.
fn reopen(dir: &TempDir, journal: Journal) -> Journal {
    drop(journal);
    Journal::open(dir.path(), options()).expect("it opens")
}

/// Every batch from `from` on.
fn rows(journal: &Journal, from: Position) -> Vec<Row> {
    let mut rows = Vec::new();
    let collect = |row| -> Result<(), Infallible> {
        rows.push(row);
        Ok(())
    };
    journal.read(from, collect).expect("the journal is whole");
    rows
}

/// Every body from the first on.
fn bodies(journal: &Journal) -> Vec<Bytes> {
    rows(journal, Position(0)).into_iter().map(|row| row.body).collect()
}

/// Every value of every table.
fn contents(connection: &Connection) -> Vec<Vec<Value>> {
    let mut contents = Vec::new();
    for table in ["journal_state", "journal", "meta", "finished_tasks", "failed_tasks"] {
        let sql = format!("SELECT * FROM {table}");
        let mut select = connection.prepare(&sql).expect(table);
        let width = select.column_count();
        let rows = select.query_map((), |row| (0..width).map(|at| row.get(at)).collect());
        contents.extend(rows.expect(table).map(|row| row.expect(table)));
    }
    contents
}

/// A batch that changes everything a batch can, in a journal that `with_one_of_everything` made.
fn batch_of_everything() -> Batch {
    Batch {
        body: Bytes::from_static(b"all"),
        finished: vec![sample::finished(3)],
        failed: vec![sample::failed(4)],
        unfailed: vec![2],
        meta: vec![("kept".to_owned(), Bytes::from_static(b"new"))],
        drop_before: Some(Position(2)),
        now_ms: sample::finished(1).expire_ms,
    }
}

/// A journal of two batches with a row in each table.
fn with_one_of_everything() -> (TempDir, Journal, Epoch) {
    let (dir, mut journal, epoch) = journal_of(&["one"]);
    let batch = Batch {
        finished: vec![sample::finished(1)],
        failed: vec![sample::failed(2)],
        meta: vec![("kept".to_owned(), Bytes::from_static(b"old"))],
        ..sample::batch("two")
    };
    journal.append(epoch, &batch).expect("it is durable");
    (dir, journal, epoch)
}

#[test]
fn what_was_appended_is_read_back() {
    let (dir, mut journal, epoch) = journal_of(&[]);
    assert_eq!((journal.first(), journal.head()), (Position(1), Position(0)));
    assert_eq!(rows(&journal, Position(0)), []);
    let bodies = [0, 1, 100, 16_384, 1 << 20, 20 << 20];
    let mut written = Vec::new();
    for (position, length) in (1..).map(Position).zip(bodies) {
        let mut body = vec![0; length];
        fastrand::Rng::with_seed(position.0).fill(&mut body);
        let batch = sample::batch(body);
        assert_eq!(journal.append(epoch, &batch).expect("it is durable"), position);
        assert_eq!(journal.head(), position);
        written.push(Row { position, epoch, body: batch.body });
    }
    let journal = reopen(&dir, journal);
    assert_eq!(journal.head(), Position(6));
    assert_eq!(rows(&journal, Position(0)), written);
    assert_eq!(rows(&journal, Position(4)), written[3..]);
    assert_eq!(rows(&journal, Position(7)), []);
    assert_eq!(rows(&journal, Position(u64::MAX)), []);
}

#[test]
fn whoever_reads_may_refuse_a_batch() {
    #[derive(Debug, thiserror::Error)]
    #[error("not this one")]
    struct NotThisOne;
    let (_dir, journal, _) = journal_of(&["one", "two", "three"]);
    let mut seen = 0;
    let error = journal.read(Position(1), |row| {
        seen += 1;
        if row.position == Position(2) { Err(NotThisOne) } else { Ok(()) }
    });
    assert_eq!(error.expect_err("it is refused").to_string(), "batch 2 was refused");
    assert_eq!(seen, 2, "nothing is shown after it");
}

#[test]
fn facts_are_kept_replaced_and_removed() {
    let (dir, mut journal, epoch) = journal_of(&[]);
    let mut say = |facts: &[(&str, &'static str)]| {
        let meta = facts.iter().map(|(name, value)| ((*name).to_owned(), Bytes::from(*value)));
        let batch = Batch { meta: meta.collect(), ..Batch::default() };
        journal.append(epoch, &batch).expect("it is durable");
    };
    say(&[("b", "1"), ("a", "1"), ("c", "1")]);
    say(&[("a", "2"), ("c", ""), ("never there", ""), ("d", "1"), ("d", "2")]);
    let journal = reopen(&dir, journal);
    let facts = journal.meta().expect("they are read");
    let facts: Vec<_> = facts.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    assert_eq!(facts, [("a", &b"2"[..]), ("b", b"1"), ("d", b"2")]);
}

#[test]
fn counts_are_those_of_the_tables() {
    let (dir, mut journal, epoch) = with_one_of_everything();
    let check = |journal: &Journal, finished, failed| {
        let counts = Counts { finished, failed };
        assert_eq!(journal.counts(), counts);
        assert_eq!(journal.reader().expect("it opens").counts().expect("it is read"), counts);
        for (table, expected) in [("finished_tasks", finished), ("failed_tasks", failed)] {
            let sql = format!("SELECT count(*) FROM {table}");
            let count: i64 = journal.connection.query_row(&sql, (), |row| row.get(0)).expect(table);
            assert_eq!(loaded(count), expected, "{table}");
        }
    };
    check(&journal, 1, 1);
    // One comes and one goes in each table: by its age, and because it is a task again.
    journal.append(epoch, &batch_of_everything()).expect("it is durable");
    check(&journal, 1, 1);
    let journal = reopen(&dir, journal);
    check(&journal, 1, 1);
    assert_eq!(journal.reader().expect("it opens").finished(1).expect("it is read"), None);
}

#[test]
fn a_dead_letter_may_come_back_in_the_append_that_takes_it() {
    let (_dir, mut journal, epoch) = with_one_of_everything();
    let again = crate::FailedRow { generation: 3, ..sample::failed(2) };
    let batch = Batch { unfailed: vec![2], failed: vec![again.clone()], ..Batch::default() };
    journal.append(epoch, &batch).expect("it is durable");
    let reader = journal.reader().expect("it opens");
    assert_eq!(reader.failed(2).expect("it is read"), Some(again));
}

/// A batch that breaks a rule stops the journal, and nothing of it remains.
fn check_fatal(what: &str, batch: &Batch, fault: impl Fn(&Fault) -> bool) {
    let (dir, mut journal, epoch) = with_one_of_everything();
    let (before, extent) = (contents(&journal.connection), journal.extent);
    match journal.append(epoch, batch) {
        Err(AppendError::Fatal { doing: "append", fault: found }) if fault(&found) => {}
        other => panic!("{what}: {other:?}"),
    }
    let stopped = |result: Result<(), AppendError>| {
        matches!(result, Err(AppendError::Fatal { fault: Fault::Stopped, .. }))
    };
    assert!(stopped(journal.append(epoch, &sample::batch("more")).map(drop)), "{what}: append");
    assert!(stopped(journal.claim(9).map(drop)), "{what}: claim");
    assert!(stopped(journal.checkpoint()), "{what}: checkpoint");
    assert!(stopped(journal.shrink().map(drop)), "{what}: shrink");
    let journal = reopen(&dir, journal);
    assert_eq!(contents(&journal.connection), before, "{what}");
    assert_eq!(journal.extent, extent, "{what}");
}

#[test]
fn a_dead_letter_that_is_gone_already_is_not_counted() {
    for (unfailed, failed) in [(vec![2], 0), (vec![7], 1), (vec![2, 7], 0), (vec![2, 2], 0)] {
        let (_dir, mut journal, epoch) = with_one_of_everything();
        let batch = Batch { unfailed: unfailed.clone(), ..sample::batch("replayed") };
        journal.append(epoch, &batch).expect("it is durable");
        assert_eq!(journal.counts(), Counts { finished: 1, failed }, "without {unfailed:?}");
    }
}

#[test]
fn rows_expire_without_a_batch() {
    let (dir, mut journal, epoch) = with_one_of_everything();
    let expire_ms = sample::finished(1).expire_ms.max(sample::failed(2).expire_ms);
    let least_ms = sample::finished(1).expire_ms.min(sample::failed(2).expire_ms);
    let (head, both) = (journal.head(), Counts { finished: 1, failed: 1 });
    for (now_ms, swept, left) in [
        (least_ms - 1, false, both),
        (expire_ms, true, Counts::default()),
        (expire_ms, false, Counts::default()),
    ] {
        assert_eq!(journal.sweep(epoch, now_ms).expect("it sweeps"), swept, "at {now_ms}");
        assert_eq!(journal.counts(), left, "at {now_ms}");
    }
    let journal = reopen(&dir, journal);
    assert_eq!((journal.counts(), journal.head()), (Counts::default(), head));
}

#[test]
fn whoever_is_superseded_sweeps_nothing() {
    let (dir, mut journal, epoch) = with_one_of_everything();
    let mut other = Journal::open_locked(dir.path(), options(), None).expect("it opens");
    other.claim(9).expect("it takes over");
    let swept = journal.sweep(epoch, u64::MAX >> 1);
    assert!(matches!(swept, Err(AppendError::Superseded { .. })), "{swept:?}");
    drop(journal);
    assert_eq!(reopen(&dir, other).counts(), Counts { finished: 1, failed: 1 });
}

#[test]
fn a_batch_that_breaks_a_rule_is_fatal_and_leaves_nothing() {
    let all = batch_of_everything;
    let twice = vec![sample::finished(1)];
    check_fatal("finished twice", &Batch { finished: twice, ..all() }, |fault| {
        matches!(fault, Fault::Database(_))
    });
    let twice = vec![sample::failed(2)];
    check_fatal("failed twice", &Batch { failed: twice, unfailed: vec![], ..all() }, |fault| {
        matches!(fault, Fault::Database(_))
    });
    let beyond = Some(Position(4));
    check_fatal("beyond the head", &Batch { drop_before: beyond, ..all() }, |fault| {
        matches!(fault, Fault::TrimBeyondHead { drop_before: Position(4), head: Position(3) })
    });
}

#[test]
fn a_lock_of_another_program_is_waited_for_and_named() {
    let (dir, mut journal, epoch) = with_one_of_everything();
    let shell = Connection::open(dir.path().join(database::FILE)).expect("it opens");
    shell.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    let before = contents(&journal.connection);
    for _ in 0..2 {
        let error = journal.append(epoch, &batch_of_everything()).expect_err("it is locked");
        assert!(matches!(error, AppendError::Busy { waited_ms: 20 }), "{error:?}");
        assert!(matches!(journal.claim(5), Err(AppendError::Busy { .. })));
    }
    assert_eq!(contents(&journal.connection), before);
    shell.execute_batch("ROLLBACK").expect("it lets go");
    journal.append(epoch, &batch_of_everything()).expect("nothing else was wrong");
}

#[test]
fn an_open_directory_is_held() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("made/on/the/way");
    let options = || Options { address: "127.0.0.1:7171".to_owned(), ..options() };
    let journal = Journal::open(&at, options()).expect("it opens");
    let id = journal.id().to_owned();
    match Journal::open(&at, options()) {
        Err(OpenError::Held { pid, address }) => {
            assert_eq!((pid, address.as_str()), (Some(std::process::id()), "127.0.0.1:7171"));
        }
        other => panic!("{other:?}"),
    }
    drop(journal);
    let journal = Journal::open(&at, options()).expect("nobody holds it");
    assert_eq!(journal.id(), id, "the id stays with the file");
    for made in ["made", "made/on/the/way"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(dir.path().join(made)).expect(made).permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}
