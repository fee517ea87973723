//! Which files are opened, which are left alone, and with which settings.

use std::{collections::BTreeMap, path::PathBuf};

use super::*;

/// Every file of a directory with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("it is listed").map(|entry| entry.expect("it is read"));
    entries.map(|entry| (entry.path(), fs::read(entry.path()).expect("it is read"))).collect()
}

/// The bytes of a new database, changed.
fn database(change: impl FnOnce(&Connection)) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path()).expect("it is made");
    let connection = Connection::open(dir.path().join(FILE)).expect("it opens");
    change(&connection);
    connection.close().expect("it closes");
    fs::read(dir.path().join(FILE)).expect("it is read")
}

fn pragma(name: &'static str, value: u32) -> Vec<u8> {
    database(|connection| connection.pragma_update(None, name, value).expect("it is set"))
}

/// A directory with only this file in it is refused for this reason, and stays as it is.
fn check(bytes: &[u8], reason: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(FILE), bytes).expect("it is written");
    let before = files(dir.path());
    let error = prepare(dir.path()).expect_err(reason).to_string();
    assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    assert_eq!(files(dir.path()), before, "{reason}: the file must not be touched");
}

#[test]
fn what_is_not_ours_is_refused_untouched() {
    let foreign = "is not a journal of Leasehold";
    check(b"", foreign);
    check(b"SQLite format 3\0", foreign);
    check(&[0; 4096], foreign);
    check("some text, and quite a lot of it. ".repeat(100).as_bytes(), foreign);
    check(&pragma("application_id", 0), foreign);
    check(&pragma("application_id", APPLICATION_ID + 1), foreign);
    check(&pragma("user_version", 0), foreign);
    check(&pragma("user_version", 3), "has format 3, newer than 2");
    check(&pragma("user_version", u32::MAX >> 1), "has format 2147483647, newer than 2");
}

#[test]
fn a_log_without_its_database_is_not_replayed_into_a_new_one() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(WAL_FILE), b"the only copy of something").expect("it is written");
    let before = files(dir.path());
    assert!(matches!(prepare(dir.path()), Err(OpenError::Orphaned { .. })));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_draft_left_by_a_crash_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    for file in DRAFT_FILES {
        fs::write(dir.path().join(file), [0xff; 5000]).expect("it is written");
    }
    prepare(dir.path()).expect("it is made");
    let names: Vec<_> = files(dir.path()).into_keys().collect();
    assert_eq!(names, [dir.path().join(FILE)], "nothing is left beside the database");
    prepare(dir.path()).expect("it is known again");
    let again = files(dir.path());
    assert_eq!(again.into_keys().collect::<Vec<_>>(), names);
}

/// What a connection says of a setting.
fn setting(connection: &Connection, name: &str) -> String {
    connection
        .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        .map(|value| format!("{value:?}"))
        .expect(name)
}

#[test]
fn the_settings_are_the_measured_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path()).expect("it is made");
    let connection = connect(dir.path(), Duration::from_millis(7), 1 << 22).expect("it opens");
    for (name, value) in [
        ("application_id", "Integer(1279806532)"),
        ("user_version", "Integer(2)"),
        ("page_size", "Integer(16384)"),
        ("auto_vacuum", "Integer(2)"),
        ("journal_mode", "Text(\"wal\")"),
        ("synchronous", "Integer(2)"),
        ("wal_autocheckpoint", "Integer(0)"),
        ("journal_size_limit", "Integer(4194304)"),
        ("mmap_size", "Integer(0)"),
        ("cache_size", "Integer(-4096)"),
        ("busy_timeout", "Integer(7)"),
    ] {
        assert_eq!(setting(&connection, name), value, "{name}");
    }
}

#[test]
fn a_reader_cannot_write() {
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path()).expect("it is made");
    let _writer = connect(dir.path(), Duration::ZERO, 0).expect("it opens");
    let reader = connect_reader(dir.path()).expect("it opens");
    let error =
        reader.execute("UPDATE journal_state SET epoch = 9", ()).expect_err("it is refused");
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly));
    assert_eq!(setting(&reader, "mmap_size"), "Integer(0)");
}

#[test]
fn a_journal_id_is_a_random_uuid() {
    for (random, text) in [
        ([0; 16], "00000000-0000-4000-8000-000000000000"),
        ([0xff; 16], "ffffffff-ffff-4fff-bfff-ffffffffffff"),
        (
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            "00010203-0405-4607-8809-0a0b0c0d0e0f",
        ),
    ] {
        assert_eq!(uuid_text(random), text);
    }
    let mut ids = Vec::new();
    for _ in 0..2 {
        database(|connection| {
            let sql = "SELECT journal_id FROM journal_state";
            let id: String = connection.query_row(sql, (), |row| row.get(0)).expect("it is there");
            ids.push(id);
        });
    }
    assert_ne!(ids[0], ids[1], "two journals have two ids");
}

#[test]
fn the_views_show_ids_and_times_to_people() {
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path()).expect("it is made");
    let connection = connect(dir.path(), Duration::ZERO, 0).expect("it opens");
    let row = crate::FinishedRow {
        task_id: 0x0195_a1b2_c3d4_7000_8000_0000_0000_00ff_u128.to_be_bytes(),
        submit_ms: 1_700_000_000_123,
        ..crate::sample::finished(4)
    };
    crate::people::insert_finished(&connection, &[row]).expect("it is written");
    crate::people::insert_failed(&connection, &[crate::sample::failed(4)]).expect("it is written");
    let shown: (String, String, String, String) = connection
        .query_row("SELECT task_id, state, submit_time, finish_time FROM finished", (), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .expect("it is shown");
    let expected = (
        "0195a1b2-c3d4-7000-8000-0000000000ff",
        "SUCCEEDED",
        "2023-11-14T22:13:20.123Z",
        "1970-01-01T00:00:02.004Z",
    );
    assert_eq!((&*shown.0, &*shown.1, &*shown.2, &*shown.3), expected);
    let failed: (String, u32) = connection
        .query_row("SELECT task_id, generation FROM failed", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("it is shown");
    assert_eq!(failed, ("00000000-0000-0000-0000-000000000004".to_owned(), 2));
}

/// What the next format added, taken away again.
const TO_FORMAT_1: &str = "
    DROP VIEW finished;
    DROP VIEW failed;
    ALTER TABLE finished_tasks DROP COLUMN leases;
    ALTER TABLE failed_tasks DROP COLUMN leases;
    CREATE VIEW finished AS SELECT task_id FROM finished_tasks;
    CREATE VIEW failed AS SELECT task_id FROM failed_tasks;
    PRAGMA user_version = 1;";

#[test]
fn an_older_format_is_brought_up_to_date_with_its_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path()).expect("it is made");
    let open = || connect(dir.path(), Duration::ZERO, 0).expect("it opens");
    let connection = open();
    crate::people::insert_finished(&connection, &[crate::sample::finished(4)]).expect("written");
    connection.execute_batch(TO_FORMAT_1).expect("it is an old one");
    drop(connection);
    prepare(dir.path()).expect("it is known");
    for _ in 0..2 {
        let connection = open();
        assert_eq!(setting(&connection, "user_version"), "Integer(2)");
        let leases: String = connection
            .query_row("SELECT leases FROM finished WHERE row_id = 4", (), |row| row.get(0))
            .expect("the row is still there");
        assert_eq!(leases, "", "nobody wrote how its leases ended");
        crate::people::insert_failed(&connection, &[crate::sample::failed(4)]).expect("written");
        connection.execute("DELETE FROM failed_tasks", ()).expect("it goes again");
    }
}
