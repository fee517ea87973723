//! Which tasks of a run have been run.

use std::time::Duration;

use bytes::Bytes;

use super::{Load, Tally, number};

#[tokio::test]
async fn each_task_counts_once() {
    let tally = Tally::new(3);
    assert!(tally.record(0) && tally.record(2));
    assert!(!tally.record(2), "it has run before");
    assert!(!tally.record(3), "there is no such task");
    assert_eq!((tally.left(), tally.repeated()), (1, 1));
    assert!(tally.record(1));
    tally.all_ended(Duration::from_mins(1)).await;
    assert_eq!((tally.left(), tally.repeated()), (0, 1));
}

#[tokio::test]
async fn patience_ends_when_nothing_does() {
    let tally = Tally::new(2);
    tally.record(0);
    tally.all_ended(Duration::from_millis(1)).await;
    assert_eq!(tally.left(), 1);
}

#[test]
fn a_payload_carries_its_number() {
    let request = format!("{:?}", Load::new().of_bytes(9).spec(7));
    assert!(request.contains("leasehold-bench-"), "{request}");
    assert!(request.contains(r#"b"\0\0\0\0\0\0\0\x07\0""#), "{request}");
    assert_eq!(number(&Bytes::from_static(&[0, 0, 0, 0, 0, 0, 1, 0])), Some(256));
    assert_eq!(number(&Bytes::from_static(b"shorter")), None);
}
