//! What changed between two JSON Schemas, and who still reads what.
//!
//! Each keyword is judged alone: where every one of them lets through at least what it did, so does the whole. What is
//! said in `not`, `oneOf` and the like is only known to be the same or not. It knows both schemas and no value.

mod arrays;
mod composed;
mod objects;
mod same;
mod scalars;
mod types;

use std::collections::{BTreeSet, VecDeque};

use super::{
    Schema,
    node::{Node, Value},
    pointer::Pointer,
};
use crate::{Change, Verdict};
use types::Types;

/// The changes from one schema to another, from the outside in.
pub(crate) fn changes(old: &Schema, new: &Schema) -> Vec<Change> {
    if old.dialect != new.dialect {
        let what = format!("$schema is {} and was {}", new.dialect, old.dialect);
        return vec![Change::undecided(ROOT, what)];
    }
    let mut comparison = Comparison {
        old,
        new,
        changes: Vec::new(),
        seen: BTreeSet::new(),
        pending: VecDeque::new(),
    };
    if let (Some(before), Some(after)) = (old.root(), new.root()) {
        comparison.meet(ROOT.to_owned(), before, after, Written::Declared);
    }
    while let Some(pair) = comparison.pending.pop_front() {
        comparison.schemas(&pair);
    }
    comparison.changes
}

/// The payload itself, in the places of changes.
const ROOT: &str = "$";

/// Which members a writer gives to an object whose schema does not say what others may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Written {
    /// Those that its schema declares: that it would let others through is tolerance of its readers.
    Declared,
    /// Any: other schemas apply to the same object and may declare them.
    Any,
}

/// Two schemas that stand in the same place.
struct Pair<'a> {
    place: String,
    old: &'a Node,
    new: &'a Node,
    written: Written,
}

/// Keywords that apply other schemas to the same value.
const BESIDE: [&str; 10] = [
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "propertyNames",
];

impl Pair<'_> {
    /// Which members of what is inside may be written: other schemas that apply to the same value may declare some, too.
    fn written_inside(&self) -> Written {
        let is_beside = |it: &Node| BESIDE.iter().any(|name| it.get(name).is_some());
        if is_beside(self.old) || is_beside(self.new) { Written::Any } else { self.written }
    }
}

struct Comparison<'a> {
    old: &'a Schema,
    new: &'a Schema,
    changes: Vec<Change>,
    /// By identity, so that the pairs are finite however often a recursive schema comes by.
    seen: BTreeSet<(*const Node, *const Node, Written)>,
    pending: VecDeque<Pair<'a>>,
}

/// The schema that lets everything through.
static ANYTHING: Node = Node { line: 0, value: Value::Object(std::collections::BTreeMap::new()) };

/// Whether a change narrows or widens what is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Less than before: readers of NEW refuse some of what OLD wrote.
    Narrower,
    /// More than before.
    Wider,
    /// Something else.
    Other,
}

impl Schema {
    fn root(&self) -> Option<&Node> {
        self.definitions.get(&Pointer::default())
    }

    /// The schema behind references that stand alone. One that only refers to itself stays one.
    fn behind<'a>(&'a self, mut node: &'a Node) -> &'a Node {
        for _ in 0..=self.definitions.len() {
            let alone = node.object().filter(|members| members.len() == 1);
            match alone.and_then(|_| self.target(node)) {
                Some(target) => node = target,
                None => return node,
            }
        }
        node
    }

    /// What the reference of a schema leads to.
    fn target(&self, node: &Node) -> Option<&Node> {
        let place = node.get("$ref")?.text()?;
        self.definitions.get(&Pointer::read_canonical(place)?)
    }
}

impl<'a> Comparison<'a> {
    /// Looks at two schemas, once.
    fn meet(&mut self, place: String, old: &'a Node, new: &'a Node, written: Written) {
        let (old, new) = (self.old.behind(old), self.new.behind(new));
        if self.seen.insert((std::ptr::from_ref(old), std::ptr::from_ref(new), written)) {
            self.pending.push_back(Pair { place, old, new, written });
        }
    }

    fn schemas(&mut self, pair: &Pair<'a>) {
        let Pair { place, old, new, written: _ } = pair;
        let is_never = |it: &Node| it.value == Value::Bool(false);
        match (is_never(old), is_never(new)) {
            (true, true) => {}
            (true, false) => self.turned(place, "was not let through and is now", Turn::Wider),
            (false, true) => self.turned(place, "is not let through any more", Turn::Narrower),
            (false, false) if self.is_closed_otherwise(pair) => {
                let what =
                    "changed under unevaluatedProperties or unevaluatedItems, which sees all of it";
                self.changes.push(Change::undecided(place, what));
            }
            (false, false) => {
                self.types(pair);
                self.scalars(pair);
                self.arrays(pair);
                self.objects(pair);
                self.composed(pair);
                self.unknown(pair);
            }
        }
    }

    /// Whether something changed in a schema that refuses what no other keyword has looked at.
    fn is_closed_otherwise(&self, pair: &Pair<'_>) -> bool {
        let closes = |it: &Node| {
            ["unevaluatedProperties", "unevaluatedItems"].iter().any(|key| it.get(key).is_some())
        };
        (closes(pair.old) || closes(pair.new)) && !self.same(pair.old, pair.new)
    }

    /// Keywords that are only known to be the same or not.
    fn unknown(&mut self, pair: &Pair<'_>) {
        let names = pair.old.object().into_iter().chain(pair.new.object()).flat_map(|it| it.keys());
        let names: BTreeSet<&String> = names.filter(|name| !is_judged(name)).collect();
        for name in names {
            self.sameness(pair, name);
        }
    }

    /// A keyword that is the same on both sides, or cannot be judged.
    fn sameness(&mut self, pair: &Pair<'_>, name: &str) {
        let what = match (pair.old.get(name), pair.new.get(name)) {
            (Some(old), Some(new)) if self.same(old, new) => return,
            (Some(_), Some(_)) => format!("{name} changed"),
            (None, Some(_)) => format!("{name} is new"),
            (Some(_), None) => format!("{name} is gone"),
            (None, None) => return,
        };
        self.changes.push(Change::undecided(&pair.place, what));
    }

    /// A change that narrows or widens what is let through, whatever its type.
    fn turned(&mut self, place: &str, what: impl Into<String>, turn: Turn) {
        let (new_reads_old, old_reads_new) = turn.verdicts();
        self.changes.push(Change::judged(place, what, new_reads_old, old_reads_new));
    }

    /// The same of a keyword that only looks at values of some types: it breaks nobody who never writes one.
    fn turned_for(&mut self, pair: &Pair<'_>, types: Types, what: String, turn: Turn) {
        let (forth, back) = turn.verdicts();
        let judged = |writer: &Node, verdict| {
            if Types::of(writer).meets(types) { verdict } else { Verdict::Reads }
        };
        let (forth, back) = (judged(pair.old, forth), judged(pair.new, back));
        self.changes.push(Change::judged(&pair.place, what, forth, back));
    }
}

impl Turn {
    /// Whether readers of NEW read OLD, and readers of OLD read NEW.
    fn verdicts(self) -> (Verdict, Verdict) {
        match self {
            Self::Narrower => (Verdict::Breaks, Verdict::Reads),
            Self::Wider => (Verdict::Reads, Verdict::Breaks),
            Self::Other => (Verdict::Breaks, Verdict::Breaks),
        }
    }
}

/// Whether one of the files here judges a keyword.
fn is_judged(name: &str) -> bool {
    [types::JUDGED, scalars::JUDGED, arrays::JUDGED, objects::JUDGED, composed::JUDGED]
        .iter()
        .any(|judged| judged.contains(&name))
}
