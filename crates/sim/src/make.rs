//! What a handler does, as its task's payload says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::{MS, Micros};

/// How a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[repr(u8)]
pub enum Kind {
    /// Returns a result.
    Succeeds,
    /// Fails with its first attempts, then returns a result.
    FailsAtFirst,
    /// Fails with every attempt.
    Fails,
    /// Fails for good.
    FailsForGood,
    /// Panics with its first attempt.
    Panics,
    /// Runs until it is asked to stop.
    Hangs,
    /// Returns a result after it was asked to stop.
    StopsLate,
    /// Does not even notice that it was killed.
    Sticks,
    /// Takes its worker down.
    Poisons,
}

impl Kind {
    /// Every one, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Succeeds,
        Self::FailsAtFirst,
        Self::Fails,
        Self::FailsForGood,
        Self::Panics,
        Self::Hangs,
        Self::StopsLate,
        Self::Sticks,
        Self::Poisons,
    ];

    /// Whether it does not end by itself.
    pub const fn is_endless(self) -> bool {
        matches!(self, Self::Hangs | Self::StopsLate | Self::Sticks)
    }
}

/// Everything that a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Make {
    /// How it ends.
    pub kind: Kind,
    /// Whether somebody else may run the task while this one does not stop.
    pub is_shared: bool,
    /// Whether it is a process that a guard ends in time, whatever becomes of its worker.
    pub is_guarded: bool,
    /// Whether it saves where the next attempt can go on from.
    pub saves: bool,
    /// Within what time it has to say that it goes on, if it has to. In whole milliseconds.
    pub progress: Option<Micros>,
    /// How long it asks to run, if it asks. In whole milliseconds.
    pub asks: Option<Micros>,
}

const SHARED: u8 = 1;
const GUARDED: u8 = 2;
const SAVES: u8 = 4;

impl Make {
    /// The payload of a task whose handler does this; no two with different ordinals are the same.
    pub fn payload(self, ordinal: u32) -> Vec<u8> {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags =
            flag(self.is_shared, SHARED) | flag(self.is_guarded, GUARDED) | flag(self.saves, SAVES);
        let ms = |time: Option<Micros>| u32::try_from(time.unwrap_or(0) / MS).unwrap_or(u32::MAX);
        let mut payload = vec![self.kind as u8, flags];
        for number in [ms(self.progress), ms(self.asks), ordinal] {
            payload.extend(number.to_be_bytes());
        }
        payload
    }

    /// What the handler of a payload does.
    pub fn of(payload: &[u8]) -> Self {
        let byte = |at: usize| payload.get(at).copied().unwrap_or(0);
        let ms = |at: usize| {
            let bytes = payload.get(at..at + 4).and_then(|it| <[u8; 4]>::try_from(it).ok());
            let ms = bytes.map_or(0, u32::from_be_bytes);
            (0 < ms).then_some(Micros::from(ms) * MS)
        };
        Self {
            kind: Kind::ALL.get(usize::from(byte(0))).copied().unwrap_or(Kind::Succeeds),
            is_shared: byte(1) & SHARED != 0,
            is_guarded: byte(1) & GUARDED != 0,
            saves: byte(1) & SAVES != 0,
            progress: ms(2),
            asks: ms(6),
        }
    }

    /// How often it says that it goes on, if it does.
    pub fn reports_every(self) -> Option<Micros> {
        self.progress.filter(|_| !self.kind.is_endless()).map(|within| within / 3)
    }
}

/// A time limit as far as a payload can say it.
pub fn whole_ms(limit: Duration) -> Micros {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).saturating_mul(MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_says_what_its_handler_does() {
        for kind in Kind::ALL {
            for n in 0..32 {
                let some = |bit: u8, time: Micros| (n >> bit & 1 == 1).then_some(time * MS);
                let (is_shared, is_guarded) = (n & 1 == 1, n & 2 == 2);
                let (progress, asks, saves) = (some(2, 1), some(3, 12_345), n & 16 == 16);
                let make = Make { kind, is_shared, is_guarded, saves, progress, asks };
                assert_eq!(Make::of(&make.payload(7)), make);
                assert_ne!(make.payload(7), make.payload(8));
            }
        }
    }
}
