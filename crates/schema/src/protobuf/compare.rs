//! What changed between two messages, and who still reads what, as the binary encoding has it.
//!
//! Fields are the same if their numbers are; names of types decide nothing. It knows both schemas and no payload.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Enum, Field, Kind, Openness, Packing, Presence, Schema, Shape, kind::Scalar};
use crate::{Change, Verdict};

/// The changes from one message to another, from the outside in.
pub(crate) fn changes(old: &Schema, new: &Schema) -> Vec<Change> {
    let mut comparison = Comparison {
        old,
        new,
        changes: Vec::new(),
        seen: BTreeSet::new(),
        pending: VecDeque::new(),
    };
    if old.root != new.root {
        let what = format!("{} became {}: its bytes do not hold the name", old.root, new.root);
        comparison.changes.push(Change::harmless("the message", what));
    }
    comparison.meet(Pair::Messages(old.root.clone(), new.root.clone()));
    while let Some(pair) = comparison.pending.pop_front() {
        match pair {
            Pair::Messages(old, new) => comparison.messages(&old, &new),
            Pair::Enums(old, new) => comparison.enums(&old, &new),
        }
    }
    comparison.changes
}

/// Two types that stand in the same place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pair {
    Messages(String, String),
    Enums(String, String),
}

struct Comparison<'a> {
    old: &'a Schema,
    new: &'a Schema,
    changes: Vec<Change>,
    seen: BTreeSet<Pair>,
    pending: VecDeque<Pair>,
}

/// A schema and who reads it, for questions that are asked in both directions.
#[derive(Clone, Copy)]
struct Side<'a> {
    schema: &'a Schema,
    kind: &'a Kind,
}

impl Comparison<'_> {
    /// Looks at two types, once.
    fn meet(&mut self, pair: Pair) {
        if self.seen.insert(pair.clone()) {
            self.pending.push_back(pair);
        }
    }

    fn messages(&mut self, old_name: &str, new_name: &str) {
        let (old, new) = (self.old, self.new);
        let before: BTreeMap<u32, &Field> = old.fields(old_name).collect();
        let after: BTreeMap<u32, &Field> = new.fields(new_name).collect();
        let numbers: BTreeSet<u32> = before.keys().chain(after.keys()).copied().collect();
        for number in numbers {
            match (before.get(&number), after.get(&number)) {
                (Some(old), Some(new)) => {
                    let place = place(old_name, old);
                    let is_swapped = before.values().any(|it| it.name == new.name)
                        || after.values().any(|it| it.name == old.name);
                    if old.name != new.name && is_swapped {
                        let what = format!("its number is that of {} now", new.name);
                        self.changes.push(Change::breaking(&place, what));
                    } else if old.name != new.name || old.json_name != new.json_name {
                        let what = format!(
                            "renamed to {}: bytes hold the number alone, and protobuf's JSON mapping breaks",
                            new.name
                        );
                        self.changes.push(Change::harmless(&place, what));
                    }
                    self.shapes(&place, &old.shape, &new.shape);
                }
                (Some(old), None) => self.gone(&place(old_name, old), old, number, &after),
                (None, Some(new)) => self.came(&place(old_name, new), new, &before),
                (None, None) => {}
            }
        }
        self.oneofs(old_name, &before, &after);
    }

    fn gone(&mut self, place: &str, old: &Field, number: u32, after: &BTreeMap<u32, &Field>) {
        let moved = after.iter().find(|(_, new)| new.name == old.name);
        self.changes.push(match moved {
            Some((now, _)) => {
                let what = format!(
                    "number {number} became {now}: what is written under one is not found under the other"
                );
                Change::breaking(place, what)
            }
            None if old.is_required() => Change::judged(
                place,
                "a required field is gone: readers of OLD refuse messages without it",
                Verdict::Reads,
                Verdict::Breaks,
            ),
            None => Change::harmless(place, "is gone: readers of NEW ignore it"),
        });
    }

    fn came(&mut self, place: &str, new: &Field, before: &BTreeMap<u32, &Field>) {
        let moved = before.values().any(|old| old.name == new.name);
        if new.is_required() {
            let what = "a required field is new: readers of NEW refuse messages without it";
            self.changes.push(Change::judged(place, what, Verdict::Breaks, Verdict::Reads));
        } else if !moved {
            self.changes.push(Change::harmless(place, "is new: readers of OLD ignore it"));
        }
    }

    fn shapes(&mut self, place: &str, old: &Shape, new: &Shape) {
        match (old, new) {
            (Shape::Map { key: k, value: v }, Shape::Map { key: new_k, value: new_v }) => {
                self.kinds(&format!("{place} (key)"), k, new_k);
                self.kinds(&format!("{place} (value)"), v, new_v);
            }
            (Shape::Map { .. }, _) | (_, Shape::Map { .. }) => {
                let what = format!("{old} became {new}");
                self.changes.push(Change::undecided(place, what));
            }
            (
                Shape::One { kind: old_kind, presence, default },
                Shape::One { kind: new_kind, presence: new_presence, default: new_default },
            ) => {
                self.kinds(place, old_kind, new_kind);
                // That a message is told from none is no news where its bytes are not read anyway.
                if old_kind.is_message() == new_kind.is_message()
                    || *presence == Presence::Required
                    || *new_presence == Presence::Required
                {
                    self.presence(place, *presence, *new_presence);
                }
                let (before, after) =
                    ((default.as_deref(), *presence), (new_default.as_deref(), *new_presence));
                self.defaults(place, before, after);
            }
            (Shape::Many { kind, packing }, Shape::Many { kind: new_kind, packing: after }) => {
                self.kinds(place, kind, new_kind);
                if packing != after && kind.is_packable() && new_kind.is_packable() {
                    let what =
                        format!("{} became {}: readers know both", packing.word(), after.word());
                    self.changes.push(Change::harmless(place, what));
                }
            }
            (Shape::One { kind, .. }, Shape::Many { kind: new_kind, .. }) => {
                self.kinds(place, kind, new_kind);
                let what = "became a list: of several values readers of OLD see the last, or none";
                let verdicts = (Verdict::Reads, Verdict::Breaks);
                self.changes.push(Change::judged(place, what, verdicts.0, verdicts.1));
            }
            (Shape::Many { kind, .. }, Shape::One { kind: new_kind, .. }) => {
                self.kinds(place, kind, new_kind);
                let what =
                    "is a list no more: of several values readers of NEW see the last, or none";
                let verdicts = (Verdict::Breaks, Verdict::Reads);
                self.changes.push(Change::judged(place, what, verdicts.0, verdicts.1));
            }
        }
    }

    fn kinds(&mut self, place: &str, old: &Kind, new: &Kind) {
        match (old, new) {
            (Kind::Message(old), Kind::Message(new)) | (Kind::Group(old), Kind::Group(new)) => {
                return self.meet(Pair::Messages(old.clone(), new.clone()));
            }
            (Kind::Enum(old), Kind::Enum(new)) => {
                return self.meet(Pair::Enums(old.clone(), new.clone()));
            }
            _ if old == new => return,
            _ => {}
        }
        let (before, after) =
            (Side { schema: self.old, kind: old }, Side { schema: self.new, kind: new });
        let (forth, back) = (after.misreads(before), before.misreads(after));
        let why = forth.or(back).map(|why| format!(": {why}")).unwrap_or_default();
        let verdict =
            |why: Option<&str>| if why.is_some() { Verdict::Breaks } else { Verdict::Reads };
        let what = format!("{old} became {new}{why}");
        self.changes.push(Change::judged(place, what, verdict(forth), verdict(back)));
    }

    fn presence(&mut self, place: &str, old: Presence, new: Presence) {
        let what = match (old, new) {
            _ if old == new => return,
            (_, Presence::Required) => "became required: readers of NEW refuse messages without it",
            (Presence::Required, _) => {
                "is required no more: readers of OLD refuse messages without it"
            }
            _ => "zero and absent are told apart on one side only",
        };
        let breaks = |it| if it == Presence::Required { Verdict::Breaks } else { Verdict::Reads };
        self.changes.push(Change::judged(place, what, breaks(new), breaks(old)));
    }

    /// What stands for a field that is absent, which one that is required never is.
    fn defaults(
        &mut self,
        place: &str,
        (old, presence): (Option<&str>, Presence),
        (new, new_presence): (Option<&str>, Presence),
    ) {
        if old == new {
            return;
        }
        let (before, after) = (old.unwrap_or("zero"), new.unwrap_or("zero"));
        let what = format!(
            "where it is absent, {before} became {after}: what was not written is read as another value"
        );
        let verdict = |writer| match writer {
            Presence::Required => Verdict::Reads,
            Presence::Implicit | Presence::Explicit => Verdict::Breaks,
        };
        self.changes.push(Change::judged(place, what, verdict(presence), verdict(new_presence)));
    }

    /// Fields of one oneof exclude each other: those that did not before can meet in one message.
    fn oneofs(
        &mut self,
        message: &str,
        before: &BTreeMap<u32, &Field>,
        after: &BTreeMap<u32, &Field>,
    ) {
        for (oneof, together) in torn(after, before) {
            let what = format!("{together} exclude each other now: readers of NEW keep the last");
            let place = format!("{message}.{oneof}");
            self.changes.push(Change::judged(&place, what, Verdict::Breaks, Verdict::Reads));
        }
        for (oneof, together) in torn(before, after) {
            let what =
                format!("{together} exclude each other no more: readers of OLD keep the last");
            let place = format!("{message}.{oneof}");
            self.changes.push(Change::judged(&place, what, Verdict::Reads, Verdict::Breaks));
        }
    }

    fn enums(&mut self, old_name: &str, new_name: &str) {
        let (Some(old), Some(new)) =
            (self.old.enumeration(old_name), self.new.enumeration(new_name))
        else {
            return;
        };
        if old.openness != new.openness {
            let what = "one side keeps numbers it has no name for, the other drops them";
            let drops = |it: &Enum| match it.openness {
                Openness::Open => Verdict::Reads,
                Openness::Closed => Verdict::Breaks,
            };
            self.changes.push(Change::judged(old_name, what, drops(new), drops(old)));
        }
        self.values(old_name, old, new);
    }

    fn values(&mut self, place: &str, old: &Enum, new: &Enum) {
        for (number, names) in &old.values {
            let place = format!("{place}.{}", names.join("/"));
            match new.values.get(number) {
                Some(after) if after == names => {}
                _ if names.iter().any(|name| new.number(name).is_some_and(|it| it != *number)) => {
                    let what = format!("its number was {number} and is another's or none now");
                    self.changes.push(Change::breaking(&place, what));
                }
                Some(after) => {
                    let what = format!(
                        "{number} is called {}: bytes hold the number alone, and protobuf's JSON mapping breaks",
                        after.join("/")
                    );
                    self.changes.push(Change::harmless(&place, what));
                }
                None => {
                    let verdict = new.without_name();
                    let what = format!("{number} has no name any more{}", new.loss("NEW"));
                    self.changes.push(Change::judged(&place, what, verdict, Verdict::Reads));
                }
            }
        }
        for (number, names) in new.values.iter().filter(|(it, _)| !old.values.contains_key(it)) {
            let place = format!("{place}.{}", names.join("/"));
            let what = format!("{number} is new{}", old.loss("OLD"));
            let verdict = old.without_name();
            self.changes.push(Change::judged(&place, what, Verdict::Reads, verdict));
        }
    }
}

impl Side<'_> {
    /// Why a reader of this kind does not read every value that was written as the other one.
    fn misreads(self, written: Side<'_>) -> Option<&'static str> {
        match (written.kind, self.kind) {
            (Kind::Scalar(written), Kind::Scalar(read)) => read.misreads(*written),
            (Kind::Enum(_), Kind::Scalar(read)) if written.holds_only(*read) => None,
            // A number of an enum is an int32.
            (Kind::Enum(_), Kind::Scalar(read)) => read.misreads(Scalar::Int32),
            (Kind::Scalar(scalar @ (Scalar::Int32 | Scalar::Bool)), Kind::Enum(_)) => {
                let keeps_all = match self.closed_values() {
                    None => true,
                    Some(values) => {
                        *scalar == Scalar::Bool && [0, 1].iter().all(|it| values.contains_key(it))
                    }
                };
                (!keeps_all).then_some("numbers without a name are dropped")
            }
            (Kind::Scalar(scalar), Kind::Enum(_)) if scalar.is_plain_varint() => {
                Some("values that the other cannot hold are changed")
            }
            _ => Some("it is written in another way"),
        }
    }

    /// The values of an enum that has no others.
    fn closed_values(&self) -> Option<&BTreeMap<i32, Vec<String>>> {
        let found = self.schema.enumeration(self.kind.type_name()?)?;
        (found.openness == Openness::Closed).then_some(&found.values)
    }

    /// Whether all that an enum can be is held by a kind of whole numbers that does not hold every int32.
    fn holds_only(&self, read: Scalar) -> bool {
        let within = |most: i32| {
            self.closed_values().is_some_and(|it| it.keys().all(|it| (0..=most).contains(it)))
        };
        let is_unsigned = matches!(read, Scalar::Uint32 | Scalar::Uint64);
        is_unsigned && within(i32::MAX) || read == Scalar::Bool && within(1)
    }
}

impl Field {
    fn is_required(&self) -> bool {
        match self.shape {
            Shape::One { presence, .. } => presence == Presence::Required,
            Shape::Many { .. } | Shape::Map { .. } => false,
        }
    }
}

impl Enum {
    fn number(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(_, names)| names.iter().any(|it| it == name)).map(|it| *it.0)
    }

    /// What becomes of a number without a name.
    fn without_name(&self) -> Verdict {
        match self.openness {
            Openness::Open => Verdict::Reads,
            Openness::Closed => Verdict::Breaks,
        }
    }

    fn loss(&self, side: &str) -> String {
        match self.openness {
            Openness::Open => format!(": readers of {side} keep the number"),
            Openness::Closed => format!(": readers of {side} drop it"),
        }
    }
}

impl Packing {
    fn word(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Expanded => "expanded",
        }
    }
}

/// Oneofs of a reader whose fields a writer can write together, with the names of those fields.
fn torn(reader: &BTreeMap<u32, &Field>, writer: &BTreeMap<u32, &Field>) -> Vec<(String, String)> {
    let mut oneofs: BTreeMap<&str, Vec<&Field>> = BTreeMap::new();
    for (number, field) in reader {
        if let (Some(oneof), Some(written)) = (&field.oneof, writer.get(number)) {
            oneofs.entry(oneof).or_default().push(written);
        }
    }
    let excluded = |fields: &[&Field]| {
        let first = fields.first().and_then(|it| it.oneof.as_ref());
        fields.len() < 2 || first.is_some() && fields.iter().all(|it| it.oneof.as_ref() == first)
    };
    let names =
        |fields: &[&Field]| fields.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    oneofs
        .into_iter()
        .filter(|(_, fields)| !excluded(fields))
        .map(|(oneof, fields)| (oneof.to_owned(), names(&fields)))
        .collect()
}

fn place(message: &str, field: &Field) -> String {
    format!("{message}.{}", field.name)
}
