//! Verdicts against the truth: every small value, judged by a naive validator of its own under both schemas.
//!
//! Where a change is said to be read, each value that one side writes is let through by the other.

use leasehold_schema::Verdict;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A schema: some keywords with small values, over schemas that are less deep.
fn schema(depth: u32) -> BoxedStrategy<Value> {
    let scalars = (
        keyword(
            "type",
            &[
                json!("integer"),
                json!("number"),
                json!("string"),
                json!("object"),
                json!("array"),
                json!(["object", "null"]),
                json!(["string", "integer", "array"]),
            ],
        ),
        keyword("enum", &[json!([0, 1, "a"]), json!(["a", "bb"]), json!([1.5, null])]),
        keyword("minimum", &[json!(0), json!(1), json!(1.5)]),
        keyword("exclusiveMinimum", &[json!(0), json!(1)]),
        keyword("maximum", &[json!(0), json!(1), json!(2)]),
        keyword("multipleOf", &[json!(1), json!(2), json!(0.5)]),
        keyword("minLength", &[json!(0), json!(1), json!(2)]),
        keyword("maxLength", &[json!(0), json!(1)]),
        keyword("minItems", &[json!(1), json!(2)]),
        keyword("maxProperties", &[json!(0), json!(1)]),
        keyword("uniqueItems", &[json!(true), json!(false)]),
        keyword("required", &[json!(["a"]), json!(["a", "b"]), json!([])]),
    );
    let scalars = scalars.prop_map(|(a, b, c, d, e, f, g, h, i, j, k, l)| {
        [a, b, c, d, e, f, g, h, i, j, k, l].into_iter().flatten().collect::<Vec<_>>()
    });
    if depth == 0 {
        return scalars.prop_map(|members| Value::Object(members.into_iter().collect())).boxed();
    }
    let below = || schema(depth - 1);
    let reference = Just(json!({"$ref": "#/$defs/d"}));
    let nested = || prop_oneof![6 => below(), 1 => Just(json!(true)), 1 => Just(json!(false)), 1 => reference.clone()];
    let list = || prop::collection::vec(nested(), 1..3).prop_map(Value::Array);
    let properties =
        prop::collection::btree_map(prop::sample::select(&["a", "b", "c"][..]), nested(), 0..3);
    let properties = properties.prop_map(|it| json!(it));
    let composed = (
        maybe(0.5, "properties", properties),
        maybe(0.2, "additionalProperties", nested()),
        maybe(0.15, "items", nested()),
        maybe(0.1, "prefixItems", list()),
        maybe(0.1, "anyOf", list()),
        maybe(0.1, "allOf", list()),
        maybe(0.05, "oneOf", list()),
        maybe(0.05, "not", nested()),
        maybe(0.05, "propertyNames", below()),
    );
    let composed = composed.prop_map(|(a, b, c, d, e, f, g, h, i)| {
        [a, b, c, d, e, f, g, h, i].into_iter().flatten().collect::<Vec<_>>()
    });
    (scalars, composed)
        .prop_map(|(scalars, composed)| {
            Value::Object(scalars.into_iter().chain(composed).collect())
        })
        .boxed()
}

type Member = Option<(String, Value)>;

fn keyword(name: &'static str, values: &[Value]) -> impl Strategy<Value = Member> + use<> {
    maybe(0.12, name, prop::sample::select(values.to_vec()))
}

fn maybe(
    chance: f64,
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Member> {
    prop::option::weighted(chance, value).prop_map(move |it| it.map(|it| (name.to_owned(), it)))
}

/// What references lead to. It may refer to itself for a member, which ends with the value.
fn definition() -> impl Strategy<Value = Value> {
    (schema(0), any::<bool>()).prop_map(|(mut it, is_recursive)| {
        if is_recursive {
            let members = json!({"a": {"$ref": "#/$defs/d"}});
            it.as_object_mut().expect("an object").insert("properties".into(), members);
        }
        it
    })
}

/// Two documents, the second made of the first: half of its keywords are those of a third one.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    (schema(2), schema(2), definition(), definition(), any::<u32>()).prop_map(
        |(old, other, d, e, mask)| {
            let new = mixed(&old, &other, mask, 0);
            let document = |mut it: Value, d: &Value| {
                it.as_object_mut().expect("an object").insert("$defs".into(), json!({"d": d}));
                it
            };
            let e = if mask & 1 == 0 { d.clone() } else { e };
            (document(old, &d), document(new, &e))
        },
    )
}

/// The first schema, with a few members taken from the second.
fn mixed(old: &Value, other: &Value, mask: u32, level: u32) -> Value {
    let (Value::Object(old), Value::Object(other)) = (old, other) else { return other.clone() };
    let mut new = old.clone();
    for (index, name) in old.keys().chain(other.keys()).enumerate() {
        let is_taken =
            mask.rotate_right(u32::try_from(index).expect("few") * 3 + level * 7).trailing_zeros()
                >= 3;
        match (old.get(name), other.get(name)) {
            (Some(old), Some(other)) if name == "properties" => {
                new.insert(name.clone(), mixed(old, other, mask, level + 1));
            }
            (_, Some(other)) if is_taken => drop(new.insert(name.clone(), other.clone())),
            (_, None) if is_taken => drop(new.remove(name)),
            _ => {}
        }
    }
    Value::Object(new)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_said_to_be_read_is_let_through((old, new) in pair()) {
        let schema = |it: &Value| leasehold_schema::Schema::json(&it.to_string()).expect("a schema");
        let report = schema(&old).changes(&schema(&new));
        for (writer, reader, verdict) in [
            (&old, &new, report.new_reads_old()),
            (&new, &old, report.old_reads_new()),
        ] {
            if verdict == Verdict::Reads {
                let writer = Document(writer);
                let refused = values().into_iter().find(|value| {
                    writer.lets(writer.0, value)
                        && writer.declares(writer.0, value)
                        && !Document(reader).lets(reader, value)
                });
                prop_assert_eq!(refused, None, "from {} to {}: {:?}", old, new, report);
            }
        }
    }

    #[test]
    fn a_schema_is_compatible_with_itself(it in schema(2)) {
        let mut it = it;
        it.as_object_mut().expect("an object").insert("$defs".into(), json!({"d": {"type": "null"}}));
        let schema = leasehold_schema::Schema::json(&it.to_string()).expect("a schema");
        let report = schema.changes(&schema);
        prop_assert!(report.changes().is_empty(), "{it}: {report:?}");
    }
}

/// Small values of every type, and lists and objects of them.
fn values() -> Vec<Value> {
    let scalars = [
        json!(null),
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("a"),
        json!("bb"),
    ];
    let mut values = scalars.to_vec();
    values.extend([json!([]), json!({})]);
    for one in values.clone() {
        values.push(json!([one]));
        for name in ["a", "b", "c"] {
            values.push(json!({name: one}));
            values.push(json!({name: {"a": one}}));
        }
        for other in &scalars {
            values.push(json!([one, other]));
            values.push(json!({"a": one, "b": other}));
            values.push(json!({"a": one, "c": other}));
        }
    }
    values
}

/// A document whose `$defs` references lead to.
#[derive(Clone, Copy)]
struct Document<'a>(&'a Value);

impl<'a> Document<'a> {
    fn definition(self) -> &'a Value {
        &self.0["$defs"]["d"]
    }

    /// Whether a schema lets a value through.
    fn lets(self, schema: &Value, value: &Value) -> bool {
        let Value::Object(keywords) = schema else { return schema == &json!(true) };
        keywords.iter().all(|(name, said)| self.keyword(schema, name, said, value))
    }

    fn keyword(self, schema: &Value, name: &str, said: &Value, value: &Value) -> bool {
        let lets = |schema: &Value| self.lets(schema, value);
        let list = || said.as_array().expect("a list").iter();
        let number = said.as_f64().unwrap_or_default();
        let at_least = |is: Option<usize>| is.is_none_or(|is| number <= float(is));
        let at_most = |is: Option<usize>| is.is_none_or(|is| float(is) <= number);
        let size = (
            value.as_str().map(str::len),
            value.as_array().map(Vec::len),
            value.as_object().map(serde_json::Map::len),
        );
        match name {
            "$ref" => lets(self.definition()),
            "type" => match said.as_array() {
                Some(names) => names.iter().any(|name| is_of(name, value)),
                None => is_of(said, value),
            },
            "enum" => list().any(|it| it == value),
            "minimum" => value.as_f64().is_none_or(|it| number <= it),
            "exclusiveMinimum" => value.as_f64().is_none_or(|it| number < it),
            "maximum" => value.as_f64().is_none_or(|it| it <= number),
            "multipleOf" => value.as_f64().is_none_or(|it| (it / number).fract() == 0.0),
            "minLength" => at_least(size.0),
            "maxLength" => at_most(size.0),
            "minItems" => at_least(size.1),
            "maxProperties" => at_most(size.2),
            "uniqueItems" => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                said == &json!(false) || (1..items.len()).all(|i| !items[..i].contains(&items[i]))
            }
            "required" => value.as_object().is_none_or(|it| {
                list().all(|name| it.contains_key(name.as_str().expect("a name")))
            }),
            "properties" => value.as_object().is_none_or(|it| {
                it.iter().all(|(name, it)| said.get(name).is_none_or(|said| self.lets(said, it)))
            }),
            "additionalProperties" => value.as_object().is_none_or(|it| {
                let named = |name: &String| {
                    schema.get("properties").is_some_and(|it| it.get(name).is_some())
                };
                it.iter().all(|(name, it)| named(name) || self.lets(said, it))
            }),
            "propertyNames" => value
                .as_object()
                .is_none_or(|it| it.keys().all(|name| self.lets(said, &json!(name)))),
            "prefixItems" => value
                .as_array()
                .is_none_or(|it| list().zip(it).all(|(said, it)| self.lets(said, it))),
            "items" => value.as_array().is_none_or(|it| {
                let first = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                it.iter().skip(first).all(|it| self.lets(said, it))
            }),
            "anyOf" => list().any(lets),
            "allOf" => list().all(lets),
            "oneOf" => list().filter(|it| lets(it)).count() == 1,
            "not" => !lets(said),
            _ => true,
        }
    }

    /// Whether a value has only members that its schema declares, where that is all that is said about them.
    fn declares(self, schema: &Value, value: &Value) -> bool {
        let keywords =
            schema.as_object().map(|it| it.keys().filter(|it| *it != "$defs").collect::<Vec<_>>());
        let keywords = keywords.unwrap_or_default();
        if keywords == ["$ref"] {
            return self.declares(self.definition(), value);
        }
        let beside = ["$ref", "allOf", "anyOf", "oneOf", "not", "propertyNames"];
        if keywords.iter().any(|it| beside.contains(&it.as_str())) {
            return true;
        }
        match value {
            Value::Object(members) => members.iter().all(|(name, it)| {
                let property = schema.get("properties").and_then(|it| it.get(name));
                match property.or(schema.get("additionalProperties")) {
                    Some(schema) => self.declares(schema, it),
                    None => false,
                }
            }),
            Value::Array(items) => items.iter().enumerate().all(|(index, it)| {
                let first = schema.get("prefixItems").and_then(|it| it.get(index));
                first.or(schema.get("items")).is_none_or(|schema| self.declares(schema, it))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("values are small"))
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a name") {
        "null" => value.is_null(),
        "integer" => value.as_f64().is_some_and(|it| it.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}
