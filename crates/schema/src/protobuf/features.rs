//! What a file's syntax or edition says for everything in it, and what each element says otherwise.

use super::{
    Openness, Packing, Presence,
    descriptor::{FeatureSet, File},
};
use crate::Error;

/// The editions whose defaults are known, which are the same in both for what decides about bytes.
const EDITIONS: [i32; 2] = [1000, 1001];

/// How a string is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Bytes that are not UTF-8 are refused.
    Verified,
    /// They are let through, or not, as the language likes.
    Unverified,
}

/// How a message inside another is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nesting {
    /// Its length first.
    Prefixed,
    /// Between two marks, as a group.
    Delimited,
}

/// What holds for an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) presence: Presence,
    pub(super) openness: Openness,
    pub(super) packing: Packing,
    pub(super) text: Text,
    pub(super) nesting: Nesting,
}

const PROTO2: Features = Features {
    presence: Presence::Explicit,
    openness: Openness::Closed,
    packing: Packing::Expanded,
    text: Text::Unverified,
    nesting: Nesting::Prefixed,
};

const PROTO3: Features = Features {
    presence: Presence::Implicit,
    openness: Openness::Open,
    packing: Packing::Packed,
    text: Text::Verified,
    nesting: Nesting::Prefixed,
};

const EDITION: Features = Features { presence: Presence::Explicit, ..PROTO3 };

impl Features {
    /// What holds in a file, where nothing in it says otherwise.
    pub(super) fn of(file: &File) -> Result<Self, Error> {
        let base = match (file.syntax.as_deref(), file.edition) {
            (None | Some("" | "proto2"), _) => PROTO2,
            (Some("proto3"), _) => PROTO3,
            (Some("editions"), Some(edition)) if EDITIONS.contains(&edition) => EDITION,
            (Some(syntax), _) => {
                let name = file.name.as_deref().unwrap_or_default();
                return Err(Error::new(format!(
                    "{name:?} has a syntax that is not known here ({syntax}); proto2, proto3 and the editions 2023 and \
                     2024 are"
                )));
            }
        };
        Ok(base.within(file.options.as_ref().and_then(|it| it.features.as_ref())))
    }

    /// What holds for an element that may say otherwise. A number that is not known says nothing.
    pub(super) fn within(mut self, said: Option<&FeatureSet>) -> Self {
        let Some(said) = said else { return self };
        match said.field_presence {
            Some(1) => self.presence = Presence::Explicit,
            Some(2) => self.presence = Presence::Implicit,
            Some(3) => self.presence = Presence::Required,
            _ => {}
        }
        match said.enum_type {
            Some(1) => self.openness = Openness::Open,
            Some(2) => self.openness = Openness::Closed,
            _ => {}
        }
        match said.repeated_field_encoding {
            Some(1) => self.packing = Packing::Packed,
            Some(2) => self.packing = Packing::Expanded,
            _ => {}
        }
        match said.utf8_validation {
            Some(2) => self.text = Text::Verified,
            Some(3) => self.text = Text::Unverified,
            _ => {}
        }
        match said.message_encoding {
            Some(1) => self.nesting = Nesting::Prefixed,
            Some(2) => self.nesting = Nesting::Delimited,
            _ => {}
        }
        self
    }
}
