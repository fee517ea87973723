//! How much disk it takes, and that it gives back what it does not need.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{checkpoint::CutWait, *};

const MIB: u64 = 1 << 20;

fn wal_bytes(dir: &TempDir) -> u64 {
    fs::metadata(dir.path().join(database::WAL_FILE)).expect("it is there").len()
}

/// Appends `count` batches of this many bytes, each of which leaves `kept` before it; the most that the files took.
fn run(journal: &mut Journal, epoch: Epoch, count: u64, bytes: usize, kept: u64) -> u64 {
    let mut most = 0;
    for _ in 0..count {
        let drop_before = (journal.head().0 + 1).checked_sub(kept).map(Position);
        let batch = Batch { drop_before, ..sample::batch(vec![0x5a; bytes]) };
        journal.append(epoch, &batch).expect("it is durable");
        most = most.max(journal.bytes().expect("it is counted"));
    }
    most
}

#[test]
fn a_million_tasks_pass_through_a_few_mebibytes() {
    let (_dir, mut journal, epoch) = journal_of(&[]);
    // A thousand tasks a batch, 260 bytes each.
    let most = run(&mut journal, epoch, 1_000, 260_000, 20);
    assert!(most < 16 * MIB, "{most} bytes");
}

#[test]
fn the_log_is_copied_and_cut() {
    let (dir, mut journal, epoch) = journal_of(&[]);
    run(&mut journal, epoch, 100, 50_000, 10);
    let large = wal_bytes(&dir);
    // A mebibyte of bodies in whole pages, and for each body five more: its place, and where others were.
    assert!(large < 4 * MIB, "{large} bytes");
    run(&mut journal, epoch, 5_000, 100, 10);
    let small = wal_bytes(&dir);
    // So many frames of a page and its header, and those of the append that went over.
    assert!(2_000 * 16_408 < small && small < 2_064 * 16_408, "{small} bytes");
    run(&mut journal, epoch, 1, 50 << 20, 10);
    assert!(50 * MIB < wal_bytes(&dir), "a large body passes through the log");
    run(&mut journal, epoch, 2, 100, 10);
    assert!(wal_bytes(&dir) <= journal.options.log_bytes(), "{} bytes", wal_bytes(&dir));
}

#[test]
fn a_reader_in_a_query_holds_the_log_only_as_long() {
    let (dir, mut journal, epoch) = journal_of(&[]);
    let finished = (1..=50).map(sample::finished).collect();
    journal.append(epoch, &Batch { finished, ..Batch::default() }).expect("it is durable");
    let shell = Connection::open(dir.path().join(database::FILE)).expect("it opens");
    shell.execute_batch("BEGIN; SELECT * FROM meta").expect("it reads");
    run(&mut journal, epoch, 200, 50_000, 10);
    let held = wal_bytes(&dir);
    assert!(10 * MIB < held, "an open transaction does hold it: {held} bytes");
    shell.execute_batch("COMMIT").expect("it ends");
    run(&mut journal, epoch, 100, 50_000, 10);
    assert!(wal_bytes(&dir) <= journal.options.log_bytes(), "{} bytes", wal_bytes(&dir));
}

#[test]
fn what_a_reader_keeps_back_waits_for_the_next_copy() {
    let (dir, mut journal, epoch) = journal_of(&[]);
    run(&mut journal, epoch, 20, 50_000, 10);
    let shell = Connection::open(dir.path().join(database::FILE)).expect("it opens");
    shell.execute_batch("BEGIN; SELECT * FROM meta").expect("it reads");
    // With the first there is a mebibyte, which the second copies as far as the reader lets it.
    run(&mut journal, epoch, 2, 50_000, 10);
    let left = journal.uncopied_bytes;
    assert!(100_000 <= left, "two batches are left: {left} bytes");
    assert!(left < journal.options.checkpoint_bytes / 2, "nothing to copy at once: {left} bytes");
    shell.execute_batch("COMMIT").expect("it ends");
}

/// They relieve each other so closely that the log is free only when they are waited for. A machine may let them stand
/// still in a query, so here they are waited for until they are done.
#[test]
fn our_readers_never_hold_the_log() {
    let (dir, mut journal, epoch) = journal_of(&[]);
    let long = Duration::from_mins(1);
    journal.cut_wait = CutWait { step: long, most: long };
    let finished = (1..=5_000).map(sample::finished).collect();
    journal.append(epoch, &Batch { finished, ..Batch::default() }).expect("it is durable");
    let done = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        for _ in 0..3 {
            let (reader, done) = (journal.reader().expect("it opens"), &done);
            scope.spawn(move || {
                let filter = crate::Filter {
                    queues: crate::Queues::One("none".to_owned()),
                    ..Default::default()
                };
                let page = crate::Page { after: 0, limit: 10 };
                while !done.load(Ordering::Relaxed) {
                    reader.list_finished(&filter, page).expect("it is listed");
                    reader.finished(17).expect("it is read");
                }
            });
        }
        let most = (0..40).map(|_| {
            run(&mut journal, epoch, 20, 50_000, 10);
            wal_bytes(&dir)
        });
        let most = most.max();
        done.store(true, Ordering::Relaxed);
        most
    });
    // 100 MiB of pages have passed through it. They are waited for from 36 MiB on, at the next copy.
    assert!(most < Some(44 * MIB), "{most:?} bytes");
}

#[test]
fn what_is_trimmed_goes_back_to_the_disk() {
    let (_dir, mut journal, epoch) = journal_of(&[]);
    let most = run(&mut journal, epoch, 60, 1 << 20, 100);
    assert!(60 * MIB < most, "nothing is trimmed yet: {most} bytes");
    run(&mut journal, epoch, 1, 100, 1);
    // 4,000 empty pages, 64 an append, and what stays for the next batches.
    run(&mut journal, epoch, 400, 20_000, 10);
    let appended = journal.bytes().expect("it is counted");
    assert!(appended < 16 * MIB, "{appended} bytes");
    while journal.shrink().expect("it shrinks") {}
    let shrunk = journal.bytes().expect("it is counted");
    assert!(shrunk < MIB, "{shrunk} bytes");
    assert_eq!(bodies(&journal).len(), 11);
    let sound: String = journal
        .connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .expect("it is checked");
    assert_eq!(sound, "ok");
}
