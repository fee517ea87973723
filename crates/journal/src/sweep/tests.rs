//! The sweep against what it promises: only what has expired goes, all of it, and a bounded part at a time.

use std::collections::BTreeMap;

use super::*;
use crate::{FinishedRow, database, people, sample};

/// A table under a sweep, and the same rows beside it.
struct Table {
    connection: Connection,
    sweeps: Sweeps,
    /// When each row expires.
    model: BTreeMap<RowId, u64>,
    _dir: tempfile::TempDir,
}

impl Table {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        database::prepare(dir.path()).expect("it is made");
        let connection = Connection::open(dir.path().join(database::FILE)).expect("it opens");
        connection.pragma_update(None, "synchronous", "OFF").expect("it is set");
        Self { connection, sweeps: Sweeps::new(), model: BTreeMap::new(), _dir: dir }
    }

    /// Adds rows, takes the sweep one step on, and checks what went.
    fn step(&mut self, now_ms: u64, added: Vec<FinishedRow>) {
        let window = ROWS_MIN + ROWS_PER_INSERT * added.len();
        self.model.extend(added.iter().map(|row| (row.row_id, row.expire_ms)));
        let write = self.connection.transaction().expect("it begins");
        people::insert_finished(&write, &added).expect("they are written");
        let batch = Batch { finished: added, now_ms, ..Batch::default() };
        let before = Counts { finished: self.model.len() as u64, failed: 0 };
        let counts = self.sweeps.step(&write, &batch, before).expect("it is swept");
        write.commit().expect("it is committed");
        let left = self.left();
        let gone = self.model.len() - left.len();
        assert_eq!(counts.finished, left.len() as u64);
        assert!(gone <= 2 * window, "{gone} rows at once, of windows of {window}");
        let wrongly_gone =
            self.model.iter().find(|(row, expire)| now_ms < **expire && !left.contains_key(row));
        assert_eq!(wrongly_gone, None, "it has not expired at {now_ms}");
        self.model = left;
    }

    fn left(&self) -> BTreeMap<RowId, u64> {
        let sql = "SELECT row_id, expire_ms FROM finished_tasks";
        let mut rows = self.connection.prepare(sql).expect("it is prepared");
        let rows = rows.query_map((), |row| Ok((row.get(0)?, people::loaded(row.get(1)?))));
        rows.expect("it is read").map(|row| row.expect("it is read")).collect()
    }
}

fn row(row_id: RowId, expire_ms: u64) -> FinishedRow {
    FinishedRow { expire_ms, ..sample::finished(row_id) }
}

#[test]
fn whatever_expires_goes_within_a_round_and_nothing_else_ever() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut table = Table::new();
        let mut row_ids: Vec<RowId> = (1..=2_000).collect();
        random.shuffle(&mut row_ids);
        let mut now_ms = 0;
        while !row_ids.is_empty() {
            now_ms += random.u64(0..50);
            let added = row_ids.split_off(row_ids.len().saturating_sub(random.usize(0..40)));
            let added =
                added.into_iter().map(|id| row(id, now_ms + random.u64(0..2_000))).collect();
            table.step(now_ms, added);
        }
        // Two rounds: the one under way, and one from the start.
        for _ in 0..2 * (table.model.len() / ROWS_MIN + 2) {
            table.step(now_ms, Vec::new());
        }
        let expired = table.model.values().filter(|expire| **expire <= now_ms).count();
        assert_eq!(expired, 0, "seed {seed}");
        assert!(table.model.values().all(|expire| now_ms < *expire), "seed {seed}");
    }
}

#[test]
fn rows_of_one_retention_go_as_soon_as_they_expire() {
    let mut table = Table::new();
    for number in 0..300_u64 {
        let ids = number * 10 + 1..=number * 10 + 10;
        table.step(number, ids.map(|id| row(id.cast_signed(), number + 20)).collect());
        assert!(table.model.len() <= 210, "{} rows at step {number}", table.model.len());
    }
}

#[test]
fn a_long_lived_front_hides_nothing() {
    let mut table = Table::new();
    let forever = u64::MAX;
    table.step(0, (1..=1_000).map(|id| row(id, forever)).collect());
    table.step(0, (1_001..=1_100).map(|id| row(id, 5)).collect());
    for _ in 0..1_100 / ROWS_MIN + 2 {
        table.step(5, Vec::new());
    }
    assert_eq!(table.model.len(), 1_000, "the hundred behind the front are gone");
}

#[test]
fn dead_letters_are_swept_too() {
    let table = Table::new();
    people::insert_failed(&table.connection, &[sample::failed(1), sample::failed(9)])
        .expect("they are written");
    let batch = Batch { now_ms: sample::failed(1).expire_ms, ..Batch::default() };
    let before = Counts { finished: 0, failed: 2 };
    let after = Sweeps::new().step(&table.connection, &batch, before).expect("it is swept");
    assert_eq!(after, Counts { finished: 0, failed: 1 });
}
