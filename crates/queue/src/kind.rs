//! What a session can be offered, as far as needs ask: sessions of one kind are alike to every need.
//!
//! It knows no session and nothing that is taken: whether there is room now is another question.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use leasehold_policy::Mutant;

use crate::{Name, SchemasRead, Shape, Size, need::Need, session::Session, size::Measure};

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
    /// Of what they have in all that which any task asks for.
    pub(crate) whole: Size,
}

/// The traits of a class of sessions.
pub(crate) type Kind = Arc<Traits>;

impl Traits {
    /// Those of a session, where selectors ask for these labels and leases for what is measured.
    pub(crate) fn new(session: &Session, asked: &BTreeSet<Name>, measure: &Measure) -> Self {
        let Session { task_types, unsupported, namespaces, labels, reads, .. } = session;
        let types: Vec<Name> = task_types.difference(unsupported).cloned().collect();
        let namespaces = namespaces.iter().cloned().collect();
        let labels = labels.iter().filter(|(name, _)| asked.contains(name)).cloned();
        // Who knows of no sizes has as much as the smallest lease takes.
        let whole = if session.knows_sizes { session.whole.clone() } else { Size::default() };
        let (reads, whole) = (reads.of_types(&types), measure.of(&whole));
        Self { types, namespaces, labels: labels.collect(), reads, whole }
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
        let is_there = is_there && self.whole.holds(&shape.size);
        is_there && self.is_for(namespace) && self.reads.reads(task_type, shape.schema)
    }

    /// Whether they serve a namespace.
    fn is_for(&self, namespace: &str) -> bool {
        let found = self.namespaces.binary_search_by(|name| (**name).cmp(namespace));
        self.namespaces.is_empty() || found.is_ok()
    }
}
