//! What can go wrong, one type per operation.
//!
//! Every error answers two questions: may the call be repeated, and what can the operator do. It must not know how
//! SQLite words things beyond wrapping its words in [`DatabaseError`].

use std::{error::Error, io, path::PathBuf};

use crate::{Epoch, Position};

/// What the database said, verbatim.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] pub(crate) rusqlite::Error);

/// Why a journal was not opened. Nothing was written to a database that is refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error(
        "the data directory is held by process {} at {address}",
        pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())
    )]
    Held {
        /// Its process id, if it has written one yet.
        pid: Option<u32>,
        /// The address it serves on; empty if it has written none yet.
        address: String,
    },
    /// The file was written by a newer version.
    #[error("{} has format {found}, newer than {known}: use the version that wrote it, or a later one", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version knows.
        known: u32,
    },
    /// The file is something else.
    #[error("{} is not a journal of Leasehold: choose another data directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There is a write-ahead log and no database it belongs to.
    #[error(
        "{} lacks its database: put the database back beside it, or move it away to start empty",
        path.display()
    )]
    Orphaned {
        /// The write-ahead log.
        path: PathBuf,
    },
    /// Batches are missing at the end of the journal.
    #[error("batch {} is damaged: restore the data directory from a backup, or see docs/journal.md", position.0)]
    Damaged {
        /// The first one that is.
        position: Position,
        /// How.
        #[source]
        damage: Damage,
    },
    /// There is no room, not even for what the database needs to be opened.
    #[error("the disk is full: the journal needs a few MiB to open")]
    Full,
    /// The directory or a file in it cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database refused.
    #[error(
        "the database cannot be opened: restore the data directory from a backup, or see docs/journal.md"
    )]
    Database(#[from] DatabaseError),
}

/// Why a claim or an append did not happen. Whatever the reason, nothing of it is visible.
///
/// Only [`Full`](Self::Full) may be tried again. After [`Fatal`](Self::Fatal) the journal refuses every further write by
/// itself, because after a failed sync the next one would seem to work.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no room. It was rolled back; the same batch may be appended again.
    #[error("the disk is full")]
    Full,
    /// Somebody else, such as a shell, held the database's write lock through the whole bounded wait.
    #[error(
        "the database stayed locked for {waited_ms} ms: end the other program that writes to it"
    )]
    Busy {
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// A later claim took over: this epoch never writes again.
    #[error("epoch {} is superseded: another coordinator claimed the journal", epoch.0)]
    Superseded {
        /// The epoch that was refused.
        epoch: Epoch,
    },
    /// A write, a sync or a checkpoint failed, or the caller broke a rule. Stop the process.
    #[error("the journal failed to {doing}")]
    Fatal {
        /// What failed, as a verb.
        doing: &'static str,
        /// Why.
        #[source]
        fault: Fault,
    },
}

/// What makes an append fatal.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] DatabaseError),
    /// A trim would take away the batch that orders it, or one after it.
    #[error("a trim before batch {} reaches beyond the head, batch {}", drop_before.0, head.0)]
    TrimBeyondHead {
        /// Where the trim would have ended.
        drop_before: Position,
        /// The newest batch.
        head: Position,
    },
    /// Epochs have 32 bits, and they are used up.
    #[error("the journal has no epoch left")]
    EpochsExhausted,
    /// An earlier write failed.
    #[error("an earlier write failed")]
    Stopped,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Why reading back stopped. `E` is the error of whoever was shown the rows.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E: Error + 'static> {
    /// A batch is not what was written.
    #[error("batch {} is damaged: restore the data directory from a backup, or see docs/journal.md", position.0)]
    Damaged {
        /// The first one that is.
        position: Position,
        /// How.
        #[source]
        damage: Damage,
    },
    /// The database refused, and not because of one batch.
    #[error("the database cannot be read")]
    Database(#[from] DatabaseError),
    /// The batch is whole, and whoever was shown it refused it.
    #[error("batch {} was refused", position.0)]
    Refused {
        /// The batch.
        position: Position,
        /// Why.
        #[source]
        source: E,
    },
}

/// How a batch is damaged.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is not there, and later ones are or were.
    #[error("it is missing")]
    Missing,
    /// Its checksum, which covers every batch before it too, does not fit.
    #[error("its checksum is {found:08x} and should be {expected:08x}")]
    Checksum {
        /// What its contents give.
        expected: u32,
        /// What is stored.
        found: u32,
    },
    /// The database could not make sense of the page it lies on.
    #[error("its page is unreadable")]
    Unreadable(#[source] DatabaseError),
}

/// The database refused a query.
#[derive(Debug, thiserror::Error)]
#[error("the database refused a query")]
pub struct QueryError(#[source] DatabaseError);

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.into())
    }
}
