//! The demo's tasks: what is submitted for a file, and what must come back.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use leasehold_client::TaskSpec;

use crate::digest::Digest;

/// The queue the tasks wait in.
pub(crate) const QUEUE: &str = "demo";

/// The task type of the Rust handler; its result is a [`Digest`].
pub(crate) const DIGEST: &str = "digest";

/// The task type of the program; its result is what `sha256sum` prints.
pub(crate) const SHA256SUM: &str = "sha256sum";

/// Every how manieth file is a program's.
const PROGRAM_EVERY: usize = 10;

/// One file's task.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) path: PathBuf,
    pub(crate) task_type: &'static str,
}

impl Item {
    /// The task of the file at this place in the list.
    pub(crate) fn new(index: usize, path: PathBuf) -> Self {
        let is_program = index % PROGRAM_EVERY == PROGRAM_EVERY - 1;
        Self { path, task_type: if is_program { SHA256SUM } else { DIGEST } }
    }

    /// What is submitted: the payload is the file's path.
    pub(crate) fn spec(&self) -> TaskSpec {
        TaskSpec::new(self.task_type)
            .queue(QUEUE)
            .payload(self.path.as_os_str().as_bytes().to_vec())
    }

    /// Whether `result` is what an independent computation finds.
    pub(crate) fn agrees(&self, result: &[u8]) -> bool {
        expected(&self.path, self.task_type).is_some_and(|expected| expected.as_bytes() == result)
    }
}

/// The right result; `None` if the file can no longer be read.
fn expected(path: &Path, task_type: &str) -> Option<String> {
    let digest = Digest::recomputed(path).ok()?;
    // sha256sum reads from its stdin, which it calls "-".
    let is_program = task_type == SHA256SUM;
    Some(if is_program { format!("{}  -\n", digest.sha256) } else { digest.to_string() })
}

#[cfg(test)]
mod tests;
