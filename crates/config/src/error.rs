//! Why a configuration is not taken.

use std::{
    borrow::Cow,
    fmt, io,
    path::{Path, PathBuf},
};

use serde_saphyr::UserMessageFormatter;

use super::place::{Place, Places};

/// What is wrong may repeat a key or a value, and those are whatever somebody wrote.
const MESSAGE_CHARS_MAX: usize = 300;

/// Of so many things that are wrong it is said where they stand: finding one takes as long as there are keys beside it.
const PLACED_MAX: usize = 1_000;

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
    /// It is a directory, a pipe or the like.
    #[error("{} is no regular file: it cannot be looked at again", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is too large to be a configuration.
    #[error("{} has more than the {max} bytes that a configuration may have", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        max: u64,
    },
    /// The file said something, and now it says nothing.
    #[error(
        "{} is empty, or has only comments, and was not before: what runs is kept. Write {{}} if every default is meant",
        path.display()
    )]
    Emptied {
        /// The file.
        path: PathBuf,
    },
    /// Every look at the file sees something else.
    #[error(
        "{} is being written: write it elsewhere and rename it into its place, then try again",
        path.display()
    )]
    Unsettled {
        /// The file.
        path: PathBuf,
    },
    /// There is no file to look at.
    #[error("there is no configuration file: start with --config to have one that can be reloaded")]
    Absent,
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
    #[error("{}", Lines(path, violations))]
    Invalid {
        /// The file they stand in, if they stand in one.
        path: Option<PathBuf>,
        /// Every rule that is broken.
        violations: Vec<Violation>,
    },
    /// The configuration cannot be printed.
    #[error("cannot print the configuration: {0}")]
    Unprintable(String),
}

impl ConfigError {
    /// With the place of each broken rule in the text that was read.
    #[must_use]
    pub fn placed(self, text: &str, file: &Path) -> Self {
        let Self::Invalid { mut violations, .. } = self else { return self };
        let places = Places::read(text);
        for Violation { key, place, .. } in violations.iter_mut().take(PLACED_MAX) {
            *place = places.of(key);
        }
        Self::Invalid { path: Some(file.to_owned()), violations }
    }

    /// Everything that is wrong, each with its place, if it has one: what a list shows. At least one.
    pub fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid { violations, .. } => violations.clone(),
            Self::Malformed { line, column, message, .. } => {
                let place = Some(Place { line: *line, column: *column });
                vec![Violation { key: "".into(), place, problem: message.clone() }]
            }
            Self::Unreadable { source, .. } => {
                vec![Violation {
                    key: "".into(),
                    place: None,
                    problem: format!("{self}: {source}"),
                }]
            }
            Self::NoFile { .. }
            | Self::TooLarge { .. }
            | Self::Emptied { .. }
            | Self::Unsettled { .. }
            | Self::Absent
            | Self::Unprintable(_) => {
                vec![Violation { key: "".into(), place: None, problem: self.to_string() }]
            }
        }
    }

    pub(super) fn malformed(path: &Path, error: &serde_saphyr::Error) -> Self {
        let place = error.location();
        let plain = error.without_snippet();
        let message = if let serde_saphyr::Error::InvalidScalar { ty, .. } = plain {
            format!("{} is expected here", what(ty))
        } else {
            first_line(&plain.render_with_formatter(&UserMessageFormatter))
        };
        let message = if message.chars().count() <= MESSAGE_CHARS_MAX {
            message
        } else {
            format!("{}...", message.chars().take(MESSAGE_CHARS_MAX).collect::<String>())
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
    /// The key, such as `session.ttl`. Empty: it is about the whole file, or what its message says.
    pub key: Cow<'static, str>,
    /// Where the key stands, or the nearest one around it. None: nowhere, so that it is a flag's or a default, or one of too many.
    pub place: Option<Place>,
    /// What is wrong, the limit, and the way out.
    pub problem: String,
}

struct Lines<'a>(&'a Option<PathBuf>, &'a [Violation]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, violations) = self;
        for (at, Violation { key, place, problem }) in violations.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            if let (Some(path), Some(Place { line, column })) = (path, place) {
                write!(f, "{}:{line}:{column}: ", path.display())?;
            }
            write!(f, "{key}: {problem}")?;
        }
        Ok(())
    }
}
