//! The ground truth of executions: a file that every execution adds a line to for all it does.
//!
//! A line is `verb task-id fencing-token pid worker-id nanoseconds`, and one number more where the verb has something
//! to say. It is written in one call to a file opened for appending, so that lines of many processes stay whole, and
//! is there however its process ends. Nanoseconds are of boot time, which all processes of a machine share.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    process,
};

use rustix::time::{ClockId, clock_gettime};

/// What an execution has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The work begins.
    Begin,
    /// The work is done, and its result is on the way.
    End,
    /// The work stopped because it was asked to.
    Stopped,
    /// The work was dropped where it stood.
    Aborted,
    /// Another execution of the same task, under this token, lives at this moment.
    Saw(i64),
    /// The resource took a write.
    Wrote,
    /// The resource refused a write, because it had seen this token.
    Refused(i64),
}

/// One execution, as its lines name it.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) task: String,
    pub(crate) token: i64,
    pub(crate) worker: String,
}

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct Ledger(File);

impl Ledger {
    /// Opens the file, which need not exist.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().append(true).create(true).open(path)?))
    }

    /// Adds a line.
    pub(crate) fn note(&self, name: &Name, event: Event) -> io::Result<()> {
        (&self.0).write_all(line(name, event, process::id(), now()).as_bytes())
    }
}

fn line(name: &Name, event: Event, pid: u32, now: i128) -> String {
    let (verb, other) = match event {
        Event::Begin => ("begin", None),
        Event::End => ("end", None),
        Event::Stopped => ("stopped", None),
        Event::Aborted => ("aborted", None),
        Event::Saw(token) => ("saw", Some(token)),
        Event::Wrote => ("wrote", None),
        Event::Refused(token) => ("refused", Some(token)),
    };
    let other = other.map(|it| format!(" {it}")).unwrap_or_default();
    let Name { task, token, worker } = name;
    format!("{verb} {task} {token} {pid} {worker} {now}{other}\n")
}

/// Nanoseconds since the machine booted.
fn now() -> i128 {
    let time = clock_gettime(ClockId::Boottime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_did_what_and_when() {
        let name = Name { task: "t".to_owned(), token: 7, worker: "w".to_owned() };
        let cases = [
            (Event::Begin, "begin t 7 1 w 5\n"),
            (Event::Aborted, "aborted t 7 1 w 5\n"),
            (Event::Saw(6), "saw t 7 1 w 5 6\n"),
            (Event::Refused(9), "refused t 7 1 w 5 9\n"),
        ];
        for (event, expected) in cases {
            assert_eq!(line(&name, event, 1, 5), expected);
        }
    }
}
