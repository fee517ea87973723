//! Golden canonical forms and prints: they must never change. The prints were computed from the texts with sha256sum.

use leasehold_schema::{Schema, Version};

use super::{json, protobuf};

/// Expects a canonical form, byte by byte, and its print.
#[track_caller]
fn check(schema: &Schema, version: Option<&str>, canonical: &str, print: &str) {
    let version: Option<Version> = version.map(|it| it.parse().expect("a version"));
    assert_eq!(schema.canonical(version.as_ref()), canonical);
    assert_eq!(schema.fingerprint(version.as_ref()).to_string(), print, "of\n{canonical}");
}

const ORDER: &str = r#"
    syntax = "proto3";
    package shop.v1;

    // What is bought.
    message Order {
      reserved 9;
      string order_id = 1 [json_name = "id"];
      repeated Line lines = 2;
      map<string, Price> prices = 3;
      oneof payment {
        string card = 4;
        Price cash = 5;
      }
      optional bool is_gift = 6;
      repeated sint32 marks = 7;
      repeated int64 loose = 8 [packed = false];
      Order replaces = 10;

      message Line { string sku = 1; State state = 2; }
    }
    message Price { int64 units = 1; fixed32 nanos = 2; }
    enum State { option allow_alias = true; NEW = 0; OPEN = 1; ACTIVE = 1; }
    message Unrelated { bytes blob = 1; }
"#;

const ORDER_FORM: &str = "\
leasehold-payload-schema 1
language protobuf
enum shop.v1.State open
field shop.v1.Order 1 order_id implicit string json=6964
field shop.v1.Order 10 replaces optional message:shop.v1.Order
field shop.v1.Order 2 lines repeated message:shop.v1.Order.Line
field shop.v1.Order 3 prices map string message:shop.v1.Price
field shop.v1.Order 4 card optional string oneof=payment
field shop.v1.Order 5 cash optional message:shop.v1.Price oneof=payment
field shop.v1.Order 6 is_gift optional bool
field shop.v1.Order 7 marks packed sint32
field shop.v1.Order 8 loose repeated int64
field shop.v1.Order.Line 1 sku implicit string
field shop.v1.Order.Line 2 state implicit enum:shop.v1.State
field shop.v1.Price 1 units implicit int64
field shop.v1.Price 2 nanos implicit fixed32
message shop.v1.Order
message shop.v1.Order.Line
message shop.v1.Price
root shop.v1.Order
value shop.v1.State 0 NEW
value shop.v1.State 1 ACTIVE
value shop.v1.State 1 OPEN
";

#[test]
fn a_message_of_proto3() {
    let schema = protobuf(ORDER, "shop.v1.Order");
    check(
        &schema,
        None,
        ORDER_FORM,
        "1ce773c49b0eb4dca3ec13f0999a8fa60b843140afa7856b69ce1e0113701a43",
    );
    let versioned = ORDER_FORM.replace("protobuf\n", "protobuf\nversion 2026-11\n");
    check(
        &schema,
        Some("2026-11"),
        &versioned,
        "81efed30aa8a680186f6babd34e7f3e69e31a08837bc688c172cb8a56ac8c5e9",
    );
}

#[test]
fn a_message_of_proto2() {
    let source = r#"
        syntax = "proto2";
        message Old {
          required string name = 1 [default = "none\n"];
          optional bytes raw = 2 [default = "\001\377"];
          optional double ratio = 3 [default = 1.5];
          optional float zero = 4 [default = 0];
          optional Mood mood = 5;
          optional Mood calm = 6 [default = CALM];
          repeated int32 list = 7;
          optional group Part = 8 { optional uint64 size = 1 [default = 18446744073709551615]; }
          extensions 100 to 200;
        }
        enum Mood { WILD = 3; CALM = 0; }
        extend Old { optional bool seen = 100 [default = true]; }
    "#;
    let canonical = "\
leasehold-payload-schema 1
language protobuf
enum Mood closed
field Old 1 name required unchecked-string default=6e6f6e650a
field Old 100 [seen] optional bool default=1
field Old 2 raw optional bytes default=01ff
field Old 3 ratio optional double default=3ff8000000000000
field Old 4 zero optional float
field Old 5 mood optional enum:Mood default=3
field Old 6 calm optional enum:Mood
field Old 7 list repeated int32
field Old 8 part optional group:Old.Part
field Old.Part 1 size optional uint64 default=18446744073709551615
message Old
message Old.Part
root Old
value Mood 0 CALM
value Mood 3 WILD
";
    check(
        &protobuf(source, "Old"),
        None,
        canonical,
        "a33cd6d11087a0177efc60419f69b0d8249e2a67e605b662d6221a0372704d3e",
    );
}

#[test]
fn a_json_schema() {
    let text = r##"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/order",
        "title": "An order",
        "type": ["object"],
        "required": ["title", "id"],
        "properties": {
            "title": {"type": ["string", "null"], "title": "What it is called", "maxLength": 1e2},
            "id": {"$ref": "https://example.com/order#/%24defs/a~1b"},
            "parts": {"items": {"$ref": "#"}, "minItems": 1.0},
            "state": {"enum": ["open", {"title": "kept", "n": 1.50}, "done"]},
            "no": false,
            "any": true
        },
        "$defs": {
            "a/b": {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": -0.5}], "default": 1},
            "unused": {"type": "null"}
        }
    }"##;
    let canonical = r##"leasehold-payload-schema 1
language json-schema
dialect 2020-12
schema "#" {"properties":{"any":{},"id":{"$ref":"#/$defs/a~1b"},"no":false,"parts":{"items":{"$ref":"#"},"minItems":1},"state":{"enum":["done","open",{"n":15e-1,"title":"kept"}]},"title":{"maxLength":1e2,"type":["null","string"]}},"required":["id","title"],"type":"object"}
schema "#/$defs/a~1b" {"anyOf":[{"minimum":-5e-1,"type":"integer"},{"type":"string"}]}
"##;
    check(
        &json(text),
        None,
        canonical,
        "86f07274be9c587745b94e41b033661c513b0b7e1d7a14a70b4b182147e38cf6",
    );
}

#[test]
fn a_json_schema_of_draft_07() {
    let text = r##"{
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"type": "string"}, {"$ref": "#/definitions/n", "title": "x", "minLength": 3}],
        "additionalItems": false,
        "definitions": {"n": {"type": "number", "items": {}, "additionalItems": true}}
    }"##;
    let canonical = r##"leasehold-payload-schema 1
language json-schema
dialect draft-07
schema "#" {"items":false,"prefixItems":[{"type":"string"},{"$ref":"#/definitions/n"}]}
schema "#/definitions/n" {"items":{},"type":"number"}
"##;
    check(
        &json(text),
        None,
        canonical,
        "2f6cae7526854157311465250f2e197845762a76a10c2a08be5b431935bee542",
    );
}

/// protox does not know editions, so these descriptors are written by hand.
#[test]
fn a_message_of_an_edition() {
    use prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
        field_descriptor_proto::{Label, Type},
    };
    let field =
        |name: &str, number, label: Label, kind: Type, type_name: &str| FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            label: Some(label.into()),
            r#type: Some(kind.into()),
            type_name: (!type_name.is_empty()).then(|| type_name.to_owned()),
            ..FieldDescriptorProto::default()
        };
    let message = DescriptorProto {
        name: Some("E".to_owned()),
        field: vec![
            field("text", 1, Label::Optional, Type::String, ""),
            field("list", 2, Label::Repeated, Type::Int32, ""),
            field("part", 3, Label::Optional, Type::Message, ".E"),
        ],
        ..DescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("e.proto".to_owned()),
        message_type: vec![message],
        syntax: Some("editions".to_owned()),
        ..FileDescriptorProto::default()
    };
    let encode = |edition: u16, features: &[u8]| {
        let mut file = prost::Message::encode_to_vec(&file);
        // FileDescriptorProto.options (8) with FileOptions.features (50).
        let size = u8::try_from(features.len()).expect("few");
        file.extend([0x42, size + 3, 0x92, 0x03, size]);
        file.extend(features);
        // FileDescriptorProto.edition (14).
        file.push(0x70);
        file.extend([u8::try_from(edition & 0x7f).expect("seven bits") | 0x80]);
        file.push(u8::try_from(edition >> 7).expect("seven bits"));
        let mut set = vec![0x0a];
        set.push(u8::try_from(file.len()).expect("short"));
        set.extend(file);
        set
    };
    let schema = |edition, features: &[u8]| Schema::protobuf(&encode(edition, features), None);
    let form = |edition, features: &[u8]| {
        schema(edition, features).expect("an edition that is known").canonical(None)
    };
    let plain = form(1000, &[]);
    assert!(plain.contains("field E 1 text optional string\n"), "{plain}");
    assert!(plain.contains("field E 2 list packed int32\n"), "{plain}");
    assert!(plain.contains("field E 3 part optional message:E\n"), "{plain}");
    assert_eq!(plain, form(1001, &[]));
    // field_presence IMPLICIT, repeated_field_encoding EXPANDED, utf8_validation NONE, message_encoding DELIMITED.
    let legacy = form(1000, &[0x08, 2, 0x18, 2, 0x20, 3, 0x28, 2]);
    assert!(legacy.contains("field E 1 text implicit unchecked-string\n"), "{legacy}");
    assert!(legacy.contains("field E 2 list repeated int32\n"), "{legacy}");
    assert!(legacy.contains("field E 3 part optional group:E\n"), "{legacy}");
    let required = form(1000, &[0x08, 3]);
    assert!(required.contains("field E 1 text required string\n"), "{required}");
    let unknown = schema(1002, &[]).expect_err("an edition of the future");
    assert!(unknown.to_string().contains("2023 and 2024"), "{unknown}");
}
