//! Protobuf messages: what changes a print, what a change breaks, and what is refused.

use leasehold_schema::Schema;

use super::{compiled, lines, protobuf};

/// Sources that differ from this one in one thing each.
const PLAIN: &str = r#"
    syntax = "proto3";
    package p;
    message M {
      int32 a = 1;
      repeated N ns = 2;
      oneof choice { string b = 3; bytes c = 4; }
      map<int32, string> d = 5;
      E e = 6;
      optional uint32 f = 7;
    }
    message N { bool x = 1; M back = 2; }
    enum E { ZERO = 0; ONE = 1; }
"#;

fn with(from: &str, to: &str) -> String {
    assert!(PLAIN.contains(from), "{from}");
    PLAIN.replacen(from, to, 1)
}

#[test]
fn what_does_not_change_the_meaning_does_not_change_the_print() {
    let print = protobuf(PLAIN, "p.M").fingerprint(None);
    let moved = {
        let (head, rest) = PLAIN.split_once("message M").expect("a message");
        let (m, rest) = rest.split_once("message N").expect("another");
        format!("{head}message N{rest}message M{m}")
    };
    let sources = [
        moved,
        with("int32 a = 1;", "reserved 100; reserved \"old\"; int32 a = 1;"),
        with("int32 a = 1;", "// A number.\nint32 a = 1 [deprecated = true, json_name = \"a\"];"),
        with("syntax = \"proto3\";", "syntax = \"proto3\"; option java_package = \"x\";"),
        with("enum E {", "enum E { option deprecated = true; reserved 7;"),
        with("enum E { ZERO = 0; ONE = 1; }", "enum E { ZERO = 0; ONE = 0x1; }"),
        with("message N {", "message Other { int32 a = 1; } message N {"),
        with("package p;", "import \"google/protobuf/any.proto\"; package p;"),
        with("int32 a = 1;\n      repeated N ns = 2;", "repeated .p.N ns = 2; int32 a = 1;"),
    ];
    for source in sources {
        assert_eq!(protobuf(&source, "p.M").fingerprint(None), print, "{source}");
    }
}

#[test]
fn what_changes_the_meaning_changes_the_print() {
    let sources = [
        PLAIN.to_owned(),
        with("int32 a = 1;", ""),
        with("int32 a = 1;", "int32 a = 8;"),
        with("int32 a = 1;", "int32 z = 1;"),
        with("int32 a = 1;", "int64 a = 1;"),
        with("int32 a = 1;", "optional int32 a = 1;"),
        with("int32 a = 1;", "repeated int32 a = 1;"),
        with("int32 a = 1;", "repeated int32 a = 1 [packed = false];"),
        with("int32 a = 1;", "int32 a = 1 [json_name = \"z\"];"),
        with("repeated N ns", "N ns"),
        with("repeated N ns", "repeated M ns"),
        with("oneof choice", "oneof other"),
        with(
            "oneof choice { string b = 3; bytes c = 4; }",
            "oneof choice { string b = 3; } bytes c = 4;",
        ),
        with("map<int32, string>", "map<int64, string>"),
        with("map<int32, string>", "map<int32, bytes>"),
        with("bool x = 1;", "int32 x = 1;"),
        with("M back = 2;", ""),
        with("ONE = 1;", "ONE = 2;"),
        with("ONE = 1;", "TWO = 1;"),
        with("ONE = 1;", "ONE = 1; TWO = 2;"),
        with("optional uint32 f", "uint32 f"),
        with("package p;", "package q;").replace("p.M", "q.M"),
    ];
    let mut prints = std::collections::BTreeMap::new();
    for source in sources {
        let message = if source.contains("package q") { "q.M" } else { "p.M" };
        let print = protobuf(&source, message).fingerprint(None);
        let twin = prints.insert(print, source.clone());
        assert_eq!(twin, None, "has the print of\n{source}");
    }
}

#[test]
fn a_version_is_a_part_of_the_print() {
    let schema = protobuf(PLAIN, "p.M");
    let version = |text: &str| schema.fingerprint(Some(&text.parse().expect(text)));
    assert_ne!(version("1"), schema.fingerprint(None));
    assert_ne!(version("1"), version("2"));
    for wrong in ["", "a b", "a\nb", &"x".repeat(65)] {
        assert!(wrong.parse::<leasehold_schema::Version>().is_err(), "{wrong:?}");
    }
}

/// Compares two bodies of a message `M` and expects these lines.
#[track_caller]
fn check(old: &str, new: &str, expected: &[&str]) {
    let schema = |body: &str| {
        let source =
            if body.contains("required") || body.contains("closed") || body.contains("default") {
                format!("syntax = \"proto2\"; {body}")
            } else {
                format!("syntax = \"proto3\"; {body}")
            };
        protobuf(&source, "M")
    };
    let (before, after) = (schema(old), schema(new));
    assert_eq!(lines(&before.changes(&after)), expected, "from\n{old}\nto\n{new}");
    assert_eq!(lines(&before.changes(&before)), [""; 0], "{old}");
    assert_eq!(lines(&after.changes(&after)), [""; 0], "{new}");
}

fn message(field: &str) -> String {
    format!(
        "message M {{ {field} }} message A {{ int32 x = 1; }} message B {{ int64 x = 1; }} enum E {{ Z = 0; }}"
    )
}

#[test]
fn kinds_that_read_each_other() {
    let cases = [
        ("int32", "int64", "reads breaks"),
        ("uint32", "uint64", "reads breaks"),
        ("uint32", "int64", "reads breaks"),
        ("int32", "uint32", "breaks breaks"),
        ("int32", "uint64", "breaks breaks"),
        ("int64", "uint64", "breaks breaks"),
        ("bool", "int32", "reads breaks"),
        ("bool", "uint64", "reads breaks"),
        ("sint32", "sint64", "reads breaks"),
        ("sint32", "int32", "breaks breaks"),
        ("fixed32", "sfixed32", "breaks breaks"),
        ("fixed32", "float", "breaks breaks"),
        ("fixed64", "fixed32", "breaks breaks"),
        ("float", "double", "breaks breaks"),
        ("string", "bytes", "reads breaks"),
        ("string", "int32", "breaks breaks"),
        ("E", "int32", "reads reads"),
        ("E", "int64", "reads breaks"),
        ("E", "uint32", "breaks breaks"),
        ("bool", "E", "reads breaks"),
        ("A", "bytes", "breaks breaks"),
        ("A", "string", "breaks breaks"),
    ];
    for (old, new, verdicts) in cases {
        let expected = format!("M.f {verdicts}");
        check(&message(&format!("{old} f = 1;")), &message(&format!("{new} f = 1;")), &[&expected]);
        let mut turned: Vec<&str> = verdicts.split(' ').collect();
        turned.reverse();
        let expected = format!("M.f {}", turned.join(" "));
        check(&message(&format!("{new} f = 1;")), &message(&format!("{old} f = 1;")), &[&expected]);
    }
    check(&message("A f = 1;"), &message("B f = 1;"), &["A.x reads breaks"]);
}

#[test]
fn how_often_and_whether_a_field_is_there() {
    let one = message("int32 f = 1;");
    check(&one, &message("optional int32 f = 1;"), &["M.f reads reads"]);
    check(&one, &message("repeated int32 f = 1;"), &["M.f reads breaks"]);
    check(&message("repeated int32 f = 1;"), &one, &["M.f breaks reads"]);
    let expanded = message("repeated int32 f = 1 [packed = false];");
    check(&message("repeated int32 f = 1;"), &expanded, &["M.f reads reads"]);
    check(&message("repeated A f = 1;"), &message("map<int32, A> f = 1;"), &["M.f ? ?"]);
    let map = message("map<int32, int32> f = 1;");
    check(&map, &message("map<int32, int64> f = 1;"), &["M.f (value) reads breaks"]);
    check(&map, &message("map<int64, int32> f = 1;"), &["M.f (key) reads breaks"]);
    check(&one, &message(""), &["M.f reads reads"]);
    check(&message(""), &one, &["M.f reads reads"]);
    check(&one, &message("int32 f = 2;"), &["M.f breaks breaks"]);
    check(&one, &message("int32 g = 1;"), &["M.f reads reads"]);
    let swapped = ["M.f breaks breaks", "M.g breaks breaks"];
    check(&message("int32 f = 1; int32 g = 2;"), &message("int32 g = 1; int32 f = 2;"), &swapped);
    let required = "message M { required int32 f = 1; }";
    let optional = "message M { optional int32 f = 1; } // required";
    let none = "message M { } // required";
    check(required, optional, &["M.f reads breaks"]);
    check(optional, required, &["M.f breaks reads"]);
    check(required, none, &["M.f reads breaks"]);
    check(none, required, &["M.f breaks reads"]);
    let five = "message M { optional int32 f = 1 [default = 5]; }";
    check(five, optional, &["M.f breaks breaks"]);
    let still_five = "message M { optional int64 f = 1 [default = 5]; }";
    check(five, still_five, &["M.f reads breaks"]);
}

#[test]
fn fields_that_exclude_each_other() {
    let apart = message("string f = 1; string g = 2;");
    let together = message("oneof o { string f = 1; string g = 2; }");
    let presence = ["M.f reads reads", "M.g reads reads"];
    check(&apart, &together, &[presence[0], presence[1], "M.o breaks reads"]);
    check(&together, &apart, &[presence[0], presence[1], "M.o reads breaks"]);
    let renamed = message("oneof p { string f = 1; string g = 2; }");
    check(&together, &renamed, &[]);
    let alone = message("oneof o { string f = 1; } string g = 2;");
    check(&apart, &alone, &["M.f reads reads"]);
    let more = message("oneof o { string f = 1; string g = 2; string h = 3; }");
    check(&together, &more, &["M.h reads reads"]);
}

#[test]
fn values_of_enums() {
    let open = |values: &str| format!("message M {{ E f = 1; }} enum E {{ {values} }}");
    let closed =
        |values: &str| format!("message M {{ optional E f = 1; }} enum E {{ {values} }} // closed");
    check(&open("A = 0;"), &open("A = 0; B = 1;"), &["E.B reads reads"]);
    check(&open("A = 0; B = 1;"), &open("A = 0;"), &["E.B reads reads"]);
    check(&closed("A = 0;"), &closed("A = 0; B = 1;"), &["E.B reads breaks"]);
    check(&closed("A = 0; B = 1;"), &closed("A = 0;"), &["E.B breaks reads"]);
    check(&open("A = 0; B = 1;"), &open("A = 0; C = 1;"), &["E.B reads reads"]);
    let moved = ["E.B breaks breaks", "E.B reads reads"];
    check(&open("A = 0; B = 1;"), &open("A = 0; B = 2;"), &moved);
    check(&closed("A = 1; B = 0;"), &closed("B = 0; A = 1;"), &["M.f breaks breaks"]);
}

#[test]
fn recursion_ends() {
    let list = |kind: &str| {
        format!("message M {{ M next = 1; N n = 2; }} message N {{ M m = 1; {kind} x = 2; }}")
    };
    check(&list("int32"), &list("int64"), &["N.x reads breaks"]);
}

#[test]
fn what_is_no_schema_is_refused_with_the_way_out() {
    let set = compiled(PLAIN);
    let cases: Vec<(Result<Schema, _>, &str)> = vec![
        (Schema::protobuf(b"", None), "protoc --include_imports"),
        (Schema::protobuf(b"\xff\xff", None), "buf build -o"),
        (Schema::protobuf(&set, None), "say which message is meant; it has p.M, p.N"),
        (Schema::protobuf(&set, Some("M")), "has no message M; it has p.M, p.N"),
        (Schema::protobuf(&set, Some("p.E")), "p.E is an enum"),
        (
            Schema::protobuf(&vec![0; leasehold_schema::DESCRIPTOR_BYTES_MAX + 1], None),
            "at most 16777216 are read",
        ),
    ];
    for (read, part) in cases {
        let error = read.expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
    let alone = compiled("syntax = \"proto3\"; message Only { int32 a = 1; message In {} }");
    let schema = Schema::protobuf(&alone, None).expect("there is one");
    assert_eq!((schema.message(), schema.language()), (Some("Only"), "protobuf"));
}

#[test]
fn imports_are_needed_and_their_messages_are_not_meant() {
    let source = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto";
        message M { google.protobuf.Timestamp at = 1; }"#;
    let set = compiled(source);
    let schema = Schema::protobuf(&set, None).expect("one message is meant");
    assert!(
        schema.canonical(None).contains("field google.protobuf.Timestamp 1 seconds implicit int64")
    );
    let mut set: prost_types::FileDescriptorSet =
        prost::Message::decode(set.as_slice()).expect("it is a set");
    set.file.retain(|file| file.name() == "it.proto");
    let error =
        Schema::protobuf(&prost::Message::encode_to_vec(&set), None).expect_err("an import");
    assert!(error.to_string().contains("lacks google.protobuf.Timestamp"), "{error}");
}
