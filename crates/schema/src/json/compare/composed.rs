//! Schemas that are made of others for the same value.

use super::{Comparison, Pair, Turn, Written};
use crate::{Change, json::node::Node};

/// What is judged here.
pub(super) const JUDGED: &[&str] = &["allOf", "anyOf", "$ref"];

impl<'a> Comparison<'a> {
    pub(super) fn composed(&mut self, pair: &Pair<'a>) {
        self.references(pair);
        self.members(pair, "allOf", Turn::Narrower, Turn::Wider);
        match (pair.old.get("anyOf"), pair.new.get("anyOf")) {
            (None, Some(_)) => self.turned(&pair.place, "anyOf is new", Turn::Narrower),
            (Some(_), None) => self.turned(&pair.place, "anyOf is gone", Turn::Wider),
            _ => self.members(pair, "anyOf", Turn::Wider, Turn::Narrower),
        }
    }

    /// References beside other keywords.
    fn references(&mut self, pair: &Pair<'a>) {
        match (self.old.target(pair.old), self.new.target(pair.new)) {
            (Some(old), Some(new)) => self.meet(pair.place.clone(), old, new, Written::Any),
            (None, Some(_)) => self.turned(&pair.place, "$ref is new", Turn::Narrower),
            (Some(_), None) => self.turned(&pair.place, "$ref is gone", Turn::Wider),
            (None, None) => {}
        }
    }

    /// Schemas of which more or fewer apply than before.
    fn members(&mut self, pair: &Pair<'a>, name: &str, more: Turn, fewer: Turn) {
        let list = |it: &'a Node| it.get(name).and_then(Node::list).unwrap_or_default();
        let mut new: Vec<&Node> = list(pair.new).iter().collect();
        let mut old: Vec<&Node> = Vec::new();
        for member in list(pair.old) {
            match new.iter().position(|it| self.same(member, it)) {
                Some(index) => drop(new.remove(index)),
                None => old.push(member),
            }
        }
        match (old.as_slice(), new.as_slice()) {
            ([], []) => {}
            ([], _) => self.turned(&pair.place, format!("{name} has more members"), more),
            (_, []) => self.turned(&pair.place, format!("{name} has fewer members"), fewer),
            ([old], [new]) => self.meet(pair.place.clone(), old, new, Written::Any),
            _ => self.changes.push(Change::undecided(&pair.place, format!("{name} changed"))),
        }
    }
}
