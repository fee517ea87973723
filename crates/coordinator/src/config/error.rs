//! Why a configuration is not taken.

use std::{fmt, io, path::Path, path::PathBuf};

use serde_saphyr::UserMessageFormatter;

/// A configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{} has {bytes} bytes, a configuration has at most {max}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// The text is not YAML, or a key or value is not one of ours.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// Values do not fit together.
    #[error("{}", Lines(violations))]
    Invalid {
        /// Every rule that is broken.
        violations: Vec<Violation>,
    },
    /// The configuration cannot be printed.
    #[error("cannot print the configuration: {0}")]
    Unprintable(String),
}

impl ConfigError {
    pub(super) fn malformed(path: &Path, error: &serde_saphyr::Error) -> Self {
        let place = error.location();
        let plain = error.without_snippet();
        let message = if let serde_saphyr::Error::InvalidScalar { ty, .. } = plain {
            format!("{} is expected here", what(ty))
        } else {
            first_line(&plain.render_with_formatter(&UserMessageFormatter))
        };
        Self::Malformed {
            path: path.to_owned(),
            line: place.map_or(1, |place| place.line()),
            column: place.map_or(1, |place| place.column()),
            message,
        }
    }
}

/// A type of the parser as people call it.
fn what(ty: &str) -> &str {
    match ty {
        "boolean" => "true or false",
        "u32" | "u64" => "a whole number of zero or more",
        "floating point" => "a number",
        other => other,
    }
}

/// What is wrong, without the place that some messages of the parser repeat.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let without_place = match line.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => line,
    };
    let cut = without_place.rfind(" at line ").unwrap_or(without_place.len());
    without_place.get(..cut).unwrap_or(without_place).to_owned()
}

/// One rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key, such as `session.ttl`.
    pub key: &'static str,
    /// What is wrong, the limit, and the way out.
    pub problem: String,
}

struct Lines<'a>(&'a [Violation]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Violation { key, problem }) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{key}: {problem}")?;
        }
        Ok(())
    }
}
