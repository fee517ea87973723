//! The chain of checksums that ties every batch to all batches before it.
//!
//! It must not know where batches are kept.

use crate::{Epoch, Position};

/// The end of the chain: the newest batch and its checksum, or what came before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// The batch.
    pub(crate) position: Position,
    /// `crc32c(crc before, position, epoch, body)`, the numbers in little endian.
    pub(crate) crc: u32,
}

impl Link {
    /// The link of the next batch.
    pub(crate) fn next(self, epoch: Epoch, body: &[u8]) -> Self {
        let position = Position(self.position.0 + 1);
        let mut crc = crc32c::crc32c(&self.crc.to_le_bytes());
        crc = crc32c::crc32c_append(crc, &position.0.to_le_bytes());
        crc = crc32c::crc32c_append(crc, &epoch.0.to_le_bytes());
        Self { position, crc: crc32c::crc32c_append(crc, body) }
    }
}

#[cfg(test)]
mod tests;
