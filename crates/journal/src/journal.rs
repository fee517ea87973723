//! The writing end: one owner, one transaction per append.
//!
//! It must not know what a batch says or what time it is.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior};

use crate::{
    AppendError, Batch, Counts, Epoch, Fault, OpenError, Position, QueryError, Reader,
    ballast::Ballast, chain::Link, database, lock::Lock, people::loaded, place::Place, room,
    sweep::Sweeps,
};

mod append;
mod checkpoint;
mod replay;

use self::checkpoint::{CutWait, Due};

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where this process serves, for whoever finds the directory held. Empty by default.
    pub address: String,
    /// The room held back for bad times. 16 MiB by default; 0: none.
    pub ballast_bytes: u64,
    /// After how many bytes of batches and rows the write-ahead log is copied into the database. 1 MiB by default: measured
    /// as the best p99 of an append when there is much to append.
    pub checkpoint_bytes: u64,
    /// After how many frames (pages of 16 KiB) it is copied, however little was appended. 2,048 by default: small batches
    /// write the same pages again and again, of which the last is copied, so that it is the number of copies that counts.
    pub checkpoint_frames: u32,
    /// How long a lock of another program, such as a shell, is waited for. 5 s by default.
    pub busy: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: String::new(),
            ballast_bytes: 16 * 1024 * 1024,
            checkpoint_bytes: 1024 * 1024,
            checkpoint_frames: 2_048,
            busy: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// To what size the file of the write-ahead log is cut back after it has grown: what it needs between two copies, the last
    /// batch before one being as large as they usually get. So the file is normally written in place and never cut.
    fn log_bytes(&self) -> u64 {
        u64::from(self.checkpoint_frames) * u64::from(database::PAGE_BYTES)
            + 4 * self.checkpoint_bytes
    }
}

/// The journal of one data directory, open for writing.
#[derive(Debug)]
pub struct Journal {
    /// Closed before the lock goes: fields are dropped in this order.
    connection: Connection,
    dir: PathBuf,
    options: Options,
    id: String,
    extent: Extent,
    counts: Counts,
    sweeps: Sweeps,
    /// Pages of the file that hold nothing, as of the last checkpoint.
    free_pages: u32,
    /// What was appended since the log was last copied.
    uncopied_bytes: u64,
    /// At how many frames in the write-ahead log its readers are waited for.
    cut_at_frames: u32,
    cut_wait: CutWait,
    ballast: Ballast,
    /// The file that was opened.
    place: Place,
    /// An earlier write failed: nothing is written any more.
    stopped: bool,
    /// None in tests that play a second coordinator.
    _lock: Option<Lock>,
}

/// What the journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    /// The oldest batch; one beyond the head while there is none.
    first: Position,
    /// The newest.
    head: Link,
    /// The head as it was at the latest trim, that append included.
    settled: Position,
}

impl Journal {
    /// Opens the journal in `dir`, and makes both if need be.
    ///
    /// It holds the directory's lock until it is dropped or the process ends. A ballast that is missing is made again
    /// where there is room for it.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        create_dir(dir).map_err(|source| OpenError::File { path: dir.to_owned(), source })?;
        let lock = Lock::take(dir, &options.address)?;
        Self::open_locked(dir, options, Some(lock))
    }

    fn open_locked(dir: &Path, options: Options, lock: Option<Lock>) -> Result<Self, OpenError> {
        let ballast = Ballast::new(dir, options.ballast_bytes);
        let blame = |source| OpenError::File { path: dir.to_owned(), source };
        let connection = match connect(dir, &options) {
            // A full disk must not keep a coordinator from coming back and completing what is leased.
            Err(OpenError::Full) if ballast.release().map_err(blame)? => connect(dir, &options)?,
            connected => connected?,
        };
        let State { id, extent, counts } = load(&connection, dir)?;
        let place = Place::of(dir).map_err(blame)?;
        ballast.restore(dir).map_err(blame)?;
        // The write-ahead log has its name since the state was read, and keeps it as long as this is open.
        debug_assert!(dir.join(database::WAL_FILE).exists(), "what is synced is complete");
        database::sync_dir(dir).map_err(blame)?;
        Ok(Self {
            connection,
            dir: dir.to_owned(),
            options,
            id,
            extent,
            counts,
            sweeps: Sweeps::new(),
            free_pages: 0,
            uncopied_bytes: 0,
            cut_at_frames: 0,
            cut_wait: CutWait::default(),
            ballast,
            place,
            stopped: false,
            _lock: lock,
        })
    }

    /// Takes over: from the moment it returns, appends of every earlier epoch fail. Durable.
    ///
    /// The epoch is `now_unix_s` or, if that is not larger, one more than the last: so it grows even after the file was
    /// restored from a backup. Claim before reading: another process could write until then.
    pub fn claim(&mut self, now_unix_s: u64) -> Result<Epoch, AppendError> {
        self.refuse_if_stopped()?;
        let claimed = self.try_claim(now_unix_s);
        claimed.map_err(|failure| self.give_up("claim an epoch", failure))
    }

    /// Writes a batch and everything that belongs to it in one transaction, which is durable when this returns.
    ///
    /// Dead letters in [`Batch::unfailed`] go before those in [`Batch::failed`] come. A few expired rows are deleted on
    /// the way, and a few empty pages given back to the disk.
    pub fn append(&mut self, epoch: Epoch, batch: &Batch) -> Result<Position, AppendError> {
        self.checkpoint_at(1)?;
        let appended = self.try_append(epoch, batch);
        appended.map_err(|failure| self.give_up("append", failure))
    }

    /// Deletes some of the rows that have expired, without a batch. `true`: some went, and there may be more. Durable.
    ///
    /// Every append does a little of it. A caller that appends nothing does it now and then, or rows that nobody follows
    /// would stay for ever.
    pub fn sweep(&mut self, epoch: Epoch, now_ms: u64) -> Result<bool, AppendError> {
        match self.checkpoint_at(1) {
            // The log may still have room where the database has none.
            Ok(()) | Err(AppendError::Full) => {}
            Err(error) => return Err(error),
        }
        let swept = self.try_sweep(epoch, now_ms);
        swept.map_err(|failure| self.give_up("sweep", failure))
    }

    /// Copies the write-ahead log into the database if half as much of it has gathered as an append would copy first.
    ///
    /// Every append looks for itself, where a full disk can still refuse the batch as a whole. A caller that has nothing else to
    /// do after an append does it then, and takes it off the way of the next.
    pub fn checkpoint(&mut self) -> Result<(), AppendError> {
        self.checkpoint_at(2)
    }

    /// Copies the log if this part of what is allowed to gather has gathered.
    fn checkpoint_at(&mut self, part: u32) -> Result<(), AppendError> {
        self.refuse_if_stopped()?;
        let Options { checkpoint_bytes, checkpoint_frames, .. } = self.options;
        let due =
            Due { frames: checkpoint_frames / part, bytes: checkpoint_bytes / u64::from(part) };
        let checked = self.try_checkpoint(due);
        checked.map_err(|failure| self.give_up("copy the write-ahead log", failure))
    }

    /// Gives empty pages of the database, up to 16 MiB of them, and the write-ahead log back to the disk. `true`: there
    /// are more. For a full disk: an append gives back a little each time and keeps some, and when there is nothing left
    /// to append this does the rest.
    pub fn shrink(&mut self) -> Result<bool, AppendError> {
        self.refuse_if_stopped()?;
        let shrunk = self.try_shrink();
        shrunk.map_err(|failure| self.give_up("shrink the database", failure))
    }

    /// Deletes the ballast, so that there is room for a few more appends. `true`: there was one.
    pub fn release_ballast(&mut self) -> io::Result<bool> {
        self.ballast.release()
    }

    /// Whether the ballast is there, or none is wanted.
    pub fn has_ballast(&self) -> bool {
        self.ballast.is_held()
    }

    /// Makes the ballast again, once there is room for it and a quarter more. `true`: it is there.
    pub fn restore_ballast(&mut self) -> io::Result<bool> {
        self.ballast.restore(&self.dir)
    }

    /// The id of this journal: a UUID, made with the file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The oldest batch that is kept; one beyond the [`head`](Self::head) while there is none.
    pub fn first(&self) -> Position {
        self.extent.first
    }

    /// The newest batch; 0 before the first append.
    pub fn head(&self) -> Position {
        self.extent.head.position
    }

    /// The head as it was at the latest trim, the batch that ordered it included. A record at or below it may speak of a
    /// task whose beginning is trimmed; above it, that is damage. 0 before the first trim.
    pub fn settled(&self) -> Position {
        self.extent.settled
    }

    /// All facts kept by [`Batch::meta`], by name.
    pub fn meta(&self) -> Result<Vec<(String, Bytes)>, QueryError> {
        let mut facts = self.connection.prepare("SELECT name, value FROM meta ORDER BY name")?;
        let read = facts
            .query_map((), |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1).map(Bytes::from)?)))?;
        Ok(read.collect::<rusqlite::Result<_>>()?)
    }

    /// How many rows the people's tables hold.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the name of the database still leads to the file that was opened. If it does not, whatever is appended is
    /// synced to a file that nobody will find, and a second coordinator may be using the directory.
    pub fn is_in_place(&self) -> bool {
        Place::of(&self.dir).is_ok_and(|place| place == self.place)
    }

    /// How many bytes the database and its write-ahead log take.
    pub fn bytes(&self) -> io::Result<u64> {
        room::used_bytes(&self.dir)
    }

    /// How many bytes the disk has left.
    pub fn free_bytes(&self) -> io::Result<u64> {
        room::free_bytes(&self.dir)
    }

    /// A connection for queries, to be used on another thread.
    pub fn reader(&self) -> Result<Reader, QueryError> {
        Reader::open(&self.dir)
    }

    fn try_claim(&mut self, now_unix_s: u64) -> Result<Epoch, Failure> {
        let write = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last: i64 = write.query_row("SELECT epoch FROM journal_state", (), |row| row.get(0))?;
        let next = (loaded(last) + 1).max(now_unix_s);
        let epoch = u32::try_from(next).map_err(|_| Fault::EpochsExhausted)?;
        write.execute("UPDATE journal_state SET epoch = ?1", [epoch])?;
        // Whoever held the epoch before may have written since this journal was opened.
        let state = read_state(&write)?;
        write.commit()?;
        (self.extent, self.counts) = (state.extent, state.counts);
        Ok(Epoch(epoch))
    }

    fn refuse_if_stopped(&self) -> Result<(), AppendError> {
        if self.stopped {
            return Err(AppendError::Fatal { doing: "write", fault: Fault::Stopped });
        }
        Ok(())
    }

    /// Judges a failed write: only a full disk and a lock leave the journal usable.
    fn give_up(&mut self, doing: &'static str, failure: Failure) -> AppendError {
        let fault = match failure {
            Failure::Superseded(epoch) => return AppendError::Superseded { epoch },
            Failure::Fault(fault) => fault,
            Failure::Database(error) if room::is_exhausted(&error, &self.dir) => {
                return AppendError::Full;
            }
            Failure::Database(error) if is_busy(&error) => {
                let waited_ms = u64::try_from(self.options.busy.as_millis()).unwrap_or(u64::MAX);
                return AppendError::Busy { waited_ms };
            }
            Failure::Database(error) => error.into(),
        };
        self.stopped = true;
        match database::abandon(&self.connection) {
            Ok(_) => AppendError::Fatal { doing, fault },
            Err(error) => AppendError::Fatal { doing: "close the database", fault: error.into() },
        }
    }
}

/// Why a write inside did not happen, before it is judged.
#[derive(Debug)]
enum Failure {
    Superseded(Epoch),
    Fault(Fault),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Makes the directory for its owner alone, durably; one that is there stays as it is.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    create_dir(parent)?;
    DirBuilder::new().mode(0o700).create(dir)?;
    database::sync_dir(parent)
}

fn connect(dir: &Path, options: &Options) -> Result<Connection, OpenError> {
    database::prepare(dir)?;
    database::connect(dir, options.busy, options.log_bytes())
}

/// What a start needs to know.
struct State {
    id: String,
    extent: Extent,
    counts: Counts,
}

/// Reads the state and refuses one that cannot be.
fn load(connection: &Connection, dir: &Path) -> Result<State, OpenError> {
    let state = read_state(connection).map_err(|error| database::refuse(error, dir))?;
    let Extent { first, head, .. } = state.extent;
    // A trim keeps the batch that ordered it: only a journal that was never trimmed can be empty.
    if head.position < first && first != Position(1) {
        return Err(OpenError::Damaged { position: first, damage: crate::Damage::Missing });
    }
    Ok(state)
}

fn read_state(connection: &Connection) -> rusqlite::Result<State> {
    const STATE: &str = "
        SELECT journal_id, first_position, settled_position, finished_count, failed_count
        FROM journal_state";
    const HEAD: &str = "SELECT position, crc FROM journal ORDER BY position DESC LIMIT 1";
    let head = connection.query_row(HEAD, (), |row| {
        Ok(Link { position: Position(loaded(row.get(0)?)), crc: row.get(1)? })
    });
    let head = head.optional()?.unwrap_or_default();
    connection.query_row(STATE, (), |row| {
        Ok(State {
            id: row.get(0)?,
            extent: Extent {
                first: Position(loaded(row.get(1)?)),
                head,
                settled: Position(loaded(row.get(2)?)),
            },
            counts: Counts { finished: loaded(row.get(3)?), failed: loaded(row.get(4)?) },
        })
    })
}

#[cfg(test)]
mod tests;
