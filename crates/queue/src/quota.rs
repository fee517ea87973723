//! What the tasks of each namespace take that have not ended, and what they may.
//!
//! It is counted with the tasks themselves, so that it is right after a restart, and looked at only where something asks to come
//! in. It knows no task: it is told whose something was, and how large.

use leasehold_policy::Mutant;

use crate::Refusal;

/// What the tasks of a namespace may take that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// How many there may be. None: as many as the coordinator has room for.
    pub open_tasks: Option<u64>,
    /// What their payloads, their checkpoints and what is kept beside them may take in bytes. None: the same. It refuses a
    /// checkpoint, too.
    pub open_bytes: Option<u64>,
}

/// What the tasks of a namespace take that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub tasks: u64,
    /// What their payloads, their checkpoints and what is kept beside them take in bytes.
    pub bytes: u64,
}

impl Usage {
    /// A task is there.
    pub(crate) const fn enter(&mut self, bytes: u64) {
        self.tasks += 1;
        self.bytes += bytes;
    }

    /// A task is gone.
    pub(crate) const fn leave(&mut self, bytes: u64) {
        self.tasks -= 1;
        self.bytes -= bytes;
    }

    /// A task takes as much as it did not before.
    pub(crate) const fn resize(&mut self, before: u64, after: u64) {
        self.bytes = self.bytes - before + after;
    }
}

impl Quota {
    /// Whether a namespace that takes so much has room for one more task of that size.
    pub(crate) fn admit(self, name: &str, usage: Usage, bytes: u64) -> Result<(), Refusal> {
        let Usage { tasks, bytes: taken } = usage;
        let tasks = tasks.saturating_sub(u64::from(Mutant::QuotaBeyond.is_alive()));
        let bounds = [
            ("open_tasks", tasks, 1, self.open_tasks),
            ("open_bytes", taken, bytes, self.open_bytes),
        ];
        for (what, used, more, max) in bounds {
            if let Some(max) = max.filter(|max| *max < used.saturating_add(more)) {
                return Err(Refusal::Quota { namespace: name.into(), what, used, max });
            }
        }
        Ok(())
    }
}
