//! What a task writes to: a file that remembers the largest token it has seen and refuses a smaller one.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

/// How many bytes a token takes, so that a write replaces the one before as a whole.
const TOKEN_BYTES: usize = 20;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// It is done.
    Done,
    /// It was refused: the resource has seen this token, which is larger.
    Refused(i64),
}

/// A task's resource, to be written by one at a time.
#[derive(Debug)]
pub(crate) struct Resource(File);

impl Resource {
    /// Opens the resource for one write; `None` while another has it. It is given back when it is dropped, or with
    /// its process.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Writes under a token, unless a larger one has been seen.
    pub(crate) fn write(&self, token: i64) -> io::Result<Write> {
        let mut bytes = [0; TOKEN_BYTES];
        let read = self.0.read_at(&mut bytes, 0)?;
        if read == TOKEN_BYTES {
            let text = String::from_utf8_lossy(&bytes);
            let seen = text.trim().parse().map_err(io::Error::other)?;
            if token < seen {
                return Ok(Write::Refused(seen));
            }
        }
        self.0.write_all_at(format!("{token:>TOKEN_BYTES$}").as_bytes(), 0)?;
        Ok(Write::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resource");
        let write = |token| Resource::open(&path).unwrap().unwrap().write(token).unwrap();
        for (token, expected) in [
            (5, Write::Done),
            (5, Write::Done),
            (4, Write::Refused(5)),
            (i64::MAX, Write::Done),
            (5, Write::Refused(i64::MAX)),
        ] {
            assert_eq!(write(token), expected, "{token}");
        }
    }

    #[test]
    fn one_writes_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resource");
        let first = Resource::open(&path).unwrap();
        assert!(first.is_some() && Resource::open(&path).unwrap().is_none());
        drop(first);
        assert!(Resource::open(&path).unwrap().is_some());
    }
}
