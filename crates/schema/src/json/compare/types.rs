//! Which types of values a schema lets through, and which values if it names them.

use std::collections::BTreeSet;

use super::{Comparison, Pair, Turn};
use crate::json::node::{Node, Value};

/// What is judged here.
pub(super) const JUDGED: &[&str] = &["type", "enum", "const"];

/// A set of types. Whole numbers and others are two, so that `integer` is a part of `number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const STRING: Self = Self(1);
    const WHOLE: Self = Self(2);
    pub(super) const FRACTION: Self = Self(4);
    pub(super) const NUMBER: Self = Self(2 | 4);
    pub(super) const ARRAY: Self = Self(8);
    pub(super) const OBJECT: Self = Self(16);
    const BOOLEAN: Self = Self(32);
    const NULL: Self = Self(64);
    const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self(127);

    /// The types of what a schema lets through: those it names, as far as values that it names have them.
    pub(super) fn of(schema: &Node) -> Self {
        let named = named(schema);
        let values = values(schema).map(|values| values.into_iter().map(Self::of_value));
        let of_values = values.map_or(Self::ALL, |it| it.fold(Self::NONE, Self::with));
        Self(named.0 & of_values.0)
    }

    fn of_value(value: &Node) -> Self {
        match &value.value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(it) if it.is_whole() => Self::WHOLE,
            Value::Number(_) => Self::FRACTION,
            Value::Text(_) => Self::STRING,
            Value::List(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    fn of_name(name: &Node) -> Self {
        match name.text() {
            Some("null") => Self::NULL,
            Some("boolean") => Self::BOOLEAN,
            Some("integer") => Self::WHOLE,
            Some("number") => Self::NUMBER,
            Some("string") => Self::STRING,
            Some("array") => Self::ARRAY,
            Some("object") => Self::OBJECT,
            Some(_) | None => Self::NONE,
        }
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they have a type in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is one that the other ones lack.
    fn exceeds(self, other: Self) -> bool {
        self.0 & !other.0 != 0
    }
}

/// The types that a schema names.
fn named(schema: &Node) -> Types {
    let Some(said) = schema.get("type") else { return Types::ALL };
    let names = said.list().unwrap_or(std::slice::from_ref(said));
    names.iter().map(Types::of_name).fold(Types::NONE, Types::with)
}

/// The values that a schema names, if it names them.
fn values(schema: &Node) -> Option<Vec<&Node>> {
    let of_enum = schema.get("enum").and_then(Node::list);
    match (of_enum, schema.get("const")) {
        (None, None) => None,
        (Some(values), None) => Some(values.iter().collect()),
        (None, Some(value)) => Some(vec![value]),
        (Some(values), Some(value)) => Some(values.iter().filter(|it| *it == value).collect()),
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn types(&mut self, pair: &Pair<'a>) {
        let (old, new) = (Types::of(pair.old), Types::of(pair.new));
        if let Some(turn) = turn(&old, &new, |it, other| it.exceeds(*other)) {
            let word = |it: &Node| it.get("type").map_or("any".to_owned(), ToString::to_string);
            let what = match (word(pair.old), word(pair.new)) {
                (old, new) if old == new => "the values it names are of other types".to_owned(),
                (old, new) => format!("type {old} became {new}"),
            };
            self.turned(&pair.place, what, turn);
        }
        let texts = |schema: &Node| {
            let named = named(schema);
            let values = values(schema)?.into_iter().filter(|it| named.meets(Types::of_value(it)));
            Some(values.map(ToString::to_string).collect::<BTreeSet<_>>())
        };
        match (texts(pair.old), texts(pair.new)) {
            (None, None) => {}
            (None, Some(_)) => {
                self.turned(&pair.place, "only some values are let through now", Turn::Narrower);
            }
            (Some(_), None) => {
                self.turned(&pair.place, "not only some values are let through now", Turn::Wider);
            }
            (Some(old), Some(new)) => {
                let list = |it: BTreeSet<&String>| {
                    it.into_iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")
                };
                let (gone, came) = (old.difference(&new).collect(), new.difference(&old).collect());
                if let Some(turn) = turn(&old, &new, |it, other| !it.is_subset(other)) {
                    let what = match turn {
                        Turn::Narrower => format!("no value any more: {}", list(gone)),
                        Turn::Wider => format!("a value now: {}", list(came)),
                        Turn::Other => format!("the values {} became {}", list(gone), list(came)),
                    };
                    self.turned(&pair.place, what, turn);
                }
            }
        }
    }
}

/// How what is let through changed, if one side exceeds the other.
fn turn<T>(old: &T, new: &T, exceeds: impl Fn(&T, &T) -> bool) -> Option<Turn> {
    match (exceeds(old, new), exceeds(new, old)) {
        (false, false) => None,
        (true, false) => Some(Turn::Narrower),
        (false, true) => Some(Turn::Wider),
        (true, true) => Some(Turn::Other),
    }
}
