//! What a schema says of numbers and texts, and of how many there are of something.

use super::{Comparison, Pair, Turn, Types};
use crate::json::{
    node::{Node, Value},
    number::Number,
};

/// What is judged here.
pub(super) const JUDGED: &[&str] = &[
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "multipleOf",
    "uniqueItems",
    "pattern",
    "format",
    "contentEncoding",
    "contentMediaType",
];

/// Keywords of which more lets less through, with what they look at.
const LEAST: [(&str, Types); 3] =
    [("minLength", Types::STRING), ("minItems", Types::ARRAY), ("minProperties", Types::OBJECT)];

/// Keywords of which less lets less through.
const MOST: [(&str, Types); 3] =
    [("maxLength", Types::STRING), ("maxItems", Types::ARRAY), ("maxProperties", Types::OBJECT)];

/// Keywords whose texts are only known to be the same or not.
const TEXTS: [(&str, Types); 4] = [
    ("pattern", Types::STRING),
    ("format", Types::ALL),
    ("contentEncoding", Types::STRING),
    ("contentMediaType", Types::STRING),
];

/// An end of a range; the larger is the narrower one. Of two at one number, the one that leaves the number out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Low(Number, Ending);

/// The other end; the smaller is the narrower one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct High(Number, std::cmp::Reverse<Ending>);

/// Whether the number at the end of a range belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Within,
    Without,
}

impl<'a> Comparison<'a> {
    pub(super) fn scalars(&mut self, pair: &Pair<'a>) {
        self.ranges(pair);
        for (name, types) in LEAST {
            let count = |it: &Node| it.get(name).and_then(Node::number).cloned();
            // None at all is what is always there.
            let count = |it: &Node| count(it).filter(|it| Number::zero() < *it);
            let turn = narrowed(count(pair.old), count(pair.new), |old, new| old < new);
            self.turned_if(pair, name, types, turn);
        }
        for (name, types) in MOST {
            let count = |it: &Node| it.get(name).and_then(Node::number).cloned();
            let turn = narrowed(count(pair.old), count(pair.new), |old, new| new < old);
            self.turned_if(pair, name, types, turn);
        }
        for (name, types) in TEXTS {
            match (pair.old.get(name), pair.new.get(name)) {
                (Some(old), Some(new)) if old != new => self.sameness(pair, name),
                (old, new) => {
                    let turn = narrowed(old, new, |_, _| false).filter(|_| old != new);
                    self.turned_if(pair, name, types, turn);
                }
            }
        }
        let is_unique = |it: &Node| {
            it.get("uniqueItems").filter(|it| it.value == Value::Bool(true)).map(|_| ())
        };
        let turn = match (is_unique(pair.old), is_unique(pair.new)) {
            (None, Some(())) => Some(Turn::Narrower),
            (Some(()), None) => Some(Turn::Wider),
            (None, None) | (Some(()), Some(())) => None,
        };
        self.turned_if(pair, "uniqueItems", Types::ARRAY, turn);
        self.multiples(pair);
    }

    fn ranges(&mut self, pair: &Pair<'a>) {
        let turn = narrowed(low(pair.old), low(pair.new), |old, new| old < new);
        self.turned_if(pair, "minimum", Types::NUMBER, turn);
        let turn = narrowed(high(pair.old), high(pair.new), |old, new| new < old);
        self.turned_if(pair, "maximum", Types::NUMBER, turn);
    }

    fn multiples(&mut self, pair: &Pair<'a>) {
        let step = |it: &'a Node| it.get("multipleOf").and_then(Node::number);
        let turn = match (step(pair.old), step(pair.new)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => match (old.is_multiple_of(new), new.is_multiple_of(old)) {
                (Some(true), _) => Some(Turn::Wider),
                (_, Some(true)) => Some(Turn::Narrower),
                (Some(false), Some(false)) => Some(Turn::Other),
                (None, _) | (_, None) => return self.sameness(pair, "multipleOf"),
            },
            (None, Some(new)) if is_step_of(new, pair.old) => None,
            (Some(old), None) if is_step_of(old, pair.new) => None,
            (old, new) => narrowed(old, new, |_, _| false),
        };
        self.turned_if(pair, "multipleOf", Types::NUMBER, turn);
    }

    /// Reports what became of a keyword, if something did.
    fn turned_if(&mut self, pair: &Pair<'_>, name: &str, types: Types, turn: Option<Turn>) {
        let Some(turn) = turn else { return };
        // An end of a range can be said in two ways.
        let word = |it: &Node| {
            let exclusive = match name {
                "minimum" => "exclusiveMinimum",
                "maximum" => "exclusiveMaximum",
                _ => name,
            };
            let said = it.get(name).or_else(|| it.get(exclusive));
            said.map_or("none".to_owned(), ToString::to_string)
        };
        let what = format!("{name} {} became {}", word(pair.old), word(pair.new));
        self.turned_for(pair, types, what, turn);
    }
}

/// Whether everything that a schema lets through is a multiple anyway: of one, and it has no fraction.
fn is_step_of(step: &Number, schema: &Node) -> bool {
    *step == Number::one() && !Types::of(schema).meets(Types::FRACTION)
}

/// How a limit moved. None: it did not, or there is none on either side.
fn narrowed<T: PartialEq>(
    old: Option<T>,
    new: Option<T>,
    is_narrower: impl Fn(&T, &T) -> bool,
) -> Option<Turn> {
    match (old, new) {
        (None, None) => None,
        (None, Some(_)) => Some(Turn::Narrower),
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) if is_narrower(&old, &new) => Some(Turn::Narrower),
        (Some(_), None | Some(_)) => Some(Turn::Wider),
    }
}

fn low(schema: &Node) -> Option<Low> {
    let end = |name, ending| Some(Low(schema.get(name)?.number()?.clone(), ending));
    end("minimum", Ending::Within).max(end("exclusiveMinimum", Ending::Without))
}

fn high(schema: &Node) -> Option<High> {
    let end =
        |name, ending| Some(High(schema.get(name)?.number()?.clone(), std::cmp::Reverse(ending)));
    let ends = [end("maximum", Ending::Within), end("exclusiveMaximum", Ending::Without)];
    ends.into_iter().flatten().min()
}
