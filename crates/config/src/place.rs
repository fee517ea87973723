//! Where in a text a key stands, for rules that are looked at only once everything is read.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// A line and a column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// Where everything stands in a text.
pub(super) struct Places(Option<Node>);

impl Places {
    /// Reads the text. Nothing stands anywhere in one that cannot be read.
    pub(super) fn read(text: &str) -> Self {
        Self(serde_saphyr::from_str(text).ok())
    }

    /// Where the key stands, or the nearest of those around it that do. None: not even the first one is there.
    pub(super) fn of(&self, key: &str) -> Option<Place> {
        let (mut node, mut left, mut place) = (self.0.as_ref()?, key, None);
        while !left.is_empty() {
            // Names may have dots: the longest one that is there is meant.
            let found = node.0.iter().filter_map(|(name, below)| {
                Some((behind(left, &name.value)?, name.defined, below))
            });
            let Some((rest, at, below)) = found.min_by_key(|(rest, ..)| rest.len()) else { break };
            place = Some(Place { line: at.line(), column: at.column() });
            (node, left) = (below, rest);
        }
        place
    }
}

/// What is left of a key behind the name that it begins with.
fn behind<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    let rest = key.strip_prefix(name)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

/// The keys of a map, each with its place and what is below it. Nothing, if it is no map.
struct Node(Vec<(Spanned<String>, Self)>);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut keys = Vec::new();
        while let Some(entry) = map.next_entry()? {
            keys.push(entry);
        }
        Ok(Node(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }
}
