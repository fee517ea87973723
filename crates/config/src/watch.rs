//! When what a file holds is news: it differs from what was known, and two looks have seen the same.
//!
//! It compares contents, not dates: a file that is put back to an older one, or reached through a link that now points
//! elsewhere, is news as well. Whoever writes a file in place is seen in the middle of it by one look; the next one sees
//! something else. It knows neither clock nor file: who looks, and how long between two looks, is the caller's.

use super::{ConfigError, Contents, Hash};

/// What one look at a file has seen.
#[derive(Debug)]
pub struct Look {
    /// What it held, or why nobody can say.
    pub seen: Result<Contents, ConfigError>,
    /// Tells two looks apart: an error is as good a content as any, so that it is told once.
    print: Hash,
}

impl Look {
    /// A look that has seen this.
    pub fn new(seen: Result<Contents, ConfigError>) -> Self {
        let print = match &seen {
            Ok(contents) => contents.hash,
            Err(error) => Hash::of(error.to_string().as_bytes()),
        };
        Self { seen, print }
    }

    /// Whether both have seen the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

/// What a look means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing is new.
    Known,
    /// Something is, and may be only half of it: look again.
    Unsettled,
    /// It is new, and the look before has seen the same.
    Settled,
}

/// Somebody who looks again and again.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    known: Hash,
    /// What the look before has seen, if it was not known.
    before: Option<Hash>,
}

impl Watch {
    /// Somebody who knows a content.
    pub const fn new(known: Hash) -> Self {
        Self { known, before: None }
    }

    /// What this look means. What is settled is known from here on.
    pub fn look(&mut self, look: &Look) -> Sight {
        let before = self.before.replace(look.print);
        if look.print == self.known {
            self.before = None;
            return Sight::Known;
        }
        if before != Some(look.print) {
            return Sight::Unsettled;
        }
        self.known = look.print;
        self.before = None;
        Sight::Settled
    }

    /// What this look has seen is known from here on.
    pub const fn know(&mut self, look: &Look) {
        (self.known, self.before) = (look.print, None);
    }

    /// Forgets what is known: whatever two looks see is news.
    pub fn forget(&mut self) {
        // No content has the hash of nothing but this word.
        self.known = Hash::of(b"forgotten");
        self.before = None;
    }
}
