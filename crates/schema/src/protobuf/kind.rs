//! What a value of a field is, and which kinds read each other's bytes without loss.

use std::fmt;

/// What one value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, a truth, a text or bytes.
    Scalar(Scalar),
    /// A message behind its length, by full name.
    Message(String),
    /// A message between two marks, by full name.
    Group(String),
    /// An enum, by full name.
    Enum(String),
}

/// What is no type of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    /// Text whose UTF-8 a reader checks.
    String,
    /// Text whose UTF-8 a reader need not check, as proto2 has it.
    UncheckedString,
    Bytes,
}

/// How a value stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Varint,
    Eight,
    Prefixed,
    Four,
}

impl Kind {
    /// The type it names.
    pub(super) fn type_name(&self) -> Option<&str> {
        match self {
            Self::Scalar(_) => None,
            Self::Message(name) | Self::Group(name) | Self::Enum(name) => Some(name),
        }
    }

    /// Whether it has fields of its own.
    pub(super) fn is_message(&self) -> bool {
        match self {
            Self::Message(_) | Self::Group(_) => true,
            Self::Scalar(_) | Self::Enum(_) => false,
        }
    }

    /// Whether lists of it can be packed.
    pub(super) fn is_packable(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.wire() != Wire::Prefixed,
            Self::Enum(_) => true,
            Self::Message(_) | Self::Group(_) => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => f.write_str(scalar.name()),
            Self::Message(name) => write!(f, "message:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Enum(name) => write!(f, "enum:{name}"),
        }
    }
}

impl Scalar {
    fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Fixed32 => "fixed32",
            Self::Fixed64 => "fixed64",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Bool => "bool",
            Self::String => "string",
            Self::UncheckedString => "unchecked-string",
            Self::Bytes => "bytes",
        }
    }

    fn wire(self) -> Wire {
        match self {
            Self::Int32
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::Sint32
            | Self::Sint64
            | Self::Bool => Wire::Varint,
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Wire::Eight,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Wire::Four,
            Self::String | Self::UncheckedString | Self::Bytes => Wire::Prefixed,
        }
    }

    /// Why a reader of this kind does not read what was written as another one. None: it does, every value of it.
    pub(super) fn misreads(self, written: Self) -> Option<&'static str> {
        use Scalar::{
            Bool, Bytes, Int32, Int64, Sint32, Sint64, String, Uint32, Uint64, UncheckedString,
        };
        if self == written {
            return None;
        }
        match (written, self) {
            (Bool, Int32 | Int64 | Uint32 | Uint64)
            | (Int32, Int64)
            | (Uint32, Uint64 | Int64)
            | (Sint32, Sint64)
            | (String, UncheckedString | Bytes)
            | (UncheckedString, Bytes) => None,
            (UncheckedString | Bytes, String | UncheckedString) => {
                Some("bytes that are no UTF-8 are refused")
            }
            _ if written.is_plain_varint() && self.is_plain_varint() => {
                Some("values that the other cannot hold are changed")
            }
            _ if written.wire() == self.wire() => Some("the same bytes mean another value"),
            _ => Some("it is written in another way"),
        }
    }

    /// Whether it is a varint without zigzag.
    pub(super) fn is_plain_varint(self) -> bool {
        matches!(self, Self::Bool | Self::Int32 | Self::Int64 | Self::Uint32 | Self::Uint64)
    }
}
