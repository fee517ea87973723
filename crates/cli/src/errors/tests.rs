//! The pages are those of the contract's reasons, no more and no fewer, and say what the code does.

use std::{collections::BTreeSet, fs};

use leasehold_client::{Code, v1::Reason};

use super::{page, parse_reason, reasons, summary};
use crate::exit::Exit;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
const CONTRACT: &str = include_str!("../../../../proto/leasehold/v1/reason.proto");

/// The status code that the contract's comment names above a reason.
fn promised_code(reason: Reason) -> &'static str {
    let before = CONTRACT.split(&format!("  {} =", reason.as_str_name())).next().unwrap();
    let comment = before.rsplit("// ").next().unwrap();
    comment.split(':').next().unwrap()
}

fn code(name: &str) -> Code {
    match name {
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "NOT_FOUND" => Code::NotFound,
        "ALREADY_EXISTS" => Code::AlreadyExists,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "UNAVAILABLE" => Code::Unavailable,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "ABORTED" => Code::Aborted,
        _ => panic!("the contract names a code that this test does not know: {name}"),
    }
}

#[test]
fn every_reason_has_its_page_and_every_page_its_reason() {
    let entries = fs::read_dir(DIR).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: BTreeSet<String> = entries.map(|name| name.into_string().unwrap()).collect();
    assert!(files.remove("README.md"), "the pages have an index");
    let pages: BTreeSet<String> = reasons().map(|reason| format!("{}.md", reason.name())).collect();
    assert_eq!(files, pages);
}

#[test]
fn the_index_names_every_page_by_its_first_sentence() {
    let index = fs::read_to_string(format!("{DIR}/README.md")).unwrap();
    let rows: Vec<_> = index.lines().filter(|line| line.starts_with("| [")).collect();
    let row = |reason: Reason| {
        let name = reason.name();
        format!("| [{name}]({name}.md) | {} |", summary(reason))
    };
    assert_eq!(rows, reasons().map(row).collect::<Vec<_>>());
}

#[test]
fn a_page_says_what_the_contract_and_the_command_line_do() {
    for reason in reasons() {
        let (name, page, code_name) = (reason.name(), page(reason), promised_code(reason));
        let exit = Exit::of_refusal(code(code_name), Some(reason)) as u8;
        for part in [
            format!("# {name}\n\n"),
            format!("| gRPC code | `{code_name}` |\n"),
            format!("| exit code of `leasehold` | {exit} |\n"),
            "| tried again by itself | ".to_owned(),
            "**Whose limit.** ".to_owned(),
            "**What to do.** ".to_owned(),
        ] {
            assert!(page.contains(&part), "docs/errors/{name}.md lacks {part:?}");
        }
    }
}

#[test]
fn a_reason_is_found_as_it_is_typed() {
    for text in ["QUEUE_FULL", "queue_full", "queue-full"] {
        assert_eq!(parse_reason(text), Ok(Reason::QueueFull));
    }
    let unknown = parse_reason("UNSPECIFIED").unwrap_err();
    assert!(unknown.starts_with("no such reason; there are INVALID_FIELD, "), "{unknown}");
}
