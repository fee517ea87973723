//! What the Rust handler finds out about a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// How much of a file is in memory at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// A file in three numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    /// SHA-256, in lower-case hexadecimal digits.
    pub(crate) sha256: String,
    /// Line ends, as `wc -l` counts them.
    pub(crate) lines: u64,
    /// The file's length.
    pub(crate) bytes: u64,
}

impl Digest {
    /// Reads a file block by block.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        Self::of(File::open(path)?)
    }

    /// Reads to the end.
    pub(crate) fn of(mut source: impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let (mut lines, mut bytes) = (0, 0);
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let length = match source.read(&mut block) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let read = block.get(..length).unwrap_or_default();
            hash.update(read);
            lines += count_line_ends(read);
            bytes += read.len() as u64;
        }
        Ok(Self { sha256: hexadecimal(&hash.finalize()), lines, bytes })
    }

    /// The same numbers found another way: from the whole file at once.
    ///
    /// The demo compares results with this, so that a mistake in [`Digest::of`] shows.
    pub(crate) fn recomputed(path: &Path) -> io::Result<Self> {
        let content = std::fs::read(path)?;
        // One more piece than there are line ends.
        let lines = content.split(|byte| *byte == b'\n').count().saturating_sub(1);
        let sha256 = hexadecimal(&Sha256::digest(&content));
        Ok(Self { sha256, lines: lines as u64, bytes: content.len() as u64 })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.sha256, self.lines, self.bytes)
    }
}

fn count_line_ends(block: &[u8]) -> u64 {
    block.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests;
