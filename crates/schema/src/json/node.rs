//! JSON with the lines it was written in: exact numbers, no name twice, a canonical text for each value.
//!
//! It knows no keyword.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::number::Number;
use crate::{Error, JSON_BYTES_MAX, JSON_LEVELS_MAX};

/// A value and the line it begins in. Lines do not count when nodes are compared.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(BTreeMap<String, Node>),
}

impl Node {
    /// Reads a document.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        if JSON_BYTES_MAX < text.len() {
            let size = text.len();
            return Err(Error::new(format!("{size} bytes: at most {JSON_BYTES_MAX} are read")));
        }
        let document = Document { text };
        let raw = serde_json::from_str(text).map_err(|error| fault(1, &error))?;
        document.node(raw, 1)
    }

    /// A value that stands nowhere.
    pub(super) fn of(value: Value) -> Self {
        Self { line: 0, value }
    }

    pub(super) fn object(&self) -> Option<&BTreeMap<String, Self>> {
        let Value::Object(members) = &self.value else { return None };
        Some(members)
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        let Value::List(items) = &self.value else { return None };
        Some(items)
    }

    pub(super) fn text(&self) -> Option<&str> {
        let Value::Text(text) = &self.value else { return None };
        Some(text)
    }

    pub(super) fn number(&self) -> Option<&Number> {
        let Value::Number(number) = &self.value else { return None };
        Some(number)
    }

    /// A member of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.object()?.get(name)
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// The canonical text: no space, members in the order of their names' bytes, and only such escapes as are needed.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Bool(it) => write!(f, "{it}"),
            Value::Number(it) => write!(f, "{it}"),
            Value::Text(it) => write!(f, "{}", quoted(it)),
            Value::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Value::Object(members) => {
                f.write_str("{")?;
                for (index, (name, member)) in members.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{member}", quoted(name))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> serde_json::Value {
    serde_json::Value::String(text.to_owned())
}

/// What is being read.
struct Document<'a> {
    text: &'a str,
}

impl<'a> Document<'a> {
    /// Reads one value, which is a piece of the document.
    fn node(&self, raw: &'a RawValue, level: usize) -> Result<Node, Error> {
        let text = raw.get();
        let line = self.line(text);
        if JSON_LEVELS_MAX < level {
            let message = format!("is nested deeper than {JSON_LEVELS_MAX} levels");
            return Err(Error::at(line, message));
        }
        let faulty = |error: serde_json::Error| fault(line, &error);
        let value = match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(faulty)?;
                Value::Object(self.members(members, level)?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(faulty)?;
                let items = items.into_iter().map(|item| self.node(item, level + 1));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(serde_json::from_str(text).map_err(faulty)?),
            Some(b'n') => Value::Null,
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            _ => Value::Number(Number::read(text).ok_or_else(|| {
                Error::at(line, "has a number that is too long or too large to be compared")
            })?),
        };
        Ok(Node { line, value })
    }

    fn members(
        &self,
        members: Vec<(String, &'a RawValue)>,
        level: usize,
    ) -> Result<BTreeMap<String, Node>, Error> {
        let mut read = BTreeMap::new();
        for (name, raw) in members {
            let node = self.node(raw, level + 1)?;
            let line = node.line;
            if read.insert(name.clone(), node).is_some() {
                return Err(Error::at(line, format!("{name:?} is there twice")));
            }
        }
        Ok(read)
    }

    /// The line that a piece of the document begins in.
    fn line(&self, piece: &str) -> usize {
        let offset = piece.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let before = self.text.get(..offset).unwrap_or_default();
        1 + before.matches('\n').count()
    }
}

/// What is wrong with the text of a value that begins in a line.
fn fault(line: usize, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Error::at(line + error.line().saturating_sub(1), format!("is no JSON: {message}"))
}

/// The members of an object, as they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
