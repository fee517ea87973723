//! Payload schemas: a canonical form, a fingerprint of it, and whether readers of one schema read what another wrote.
//!
//! It is given bytes and answers with text and verdicts: it reads no file and knows neither tasks nor workers. The
//! canonical forms are described in docs/schemas.md, so that others can compute the same fingerprints.

mod change;
mod error;
mod fingerprint;
mod json;
mod protobuf;

pub use change::{Change, Report, Verdict};
pub use error::Error;
pub use fingerprint::{Fingerprint, Version};

/// The largest set of protobuf descriptors that is read, in bytes: the sources of a large company's interfaces fit.
pub const DESCRIPTOR_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest JSON Schema that is read, in bytes. Each level of nesting reads it once more, which bounds the work.
pub const JSON_BYTES_MAX: usize = 1024 * 1024;

/// How deep a JSON Schema may be nested, counting every object and every list: no schema that people read comes near.
pub const JSON_LEVELS_MAX: usize = 100;

/// What the payload of a task looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema(Language);

/// In which language it was written.
#[derive(Clone, Debug, PartialEq)]
enum Language {
    /// A protobuf message and every type it mentions.
    Protobuf(protobuf::Schema),
    /// A JSON Schema and every definition it refers to. Larger than a message's by its document.
    Json(Box<json::Schema>),
}

impl Schema {
    /// The schema of a message, from an encoded `FileDescriptorSet` that has all its imports. Without a name the set has
    /// to define exactly one message that is not nested and not one of Google's.
    ///
    /// # Errors
    /// A set that is too large, is none, lacks a type or holds what has no canonical form.
    pub fn protobuf(set: &[u8], message: Option<&str>) -> Result<Self, Error> {
        Ok(Self(Language::Protobuf(protobuf::Schema::read(set, message)?)))
    }

    /// A JSON Schema, of draft-07, 2019-09 or, if it does not say, 2020-12.
    ///
    /// # Errors
    /// Text that is too large or nested too deep, no JSON or no schema, or that refers to other documents.
    pub fn json(text: &str) -> Result<Self, Error> {
        Ok(Self(Language::Json(Box::new(json::Schema::read(text)?))))
    }

    /// The language, as the canonical form names it: `protobuf` or `json-schema`.
    pub fn language(&self) -> &'static str {
        match &self.0 {
            Language::Protobuf(_) => "protobuf",
            Language::Json(_) => "json-schema",
        }
    }

    /// What it describes: the full name of a message. A JSON Schema is about any value.
    pub fn message(&self) -> Option<&str> {
        match &self.0 {
            Language::Protobuf(schema) => Some(schema.root()),
            Language::Json(_) => None,
        }
    }

    /// The canonical form: the bytes that are hashed.
    pub fn canonical(&self, version: Option<&Version>) -> String {
        let lines = match &self.0 {
            Language::Protobuf(schema) => schema.lines(),
            Language::Json(schema) => schema.lines(),
        };
        fingerprint::canonical(self.language(), version, lines)
    }

    /// The fingerprint: SHA-256 of the canonical form.
    pub fn fingerprint(&self, version: Option<&Version>) -> Fingerprint {
        Fingerprint::of(&self.canonical(version))
    }

    /// What changed from this schema to another one, and who still reads what.
    pub fn changes(&self, new: &Self) -> Report {
        Report::new(match (&self.0, &new.0) {
            (Language::Protobuf(old), Language::Protobuf(new)) => protobuf::changes(old, new),
            (Language::Json(old), Language::Json(new)) => json::changes(old, new),
            (Language::Protobuf(_), Language::Json(_))
            | (Language::Json(_), Language::Protobuf(_)) => {
                let what = format!("{} became {}", self.language(), new.language());
                vec![Change::breaking("the payload", what)]
            }
        })
    }
}
