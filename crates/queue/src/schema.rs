//! What tells payloads of one schema from those of another. Fingerprints are compared, never understood: no schema and no
//! language of schemas is known here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use leasehold_policy::Mutant;

use crate::Name;

/// The fingerprint of a payload schema: a SHA-256. As text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaPrint(pub [u8; 32]);

impl SchemaPrint {
    /// Reads its text. None: it is none, or written in another way.
    pub fn read(text: &str) -> Option<Self> {
        let digit = |it: &u8| match it {
            b'0'..=b'9' => Some(it - b'0'),
            b'a'..=b'f' => Some(it - b'a' + 10),
            _ => None,
        };
        let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        bytes.try_into().ok().filter(|_| rest.is_empty()).map(Self)
    }
}

impl fmt::Display for SchemaPrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Which payload schemas a worker reads, by task type. Of a type that is not among them: every one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemasRead(BTreeMap<Name, BTreeSet<SchemaPrint>>);

impl SchemasRead {
    /// Whether payloads of a task type and a schema are read. A payload whose schema is not said is read by everybody.
    pub(crate) fn reads(&self, task_type: &Name, schema: Option<SchemaPrint>) -> bool {
        let said = self.0.get(task_type).filter(|_| !Mutant::SchemaIgnored.is_alive());
        said.zip(schema).is_none_or(|(read, schema)| read.contains(&schema))
    }

    /// The schemas that are read of a task type; none, if every one is.
    pub(crate) fn of(&self, task_type: &Name) -> impl Iterator<Item = SchemaPrint> {
        self.0.get(task_type).into_iter().flatten().copied()
    }

    /// What is said of some task types.
    pub(crate) fn of_types(&self, types: &[Name]) -> Self {
        let said = self.0.iter().filter(|(name, _)| types.binary_search(name).is_ok());
        Self(said.map(|(name, read)| (Name::clone(name), read.clone())).collect())
    }

    /// The task types of which something is said, and what is read of each.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &BTreeSet<SchemaPrint>)> {
        self.0.iter()
    }
}

impl FromIterator<(Name, BTreeSet<SchemaPrint>)> for SchemasRead {
    fn from_iter<I: IntoIterator<Item = (Name, BTreeSet<SchemaPrint>)>>(said: I) -> Self {
        Self(said.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
