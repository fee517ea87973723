//! The SQLite file: whether it is ours, how it is made, and the settings it is used with.
//!
//! A file is judged by its first bytes, read without SQLite: what is refused is not touched, and grows no log beside it.
//! A new one is built under another name and appears complete or not at all.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig, ffi};

use crate::OpenError;

/// The name of the database in the data directory.
pub(crate) const FILE: &str = "leasehold.db";
/// The name of its write-ahead log.
pub(crate) const WAL_FILE: &str = "leasehold.db-wal";
/// What a new database is called until it is complete.
const DRAFT_FILE: &str = "leasehold.db.new";
/// What a crash may leave of a draft.
const DRAFT_FILES: [&str; 4] =
    [DRAFT_FILE, "leasehold.db.new-journal", "leasehold.db.new-wal", "leasehold.db.new-shm"];

/// "LHLD": whose file it is.
pub(crate) const APPLICATION_ID: u32 = 0x4c48_4c44;
/// The newest format this version reads, and the one it writes.
pub(crate) const FORMAT: u32 = 2;

/// The size of a page, and of a frame of the log beside its header. Large pages carry large bodies with few overflow pages and
/// few frames.
pub const PAGE_BYTES: u32 = 16_384;
/// The page cache: the right edge of every table fits many times over.
const CACHE_KIB: i32 = 4_096;
/// A reader meets a lock only while the log is recovered after a crash.
const READER_BUSY_MAX: Duration = Duration::from_secs(5);
/// More than the statements there are, so that none is prepared twice.
const STATEMENTS_MAX: usize = 48;

const SCHEMA: &str = include_str!("schema.sql");
const VIEWS: &str = include_str!("views.sql");

/// What format 1 lacks of the tables. Its views are made anew.
const FROM_FORMAT_1: &str = "
    DROP VIEW IF EXISTS finished;
    DROP VIEW IF EXISTS failed;
    ALTER TABLE finished_tasks ADD COLUMN leases TEXT NOT NULL DEFAULT '';
    ALTER TABLE failed_tasks ADD COLUMN leases TEXT NOT NULL DEFAULT '';";

/// What the first 100 bytes of a SQLite file say, as far as we ask.
struct Header([u8; 72]);

impl Header {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    const FORMAT_AT: usize = 60;
    const APPLICATION_ID_AT: usize = 68;

    fn is_sqlite(&self) -> bool {
        self.0.starts_with(Self::MAGIC)
    }

    fn number(&self, at: usize) -> u32 {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().map_or(0, u32::from_be_bytes)
    }
}

/// Makes sure that `dir` holds a database of ours, in a format we know.
pub(crate) fn prepare(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(FILE);
    match read_header(&path) {
        Ok(Some(header)) => judge(&path, &header),
        Ok(None) => Err(OpenError::Foreign { path }),
        Err(error) if error.kind() == ErrorKind::NotFound => create(dir),
        Err(source) => Err(OpenError::File { path, source }),
    }
}

/// The start of the file; nothing if it is too short for a database.
fn read_header(path: &Path) -> io::Result<Option<Header>> {
    let mut bytes = [0; 72];
    match File::open(path)?.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(Header(bytes))),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn judge(path: &Path, header: &Header) -> Result<(), OpenError> {
    let found = header.number(Header::FORMAT_AT);
    if !header.is_sqlite()
        || header.number(Header::APPLICATION_ID_AT) != APPLICATION_ID
        || found == 0
    {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if FORMAT < found {
        return Err(OpenError::NewerFormat { path: path.to_owned(), found, known: FORMAT });
    }
    Ok(())
}

/// Makes the database, durably. A crash on the way leaves a draft, which the next one overwrites.
fn create(dir: &Path) -> Result<(), OpenError> {
    // SQLite would replay a log that is left over into the new file.
    let wal = dir.join(WAL_FILE);
    if wal.exists() {
        return Err(OpenError::Orphaned { path: wal });
    }
    let draft = dir.join(DRAFT_FILE);
    let clear = || DRAFT_FILES.iter().try_for_each(|file| remove(&dir.join(file)));
    let settle = || fs::rename(&draft, dir.join(FILE)).and_then(|()| sync_dir(dir));
    let blame = |source| OpenError::File { path: draft.clone(), source };
    clear().map_err(blame)?;
    write_draft(&draft).map_err(|error| refuse(error, dir))?;
    settle().map_err(blame)
}

/// Makes the names of the files in a directory durable. SQLite does so too, but looks away when it fails, and may ask for no
/// more than `fdatasync`, which need not hold for names.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_draft(draft: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(draft)?;
    // Both must be said before the first table, and neither can be changed after it.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute_batch(VIEWS)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    let random: [u8; 16] = transaction.query_row("SELECT randomblob(16)", (), |row| row.get(0))?;
    transaction.execute(
        "INSERT INTO journal_state VALUES (1, ?1, 0, 1, 0, 0, 0, 0)",
        [uuid_text(random)],
    )?;
    transaction.commit()?;
    turn_log_on(&connection)?;
    connection.close().map_err(|(_, error)| error)
}

/// A UUID, version 4, of these random bytes.
fn uuid_text(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let groups = [(96, 8), (80, 4), (64, 4), (48, 4), (0, 12)];
    groups
        .map(|(shift, digits)| format!("{:0digits$x}", bits >> shift & ((1 << (digits * 4)) - 1)))
        .join("-")
}

/// The connection that writes.
pub(crate) fn connect(dir: &Path, busy: Duration, wal_bytes: u64) -> Result<Connection, OpenError> {
    let opened = open_to_write(&dir.join(FILE), busy, wal_bytes).and_then(|mut connection| {
        upgrade(&mut connection)?;
        Ok(connection)
    });
    opened.map_err(|error| refuse(error, dir))
}

/// Brings the tables of an older format up to date, all at once or not at all. No row is touched.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if FORMAT <= format {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    transaction.execute_batch(FROM_FORMAT_1)?;
    transaction.execute_batch(VIEWS)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

fn open_to_write(path: &Path, busy: Duration, wal_bytes: u64) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    turn_log_on(&connection)?;
    // Checkpoints are ours: the automatic one swallows its errors.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    let limit = i64::try_from(wal_bytes).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "journal_size_limit", limit, |_| Ok(()))?;
    apply_common(&connection)?;
    Ok(connection)
}

/// Switches to write-ahead logging, where it is not on already. A failed switch is no error to SQLite, but it is to us.
fn turn_log_on(connection: &Connection) -> rusqlite::Result<()> {
    let mut switch = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = switch.query(())?;
    let mut mode = String::new();
    // It commits behind its last row, so it is read to the end.
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    if mode == "wal" {
        return Ok(());
    }
    let said = format!("write-ahead logging cannot be turned on, the journal mode stays {mode}");
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), Some(said)))
}

/// A connection that only reads.
pub(crate) fn connect_reader(dir: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(dir.join(FILE), flags)?;
    connection.busy_timeout(READER_BUSY_MAX)?;
    apply_common(&connection)?;
    Ok(connection)
}

fn apply_common(connection: &Connection) -> rusqlite::Result<()> {
    // A mapped file turns a read error into a signal.
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

/// Leaves the files as they are when the connection closes: after a failed write nothing more is written.
pub(crate) fn abandon(connection: &Connection) -> rusqlite::Result<bool> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
}

/// Says why a database did not open.
pub(crate) fn refuse(error: rusqlite::Error, dir: &Path) -> OpenError {
    if crate::room::is_exhausted(&error, dir) {
        return OpenError::Full;
    }
    OpenError::Database(error.into())
}

#[cfg(test)]
mod tests;
