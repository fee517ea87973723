//! The replies of beanstalkd that the work can meet.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A task was put in.
    Inserted,
    /// A task was leased.
    Reserved {
        /// What completes it.
        id: u64,
        /// What was put in.
        payload: Vec<u8>,
    },
    /// A task was completed.
    Deleted,
}

/// The first reply in what was received, and its length; `None` while it is not whole.
pub(super) fn parse(received: &[u8]) -> Result<Option<(Reply, usize)>> {
    let Some(length) = received.windows(2).position(|it| it == b"\r\n") else { return Ok(None) };
    let line = received.get(..length).map(String::from_utf8_lossy).unwrap_or_default();
    let mut words = line.split(' ');
    let end = length + 2;
    match words.next() {
        Some("INSERTED") => Ok(Some((Reply::Inserted, end))),
        Some("DELETED") => Ok(Some((Reply::Deleted, end))),
        Some("RESERVED") => {
            let (id, bytes): (u64, usize) = (number(words.next())?, number(words.next())?);
            let payload = received.get(end..).and_then(|rest| rest.get(..bytes));
            // What follows the payload is a line's end.
            let is_whole = received.len() >= end + bytes + 2;
            let payload = payload.filter(|_| is_whole).map(<[u8]>::to_vec);
            Ok(payload.map(|payload| (Reply::Reserved { id, payload }, end + bytes + 2)))
        }
        _ => bail!("the server says {line:?}"),
    }
}

fn number<T: FromStr>(word: Option<&str>) -> Result<T> {
    word.and_then(|it| it.parse().ok()).context("a reservation without its numbers")
}

#[cfg(test)]
mod tests;
