//! From a document to its canonical form: each keyword as what it holds, and the definitions that are referred to.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    Schema,
    keyword::{Dialect, Keyword, TYPES},
    node::{Node, Value},
    number::Number,
    pointer::Pointer,
};
use crate::Error;

/// The members of an object.
type Members = BTreeMap<String, Node>;

impl Schema {
    /// Reads a document.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let document = Node::read(text)?;
        let dialect = Dialect::read(document.get("$schema"))?;
        let id = document.get("$id").and_then(Node::text).map(|it| it.trim_end_matches('#'));
        let mut reader = Reader { document: &document, dialect, id, wanted: Vec::new() };
        let mut definitions = BTreeMap::new();
        let root = reader.schema(&document)?;
        definitions.insert(Pointer::default(), root);
        while let Some((place, node)) = reader.wanted.pop() {
            if let Entry::Vacant(vacant) = definitions.entry(place) {
                vacant.insert(reader.schema(node)?);
            }
        }
        Ok(Self { dialect, definitions })
    }
}

/// A document that is being read.
struct Reader<'a> {
    document: &'a Node,
    dialect: Dialect,
    /// What the document calls itself: a reference that begins so is one within it.
    id: Option<&'a str>,
    /// What was referred to. As deep as references go: a recursive schema is no recursion here.
    wanted: Vec<(Pointer, &'a Node)>,
}

impl<'a> Reader<'a> {
    /// A schema without what does not count. Documents are only as deep as they could be read.
    fn schema(&mut self, node: &'a Node) -> Result<Node, Error> {
        let members = match &node.value {
            Value::Bool(true) => return Ok(Node::of(Value::Object(Members::new()))),
            Value::Bool(false) => return Ok(Node::of(Value::Bool(false))),
            Value::Object(members) => members,
            Value::Null | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                return Err(Error::at(node.line, "a schema is an object, true or false"));
            }
        };
        // In draft-07 nothing beside a reference is looked at.
        let is_alone = self.dialect == Dialect::Draft07 && members.contains_key("$ref");
        let mut kept = Members::new();
        for (name, value) in members.iter().filter(|(name, _)| !is_alone || *name == "$ref") {
            if let Some(value) = self.keyword(node, name, value)? {
                kept.insert(name.clone(), value);
            }
        }
        if self.dialect != Dialect::Draft2020 {
            name_tuples(&mut kept);
        }
        Ok(Node::of(Value::Object(kept)))
    }

    /// What counts of a keyword's value. None: nothing.
    fn keyword(
        &mut self,
        schema: &Node,
        name: &str,
        value: &'a Node,
    ) -> Result<Option<Node>, Error> {
        let wrong = |expected: &str| Error::at(value.line, format!("{name} is no {expected}"));
        let kept = match Keyword::of(name) {
            Keyword::Beside => return Ok(None),
            Keyword::Identity if std::ptr::eq(schema, self.document) => return Ok(None),
            Keyword::Identity => {
                return Err(Error::at(
                    value.line,
                    format!(
                        "{name} inside a schema makes it another document; take it away, or bundle without it"
                    ),
                ));
            }
            Keyword::Dynamic => {
                return Err(Error::at(
                    value.line,
                    format!(
                        "{name} means something else for each document that refers to it: not supported"
                    ),
                ));
            }
            Keyword::Reference => self.reference(value)?,
            Keyword::Schema if name == "items" && value.list().is_some() => self.tuple(value)?,
            Keyword::Schema => self.schema(value)?,
            Keyword::Tuple if self.dialect != Dialect::Draft2020 => {
                return Err(wrong("keyword before 2020-12, where items holds the list"));
            }
            Keyword::Tuple | Keyword::Schemas => {
                let items = value.list().ok_or_else(|| wrong("list of schemas"))?;
                let mut items = self.schemas(items)?;
                if Keyword::of(name) == Keyword::Schemas {
                    items.sort_by_cached_key(ToString::to_string);
                }
                Node::of(Value::List(items))
            }
            Keyword::Named => {
                let members = value.object().ok_or_else(|| wrong("object of schemas"))?;
                self.named(members)?
            }
            Keyword::Dependencies => {
                let members = value.object().ok_or_else(|| wrong("object"))?;
                self.dependencies(members)?
            }
            Keyword::NameSets => {
                let members = value.object().ok_or_else(|| wrong("object of lists of names"))?;
                let sets = members.iter().map(|(name, it)| Ok((name.clone(), names(it)?)));
                Node::of(Value::Object(sets.collect::<Result<_, Error>>()?))
            }
            Keyword::Names => names(value)?,
            Keyword::Types => types(value)?,
            Keyword::Values => {
                let values = value.list().ok_or_else(|| wrong("list of values"))?;
                set(values.to_vec())
            }
            Keyword::Number
            | Keyword::Positive
            | Keyword::Count
            | Keyword::Flag
            | Keyword::Text => scalar(name, value)?,
            Keyword::Data => value.clone(),
        };
        let is_set =
            matches!(Keyword::of(name), Keyword::Named | Keyword::NameSets | Keyword::Names);
        Ok(Some(kept).filter(|kept| !is_set || !kept.is_empty()))
    }

    /// A reference within the document, and what it refers to for later.
    fn reference(&mut self, value: &Node) -> Result<Node, Error> {
        let text = value.text().unwrap_or_default();
        let (document, fragment) = text.split_once('#').unwrap_or((text, ""));
        if !document.is_empty() && Some(document) != self.id {
            return Err(Error::at(
                value.line,
                format!(
                    "$ref {value} leads to another document; bundle what it names into $defs of this one"
                ),
            ));
        }
        let place = Pointer::read(fragment).ok_or_else(|| {
            let message = format!("$ref {value} is no JSON Pointer; write #/$defs/NAME");
            Error::at(value.line, message)
        })?;
        let target = place.of(self.document).ok_or_else(|| {
            Error::at(value.line, format!("$ref {value} leads nowhere in this document"))
        })?;
        let canonical = Node::of(Value::Text(place.to_string()));
        self.wanted.push((place, target));
        Ok(canonical)
    }

    /// `items` as a list, which has a name of its own since 2020-12.
    fn tuple(&mut self, value: &'a Node) -> Result<Node, Error> {
        if self.dialect == Dialect::Draft2020 {
            let message =
                "items is a list, which is prefixItems since 2020-12; say which $schema is meant";
            return Err(Error::at(value.line, message));
        }
        let items = value.list().unwrap_or_default();
        Ok(Node::of(Value::List(self.schemas(items)?)))
    }

    fn schemas(&mut self, items: &'a [Node]) -> Result<Vec<Node>, Error> {
        items.iter().map(|item| self.schema(item)).collect()
    }

    fn named(&mut self, members: &'a Members) -> Result<Node, Error> {
        let named = members.iter().map(|(name, it)| Ok((name.clone(), self.schema(it)?)));
        Ok(Node::of(Value::Object(named.collect::<Result<_, Error>>()?)))
    }

    fn dependencies(&mut self, members: &'a Members) -> Result<Node, Error> {
        let mut kept = Members::new();
        for (name, it) in members {
            let value = if it.list().is_some() { names(it)? } else { self.schema(it)? };
            kept.insert(name.clone(), value);
        }
        Ok(Node::of(Value::Object(kept)))
    }
}

impl Node {
    /// Whether it is an object or a list with nothing in it.
    fn is_empty(&self) -> bool {
        match &self.value {
            Value::Object(members) => members.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
        }
    }
}

/// Gives the lists of older dialects the names they have had since.
fn name_tuples(kept: &mut Members) {
    let rest = kept.remove("additionalItems");
    if kept.get("items").is_some_and(|it| it.list().is_some())
        && let Some(items) = kept.remove("items")
    {
        kept.insert("prefixItems".to_owned(), items);
        // Beside anything but a list it says nothing.
        kept.extend(rest.map(|rest| ("items".to_owned(), rest)));
    }
}

/// A value of a keyword that holds no schema.
fn scalar(name: &str, value: &Node) -> Result<Node, Error> {
    let number = value.number();
    let (is_right, expected) = match Keyword::of(name) {
        Keyword::Number => (number.is_some(), "number"),
        Keyword::Positive => (number.is_some_and(|it| Number::zero() < *it), "number above zero"),
        Keyword::Count => (
            number.is_some_and(|it| it.is_whole() && !it.is_negative()),
            "whole number, zero or more",
        ),
        Keyword::Flag => (matches!(value.value, Value::Bool(_)), "truth value"),
        Keyword::Text
        | Keyword::Beside
        | Keyword::Identity
        | Keyword::Reference
        | Keyword::Schema
        | Keyword::Schemas
        | Keyword::Tuple
        | Keyword::Named
        | Keyword::Dependencies
        | Keyword::NameSets
        | Keyword::Names
        | Keyword::Types
        | Keyword::Values
        | Keyword::Data
        | Keyword::Dynamic => (value.text().is_some(), "text"),
    };
    if is_right {
        Ok(Node::of(value.value.clone()))
    } else {
        Err(Error::at(value.line, format!("{name} is no {expected}")))
    }
}

/// A set of names.
fn names(value: &Node) -> Result<Node, Error> {
    let items = value.list().filter(|items| items.iter().all(|it| it.text().is_some()));
    let items = items.ok_or_else(|| Error::at(value.line, "is no list of names"))?;
    Ok(set(items.to_vec()))
}

/// A type or a set of them; a set of one is that one.
fn types(value: &Node) -> Result<Node, Error> {
    let one = std::slice::from_ref(value);
    let items = value.list().unwrap_or(one);
    if let Some(wrong) = items.iter().find(|it| !it.text().is_some_and(|it| TYPES.contains(&it))) {
        let known = TYPES.join(", ");
        return Err(Error::at(wrong.line, format!("{wrong} is no type; there are {known}")));
    }
    match items {
        [only] => Ok(Node::of(only.value.clone())),
        [] => Err(Error::at(value.line, "type names no type")),
        several => Ok(set(several.to_vec())),
    }
}

/// A list whose order does not count, and in which nothing is twice.
fn set(mut items: Vec<Node>) -> Node {
    items.sort_by_cached_key(ToString::to_string);
    items.dedup();
    Node::of(Value::List(items))
}
