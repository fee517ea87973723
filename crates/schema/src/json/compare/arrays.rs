//! What a schema says of the items of a list.

use super::{ANYTHING, Comparison, Pair, Types};
use crate::json::node::Node;

/// What is judged here.
pub(super) const JUDGED: &[&str] = &["prefixItems", "items"];

impl<'a> Comparison<'a> {
    pub(super) fn arrays(&mut self, pair: &Pair<'a>) {
        // Where only one side has lists, their types have told.
        if ![pair.old, pair.new].iter().all(|it| Types::of(it).meets(Types::ARRAY)) {
            return;
        }
        let written = pair.written_inside();
        let (old, new) = (Items::of(pair.old), Items::of(pair.new));
        for index in 0..old.first.len().max(new.first.len()) {
            let place = format!("{}[{index}]", pair.place);
            self.meet(place, old.at(index), new.at(index), written);
        }
        self.meet(format!("{}[]", pair.place), old.rest, new.rest, written);
    }
}

/// The schemas of a list's items.
struct Items<'a> {
    /// Those of the first ones, by their place.
    first: &'a [Node],
    /// That of all others.
    rest: &'a Node,
}

impl<'a> Items<'a> {
    fn of(schema: &'a Node) -> Self {
        Self {
            first: schema.get("prefixItems").and_then(Node::list).unwrap_or_default(),
            rest: schema.get("items").unwrap_or(&ANYTHING),
        }
    }

    fn at(&self, index: usize) -> &'a Node {
        self.first.get(index).unwrap_or(self.rest)
    }
}
