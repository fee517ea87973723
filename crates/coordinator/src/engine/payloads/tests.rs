//! What is kept that was read ahead.

use super::*;

fn payloads(tasks: std::ops::Range<u128>) -> Vec<(TaskId, Bytes)> {
    tasks.map(|id| (TaskId::from_u128(id), Bytes::from_static(&[7; 10]))).collect()
}

#[test]
fn what_was_read_last_is_kept_and_of_that_what_stands_first() {
    let mut ahead = Ahead::default();
    ahead.keep(payloads(0..3), 100);
    ahead.keep(payloads(3..5), 100);
    assert_eq!(ahead.bytes(), 50, "both fit into one half");
    ahead.keep(payloads(5..13), 100);
    assert_eq!(ahead.bytes(), 100, "the last three did not fit into the other");
    assert!(ahead.take(TaskId::from_u128(10)).is_none());
    for id in [0, 4, 5, 9] {
        assert!(ahead.take(TaskId::from_u128(id)).is_some(), "{id} was kept");
        assert!(ahead.take(TaskId::from_u128(id)).is_none(), "{id} was given away");
    }
    assert_eq!(ahead.bytes(), 60);
    ahead.keep(payloads(20..25), 100);
    assert!(ahead.take(TaskId::from_u128(1)).is_none(), "it was too old");
    assert!(ahead.take(TaskId::from_u128(6)).is_some());
    assert_eq!(ahead.bytes(), 70);
    ahead.keep(payloads(30..31), 19);
    ahead.keep(payloads(31..32), 19);
    assert_eq!(ahead.bytes(), 0, "less room holds for what is there as well");
}
