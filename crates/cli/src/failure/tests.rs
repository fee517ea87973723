//! The one line that says what went wrong, and how the process ends.

use std::{collections::BTreeMap, io};

use leasehold_client::{Code, Error, Refusal, Violation, v1::Reason};

use super::Failure;
use crate::exit::Exit;

fn refused(code: Code, reason: Reason, message: &str, violations: Vec<Violation>) -> Failure {
    Failure::Client(Error::Refused(Box::new(Refusal {
        code,
        reason: Some(reason),
        message: message.to_owned(),
        violations,
        retry_after: None,
        metadata: BTreeMap::new(),
    })))
}

fn violation(field: &str, description: &str) -> Violation {
    Violation { field: field.to_owned(), description: description.to_owned() }
}

#[test]
fn one_line_says_what_whose_limit_and_the_way_out() {
    let pipe = || Failure::Write { source: io::ErrorKind::BrokenPipe.into() };
    let full = || Failure::Write { source: io::Error::other("no space") };
    let file = || Failure::Read { name: "x.jsonl".to_owned(), source: io::Error::other("gone") };
    let wrong = vec![
        violation("spec.priority", "must be 0 to 9"),
        violation("spec.queue", "is longer than 128 characters"),
    ];
    let cases = [
        (
            refused(Code::InvalidArgument, Reason::InvalidField, "2 fields are wrong", wrong),
            Exit::Usage,
            "2 fields are wrong; spec.priority: must be 0 to 9; \
             spec.queue: is longer than 128 characters",
        ),
        (
            refused(Code::ResourceExhausted, Reason::StorageFull, "the disk is full", Vec::new()),
            Exit::Limited,
            "the disk is full; free space on the coordinator's disk; running tasks still complete; \
             more: leasehold errors STORAGE_FULL",
        ),
        (
            Failure::Client(Error::MessageTooLarge {
                found: "5000000".to_owned(),
                limit: "4259840".to_owned(),
            }),
            Exit::Usage,
            "a message of 5000000 bytes is over the limit of 4259840 bytes for one message; \
             keep large data in a store of its own and submit its name",
        ),
        (file(), Exit::Usage, "cannot read x.jsonl: gone"),
        (full(), Exit::Internal, "cannot write the output: no space"),
        (pipe(), Exit::Ok, "cannot write the output: broken pipe"),
        (
            Failure::Line { name: "-".to_owned(), line: 3, reason: "has no type".to_owned() },
            Exit::Usage,
            "-, line 3: has no type",
        ),
        (
            refused(Code::NotFound, Reason::Unspecified, "a\nb\u{1b}[2Jc", Vec::new()),
            Exit::NotFound,
            "a\\nb\\u{1b}[2Jc",
        ),
    ];
    for (failure, exit, line) in cases {
        assert_eq!((failure.line().as_str(), failure.exit()), (line, exit));
    }
}
