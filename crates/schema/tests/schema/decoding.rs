//! Verdicts against the truth: random messages of one schema, decoded with another by a decoder that is not ours.
//!
//! Where a change is said to be read, every sample is read as what was written; where it is said to break, a sample shows it.

use std::collections::BTreeMap;

use leasehold_schema::{Schema, Verdict};
use proptest::prelude::*;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _,
    Syntax, Value,
};

use super::compiled;

/// How many messages of each schema are written. Enough for every pair of values that two fields can have.
const SAMPLES: u64 = 400;

const NUMBERS: [&str; 13] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "bool", "float", "double",
];

const OTHERS: [&str; 6] = ["string", "bytes", "A", "B", "E", "F"];

const TYPES: &str = "
    message A { optional int32 x = 1; }
    message B { optional int64 x = 1; }
    enum E { E_ZERO = 0; E_ONE = 1; }
    enum F { F_ZERO = 0; F_ONE = 1; F_TWO = 2; F_LESS = -1; }
";

/// A field: what stands before its type, its type, and what stands behind its number.
#[derive(Clone, Debug)]
struct Drawn {
    kind: &'static str,
    card: &'static str,
    options: &'static str,
    is_in_oneof: bool,
}

fn field(syntax: Syntax) -> impl Strategy<Value = Option<Drawn>> {
    let kind = prop_oneof![
        prop::sample::select(&NUMBERS[..]),
        prop::sample::select(&OTHERS[..]),
        // Those that read each other are drawn more often.
        prop::sample::select(&["int32", "int64", "bool", "E", "F", "A", "B"][..]),
    ];
    let cards: &[(&str, &str)] = match syntax {
        Syntax::Proto2 => &[
            ("optional", ""),
            ("optional", "[default = 1]"),
            ("required", ""),
            ("repeated", ""),
            ("repeated", "[packed = true]"),
        ],
        Syntax::Proto3 => &[
            ("", ""),
            ("", ""),
            ("optional", ""),
            ("repeated", ""),
            ("repeated", "[packed = false]"),
        ],
    };
    let field = (kind, prop::sample::select(cards), any::<bool>());
    let field = field.prop_map(|(kind, (card, options), is_in_oneof)| {
        let is_number = NUMBERS.contains(&kind);
        let takes = match options {
            "" => true,
            "[default = 1]" => is_number && kind != "bool",
            _ => is_number || ["E", "F"].contains(&kind),
        };
        let options = if takes { options } else { "" };
        let is_plain = ["", "optional"].contains(&card) && options.is_empty();
        Drawn { kind, card, options, is_in_oneof: is_in_oneof && is_plain }
    });
    prop::option::weighted(0.8, field)
}

/// A message of up to two fields, as source.
fn source(syntax: Syntax, fields: &[Option<Drawn>]) -> String {
    let (mut apart, mut together) = (String::new(), String::new());
    for (number, field) in (1..).zip(fields) {
        let Some(Drawn { kind, card, options, is_in_oneof }) = field else { continue };
        if *is_in_oneof {
            together = format!("{together} {kind} f{number} = {number};");
        } else {
            apart = format!("{apart} {card} {kind} f{number} = {number} {options};");
        }
    }
    let together =
        if together.is_empty() { together } else { format!("oneof either {{ {together} }}") };
    let syntax = if syntax == Syntax::Proto2 { "proto2" } else { "proto3" };
    format!("syntax = \"{syntax}\"; message M {{ {apart} {together} }} {TYPES}")
}

fn pair() -> impl Strategy<Value = (String, String)> {
    prop::sample::select(&[Syntax::Proto2, Syntax::Proto3][..]).prop_flat_map(|syntax| {
        let fields = || prop::collection::vec(field(syntax), 2);
        (fields(), fields(), any::<bool>()).prop_map(move |(old, mut new, keeps)| {
            // Half of the pairs differ in one field alone.
            if keeps {
                new[1].clone_from(&old[1]);
            }
            (source(syntax, &old), source(syntax, &new))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_said_to_be_read_is_read((old, new) in pair()) {
        let (before, after) = (compiled(&old), compiled(&new));
        let schema = |set: &[u8]| Schema::protobuf(set, Some("M")).expect("a schema");
        let report = schema(&before).changes(&schema(&after));
        let message = |set: &[u8]| {
            let pool = DescriptorPool::decode(set).expect("a pool");
            pool.get_message_by_name("M").expect("the message is there")
        };
        let (before, after) = (message(&before), message(&after));
        for (writer, reader, verdict) in [
            (&before, &after, report.new_reads_old()),
            (&after, &before, report.old_reads_new()),
        ] {
            let misread = (0..SAMPLES).find_map(|seed| misread(writer, reader, seed));
            match verdict {
                Verdict::Reads => prop_assert!(misread.is_none(), "{misread:?}\n{old}\n{new}\n{report:?}"),
                Verdict::Breaks => prop_assert!(misread.is_some(), "nothing breaks\n{old}\n{new}\n{report:?}"),
                Verdict::Undecided => {}
            }
        }
    }
}

/// Writes a message and reads it with another schema; returns it if what was read is not what was written.
fn misread(
    writer: &MessageDescriptor,
    reader: &MessageDescriptor,
    seed: u64,
) -> Option<DynamicMessage> {
    let mut chance = Chance(seed);
    let written = draw(writer, &mut chance);
    let bytes = prost::Message::encode_to_vec(&written);
    let same = DynamicMessage::decode(reader.clone(), bytes.as_slice())
        .is_ok_and(|read| is_read(&written, &read));
    (!same).then_some(written)
}

/// Whether every field that both sides have says the same.
fn is_read(written: &DynamicMessage, read: &DynamicMessage) -> bool {
    read.descriptor().fields().all(|field| {
        if field.is_required() && !read.has_field(&field) {
            return false;
        }
        let Some(before) = written.descriptor().get_field(field.number()) else { return true };
        let is_there = written.has_field(&before);
        match (before.is_list(), field.is_list()) {
            (false, false) if matches!(field.kind(), Kind::Message(_)) => {
                is_there == read.has_field(&field)
                    && (!is_there || seen(&before, written) == seen(&field, read))
            }
            (false, false) | (true, true) => seen(&before, written) == seen(&field, read),
            (false, true) if is_there => {
                let one = seen(&before, written);
                seen(&field, read) == Seen::List(vec![one])
            }
            (false, true) => seen(&field, read) == Seen::List(Vec::new()),
            (true, false) => match seen(&before, written) {
                Seen::List(items) if items.len() == 1 => Some(&seen(&field, read)) == items.first(),
                Seen::List(items) => items.is_empty(),
                Seen::Number(_) | Seen::Fraction(_) | Seen::Bytes(_) | Seen::Message(_) => false,
            },
        }
    })
}

/// What a value says, whatever kind it is of.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Number(i128),
    Fraction(u64),
    Bytes(Vec<u8>),
    Message(BTreeMap<u32, Self>),
    List(Vec<Self>),
}

fn seen(field: &FieldDescriptor, message: &DynamicMessage) -> Seen {
    let value = message.get_field(field);
    match value.as_list() {
        Some(items) => Seen::List(items.iter().filter_map(|it| item(field, it)).collect()),
        None => item(field, &value).unwrap_or(Seen::Number(0)),
    }
}

/// One value. None: a closed enum has no name for it, so it does not count.
fn item(field: &FieldDescriptor, value: &Value) -> Option<Seen> {
    Some(match value {
        Value::Bool(it) => Seen::Number((*it).into()),
        Value::I32(it) => Seen::Number((*it).into()),
        Value::I64(it) => Seen::Number((*it).into()),
        Value::U32(it) => Seen::Number((*it).into()),
        Value::U64(it) => Seen::Number((*it).into()),
        Value::F32(it) => Seen::Fraction(f64::from(*it).to_bits()),
        Value::F64(it) => Seen::Fraction(it.to_bits()),
        Value::String(it) => Seen::Bytes(it.as_bytes().to_vec()),
        Value::Bytes(it) => Seen::Bytes(it.to_vec()),
        Value::EnumNumber(it) => {
            let Kind::Enum(found) = field.kind() else { return None };
            let is_closed = found.parent_file().syntax() == Syntax::Proto2;
            if is_closed && found.get_value(*it).is_none() {
                return None;
            }
            Seen::Number((*it).into())
        }
        Value::Message(it) => {
            let fields = it.descriptor();
            let fields = fields.fields().map(|field| (field.number(), seen(&field, it)));
            Seen::Message(fields.collect())
        }
        Value::List(_) | Value::Map(_) => return None,
    })
}

fn draw(descriptor: &MessageDescriptor, chance: &mut Chance) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if field.is_list() {
            let items = (0..chance.below(3)).map(|_| value(&field, chance)).collect();
            message.set_field(&field, Value::List(items));
        } else if field.is_required() || chance.below(4) != 0 {
            message.set_field(&field, value(&field, chance));
        }
    }
    message
}

/// A value at an edge of its kind.
fn value(field: &FieldDescriptor, chance: &mut Chance) -> Value {
    match field.kind() {
        Kind::Bool => Value::Bool(chance.of(&[false, true])),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(chance.of(&[0, 1, -1, 5, i32::MIN, i32::MAX]))
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(chance.of(&[0, 1, -1, 5, i64::MIN, i64::MAX]))
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(chance.of(&[0, 1, 5, u32::MAX])),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(chance.of(&[0, 1, 5, u64::MAX])),
        Kind::Float => Value::F32(chance.of(&[0.0, 1.5, -2.0])),
        Kind::Double => Value::F64(chance.of(&[0.0, 1.5, -2.0])),
        Kind::String => Value::String(chance.of(&["", "a", "é"]).to_owned()),
        Kind::Bytes => Value::Bytes(chance.of(&[&b""[..], b"a", b"\xff"]).into()),
        Kind::Message(found) => Value::Message(draw(&found, chance)),
        Kind::Enum(found) => {
            let mut numbers: Vec<i32> = found.values().map(|it| it.number()).collect();
            if found.parent_file().syntax() == Syntax::Proto3 {
                numbers.extend([7, -7]);
            }
            Value::EnumNumber(chance.of(&numbers))
        }
    }
}

/// Numbers that follow from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).expect("31 bits") % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len());
        choices[index]
    }
}
