//! A panic is told with its words and its place.

use std::panic::panic_any;

use leasehold_proto::v1;

use super::caught;
use crate::outcome::Failure;

#[test]
fn a_panic_says_what_and_where() {
    let table: [(fn(), &str); 4] = [
        (|| panic!("plain words"), "plain words"),
        (|| panic!("number {}", 7), "number 7"),
        (|| panic_any(7), "the handler panicked"),
        (
            || assert_eq!(Vec::<u8>::new()[0], 0),
            "index out of bounds: the len is 0 but the index is 0",
        ),
    ];
    for (handler, words) in table {
        let Failure(failure) = caught(handler).expect_err("it panics");
        assert_eq!(failure.reason(), v1::FailureReason::Panic);
        assert_eq!(failure.message, words);
        assert!(failure.details.starts_with("at "), "{:?}", failure.details);
        assert!(failure.details.contains(file!()), "{:?}", failure.details);
    }
}

#[test]
fn what_does_not_panic_is_handed_through() {
    assert_eq!(caught(|| 5), Ok(5));
}
