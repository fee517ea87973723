//! The fingerprint of a schema, and the version that may be a part of it. It knows no schema language.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::Error;

/// The first line of every canonical form. A change of the form has to change it: a print is for ever.
const FORM: &str = "leasehold-payload-schema 1";

/// How long a version may be, in bytes.
const VERSION_BYTES_MAX: usize = 64;

/// A fingerprint of a payload schema. As text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(canonical: &str) -> Self {
        Self(Sha256::digest(canonical).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A version that people gave a schema: payloads of two versions are kept apart also where their schemas are the same. 1
/// to 64 characters of `[A-Za-z0-9._+-]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_known = |it: char| it.is_ascii_alphanumeric() || "._+-".contains(it);
        if (1..=VERSION_BYTES_MAX).contains(&text.len()) && text.chars().all(is_known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::new(format!(
                "a version is 1 to {VERSION_BYTES_MAX} characters of [A-Za-z0-9._+-]"
            )))
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is hashed: a head of two or three lines, then the lines of the schema in the order of their bytes.
pub(crate) fn canonical(
    language: &str,
    version: Option<&Version>,
    mut lines: Vec<String>,
) -> String {
    lines.sort_unstable();
    let version = version.map(|version| format!("version {version}"));
    let head = [FORM.to_owned(), format!("language {language}")].into_iter().chain(version);
    head.chain(lines).map(|line| line + "\n").collect()
}
