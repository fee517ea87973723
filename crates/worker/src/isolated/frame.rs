//! What an isolated function's process says to its worker: progress, and at the end how it went.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use leasehold_proto::v1;
use prost::Message as _;

use crate::outcome::Failure;

/// The kind of a frame that is not the last.
const PROGRESS: u8 = 1;

/// What comes before each frame: its kind, and its length.
pub(crate) const HEADER_BYTES: usize = 5;

/// The largest progress without its checkpoint: 500 characters of up to four bytes, and a little more.
pub(crate) const PROGRESS_BYTES_MAX: usize = 2_100;

/// The largest failure: 4,000 characters of up to four bytes, and a little more.
pub(crate) const FAILURE_BYTES_MAX: usize = 20_000;

/// Something a process says. One of the last two is the last thing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// How far it is.
    Progress(v1::Progress),
    /// The function returned this.
    Success(Bytes),
    /// The function failed.
    Failure(v1::AttemptFailure),
}

impl Frame {
    /// How a function ended.
    pub(crate) fn of_outcome(outcome: Result<Bytes, Failure>) -> Self {
        match outcome {
            Ok(result) => Self::Success(result),
            Err(Failure(failure)) => Self::Failure(*failure),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let (kind, body) = match self {
            Self::Progress(progress) => (PROGRESS, progress.encode_to_vec().into()),
            Self::Success(result) => (2, Bytes::clone(result)),
            Self::Failure(failure) => (3, failure.encode_to_vec().into()),
        };
        let mut frame = BytesMut::with_capacity(HEADER_BYTES + body.len());
        frame.put_u8(kind);
        frame.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        frame.extend_from_slice(&body);
        frame.freeze()
    }

    /// Whether what has been read begins with progress.
    pub(crate) fn is_progress(bytes: &[u8]) -> bool {
        bytes.first() == Some(&PROGRESS)
    }

    /// Takes the first frame of what has been read, if all of it is there and it is one.
    pub(crate) fn take(bytes: &mut BytesMut) -> Option<Self> {
        let mut header = bytes.get(..HEADER_BYTES)?;
        let (kind, length) = (header.get_u8(), header.get_u32_le());
        let end = HEADER_BYTES.checked_add(usize::try_from(length).ok()?)?;
        let body = bytes.get(HEADER_BYTES..end)?;
        let frame = match kind {
            PROGRESS => Self::Progress(v1::Progress::decode(body).ok()?),
            2 => Self::Success(Bytes::copy_from_slice(body)),
            3 => Self::Failure(v1::AttemptFailure::decode(body).ok()?),
            _ => return None,
        };
        bytes.advance(end);
        Some(frame)
    }
}

#[cfg(test)]
mod tests;
