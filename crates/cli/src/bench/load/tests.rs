//! Which tasks of a run have been run.

use std::time::Duration;

use bytes::Bytes;

use super::{Load, PAYLOAD_BYTES, Tally, number};

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
    let request = format!("{:?}", Load::new().spec(7));
    assert!(request.contains("leasehold-bench-"), "{request}");
    let mut payload = vec![0; PAYLOAD_BYTES];
    payload[6] = 1;
    assert_eq!(number(&Bytes::from(payload)), Some(256));
    assert_eq!(number(&Bytes::from_static(b"short")), None);
}
