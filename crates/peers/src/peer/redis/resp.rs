//! The protocol of Redis, version 2: commands and replies.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+`: a line that says that all is well.
    Line(Vec<u8>),
    /// `-`: a line that says what is wrong.
    Error(String),
    /// `:`: a number.
    Number(i64),
    /// `$`: bytes. `None`: there are none.
    Bytes(Option<Vec<u8>>),
    /// `*`: replies. `None`: there are none, which is how a read ends that waited in vain.
    List(Option<Vec<Self>>),
}

/// Adds a command to those that are about to be sent.
pub(super) fn command(commands: &mut Vec<u8>, words: &[&[u8]]) {
    // Memory takes whatever is written.
    let _always = write!(commands, "*{}\r\n", words.len());
    for word in words {
        let _always = write!(commands, "${}\r\n", word.len());
        commands.extend_from_slice(word);
        commands.extend_from_slice(b"\r\n");
    }
}

/// The first reply in what was received, and its length; `None` while it is not whole.
pub(super) fn parse(received: &[u8]) -> Result<Option<(Reply, usize)>> {
    let mut cursor = Cursor { received, at: 0 };
    Ok(cursor.reply()?.map(|reply| (reply, cursor.at)))
}

/// What was received, and how far it has been read.
struct Cursor<'a> {
    received: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn reply(&mut self) -> Result<Option<Reply>> {
        let Some(line) = self.line() else { return Ok(None) };
        let Some((kind, rest)) = line.split_first() else { bail!("a reply is an empty line") };
        let reply = match kind {
            b'+' => Reply::Line(rest.to_vec()),
            b'-' => Reply::Error(String::from_utf8_lossy(rest).into_owned()),
            b':' => Reply::Number(number(rest)?),
            b'$' => match usize::try_from(number(rest)?) {
                Ok(length) => match self.bytes(length) {
                    Some(bytes) => Reply::Bytes(Some(bytes.to_vec())),
                    None => return Ok(None),
                },
                Err(_negative) => Reply::Bytes(None),
            },
            b'*' => match usize::try_from(number(rest)?) {
                Ok(length) => match self.list(length)? {
                    Some(list) => Reply::List(Some(list)),
                    None => return Ok(None),
                },
                Err(_negative) => Reply::List(None),
            },
            _ => bail!("a reply begins with {:?}", char::from(*kind)),
        };
        Ok(Some(reply))
    }

    fn list(&mut self, length: usize) -> Result<Option<Vec<Reply>>> {
        let mut list = Vec::new();
        for _ in 0..length {
            let Some(reply) = self.reply()? else { return Ok(None) };
            list.push(reply);
        }
        Ok(Some(list))
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.received.get(self.at..)?;
        let length = rest.windows(2).position(|it| it == b"\r\n")?;
        self.at += length + 2;
        rest.get(..length)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.received.get(self.at..end)?;
        (self.received.get(end..end + 2)? == b"\r\n").then_some(())?;
        self.at = end + 2;
        Some(bytes)
    }
}

fn number(digits: &[u8]) -> Result<i64> {
    let number = std::str::from_utf8(digits).ok().and_then(|it| it.parse().ok());
    number.with_context(|| format!("{:?} is no number", String::from_utf8_lossy(digits)))
}

impl Reply {
    /// Fails if it is an error.
    pub(super) fn error(&self) -> Result<()> {
        match self {
            Self::Error(error) => bail!("{error}"),
            Self::Line(_) | Self::Number(_) | Self::Bytes(_) | Self::List(_) => Ok(()),
        }
    }

    pub(super) fn number(&self) -> Result<u64> {
        let Self::Number(number) = self else { bail!("{self:?} is no number") };
        Ok(u64::try_from(*number)?)
    }

    /// The ids of a stream's entries and their only value, as XREADGROUP answers for one stream.
    pub(super) fn entries(self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        if self == Self::List(None) {
            return Ok(Vec::new());
        }
        let stream = self.list()?.into_iter().next().context("no stream")?.list()?;
        let entries = stream.into_iter().nth(1).context("a stream without entries")?.list()?;
        entries.into_iter().map(Self::entry).collect()
    }

    fn entry(self) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut parts = self.list()?.into_iter();
        let id = parts.next().context("an entry without an id")?.bytes()?;
        let fields = parts.next().context("an entry without fields")?.list()?;
        Ok((id, fields.into_iter().nth(1).context("an entry without a value")?.bytes()?))
    }

    fn list(self) -> Result<Vec<Self>> {
        let Self::List(Some(list)) = self else { bail!("{self:?} is no list") };
        Ok(list)
    }

    fn bytes(self) -> Result<Vec<u8>> {
        let Self::Bytes(Some(bytes)) = self else { bail!("{self:?} is no value") };
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
