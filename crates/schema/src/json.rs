//! A JSON Schema: the document and every definition it refers to, without what only people read.
//!
//! It knows the keywords and no value that is judged by them.

mod compare;
mod keyword;
mod node;
mod number;
mod pointer;
mod resolve;

use std::collections::BTreeMap;

pub(crate) use compare::changes;
use keyword::Dialect;
use node::{Node, quoted};
use pointer::Pointer;

/// A JSON Schema in its canonical form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schema {
    dialect: Dialect,
    /// The document itself, and what is referred to, by where it stands.
    definitions: BTreeMap<Pointer, Node>,
}

impl Schema {
    /// The lines of the canonical form, in no order.
    pub(crate) fn lines(&self) -> Vec<String> {
        let definitions = self.definitions.iter();
        let definitions = definitions
            .map(|(place, node)| format!("schema {} {node}", quoted(&place.to_string())));
        definitions.chain([format!("dialect {}", self.dialect)]).collect()
    }
}
