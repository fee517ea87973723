//! The handler's input, as far as it is in memory: a task that waits for long can do without.
//!
//! The queue never looks into it. Who lets it go has it elsewhere, and gives it to whoever needs it.

use bytes::Bytes;

/// The handler's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Here it is.
    Here(Bytes),
    /// It was let go, and is so many bytes long.
    Away(usize),
}

impl Payload {
    /// The input, unless it was let go.
    pub const fn here(&self) -> Option<&Bytes> {
        match self {
            Self::Here(bytes) => Some(bytes),
            Self::Away(_) => None,
        }
    }

    /// How many bytes long it is, wherever it is.
    pub const fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Away(len) => *len,
        }
    }

    /// Whether the handler's input is empty, wherever it is.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes of it are in memory.
    pub(crate) const fn held(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Away(_) => 0,
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Here(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Self {
        Self::Here(bytes.into())
    }
}
