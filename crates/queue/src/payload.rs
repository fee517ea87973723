//! The handler's input, as far as it is in memory: a task that waits for long can do without.
//!
//! The queue never looks into it. Who lets it go has it elsewhere, and gives it to whoever needs it.

use std::sync::Arc;

use bytes::Bytes;

/// The handler's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Here it is, by itself: as a slice of the message it came in, it would keep all of that in memory.
    Here(Arc<[u8]>),
    /// It was let go, and is so many bytes long.
    Away(usize),
}

impl Payload {
    /// The input, unless it was let go.
    pub fn here(&self) -> Option<&[u8]> {
        match self {
            Self::Here(bytes) => Some(bytes),
            Self::Away(_) => None,
        }
    }

    /// The input to go into a message, unless it was let go. It is not copied.
    pub fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Here(bytes) => Some(Bytes::from_owner(Arc::clone(bytes))),
            Self::Away(_) => None,
        }
    }

    /// How many bytes long it is, wherever it is.
    pub fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Away(len) => *len,
        }
    }

    /// Whether the handler's input is empty, wherever it is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes of it are in memory.
    pub(crate) fn held(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Away(_) => 0,
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Here(Arc::default())
    }
}

impl<T: AsRef<[u8]>> From<T> for Payload {
    fn from(bytes: T) -> Self {
        Self::Here(bytes.as_ref().into())
    }
}
