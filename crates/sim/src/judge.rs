//! What it is to break a promise.

use std::fmt;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which judge saw it.
    pub judge: &'static str,
    /// What it saw.
    pub message: String,
}

impl Violation {
    /// A broken promise, as a judge saw it.
    pub fn new(judge: &'static str, message: impl Into<String>) -> Self {
        Self { judge, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.judge, self.message)
    }
}
