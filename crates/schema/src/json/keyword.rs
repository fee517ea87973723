//! What each keyword of JSON Schema holds. It knows no document.

use std::fmt;

use super::node::Node;
use crate::Error;

/// Which edition of JSON Schema a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Draft07,
    Draft2019,
    /// What a document that does not say is taken for.
    Draft2020,
}

/// The identifier of each, without scheme and trailing `#`.
const DIALECTS: [(&str, Dialect); 3] = [
    ("json-schema.org/draft-07/schema", Dialect::Draft07),
    ("json-schema.org/draft/2019-09/schema", Dialect::Draft2019),
    ("json-schema.org/draft/2020-12/schema", Dialect::Draft2020),
];

impl Dialect {
    /// What a document's `$schema` says.
    pub(super) fn read(said: Option<&Node>) -> Result<Self, Error> {
        let Some(said) = said else { return Ok(Self::Draft2020) };
        let name = said.text().unwrap_or_default();
        let bare = name.trim_start_matches("https://").trim_start_matches("http://");
        let bare = bare.trim_end_matches('#');
        let known = DIALECTS.iter().find(|(id, _)| *id == bare).map(|(_, dialect)| *dialect);
        known.ok_or_else(|| {
            Error::at(
                said.line,
                format!("$schema is {said}; draft-07, 2019-09 and 2020-12 are read"),
            )
        })
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draft07 => "draft-07",
            Self::Draft2019 => "2019-09",
            Self::Draft2020 => "2020-12",
        })
    }
}

/// What a keyword holds, and so what of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    /// Something for people or editors, or a place for definitions: it does not count.
    Beside,
    /// What makes a schema a document of its own.
    Identity,
    /// A reference to another schema.
    Reference,
    /// One schema.
    Schema,
    /// Schemas whose order does not count.
    Schemas,
    /// Schemas whose order counts.
    Tuple,
    /// Schemas by name.
    Named,
    /// Schemas or sets of names, by name.
    Dependencies,
    /// Sets of names, by name.
    NameSets,
    /// A set of names.
    Names,
    /// A type, or a set of them.
    Types,
    /// A set of values.
    Values,
    /// A number.
    Number,
    /// A number above zero.
    Positive,
    /// A whole number, zero or more.
    Count,
    /// True or false.
    Flag,
    /// A text.
    Text,
    /// A value that counts as it is: `const`, and whatever is not known here.
    Data,
    /// Something whose meaning depends on who refers to the document.
    Dynamic,
}

impl Keyword {
    /// What a keyword holds where a schema stands.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "title" | "description" | "$comment" | "default" | "examples" | "deprecated"
            | "readOnly" | "writeOnly" | "$anchor" | "$defs" | "definitions" => Self::Beside,
            _ if name.starts_with("x-") => Self::Beside,
            "$id" | "$schema" => Self::Identity,
            "$ref" => Self::Reference,
            "items"
            | "additionalItems"
            | "unevaluatedItems"
            | "contains"
            | "not"
            | "if"
            | "then"
            | "else"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "propertyNames"
            | "contentSchema" => Self::Schema,
            "allOf" | "anyOf" | "oneOf" => Self::Schemas,
            "prefixItems" => Self::Tuple,
            "properties" | "patternProperties" | "dependentSchemas" => Self::Named,
            "dependencies" => Self::Dependencies,
            "dependentRequired" => Self::NameSets,
            "required" => Self::Names,
            "type" => Self::Types,
            "enum" => Self::Values,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Self::Number,
            "multipleOf" => Self::Positive,
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minContains" | "maxContains"
            | "minProperties" | "maxProperties" => Self::Count,
            "uniqueItems" => Self::Flag,
            "pattern" | "format" | "contentEncoding" | "contentMediaType" => Self::Text,
            "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$recursiveAnchor"
            | "$vocabulary" => Self::Dynamic,
            _ => Self::Data,
        }
    }
}

/// What `type` may name.
pub(super) const TYPES: [&str; 7] =
    ["array", "boolean", "integer", "null", "number", "object", "string"];
