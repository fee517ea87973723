//! Where handlers leave their progress for the session to pick up.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use leasehold_proto::v1;
use tokio::{sync::Notify, time::Instant};

use crate::assignment::Token;

/// How often progress is sent at most: people cannot read faster, and a handler may report in a tight loop.
const INTERVAL: Duration = Duration::from_millis(200);

/// The most characters of a message that are sent.
const MESSAGE_CHARS_MAX: usize = 500;

/// The last progress of each lease and the newest checkpoint, until they are sent. It holds at most one entry for each lease
/// that runs.
#[derive(Debug, Default)]
pub(crate) struct Board {
    posted: Mutex<BTreeMap<Token, v1::Progress>>,
    changed: Notify,
}

impl Board {
    /// Leaves progress; what was there of the same lease is forgotten.
    pub(crate) fn post(&self, token: Token, fraction: Option<f64>, message: String) {
        let fraction = fraction.filter(|it| it.is_finite()).map(|it| it.clamp(0.0, 1.0));
        let message = match message.char_indices().nth(MESSAGE_CHARS_MAX) {
            None => message,
            Some(_) => message.chars().take(MESSAGE_CHARS_MAX).collect(),
        };
        self.pass_on(token, v1::Progress { fraction, message, checkpoint: None });
    }

    /// Leaves a checkpoint; one of the same lease that was there is forgotten.
    pub(crate) fn post_checkpoint(&self, token: Token, data: Bytes) {
        self.pass_on(token, v1::Progress { checkpoint: Some(data), ..v1::Progress::default() });
    }

    /// Leaves what another board had.
    pub(crate) fn pass_on(&self, token: Token, report: v1::Progress) {
        overlay(self.lock().entry(token).or_default(), report);
        self.changed.notify_one();
    }

    /// Takes what has been left of one lease.
    pub(crate) fn take_of(&self, token: Token) -> Option<v1::Progress> {
        self.lock().remove(&token)
    }

    /// Takes what has been left.
    pub(crate) fn take(&self) -> BTreeMap<Token, v1::Progress> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Token, v1::Progress>> {
        // Nothing can panic while the lock is held, so what it protects is whole.
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a report over an earlier one: what it does not say stays, and a checkpoint alone says nothing of the progress.
pub(crate) fn overlay(earlier: &mut v1::Progress, report: v1::Progress) {
    let v1::Progress { fraction, message, checkpoint } = report;
    if checkpoint.is_none() || fraction.is_some() || !message.is_empty() {
        (earlier.fraction, earlier.message) = (fraction, message);
    }
    if checkpoint.is_some() {
        earlier.checkpoint = checkpoint;
    }
}

/// When to look at a [`Board`] again.
pub(crate) struct Pace {
    not_before: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { not_before: Instant::now() }
    }

    /// Waits until there is something on the board and it is time to look.
    pub(crate) async fn next(&mut self, board: &Board) {
        tokio::time::sleep_until(self.not_before).await;
        board.changed.notified().await;
        self.not_before = Instant::now() + INTERVAL;
    }
}
