//! Every definition of a set of descriptors, by its full name. It knows no schema yet.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    descriptor::{Enum, Field, File, FileDescriptorSet, MessageType},
    features::Features,
};
use crate::Error;

/// A type, and what holds for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Definition<'a> {
    Message(&'a MessageType, Features),
    Enum(&'a Enum, Features),
}

/// A field that was added to a message from outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension<'a> {
    pub(super) field: &'a Field,
    pub(super) features: Features,
}

/// Every definition of a set.
#[derive(Debug, Default)]
pub(super) struct Pool<'a> {
    types: BTreeMap<String, Definition<'a>>,
    /// By the full name of the message, each with the scope it was declared in.
    extensions: BTreeMap<&'a str, Vec<(String, Extension<'a>)>>,
    /// Messages that are not nested, of files that no other file of the set imports.
    outermost: Vec<String>,
}

impl<'a> Pool<'a> {
    pub(super) fn of(set: &'a FileDescriptorSet) -> Result<Self, Error> {
        let mut pool = Self::default();
        let imported: BTreeSet<&str> =
            set.file.iter().flat_map(|it| &it.dependency).map(String::as_str).collect();
        for file in &set.file {
            let features = Features::of(file)?;
            let package = file.package.as_deref().unwrap_or_default();
            if !package.is_empty() && !package.split('.').all(is_identifier) {
                return Err(Error::new(format!("{package:?} is no package name")));
            }
            pool.add(package, features, Members::of(file))?;
            if !imported.contains(file.name.as_deref().unwrap_or_default()) {
                let names = file.message_type.iter().filter_map(|it| it.name.as_deref());
                pool.outermost.extend(names.map(|name| joined(package, name)));
            }
        }
        Ok(pool)
    }

    pub(super) fn get(&self, name: &str) -> Option<Definition<'a>> {
        self.types.get(name).copied()
    }

    pub(super) fn extensions(&self, message: &str) -> &[(String, Extension<'a>)] {
        self.extensions.get(message).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn outermost(&self) -> &[String] {
        &self.outermost
    }

    /// Takes in what a file or a message defines. Descriptors are nested as deep as they could be decoded at most.
    fn add(&mut self, scope: &str, features: Features, members: Members<'a>) -> Result<(), Error> {
        for message in members.messages {
            let said = message.options.as_ref().and_then(|it| it.features.as_ref());
            let features = features.within(said);
            let name = named(scope, message.name.as_deref())?;
            self.add(&name, features, Members::within(message))?;
            self.define(name, Definition::Message(message, features))?;
        }
        for it in members.enums {
            let features = features.within(it.options.as_ref().and_then(|it| it.features.as_ref()));
            let name = named(scope, it.name.as_deref())?;
            self.define(name, Definition::Enum(it, features))?;
        }
        for field in members.extensions {
            let name = named(scope, field.name.as_deref())?;
            let message = target(field.extendee.as_deref().unwrap_or_default(), &name)?;
            let extension = Extension { field, features };
            self.extensions.entry(message).or_default().push((name, extension));
        }
        Ok(())
    }

    fn define(&mut self, name: String, definition: Definition<'a>) -> Result<(), Error> {
        let twice = Error::new(format!("{name} is defined twice"));
        match self.types.insert(name, definition) {
            None => Ok(()),
            Some(_) => Err(twice),
        }
    }
}

/// What a file or a message defines.
#[derive(Clone, Copy)]
struct Members<'a> {
    messages: &'a [MessageType],
    enums: &'a [Enum],
    extensions: &'a [Field],
}

impl<'a> Members<'a> {
    fn of(file: &'a File) -> Self {
        Self { messages: &file.message_type, enums: &file.enum_type, extensions: &file.extension }
    }

    fn within(message: &'a MessageType) -> Self {
        Self {
            messages: &message.nested_type,
            enums: &message.enum_type,
            extensions: &message.extension,
        }
    }
}

/// The full name that a field mentions, without the dot that says it is full.
pub(super) fn target<'a>(name: &'a str, field: &str) -> Result<&'a str, Error> {
    name.strip_prefix('.').ok_or_else(|| {
        Error::new(format!(
            "{field} mentions {name:?}, which is not resolved; take descriptors as protoc or buf write them"
        ))
    })
}

/// The full name of something in a scope.
fn named(scope: &str, name: Option<&str>) -> Result<String, Error> {
    Ok(joined(scope, identifier(name)?))
}

fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// A name that can stand in a line of the canonical form.
pub(super) fn identifier(name: Option<&str>) -> Result<&str, Error> {
    let name = name.unwrap_or_default();
    if is_identifier(name) {
        Ok(name)
    } else {
        Err(Error::new(format!("{name:?} is no name of protobuf")))
    }
}

fn is_identifier(name: &str) -> bool {
    let is_letter = |it: char| it.is_ascii_alphabetic() || it == '_';
    name.starts_with(is_letter) && name.chars().all(|it| is_letter(it) || it.is_ascii_digit())
}
