//! A process of the demo's cluster: its log in a file, its end with the demo's.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::Error;

/// How much of a log is shown when something goes wrong.
const TAIL_LINES: usize = 30;

/// A running process. Killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with both its outputs in the file `log`.
    pub(crate) fn spawn(name: &str, mut command: Command, log: PathBuf) -> Result<Self, Error> {
        let start = |source| Error::Start { name: name.to_owned(), source };
        let output = File::create(&log).map_err(start)?;
        forget_settings(&mut command, std::env::vars_os().map(|(name, _)| name));
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(start)?)
            .stderr(output)
            .spawn()
            .map_err(start)?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        // Either fails only for a process that is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// An error if the process has ended, which it does only when the demo kills it.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                Err(Error::Ended { name: self.name.clone(), status, log: self.log_tail() })
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The end of its log, under a line with its name.
    pub(crate) fn log_tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        format!("--- {} ---\n{}\n", self.name, tail.join("\n"))
    }
}

/// Takes what Leasehold's programs read from the environment out of a command's: the demo shows its own
/// settings, not those of whoever watches.
fn forget_settings(command: &mut Command, names: impl Iterator<Item = OsString>) {
    for name in names.filter(|name| name.as_encoded_bytes().starts_with(b"LEASEHOLD_")) {
        command.env_remove(name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests;
