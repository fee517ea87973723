//! Idempotency keys: which task a key names, while the task lives and for a while after its end.
//!
//! It knows no task state: it is told when a task opens and ends.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_policy::Time;

use crate::{KeptKey, Key, Name, TaskId, fingerprint::Print};

/// What a key takes in memory beside its text: its entry, its place in the order of expiry, the digest.
const KEY_OVERHEAD_BYTES: u64 = 192;

/// Every known idempotency key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    entries: BTreeMap<Name, BTreeMap<Name, Entry>>,
    expiries: BTreeSet<(Time, Name, Name)>,
    bytes: u64,
}

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The digest of the task's type and payload.
    pub(crate) digest: [u8; 16],
    /// The task.
    pub(crate) task: TaskId,
    /// Until when the key is kept; none while the task lives.
    pub(crate) until: Option<Time>,
}

impl Keys {
    /// Names a task that lives, or keeps a key of one that has ended. Replaces what the key named before.
    pub(crate) fn insert(&mut self, queue: &Name, key: &Key, task: TaskId, until: Option<Time>) {
        self.remove(queue, &key.name);
        self.bytes += cost(queue, &key.name);
        if let Some(until) = until {
            self.expiries.insert((until, Name::clone(queue), Name::clone(&key.name)));
        }
        let entry = Entry { digest: key.digest, task, until };
        self.entries.entry(Name::clone(queue)).or_default().insert(Name::clone(&key.name), entry);
    }

    /// Forgets what a task that lived was named by, unless the key names another task.
    pub(crate) fn release(&mut self, queue: &Name, key: &Key, task: TaskId) {
        if self.entry(queue, &key.name).is_some_and(|entry| entry.task == task) {
            self.remove(queue, &key.name);
        }
    }

    /// What the key names at that time.
    pub(crate) fn find(&self, queue: &str, name: &str, now: Time) -> Option<Entry> {
        self.entry(queue, name).filter(|entry| entry.until.is_none_or(|until| now < until))
    }

    /// The key as it would have to be written again, if it outlives its task.
    pub(crate) fn kept(&self, queue: &Name, name: &Name) -> Option<(Key, TaskId, Time)> {
        let entry = self.entry(queue, name)?;
        let key = Key { name: Name::clone(name), digest: entry.digest };
        Some((key, entry.task, entry.until?))
    }

    /// Forgets keys whose time is over, at most so many.
    pub(crate) fn expire(&mut self, now: Time, most: usize) {
        for _ in 0..most {
            let Some((until, queue, name)) = self.expiries.first().cloned() else { return };
            if now < until {
                return;
            }
            self.remove(&queue, &name);
        }
    }

    /// When the next key expires.
    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.expiries.first().map(|(until, ..)| *until)
    }

    /// What all keys take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many keys have outlived their task.
    #[cfg(debug_assertions)]
    pub(crate) fn kept_count(&self) -> usize {
        self.expiries.len()
    }

    /// Every key that outlives its task.
    pub(crate) fn iter_kept(&self) -> impl Iterator<Item = KeptKey> {
        self.entries.iter().flat_map(|(queue, keys)| {
            keys.iter().filter_map(|(name, entry)| {
                let (queue, name) = (Name::clone(queue), Name::clone(name));
                entry.until.map(|until| KeptKey { queue, name, task: entry.task, until })
            })
        })
    }

    /// How many keys name tasks that live, and the bytes of all keys, counted anew.
    #[cfg(debug_assertions)]
    pub(crate) fn audit(&self) -> (usize, u64) {
        let all =
            self.entries.iter().flat_map(|(queue, keys)| keys.iter().map(move |k| (queue, k)));
        all.fold((0, 0), |(live, bytes), (queue, (name, entry))| {
            (live + usize::from(entry.until.is_none()), bytes + cost(queue, name))
        })
    }

    /// Every key that is not over, whether it has been forgotten or not.
    pub(crate) fn fingerprint(&self, print: &mut Print<'_>) {
        for (queue, keys) in &self.entries {
            for (name, entry) in keys {
                let until = entry.until.unwrap_or(Time::NEVER);
                if print.is_ahead(until) {
                    print.put((queue, name, entry.digest, entry.task, entry.until.is_some()));
                    print.left(until);
                }
            }
        }
    }

    fn entry(&self, queue: &str, name: &str) -> Option<Entry> {
        self.entries.get(queue)?.get(name).copied()
    }

    fn remove(&mut self, queue: &Name, name: &Name) {
        let Some(keys) = self.entries.get_mut(queue) else { return };
        let Some(entry) = keys.remove(name) else { return };
        if keys.is_empty() {
            self.entries.remove(queue);
        }
        self.bytes -= cost(queue, name);
        if let Some(until) = entry.until {
            self.expiries.remove(&(until, Name::clone(queue), Name::clone(name)));
        }
    }
}

/// What a key takes.
pub(crate) fn cost(queue: &str, name: &str) -> u64 {
    KEY_OVERHEAD_BYTES + queue.len() as u64 + name.len() as u64
}
