//! When tasks may be sent, and that all are worked at.

use std::{
    collections::VecDeque,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{PAYLOAD_BYTES, Pace, Patience, Submitter, WINDOW, number, payload, submit};

/// A server that confirms what it was sent, a few at a time, and remembers the most that it had not confirmed.
#[derive(Default)]
struct Memory {
    sent: VecDeque<u64>,
    numbers: Vec<u64>,
    unconfirmed_max: usize,
}

impl Submitter for Memory {
    fn send(&mut self, numbers: Range<u64>) -> Result<()> {
        self.sent.extend(numbers.clone());
        self.numbers.extend(numbers);
        self.unconfirmed_max = self.unconfirmed_max.max(self.sent.len());
        Ok(())
    }

    fn confirmed(&mut self, _patience: Patience) -> Result<u64> {
        let few = self.sent.len().min(7);
        Ok(self.sent.drain(..few).count() as u64)
    }
}

#[test]
fn each_task_is_sent_once_and_no_more_than_a_window_is_unconfirmed() -> Result<()> {
    let mut memory = Memory::default();
    submit(&mut memory, 5 * WINDOW, Pace::Window)?;
    assert!(memory.numbers.iter().copied().eq(0..5 * WINDOW));
    assert_eq!(memory.unconfirmed_max as u64, WINDOW);
    Ok(())
}

#[test]
fn by_the_clock_all_that_is_due_is_sent_and_nothing_before() -> Result<()> {
    let start = Instant::now();
    let mut memory = Memory::default();
    let pace = Pace::Clock { start, rate: 1_000 };
    submit(&mut memory, 50, pace)?;
    assert!(memory.numbers.iter().copied().eq(0..50));
    assert!(start.elapsed() >= Duration::from_millis(49), "the last was due then");
    assert!(pace.may(0, WINDOW) >= 50, "confirmations are not waited for");
    let future = Pace::Clock { start: start + Duration::from_mins(1), rate: 10 };
    assert_eq!(future.may(0, WINDOW), 0);
    Ok(())
}

#[test]
fn a_payload_carries_its_number() {
    assert_eq!(number(&payload(258)), Some(258));
    assert_eq!(payload(1).len(), PAYLOAD_BYTES);
    assert_eq!(number(b"short"), None);
}
