//! Where a schema stands in its document: a JSON Pointer, as a `$ref` within the document writes it.

use std::fmt;

use super::node::{Node, Value};

/// The steps from the document to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads what stands behind the `#` of a reference. None: it is no pointer.
    pub(super) fn read(fragment: &str) -> Option<Self> {
        Self::read_canonical(&format!("#{}", decoded(fragment)?))
    }

    /// Reads what it is written as in the canonical form.
    pub(super) fn read_canonical(text: &str) -> Option<Self> {
        let text = text.strip_prefix('#')?;
        if text.is_empty() {
            return Some(Self::default());
        }
        let steps = text.strip_prefix('/')?.split('/');
        Some(Self(steps.map(|it| it.replace("~1", "/").replace("~0", "~")).collect()))
    }

    /// The value it leads to.
    pub(super) fn of<'a>(&self, document: &'a Node) -> Option<&'a Node> {
        self.0.iter().try_fold(document, |node, step| match &node.value {
            Value::Object(members) => members.get(step),
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => None,
        })
    }
}

/// As it stands behind a `#` in the canonical form: `~` and `/` in a step are escaped, and nothing else.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("#")?;
        for step in &self.0 {
            write!(f, "/{}", step.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

/// Text without the escapes of a URI.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
