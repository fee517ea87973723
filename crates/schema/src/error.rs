//! Why something is no schema, or none that has a fingerprint. Whose file it was knows only the caller.

/// What is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    line: Option<usize>,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: None }
    }

    pub(crate) fn at(line: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), line: Some(line) }
    }

    /// The line it is about, counting from 1, if it was written in lines.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}
