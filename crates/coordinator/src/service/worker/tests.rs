//! A stampede of workers is let in at a pace.

use std::time::Duration;

use leasehold_policy::Bucket;

use super::{RETURN_WITHIN, STREAMS_RATE, begin};
use crate::refusal::Reason;

#[test]
fn who_comes_too_many_at_once_is_told_when_to_come_back() {
    let (mut beginnings, now) = (Bucket::default(), Duration::from_secs(7));
    for _ in 0..STREAMS_RATE.burst {
        assert_eq!(begin(&mut beginnings, now, 0.5), Ok(()));
    }
    let refusal = begin(&mut beginnings, now, 0.5).unwrap_err();
    assert_eq!(refusal.reason, Reason::Overloaded);
    let quota = refusal.quota.map(|quota| (quota.limit, quota.max));
    let max = u64::from(STREAMS_RATE.burst);
    assert_eq!(quota, Some(("beginnings of worker streams in a second".into(), max)));
    assert_eq!(refusal.retry_after, Some(STREAMS_RATE.interval + RETURN_WITHIN / 2));
    assert_eq!(begin(&mut beginnings, now + STREAMS_RATE.interval, 0.5), Ok(()));
}
