//! What a process of the same executable is told of a reason.

use super::CancelReason;

#[test]
fn a_reason_survives_as_a_number() {
    let reasons: Vec<CancelReason> = (1..).map_while(CancelReason::of_code).collect();
    let words: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
    let expected = [
        "cancelled",
        "attempt timeout",
        "progress timeout",
        "total timeout",
        "lease lost",
        "draining",
    ];
    assert_eq!(words, expected);
    for (reason, code) in reasons.into_iter().zip(1..) {
        assert_eq!(reason.code(), code, "{reason}");
    }
    assert_eq!(CancelReason::of_code(0), None, "that is what is written before anybody asks");
}
