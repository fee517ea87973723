//! What changed between two schemas, and who still reads what. It knows no schema language.

/// Whether a reader of one schema reads every payload of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It does, as far as this change goes.
    Reads,
    /// It may: nothing was found out. Whoever relies on it has to look.
    Undecided,
    /// There are payloads that it refuses, or reads as something else.
    Breaks,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where: the name of a field, or the path to a value.
    pub place: String,
    /// What, in words.
    pub what: String,
    /// Whether a reader of the new schema reads what was written under the old one: tasks that wait during a deploy.
    pub new_reads_old: Verdict,
    /// Whether a reader of the old schema reads what is written under the new one: workers that are not deployed yet.
    pub old_reads_new: Verdict,
}

impl Change {
    /// A change after which everybody reads everything.
    pub(crate) fn harmless(place: &str, what: impl Into<String>) -> Self {
        Self::judged(place, what, Verdict::Reads, Verdict::Reads)
    }

    /// A change after which nobody reads what the other wrote.
    pub(crate) fn breaking(place: &str, what: impl Into<String>) -> Self {
        Self::judged(place, what, Verdict::Breaks, Verdict::Breaks)
    }

    /// A change that cannot be judged.
    pub(crate) fn undecided(place: &str, what: impl Into<String>) -> Self {
        Self::judged(place, what, Verdict::Undecided, Verdict::Undecided)
    }

    pub(crate) fn judged(
        place: &str,
        what: impl Into<String>,
        new_reads_old: Verdict,
        old_reads_new: Verdict,
    ) -> Self {
        Self { place: place.to_owned(), what: what.into(), new_reads_old, old_reads_new }
    }

    /// Whether somebody may not read what another wrote.
    pub fn is_breaking(&self) -> bool {
        self.new_reads_old.max(self.old_reads_new) != Verdict::Reads
    }
}

/// Every change between two schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    changes: Vec<Change>,
}

impl Report {
    pub(crate) fn new(changes: Vec<Change>) -> Self {
        Self { changes }
    }

    /// The changes, as they were met from the outside in.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether a reader of the new schema reads everything that was written under the old one.
    pub fn new_reads_old(&self) -> Verdict {
        self.worst(|change| change.new_reads_old)
    }

    /// Whether a reader of the old schema reads everything that is written under the new one.
    pub fn old_reads_new(&self) -> Verdict {
        self.worst(|change| change.old_reads_new)
    }

    /// The worst of them decides: a payload may be touched by every change.
    fn worst(&self, verdict: impl Fn(&Change) -> Verdict) -> Verdict {
        self.changes.iter().map(verdict).max().unwrap_or(Verdict::Reads)
    }
}
