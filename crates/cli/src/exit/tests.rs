//! Which answer ends the process how.

use std::{collections::BTreeMap, time::Duration};

use leasehold_client::{
    Client, Code, Error, Refusal,
    v1::{Reason, Task},
};

use super::Exit;

fn refused(code: Code) -> Error {
    Error::Refused(Box::new(Refusal {
        code,
        reason: None,
        message: String::new(),
        violations: Vec::new(),
        retry_after: None,
        metadata: BTreeMap::new(),
    }))
}

#[test]
fn codes_are_stable() {
    let cases = [
        (Exit::Ok, 0),
        (Exit::NotSucceeded, 1),
        (Exit::Usage, 2),
        (Exit::NotFound, 3),
        (Exit::Unreachable, 4),
        (Exit::WaitTimedOut, 5),
        (Exit::Conflict, 6),
        (Exit::Limited, 7),
        (Exit::Denied, 8),
        (Exit::Internal, 70),
        (Exit::Interrupted, 130),
    ];
    for (exit, code) in cases {
        assert_eq!(exit as u8, code, "{exit:?}");
    }
}

#[test]
fn every_refusal_has_its_exit() {
    let cases = [
        (Code::InvalidArgument, Exit::Usage),
        (Code::OutOfRange, Exit::Usage),
        (Code::NotFound, Exit::NotFound),
        (Code::Unavailable, Exit::Unreachable),
        (Code::DeadlineExceeded, Exit::Unreachable),
        (Code::AlreadyExists, Exit::Conflict),
        (Code::FailedPrecondition, Exit::Conflict),
        (Code::Aborted, Exit::Conflict),
        (Code::ResourceExhausted, Exit::Limited),
        (Code::PermissionDenied, Exit::Denied),
        (Code::Unauthenticated, Exit::Denied),
        (Code::Ok, Exit::Internal),
        (Code::Cancelled, Exit::Internal),
        (Code::Unknown, Exit::Internal),
        (Code::Unimplemented, Exit::Internal),
        (Code::Internal, Exit::Internal),
        (Code::DataLoss, Exit::Internal),
    ];
    for (code, exit) in cases {
        assert_eq!(Exit::of(&refused(code)), exit, "{code:?}");
    }
    let Error::Refused(refusal) = refused(Code::Unavailable) else { unreachable!("it is one") };
    let open = Refusal { reason: Some(Reason::CircuitOpen), ..*refusal };
    assert_eq!(Exit::of(&Error::Refused(Box::new(open))), Exit::Limited);
}

#[tokio::test]
async fn errors_of_the_client_have_theirs() {
    let here = || "here".to_owned();
    let large = Error::MessageTooLarge { found: "9".to_owned(), limit: "8".to_owned() };
    let timeout = Duration::from_secs(1);
    let cases = [
        (Client::connect("no address").expect_err("a space is in it"), Exit::Usage),
        (large, Exit::Usage),
        (Error::NoAnswer { address: here(), timeout }, Exit::Unreachable),
        (Error::NotEnded { task: Box::new(Task::default()), waited: timeout }, Exit::WaitTimedOut),
        (Error::Malformed { address: here(), missing: "a task" }, Exit::Internal),
    ];
    for (error, exit) in cases {
        assert_eq!(Exit::of(&error), exit, "{error}");
    }
}
