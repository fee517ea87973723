//! JSON Schemas: what changes a print, what a change breaks, and what is refused.

use leasehold_schema::Schema;

use super::{json, lines};

#[test]
fn what_does_not_change_the_meaning_does_not_change_the_print() {
    let twins = [
        (r#"{"type": "string", "maxLength": 3}"#, r#" { "maxLength":3.0 , "type":["string"] } "#),
        (r#"{"maximum": 1000}"#, r#"{"maximum": 1e3}"#),
        (r#"{"const": {"a": 1, "b": [2]}}"#, r#"{"const": {"b": [2.0], "a": 1e0}}"#),
        (r#"{"required": ["a", "b"]}"#, r#"{"required": ["b", "a", "b"]}"#),
        (r#"{"enum": [1, "1"]}"#, r#"{"enum": ["1", 1.0]}"#),
        (r#"{"type": ["null", "array"]}"#, r#"{"type": ["array", "null"]}"#),
        (r#"{"items": true}"#, r#"{"items": {"description": "anything"}}"#),
        (
            "{}",
            r#"{"title": "t", "description": "d", "$comment": "c", "default": 1, "examples": [1]}"#,
        ),
        ("{}", r#"{"deprecated": true, "readOnly": true, "writeOnly": true, "x-order": 3}"#),
        ("{}", r#"{"required": [], "properties": {}, "$defs": {"a": {"type": "null"}}}"#),
        ("{}", r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:x"}"#),
        ("true", "{}"),
        (
            r#"{"anyOf": [{"type": "null"}, {"minimum": 1}]}"#,
            r#"{"anyOf": [{"minimum": 1.0}, {"type": "null"}]}"#,
        ),
        (r#"{"pattern": "\u0061"}"#, r#"{"pattern": "a"}"#),
        (
            r##"{"$ref": "#/$defs/a", "$defs": {"a": {}}}"##,
            r##"{"$defs": {"a": {"title": "t"}, "b": false}, "$ref": "#/%24defs/a"}"##,
        ),
    ];
    for (a, b) in twins {
        assert_eq!(json(a).canonical(None), json(b).canonical(None));
    }
}

#[test]
fn what_changes_the_meaning_changes_the_print() {
    let texts = [
        "{}",
        "false",
        r#"{"not": {}}"#,
        r#"{"type": "number"}"#,
        r#"{"type": "integer"}"#,
        r#"{"properties": {"title": {}}}"#,
        r#"{"properties": {"title": {"title": {}}, "a": {}}}"#,
        r#"{"properties": {"title": {"type": "string"}}}"#,
        r#"{"properties": {"default": {}}}"#,
        r#"{"patternProperties": {"title": {}}}"#,
        r#"{"const": {"title": 1}}"#,
        r#"{"const": {"title": 2}}"#,
        r#"{"const": {}}"#,
        r#"{"enum": [{"description": "x"}]}"#,
        r#"{"enum": [{"description": "y"}]}"#,
        r#"{"required": ["title"]}"#,
        r#"{"dependentRequired": {"title": ["a"]}}"#,
        r#"{"prefixItems": [{"type": "null"}, {}]}"#,
        r#"{"prefixItems": [{}, {"type": "null"}]}"#,
        r#"{"maximum": 1}"#,
        r#"{"exclusiveMaximum": 1}"#,
        r#"{"maximum": 18446744073709551616}"#,
        r#"{"maximum": 18446744073709551617}"#,
        r#"{"maximum": 0.1}"#,
        r#"{"maximum": 0.10000000000000001}"#,
        r#"{"format": "date"}"#,
        r#"{"pattern": "date"}"#,
        r#"{"unheardOf": 1}"#,
        r#"{"unheardOf": {"title": "kept: nobody knows what it is"}}"#,
        r#"{"$schema": "http://json-schema.org/draft-07/schema#"}"#,
        r##"{"$ref": "#/$defs/a", "$defs": {"a": {}}}"##,
        r##"{"$ref": "#/$defs/a", "$defs": {"a": false}}"##,
        r##"{"$ref": "#/$defs/b", "$defs": {"b": false}}"##,
        // A name that looks like the line of another definition.
        r##"{"properties": {"a": {"$ref": "#/$defs/x\" {}\nschema \"y"}}, "$defs": {"x\" {}\nschema \"y": {}}}"##,
    ];
    let mut prints = std::collections::BTreeMap::new();
    for text in texts {
        let twin = prints.insert(json(text).fingerprint(None), text);
        assert_eq!(twin, None, "has the print of {text}");
    }
}

/// Compares two schemas and expects these lines, and the mirrored ones the other way round.
#[track_caller]
fn check(old: &str, new: &str, expected: &[&str]) {
    let (before, after) = (json(old), json(new));
    assert_eq!(lines(&before.changes(&after)), expected, "from {old} to {new}");
    // The order is that of the first side.
    let mirrored = expected.iter().map(|line| {
        let mut words: Vec<&str> = line.rsplitn(3, ' ').collect();
        words.swap(0, 1);
        words.reverse();
        words.join(" ")
    });
    let mut mirrored: Vec<String> = mirrored.collect();
    let mut back = lines(&after.changes(&before));
    mirrored.sort();
    back.sort();
    assert_eq!(back, mirrored, "from {new} to {old}");
    assert_eq!(lines(&before.changes(&before)), [""; 0], "{old}");
}

#[test]
fn types_and_values() {
    check(r#"{"type": "integer"}"#, r#"{"type": "number"}"#, &["$ reads breaks"]);
    check(r#"{"type": "string"}"#, r#"{"type": ["string", "null"]}"#, &["$ reads breaks"]);
    check(r#"{"type": "string"}"#, r#"{"type": "integer"}"#, &["$ breaks breaks"]);
    check("{}", r#"{"type": "integer"}"#, &["$ breaks reads"]);
    check("{}", "false", &["$ breaks reads"]);
    check(r#"{"enum": ["a"]}"#, r#"{"enum": ["a", "b"]}"#, &["$ reads breaks"]);
    check(r#"{"enum": ["a"]}"#, r#"{"enum": ["b"]}"#, &["$ breaks breaks"]);
    check(r#"{"const": 1}"#, r#"{"enum": [1.0]}"#, &[]);
    check(r#"{"enum": ["a"]}"#, r#"{"enum": ["a"], "type": "string"}"#, &[]);
    check(r#"{"enum": ["a", 1], "type": "string"}"#, r#"{"const": "a"}"#, &[]);
}

/// What stands beside the items of a list says what is in them, too.
#[test]
fn items_of_lists_beside_other_schemas() {
    let beside = r#""allOf": [{"items": {"properties": {"b": {"type": "string"}}}}]"#;
    let list = |members: &str, more: &str| {
        format!(r#"{{"type": "array", "items": {{"properties": {{{members}}}}}{more}}}"#)
    };
    let (before, after) = (r#""a": {}"#, r#""a": {}, "b": {"type": "integer"}"#);
    check(&list(before, ""), &list(after, ""), &["$[].b reads reads"]);
    let beside = format!(", {beside}");
    check(&list(before, &beside), &list(after, &beside), &["$[].b ? reads"]);
}

#[test]
fn limits() {
    check(r#"{"minimum": 1}"#, r#"{"minimum": 2}"#, &["$ breaks reads"]);
    check(r#"{"minimum": 1}"#, r#"{"exclusiveMinimum": 1}"#, &["$ breaks reads"]);
    check(r#"{"maximum": 1}"#, r#"{"maximum": 1.5}"#, &["$ reads breaks"]);
    check(r#"{"maximum": 1}"#, r#"{"exclusiveMaximum": 1}"#, &["$ breaks reads"]);
    check("{}", r#"{"minimum": 1}"#, &["$ breaks reads"]);
    check("{}", r#"{"minLength": 0}"#, &[]);
    check("{}", r#"{"minLength": 1}"#, &["$ breaks reads"]);
    check(r#"{"maxItems": 3}"#, r#"{"maxItems": 2}"#, &["$ breaks reads"]);
    check(r#"{"multipleOf": 4}"#, r#"{"multipleOf": 2}"#, &["$ reads breaks"]);
    check(r#"{"multipleOf": 4}"#, r#"{"multipleOf": 6}"#, &["$ breaks breaks"]);
    check(r#"{"type": "integer"}"#, r#"{"type": "integer", "multipleOf": 1}"#, &[]);
    check(r#"{"uniqueItems": false}"#, r#"{"uniqueItems": true}"#, &["$ breaks reads"]);
    check(r#"{"pattern": "a"}"#, r#"{"pattern": "b"}"#, &["$ ? ?"]);
    check("{}", r#"{"pattern": "b"}"#, &["$ breaks reads"]);
    // Who writes no numbers is not broken by what is said of them.
    let texts = r#"{"type": "string"}"#;
    check(texts, r#"{"type": "string", "minimum": 1}"#, &["$ reads reads"]);
}

#[test]
fn members_of_objects() {
    let o = |inner: &str| format!(r#"{{"type": "object", {inner}}}"#);
    let a = o(r#""properties": {"a": {"type": "string"}}"#);
    let ab = o(r#""properties": {"a": {"type": "string"}, "b": {"type": "string"}}"#);
    check(&a, &ab, &["$.b reads reads"]);
    let closed =
        |inner: &str| format!(r#"{{"type": "object", "additionalProperties": false, {inner}}}"#);
    let closed_a = closed(r#""properties": {"a": {"type": "string"}}"#);
    let closed_ab = closed(r#""properties": {"a": {"type": "string"}, "b": {"type": "string"}}"#);
    check(&closed_a, &closed_ab, &["$.b reads breaks"]);
    check(&a, &closed_a, &["$.* reads reads"]);
    check(&ab, &closed_a, &["$.* reads reads", "$.b breaks reads"]);
    let texts = o(r#""additionalProperties": {"type": "string"}"#);
    let numbers = o(r#""additionalProperties": {"type": "number"}"#);
    check(&texts, &numbers, &["$.* breaks breaks"]);
    check(
        &texts,
        &o(
            r#""additionalProperties": {"type": "string"}, "properties": {"a": {"type": "number"}}"#,
        ),
        &["$.a breaks breaks"],
    );
    check(
        &a,
        &o(r#""properties": {"a": {"type": "string"}}, "required": ["a"]"#),
        &["$ breaks reads"],
    );
    check(&a, &o(r#""properties": {"a": {"type": "integer"}}"#), &["$.a breaks breaks"]);
    check(
        &a,
        &o(r#""properties": {"a": {"type": "string"}}, "patternProperties": {"x": {}}"#),
        &["$./x/ ? ?"],
    );
    check(
        &o(r#""propertyNames": {"maxLength": 2}"#),
        &o(r#""propertyNames": {"maxLength": 3}"#),
        &["$ (names) reads breaks"],
    );
}

#[test]
fn items_of_lists() {
    let items = |it: &str| format!(r#"{{"items": {it}}}"#);
    check(&items(r#"{"type": "integer"}"#), &items(r#"{"type": "number"}"#), &["$[] reads breaks"]);
    check(r#"{"prefixItems": [{"type": "null"}]}"#, "{}", &["$[0] reads breaks"]);
    check(
        r#"{"prefixItems": [{"type": "null"}], "items": false}"#,
        r#"{"items": {"type": "null"}}"#,
        &["$[] reads breaks"],
    );
    check(r#"{"contains": {"type": "null"}}"#, "{}", &["$ ? ?"]);
}

#[test]
fn composition() {
    let texts = r#"{"type": "string"}"#;
    let any = |list: &str| format!(r#"{{"anyOf": [{list}]}}"#);
    check(&any(texts), &any(&format!(r#"{texts}, {{"type": "null"}}"#)), &["$ reads breaks"]);
    check(&any(texts), &any(r#"{"type": ["string", "null"]}"#), &["$ reads breaks"]);
    check(r#"{"allOf": [{"minimum": 1}]}"#, "{}", &["$ reads breaks"]);
    check(r#"{"allOf": [{"minimum": 1}]}"#, r#"{"allOf": [{"minimum": 2}]}"#, &["$ breaks reads"]);
    check(r#"{"oneOf": [{"minimum": 1}]}"#, r#"{"oneOf": [{"minimum": 2}]}"#, &["$ ? ?"]);
    check(r#"{"not": {"minimum": 1}}"#, "{}", &["$ ? ?"]);
    check(r#"{"unheardOf": 1}"#, "{}", &["$ ? ?"]);
    // Another schema may speak of the member that is new here.
    let all = |inner: &str| {
        format!(
            r#"{{"allOf": [{{"properties": {{"b": {{"type": "integer"}}}}}}], "properties": {{{inner}}}}}"#
        )
    };
    check(&all(""), &all(r#""b": {"type": "string"}"#), &["$.b ? reads"]);
    let open = r#"{"unevaluatedProperties": false, "properties": {"a": {}}}"#;
    check(open, r#"{"unevaluatedProperties": false}"#, &["$ ? ?"]);
    let draft = r#"{"$schema": "http://json-schema.org/draft-07/schema#"}"#;
    check(draft, "{}", &["$ ? ?"]);
}

#[test]
fn references_are_followed_and_their_names_decide_nothing() {
    let list = |name: &str, kind: &str| {
        format!(
            r##"{{"$ref": "#/$defs/{name}", "$defs": {{"{name}": {{"properties": {{
                "next": {{"$ref": "#/$defs/{name}"}}, "value": {{"type": "{kind}"}}}}}}}}}}"##
        )
    };
    check(&list("a", "integer"), &list("b", "integer"), &[]);
    check(&list("a", "integer"), &list("b", "number"), &["$.value reads breaks"]);
    let not = |name: &str| {
        format!(
            r##"{{"not": {{"$ref": "#/$defs/{name}"}}, "$defs": {{"{name}": {{"type": "null"}}}}}}"##
        )
    };
    check(&not("a"), &not("b"), &[]);
    // A schema that is only itself says nothing, and must not be followed for ever.
    check(r##"{"$ref": "#"}"##, r##"{"$ref": "#"}"##, &[]);
    let (old, new) = (json(r##"{"$ref": "#"}"##), json(r#"{"type": "null"}"#));
    assert!(!lines(&old.changes(&new)).is_empty());
}

#[test]
fn languages_do_not_read_each_other() {
    let message = super::protobuf("syntax = \"proto3\"; message M {}", "M");
    assert_eq!(lines(&message.changes(&json("{}"))), ["the payload breaks breaks"]);
}

#[test]
fn what_is_no_schema_is_refused_with_its_line_and_the_way_out() {
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let cases = [
        ("", 1, "is no JSON"),
        ("{\n\"a\": 1,\n}", 3, "is no JSON"),
        ("{\"a\": 1}\n x", 2, "is no JSON"),
        ("{\n \"type\": \"string\",\n \"type\": \"null\"}", 3, "\"type\" is there twice"),
        ("{\"title\":\n \"\\ud800\"}", 2, "is no JSON"),
        (deep.as_str(), 1, "deeper than 100 levels"),
        ("{\"maximum\":\n 1e9999}", 2, "too long or too large"),
        ("[]", 1, "a schema is an object, true or false"),
        ("{\"items\":\n 3}", 2, "a schema is an object"),
        ("{\n\"items\": [{}]}", 2, "prefixItems since 2020-12"),
        ("{\n\"type\": \"text\"}", 2, "\"text\" is no type; there are array, boolean"),
        ("{\n\"type\": []}", 2, "names no type"),
        ("{\n\"required\": \"a\"}", 2, "no list of names"),
        ("{\n\"minLength\": -1}", 2, "minLength is no whole number"),
        ("{\n\"minLength\": 1.5}", 2, "minLength is no whole number"),
        ("{\n\"multipleOf\": 0}", 2, "multipleOf is no number above zero"),
        ("{\n\"minimum\": \"1\"}", 2, "minimum is no number"),
        ("{\n\"pattern\": 1}", 2, "pattern is no text"),
        ("{\n\"uniqueItems\": 1}", 2, "uniqueItems is no truth value"),
        ("{\n\"properties\": []}", 2, "properties is no object of schemas"),
        ("{\n\"anyOf\": {}}", 2, "anyOf is no list of schemas"),
        ("{\n\"enum\": 1}", 2, "enum is no list of values"),
        ("{\n\"$ref\": \"other.json\"}", 2, "bundle what it names into $defs"),
        ("{\n\"$ref\": \"https://x/y#/a\"}", 2, "bundle what it names into $defs"),
        ("{\n\"$ref\": \"#name\"}", 2, "write #/$defs/NAME"),
        ("{\n\"$ref\": \"#/$defs/none\"}", 2, "leads nowhere"),
        ("{\n\"$dynamicRef\": \"#a\"}", 2, "not supported"),
        ("{\"items\": {\n\"$id\": \"x\"}}", 2, "makes it another document"),
        (
            "{\n\"$schema\": \"http://json-schema.org/draft-04/schema#\"}",
            2,
            "draft-07, 2019-09 and 2020-12",
        ),
    ];
    for (text, line, part) in cases {
        let error = Schema::json(text).expect_err(text);
        assert_eq!(error.line(), Some(line), "{text}: {error}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
    let large = " ".repeat(leasehold_schema::JSON_BYTES_MAX + 1);
    assert!(Schema::json(&large).expect_err("large").to_string().contains("at most 1048576"));
    let levels = format!("{}{}", r#"{"items":"#.repeat(99), "{}".to_owned() + &"}".repeat(99));
    assert!(Schema::json(&levels).is_ok());
}
