//! Which file the journal is in, so that one that was deleted or replaced under it is noticed.
//!
//! A process can go on writing to a file that no longer has a name: every sync succeeds, and nothing is ever found again.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use crate::database;

/// The file behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    /// The database's file as its name leads there.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(dir.join(database::FILE))?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}
