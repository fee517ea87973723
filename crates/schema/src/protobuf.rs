//! The schema of a protobuf message: every type it mentions, as far as it decides what bytes mean.
//!
//! It knows no source text, comment, file or option beyond that.

mod compare;
mod descriptor;
mod features;
mod kind;
mod lines;
mod pool;
mod resolve;

use std::collections::BTreeMap;

pub(crate) use compare::changes;
use kind::Kind;

/// A message and every type that can be reached from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schema {
    root: String,
    /// By full name. Every name that a kind mentions is there.
    types: BTreeMap<String, Type>,
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
enum Type {
    /// Its fields, by number; extensions that the set declares are fields too.
    Message(BTreeMap<u32, Field>),
    /// An enum.
    Enum(Enum),
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    /// Its name; that of an extension is its full name in brackets.
    name: String,
    /// Its name in protobuf's JSON mapping, where it is not the one that follows from its name.
    json_name: Option<String>,
    /// The oneof it is in. The one that the compiler declares for an `optional` field is none.
    oneof: Option<String>,
    /// How often it is there, and as what.
    shape: Shape,
}

/// How often a field is there, and as what.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// At most once.
    One { kind: Kind, presence: Presence, default: Option<String> },
    /// Any number of times.
    Many { kind: Kind, packing: Packing },
    /// Once for each key.
    Map { key: Kind, value: Kind },
}

/// Whether a field that is not there is told from one that holds its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It is not: the default is not written.
    Implicit,
    /// It is.
    Explicit,
    /// A message without it is none.
    Required,
}

/// How a list of numbers is written. Readers have to know both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    /// One after the other, under one key.
    Packed,
    /// Each under a key of its own, which is the only way for what is no number.
    Expanded,
}

/// An enum.
#[derive(Clone, Debug, PartialEq)]
struct Enum {
    openness: Openness,
    /// In the order of numbers; several of one number in the order of names.
    values: BTreeMap<i32, Vec<String>>,
}

/// What becomes of a number that an enum does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Openness {
    /// It is kept as a number.
    Open,
    /// It counts as an unknown field: the reader sees that nothing is there.
    Closed,
}

impl Schema {
    /// The full name of the message.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// A message's fields. One that is not known has none, which cannot happen.
    fn fields(&self, name: &str) -> impl Iterator<Item = (u32, &Field)> {
        let fields = match self.types.get(name) {
            Some(Type::Message(fields)) => Some(fields),
            Some(Type::Enum(_)) | None => None,
        };
        fields.into_iter().flatten().map(|(number, field)| (*number, field))
    }

    fn enumeration(&self, name: &str) -> Option<&Enum> {
        match self.types.get(name)? {
            Type::Enum(it) => Some(it),
            Type::Message(_) => None,
        }
    }
}
