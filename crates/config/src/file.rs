//! A configuration file as it is read: whole, bounded, and named by what it holds.
//!
//! It knows nothing of what the text means.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::ConfigError;

/// The largest configuration file that is read: it is written by hand.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// How many hexadecimal digits tell two contents apart for people.
const SHORT_DIGITS: usize = 12;

/// The SHA-256 of a content: what `sha256sum` prints of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its first twelve digits.
    pub fn short(self) -> String {
        self.to_string().chars().take(SHORT_DIGITS).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a file held when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The text.
    pub text: String,
    /// Its hash.
    pub hash: Hash,
}

impl Contents {
    /// Reads a file. A link is followed, so that what it points to now is what counts.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        // A directory can be opened, and says so only when it is read.
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if FILE_BYTES_MAX < bytes.len() as u64 {
            return Err(ConfigError::TooLarge { path: path.to_owned(), max: FILE_BYTES_MAX });
        }
        let hash = Hash::of(&bytes);
        let text = String::from_utf8(bytes)
            .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(Self { text, hash })
    }

    /// Reads a file that can be read again and again: neither a pipe nor a terminal.
    pub fn read_again(path: &Path) -> Result<Self, ConfigError> {
        let about = std::fs::metadata(path);
        let about =
            about.map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        if !about.is_file() {
            return Err(ConfigError::NoFile { path: path.to_owned() });
        }
        Self::read(path)
    }
}

/// Whether a text says nothing at all: it is empty, or has only comments.
pub fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}
