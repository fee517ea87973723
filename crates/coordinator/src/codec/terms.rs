//! What a task asks of its leases, as bytes: the extras of its specification, so that only what differs from the default is
//! written.

use leasehold_queue::{Exclusivity, Guarantee, LeaseTerms};

use super::wire::{Cursor, Malformed, Pen};

/// Numbers on disk: never changed, never used again for something else.
mod tag {
    pub(super) const AT_MOST_ONCE: u8 = 1;
    pub(super) const BEST_EFFORT: u8 = 2;
    pub(super) const QUEUE_TIMEOUT: u8 = 3;
    pub(super) const PROGRESS_TIMEOUT: u8 = 4;
}

impl Pen {
    pub(super) fn terms(&mut self, terms: &LeaseTerms) {
        let LeaseTerms { guarantee, exclusivity, queue_timeout, progress_timeout } = terms;
        match guarantee {
            Guarantee::AtLeastOnce => {}
            Guarantee::AtMostOnce => self.byte(tag::AT_MOST_ONCE),
        }
        match exclusivity {
            Exclusivity::Strict => {}
            Exclusivity::BestEffort => self.byte(tag::BEST_EFFORT),
        }
        self.extra(tag::QUEUE_TIMEOUT, queue_timeout.as_ref(), |pen, timeout| {
            pen.duration(*timeout);
        });
        self.extra(tag::PROGRESS_TIMEOUT, progress_timeout.as_ref(), |pen, timeout| {
            pen.duration(*timeout);
        });
        self.end_extras();
    }
}

impl Cursor<'_> {
    pub(super) fn terms(&mut self) -> Result<LeaseTerms, Malformed> {
        let mut terms = LeaseTerms::default();
        while let Some(kind) = self.extra()? {
            match kind {
                tag::AT_MOST_ONCE => terms.guarantee = Guarantee::AtMostOnce,
                tag::BEST_EFFORT => terms.exclusivity = Exclusivity::BestEffort,
                tag::QUEUE_TIMEOUT => terms.queue_timeout = Some(self.duration()?),
                tag::PROGRESS_TIMEOUT => terms.progress_timeout = Some(self.duration()?),
                kind => return Err(Malformed::UnknownKind { what: "term", kind }),
            }
        }
        Ok(terms)
    }
}
