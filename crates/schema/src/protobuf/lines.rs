//! The canonical form of a message: a line for each type, field and value. docs/schemas.md describes it.

use super::{Enum, Field, Openness, Packing, Presence, Schema, Shape, Type, resolve::hex};

impl Schema {
    /// The lines, in no order.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("root {}", self.root)];
        for (name, found) in &self.types {
            match found {
                Type::Message(fields) => {
                    lines.push(format!("message {name}"));
                    lines.extend(fields.iter().map(|(number, it)| field_line(name, *number, it)));
                }
                Type::Enum(it) => enum_lines(name, it, &mut lines),
            }
        }
        lines
    }
}

fn field_line(message: &str, number: u32, field: &Field) -> String {
    let oneof = field.oneof.as_ref().map(|it| format!(" oneof={it}"));
    let default = match &field.shape {
        Shape::One { default, .. } => default.as_ref().map(|it| format!(" default={it}")),
        Shape::Many { .. } | Shape::Map { .. } => None,
    };
    let json = field.json_name.as_ref().map(|it| format!(" json={}", hex(it.as_bytes())));
    let line = format!("field {message} {number} {} {}", field.name, field.shape);
    [oneof, default, json].into_iter().flatten().fold(line, |line, part| line + &part)
}

fn enum_lines(name: &str, it: &Enum, lines: &mut Vec<String>) {
    let openness = match it.openness {
        Openness::Open => "open",
        Openness::Closed => "closed",
    };
    lines.push(format!("enum {name} {openness}"));
    for (number, names) in &it.values {
        lines.extend(names.iter().map(|value| format!("value {name} {number} {value}")));
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One { kind, presence, default: _ } => write!(f, "{} {kind}", presence.word()),
            Self::Many { kind, packing: Packing::Packed } => write!(f, "packed {kind}"),
            Self::Many { kind, packing: Packing::Expanded } => write!(f, "repeated {kind}"),
            Self::Map { key, value } => write!(f, "map {key} {value}"),
        }
    }
}

impl Presence {
    fn word(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Explicit => "optional",
            Self::Required => "required",
        }
    }
}
