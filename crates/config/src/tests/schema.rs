//! The schema of the file against files: an evaluator of the words that the schema is made of, and of no others.

use serde_json::{Value, json};

use super::{Config, SAMPLE};
use crate::schema;

/// Whether a value is what a schema describes. A word that is not known here fails the test: it would not be looked at.
fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(words) = schema else { return schema == &json!(true) };
    words.iter().all(|(word, of)| match word.as_str() {
        "$schema" | "title" | "description" | "default" | "examples" | "$defs" => true,
        "format" => matches!(of.as_str(), Some("uint16" | "uint32" | "uint64" | "double")),
        "$ref" => {
            let name = of.as_str().and_then(|it| it.strip_prefix("#/$defs/")).unwrap();
            fits(root, root.pointer(&format!("/$defs/{name}")).unwrap(), value)
        }
        "items" => value.as_array().is_none_or(|all| all.iter().all(|item| fits(root, of, item))),
        "type" => match of.as_array() {
            Some(any) => any.iter().any(|of| is(of, value)),
            None => is(of, value),
        },
        "const" => value == of,
        "enum" => of.as_array().unwrap().contains(value),
        "oneOf" => of.as_array().unwrap().iter().filter(|of| fits(root, of, value)).count() == 1,
        "anyOf" => of.as_array().unwrap().iter().any(|of| fits(root, of, value)),
        "minimum" => value.as_f64().is_none_or(|value| of.as_f64().unwrap() <= value),
        "maximum" => value.as_f64().is_none_or(|value| value <= of.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| matches(of.as_str().unwrap(), text)),
        "properties" => value.as_object().is_none_or(|map| {
            map.iter().all(|(key, value)| of.get(key).is_none_or(|of| fits(root, of, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|map| {
            let known = schema.get("properties").and_then(Value::as_object);
            let is_known = |key: &String| known.is_some_and(|known| known.contains_key(key));
            map.iter().all(|(key, value)| is_known(key) || fits(root, of, value))
        }),
        other => panic!("the schema says {other:?}, which nobody looks at"),
    })
}

fn is(of: &Value, value: &Value) -> bool {
    match of.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the schema has a type {other:?}, which nobody looks at"),
    }
}

/// The patterns that there are, each by what reads such a text.
fn matches(pattern: &str, text: &str) -> bool {
    if pattern.contains("ms|us|ns") {
        return crate::parse_duration(text).is_ok();
    }
    if pattern.contains("KiB") {
        return crate::size::parse(text).is_some() || text.trim().parse::<u64>().is_ok();
    }
    if pattern.contains("burst") {
        return pattern.contains(text) && text == "unlimited"
            || text.parse::<crate::RateLimit>().is_ok();
    }
    assert!(pattern.contains("[0-9]{1,5}"), "nobody knows the pattern {pattern:?}");
    text.parse::<std::net::SocketAddr>().is_ok()
}

fn is_right(text: &str) -> bool {
    let schema = schema();
    fits(&schema, &schema, &serde_saphyr::from_str(text).unwrap())
}

#[test]
fn the_sample_is_right() {
    assert!(is_right(SAMPLE));
}

/// The schema and the reader agree, except about what only the rules between values know.
#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let cases = [
        ("limits: {open_task: 1}", false),
        ("limit: {}", false),
        ("limits: {open_tasks: -1}", false),
        ("limits: {open_tasks: many}", false),
        ("limits: {payload_bytes: 1MB}", false),
        ("limits: {payload_bytes: 512}", true),
        ("limits: {payload_bytes: 64KiB}", true),
        ("session: {ttl: 20}", false),
        ("session: {ttl: 20s}", true),
        ("session: {heartbeat: 1s}", false),
        ("listen: localhost:1", false),
        ("listen: '[::1]:1'", true),
        ("insecure: perhaps", false),
        ("defaults: {retry: {jitter: some}}", false),
        ("defaults: {retry: {jitter: none, factor: 1.5}}", true),
        ("queues: {settings: {thumbs: {retention: {finished: 0s}}}}", true),
        ("queues: {settings: {thumbs: {retentions: {}}}}", false),
        ("queues: {settings: {thumbs: {exclusivity: best-effort}}}", true),
        ("limits: {submit_rate: 10/s burst 20}", true),
        ("limits: {submit_rate: unlimited}", true),
        ("limits: {submit_rate: 10/y}", false),
        ("rates: {mail: 10/s burst 20}", true),
        ("rates: {mail: unlimited}", false),
        ("concurrency: {default: 2, keys: {a: 1}, prefixes: {b/: 3}}", true),
        ("concurrency: {key: {a: 1}}", false),
        ("concurrency: {keys: {a: many}}", false),
        ("queues: {settings: {a: {concurrency: 3, concurrency_per_key: 1, rate: 1/s}}}", true),
        ("queues: {settings: {a: {rate: unlimited}}}", true),
        ("queues: {settings: {a: {concurrency: -1}}}", false),
        ("breakers: {task_types: {mail: {}}, dependencies: {db: {slow_after: 2s}}}", true),
        ("breakers: {dependencies: {db: {retry_budget: {share: 0.1, burst: 3}}}}", true),
        ("breakers: {dependencies: {db: {failures: 3}}}", false),
        ("breakers: {dependencies: {db: {probes: -1}}}", false),
        ("breakers: {default: {}}", false),
        ("namespaces: {team: {open_tasks: 3, open_bytes: 1MiB, submit_rate: 5/s}}", true),
        ("namespaces: {team: {queues: {mail: {admission: strict, rate: 1/s}}}}", true),
        ("namespaces: {team: {queues: {mail: {admission: never}}}}", false),
        ("namespaces: {team: {queues: {mail: {rate: unlimited}}}}", true),
        ("namespaces: {team: {queues: {mail: {rate: 1/y}}}}", false),
        ("namespaces: {team: {open_task: 3}}", false),
        ("namespaces: {team: {limits: {}}}", false),
        ("telemetry: {log_format: xml}", false),
        ("reload: {interval: 1s}", true),
    ];
    for (text, expected) in cases {
        assert_eq!(is_right(text), expected, "the schema about {text:?}");
        let reads = Config::parse(text, std::path::Path::new("c.yaml"));
        assert_eq!(reads.is_ok(), expected, "the reader about {text:?}");
    }
}

/// Every key says what it is, and what it is if it is left out.
#[test]
fn every_key_has_a_description_and_a_default() {
    let schema = schema();
    let mut wrong = Vec::new();
    look(&schema, &schema, "", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn look(root: &Value, schema: &Value, path: &str, wrong: &mut Vec<String>) {
    let Some(keys) = schema.get("properties").and_then(Value::as_object) else { return };
    for (key, of) in keys {
        let path = format!("{path}.{key}");
        for word in ["description", "default"] {
            // What is left out of a queue is as it is for all of them.
            let is_override = path.starts_with(".queues.settings.*.retention.")
                || path.starts_with(".scaling.pools.*.")
                || path.starts_with(".namespaces.*.");
            if of.get(word).is_none() && !(word == "default" && is_override) {
                wrong.push(format!("{path} has no {word}"));
            }
        }
        let name =
            of.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix("#/$defs/"));
        if let Some(name) = name {
            look(root, root.pointer(&format!("/$defs/{name}")).unwrap(), &path, wrong);
        }
        if let Some(name) = of.pointer("/additionalProperties/$ref").and_then(Value::as_str) {
            let name = name.strip_prefix("#/$defs/").unwrap();
            let below = root.pointer(&format!("/$defs/{name}")).unwrap();
            look(root, below, &format!("{path}.*"), wrong);
        }
    }
}
