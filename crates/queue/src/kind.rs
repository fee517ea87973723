//! What a session can be offered, as far as needs ask: sessions of one kind are alike to every need.
//!
//! It knows no session and no slot: whether there is room is another question.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use leasehold_policy::Mutant;

use crate::{Name, SchemasRead, Shape, need::Need};

/// What sessions can have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Traits {
    /// The task types that they take, ascending.
    pub(crate) types: Vec<Name>,
    /// The namespaces that they serve, ascending. None: every one.
    namespaces: Vec<Name>,
    /// Of their labels those that any selector asks for.
    labels: BTreeMap<Name, Name>,
    /// Which payload schemas they read of these types.
    reads: SchemasRead,
}

/// The traits of a class of sessions.
pub(crate) type Kind = Arc<Traits>;

impl Traits {
    /// Those of a session that takes these types, where selectors ask for these labels.
    pub(crate) fn new(
        types: impl IntoIterator<Item = Name>,
        namespaces: impl IntoIterator<Item = Name>,
        labels: &[(Name, Name)],
        asked: &BTreeSet<Name>,
        reads: &SchemasRead,
    ) -> Self {
        let types: Vec<Name> = types.into_iter().collect();
        let labels = labels.iter().filter(|(name, _)| asked.contains(name)).cloned();
        let reads = reads.of_types(&types);
        let namespaces = namespaces.into_iter().collect();
        Self { types, namespaces, labels: labels.collect(), reads }
    }

    /// Whether tasks of this need can be offered to them.
    pub(crate) fn serves(&self, need: &Need) -> bool {
        self.types.binary_search(&need.task_type).is_ok()
            && self.fits(&need.namespace, &need.task_type, &need.shape)
    }

    /// Whether they are what a task asks for, if they take its type.
    pub(crate) fn fits(&self, namespace: &str, task_type: &Name, shape: &Shape) -> bool {
        let has = |(name, value): &(Name, Name)| self.labels.get(name) == Some(value);
        let is_there = shape.selector.iter().all(has) || Mutant::SelectorIgnored.is_alive();
        is_there && self.is_for(namespace) && self.reads.reads(task_type, shape.schema)
    }

    /// Whether they serve a namespace.
    fn is_for(&self, namespace: &str) -> bool {
        let found = self.namespaces.binary_search_by(|name| (**name).cmp(namespace));
        self.namespaces.is_empty() || found.is_ok()
    }
}
