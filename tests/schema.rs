//! Holds the contract to its word: what `leasehold.v1` once said it says forever, what KEDA calls `externalscaler` stays as
//! KEDA has it, and every name in both is explained.
//!
//! `proto/schema.lock` lists every field, enum value and call. A change that only adds is accepted by running
//! this test with `LEASEHOLD_BLESS=1`; a change that breaks a peer is refused, blessed or not. It knows the
//! descriptors alone, nothing of who speaks them.
#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::{collections::BTreeSet, env, fs, path::Path};

use leasehold_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// The packages this lock is about; what they import from Google is not ours to freeze.
const PACKAGES: [&str; 2] = ["externalscaler", "leasehold.v1"];

/// The environment variable that accepts additions.
const BLESS: &str = "LEASEHOLD_BLESS";

#[test]
fn the_contract_matches_its_lock() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/schema.lock");
    let lock = fs::read_to_string(&path).unwrap_or_default();
    let schema = schema(&descriptors());
    let change = Change::between(&lock, &schema);
    assert!(
        change.breaking.is_empty(),
        "the contract breaks its peers; restore this, or reserve the number and the name of what goes:\n{}",
        change.breaking.join("\n"),
    );
    if lock == schema {
        return;
    }
    assert!(
        env::var_os(BLESS).is_some(),
        "proto/schema.lock is out of date; if these additions are meant, run\n  \
         {BLESS}=1 cargo test --test schema\n{}",
        change.diff.join("\n"),
    );
    fs::write(&path, schema).expect("the lock can be written");
}

#[test]
fn every_name_is_explained() {
    let bare: Vec<String> = descriptors().file.iter().flat_map(unexplained).collect();
    assert!(bare.is_empty(), "without a comment above it:\n{}", bare.join("\n"));
}

#[test]
fn only_additions_and_reservations_pass() {
    let lock = "message M\nfield M.a = 1 string\nfield M.b = 2 optional int32\nrpc S.Call (M) returns (M)\n\
                value E.E_A = 1\n";
    check(lock, lock, &[]);
    check(lock, &format!("{lock}field M.c = 3 string\n"), &[]);
    check(lock, &lock.replace("= 1 string", "= 3 string"), &["field M.a = 1 string"]);
    check(lock, &lock.replace("= 1 string", "= 1 bytes"), &["field M.a = 1 string"]);
    check(lock, &lock.replace("M.b = 2 optional", "M.b = 2"), &["field M.b = 2 optional int32"]);
    check(
        lock,
        &lock.replace("(M) returns", "(stream M) returns"),
        &["rpc S.Call (M) returns (M)"],
    );
    let without = lock.replace("field M.a = 1 string\n", "");
    check(lock, &without, &["field M.a = 1 string"]);
    check(lock, &format!("{without}reserved M 1\n"), &["field M.a = 1 string"]);
    check(lock, &format!("{without}reserved M a\n"), &["field M.a = 1 string"]);
    check(lock, &format!("{without}reserved M 1\nreserved M a\n"), &[]);
    let retired = lock.replace("value E.E_A = 1\n", "reserved E 1\nreserved E E_A\n");
    check(lock, &retired, &[]);
    check(&retired, lock, &["reserved E 1", "reserved E E_A"]);
}

/// Compares two locks and expects exactly these lines to be called breaking.
fn check(lock: &str, schema: &str, breaking: &[&str]) {
    assert_eq!(Change::between(lock, schema).breaking, breaking, "from\n{lock}to\n{schema}");
}

/// What is different between a lock and the schema of today.
struct Change {
    /// Lines of the lock that a peer may rely on and that are gone.
    breaking: Vec<String>,
    /// Every difference, as a diff.
    diff: Vec<String>,
}

impl Change {
    fn between(lock: &str, schema: &str) -> Self {
        let old: BTreeSet<&str> = lock.lines().collect();
        let new: BTreeSet<&str> = schema.lines().collect();
        let gone = || lock.lines().filter(|line| !new.contains(line));
        let breaking = gone().filter(|line| !retired(line, &new)).map(str::to_owned).collect();
        let added = schema.lines().filter(|line| !old.contains(line));
        let diff = gone()
            .map(|line| format!("- {line}"))
            .chain(added.map(|line| format!("+ {line}")))
            .collect();
        Self { breaking, diff }
    }
}

/// Whether a line that is gone was a field or a value whose number and name are both reserved in its place.
fn retired(line: &str, schema: &BTreeSet<&str>) -> bool {
    let Some(member) = line.strip_prefix("field ").or_else(|| line.strip_prefix("value ")) else {
        return false;
    };
    let Some((path, rest)) = member.split_once(" = ") else { return false };
    let Some((owner, name)) = path.rsplit_once('.') else { return false };
    let number = rest.split(' ').next().unwrap_or_default();
    [number, name].iter().all(|it| schema.contains(format!("reserved {owner} {it}").as_str()))
}

fn descriptors() -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the descriptors decode");
    set.file.retain(|file| PACKAGES.contains(&file.package()));
    for package in PACKAGES {
        assert!(set.file.iter().any(|it| it.package() == package), "no file of package {package}");
    }
    set
}

/// The whole schema, a line for each thing a peer may rely on, sorted.
fn schema(set: &FileDescriptorSet) -> String {
    let mut lines = BTreeSet::new();
    for file in &set.file {
        for message in &file.message_type {
            message_lines(file.package(), message, &mut lines);
        }
        for it in &file.enum_type {
            enum_lines(file.package(), it, &mut lines);
        }
        for service in &file.service {
            let package = file.package();
            lines.extend(service.method.iter().map(|method| rpc_line(package, service, method)));
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn message_lines(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let path = format!("{scope}.{}", message.name());
    lines.insert(format!("message {path}"));
    lines.extend(message.field.iter().map(|field| field_line(&path, message, field)));
    // A message's reserved ranges exclude their end.
    let numbers = message.reserved_range.iter().flat_map(|range| range.start()..range.end());
    lines.extend(numbers.map(|number| format!("reserved {path} {number}")));
    lines.extend(message.reserved_name.iter().map(|name| format!("reserved {path} {name}")));
    for it in &message.enum_type {
        enum_lines(&path, it, lines);
    }
    for nested in message.nested_type.iter().filter(|nested| !is_map_entry(nested)) {
        message_lines(&path, nested, lines);
    }
}

fn enum_lines(scope: &str, it: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    let path = format!("{scope}.{}", it.name());
    for value in &it.value {
        lines.insert(format!("value {path}.{} = {}", value.name(), value.number()));
    }
    // An enum's reserved ranges include their end.
    let numbers = it.reserved_range.iter().flat_map(|range| range.start()..=range.end());
    lines.extend(numbers.map(|number| format!("reserved {path} {number}")));
    lines.extend(it.reserved_name.iter().map(|name| format!("reserved {path} {name}")));
}

fn field_line(path: &str, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let number = field.number();
    let kind = field_type(message, field);
    let group = match field.oneof_index {
        Some(index) if !field.proto3_optional() => {
            let index = usize::try_from(index).expect("an index is not negative");
            let oneof = message.oneof_decl.get(index).expect("the oneof is declared");
            format!(" in {}", oneof.name())
        }
        _ => String::new(),
    };
    format!("field {path}.{} = {number} {kind}{group}", field.name())
}

fn field_type(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    if let Some(entry) = map_entry(message, field) {
        let sides: Vec<String> = entry.field.iter().map(|side| field_type(entry, side)).collect();
        return format!("map<{}>", sides.join(", "));
    }
    let name = if matches!(field.r#type(), Type::Message | Type::Enum) {
        field.type_name().trim_start_matches('.').to_owned()
    } else {
        field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase()
    };
    if field.label() == Label::Repeated {
        return format!("repeated {name}");
    }
    if field.proto3_optional() { format!("optional {name}") } else { name }
}

fn map_entry<'a>(
    message: &'a DescriptorProto,
    field: &FieldDescriptorProto,
) -> Option<&'a DescriptorProto> {
    let name = field.type_name().rsplit('.').next()?;
    message.nested_type.iter().find(|nested| is_map_entry(nested) && nested.name() == name)
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry)
}

fn rpc_line(
    package: &str,
    service: &ServiceDescriptorProto,
    method: &MethodDescriptorProto,
) -> String {
    let side = |streaming: bool, name: &str| {
        let stream = if streaming { "stream " } else { "" };
        format!("({stream}{})", name.trim_start_matches('.'))
    };
    let input = side(method.client_streaming(), method.input_type());
    let output = side(method.server_streaming(), method.output_type());
    format!("rpc {package}.{}.{} {input} returns {output}", service.name(), method.name())
}

/// The names of one file that nothing explains.
fn unexplained(file: &FileDescriptorProto) -> Vec<String> {
    let info = file.source_code_info.as_ref().expect("the descriptors carry their comments");
    let commented: BTreeSet<&[i32]> = info
        .location
        .iter()
        .filter(|location| !location.leading_comments().trim().is_empty())
        .map(|location| location.path.as_slice())
        .collect();
    names(file)
        .into_iter()
        .filter(|(path, _)| !commented.contains(path.as_slice()))
        .map(|(_, name)| format!("{}: {name}", file.name()))
        .collect()
}

/// Every name a file defines, with its path in the terms of `descriptor.proto` (field numbers and indexes).
fn names(file: &FileDescriptorProto) -> Vec<(Vec<i32>, String)> {
    let mut names = Vec::new();
    for (index, message) in (0..).zip(&file.message_type) {
        message_names(vec![4, index], message, &mut names);
    }
    for (index, it) in (0..).zip(&file.enum_type) {
        enum_names(&[5, index], it, &mut names);
    }
    for (index, service) in (0..).zip(&file.service) {
        names.push((vec![6, index], service.name().to_owned()));
        for (inner, method) in (0..).zip(&service.method) {
            let name = format!("{}.{}", service.name(), method.name());
            names.push((vec![6, index, 2, inner], name));
        }
    }
    names
}

fn message_names(path: Vec<i32>, message: &DescriptorProto, names: &mut Vec<(Vec<i32>, String)>) {
    let below = |kind: i32, index: i32| [path.as_slice(), &[kind, index]].concat();
    for (index, field) in (0..).zip(&message.field) {
        names.push((below(2, index), format!("{}.{}", message.name(), field.name())));
    }
    for (index, oneof) in (0..).zip(&message.oneof_decl) {
        // The compiler declares a oneof for each optional field, and names it after the field.
        if !oneof.name().starts_with('_') {
            names.push((below(8, index), format!("{}.{}", message.name(), oneof.name())));
        }
    }
    for (index, it) in (0..).zip(&message.enum_type) {
        enum_names(&below(4, index), it, names);
    }
    for (index, nested) in (0..).zip(&message.nested_type) {
        if !is_map_entry(nested) {
            message_names(below(3, index), nested, names);
        }
    }
    names.push((path, message.name().to_owned()));
}

fn enum_names(path: &[i32], it: &EnumDescriptorProto, names: &mut Vec<(Vec<i32>, String)>) {
    names.push((path.to_vec(), it.name().to_owned()));
    for (index, value) in (0..).zip(&it.value) {
        names.push(([path, &[2, index]].concat(), format!("{}.{}", it.name(), value.name())));
    }
}
