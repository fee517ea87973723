//! What a schema says of the members of an object.

use std::collections::BTreeSet;

use super::{ANYTHING, Comparison, Pair, Turn, Types, Written};
use crate::{
    Change, Verdict,
    json::node::{Node, Value},
};

/// What is judged here.
pub(super) const JUDGED: &[&str] =
    &["properties", "patternProperties", "additionalProperties", "propertyNames", "required"];

impl<'a> Comparison<'a> {
    pub(super) fn objects(&mut self, pair: &Pair<'a>) {
        // Where only one side has objects, their types have told.
        if ![pair.old, pair.new].iter().all(|it| Types::of(it).meets(Types::OBJECT)) {
            return;
        }
        let written = pair.written_inside();
        let (old, new) = (Object::of(pair.old), Object::of(pair.new));
        for name in old.properties().chain(new.properties()).collect::<BTreeSet<_>>() {
            self.property(&format!("{}.{name}", pair.place), name, [old, new], written);
        }
        self.patterns(pair, [old, new]);
        self.others(&format!("{}.*", pair.place), [old, new], written);
        self.required(pair);
        self.property_names(pair);
    }

    fn property(&mut self, place: &str, name: &str, [old, new]: [Object<'a>; 2], written: Written) {
        match (old.property(name), new.property(name)) {
            (Some(old), Some(new)) => self.meet(place.to_owned(), old, new, written),
            (Some(_), None) if new.has_patterns() => {
                self.changes.push(Change::undecided(place, "is gone; a pattern may name it"));
            }
            (None, Some(_)) if old.has_patterns() => {
                self.changes.push(Change::undecided(place, "is new; a pattern may have named it"));
            }
            (Some(old), None) => {
                let Some(others) = new.others else {
                    let back = reads_anything(old, written);
                    let what = "is gone: readers of NEW ignore it";
                    self.changes.push(Change::judged(place, what, Verdict::Reads, back));
                    return;
                };
                self.meet(place.to_owned(), old, others, written);
            }
            (None, Some(new)) => {
                let Some(others) = old.others else {
                    let forth = reads_anything(new, written);
                    let what = "is new: readers of OLD ignore it";
                    self.changes.push(Change::judged(place, what, forth, Verdict::Reads));
                    return;
                };
                self.meet(place.to_owned(), others, new, written);
            }
            (None, None) => {}
        }
    }

    fn patterns(&mut self, pair: &Pair<'a>, [old, new]: [Object<'a>; 2]) {
        for pattern in old.patterns().chain(new.patterns()).collect::<BTreeSet<_>>() {
            let place = format!("{}./{pattern}/", pair.place);
            match (old.pattern(pattern), new.pattern(pattern)) {
                (Some(old), Some(new)) => self.meet(place, old, new, Written::Any),
                (Some(_), None) => self.changes.push(Change::undecided(&place, "is gone")),
                (None, Some(_)) => self.changes.push(Change::undecided(&place, "is new")),
                (None, None) => {}
            }
        }
    }

    /// The members that neither a name nor a pattern is about.
    fn others(&mut self, place: &str, [old, new]: [Object<'a>; 2], written: Written) {
        let is_never = |it: &Node| it.value == Value::Bool(false);
        match (old.others, new.others) {
            (None, None) => {}
            (Some(old), Some(new)) => self.meet(place.to_owned(), old, new, written),
            // What a schema does not speak of is not written, so that nothing is refused.
            (None, Some(new)) if written == Written::Declared => {
                let word = if is_never(new) { "are refused now" } else { "have a schema now" };
                self.changes.push(Change::harmless(place, format!("other members {word}")));
            }
            (Some(old), None) if written == Written::Declared => {
                let word =
                    if is_never(old) { "are ignored now" } else { "have no schema any more" };
                self.changes.push(Change::harmless(place, format!("other members {word}")));
            }
            (old, new) => {
                let (old, new) = (old.unwrap_or(&ANYTHING), new.unwrap_or(&ANYTHING));
                self.meet(place.to_owned(), old, new, written);
            }
        }
    }

    fn required(&mut self, pair: &Pair<'a>) {
        let names = |it: &'a Node| -> BTreeSet<&'a str> {
            let names = it.get("required").and_then(Node::list).unwrap_or_default();
            names.iter().filter_map(Node::text).collect()
        };
        let (old, new) = (names(pair.old), names(pair.new));
        for (side, turn, word) in [
            (new.difference(&old), Turn::Narrower, "is required now"),
            (old.difference(&new), Turn::Wider, "is required no more"),
        ] {
            for name in side {
                self.turned_for(pair, Types::OBJECT, format!("{name:?} {word}"), turn);
            }
        }
    }

    fn property_names(&mut self, pair: &Pair<'a>) {
        let said = |it: &'a Node| it.get("propertyNames");
        if said(pair.old).is_some() || said(pair.new).is_some() {
            let place = format!("{} (names)", pair.place);
            let (old, new) = (said(pair.old), said(pair.new));
            let (old, new) = (old.unwrap_or(&ANYTHING), new.unwrap_or(&ANYTHING));
            self.meet(place, old, new, Written::Any);
        }
    }
}

/// Whether a reader reads a member of which its writer's schema says nothing.
fn reads_anything(reader: &Node, written: Written) -> Verdict {
    match written {
        Written::Declared => Verdict::Reads,
        Written::Any if *reader == ANYTHING => Verdict::Reads,
        Written::Any => Verdict::Undecided,
    }
}

/// The schemas of an object's members.
#[derive(Clone, Copy)]
struct Object<'a> {
    schema: &'a Node,
    /// That of the members that neither a name nor a pattern is about.
    others: Option<&'a Node>,
}

impl<'a> Object<'a> {
    fn of(schema: &'a Node) -> Self {
        Self { schema, others: schema.get("additionalProperties") }
    }

    fn named(self, keyword: &str) -> impl Iterator<Item = &'a str> {
        let members = self.schema.get(keyword).and_then(Node::object);
        members.into_iter().flat_map(|it| it.keys()).map(String::as_str)
    }

    fn properties(self) -> impl Iterator<Item = &'a str> {
        self.named("properties")
    }

    fn property(self, name: &str) -> Option<&'a Node> {
        self.schema.get("properties")?.get(name)
    }

    fn patterns(self) -> impl Iterator<Item = &'a str> {
        self.named("patternProperties")
    }

    fn pattern(self, pattern: &str) -> Option<&'a Node> {
        self.schema.get("patternProperties")?.get(pattern)
    }

    fn has_patterns(self) -> bool {
        self.patterns().next().is_some()
    }
}
