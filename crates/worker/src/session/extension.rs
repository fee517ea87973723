//! More time for work that asks for it.
//!
//! Nothing moves until the coordinator has answered. Its answer counts from when the request was sent, not from when it
//! came: so, as with heartbeats, the worker's limit is never later than the coordinator's.

use std::time::Duration;

use leasehold_policy::Mutant;
use leasehold_proto::v1;
use tracing::debug;

use super::{Command, Session, conversation::Notice};
use crate::{
    assignment::{Token, duration},
    clock::Moment,
    term::Answer,
};

/// The least that is asked for: nothing is no request.
const REMAINING_MIN: Duration = Duration::from_millis(1);

/// A request that has not been answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension {
    /// Until when the handler wants to run.
    until: Moment,
    /// When it was put in a frame of this stream. `None`: it was not.
    sent: Option<Moment>,
    /// Whether the handler has asked for something else since.
    is_outdated: bool,
}

impl Extension {
    fn new(until: Moment) -> Self {
        Self { until, sent: None, is_outdated: false }
    }

    /// The handler asks anew. What is on its way is answered first, so that each answer is known to its request.
    fn renew(&mut self, until: Moment) {
        (self.until, self.is_outdated) = (until, self.sent.is_some());
    }

    /// On a new stream nothing has been said.
    pub(super) fn unsay(&mut self) {
        (self.sent, self.is_outdated) = (None, false);
    }

    /// It is put in a frame: for how long from now.
    pub(super) fn say(&mut self, now: Moment) -> Duration {
        self.sent = Some(now);
        self.until.since(now).max(REMAINING_MIN)
    }
}

impl Session {
    /// A handler wants to run until then. One that is being stopped is not listened to.
    pub(crate) fn handle_ask(&mut self, token: Token, until: Moment) {
        match self.leases.extension(token) {
            Some(Some(extension)) => extension.renew(until),
            Some(none) => {
                *none = Some(Extension::new(until));
                self.notify(Notice::Extend(token));
                if Mutant::ExtensionAtOnce.is_alive() {
                    self.leases.postpone(token, until);
                }
            }
            None => debug!(fencing_token = token.0, "more time is asked for what does not run"),
        }
    }

    pub(super) fn handle_extension(&mut self, answer: v1::LeaseExtension) {
        let token = Token(answer.fencing_token);
        let Some(asked) = self.leases.extension(token) else { return };
        let Some(Extension { until, sent: Some(sent), is_outdated }) = *asked else {
            return debug!(fencing_token = token.0, "an answer to no request was skipped");
        };
        *asked = is_outdated.then(|| Extension::new(until));
        let sent = if Mutant::ExtensionFromReceipt.is_alive() { self.ticked_at } else { sent };
        let granted = answer.remaining.map(|remaining| sent + duration(remaining));
        if Mutant::ExtensionUnheard.is_alive() {
            return;
        }
        if let Some(due) = granted.and_then(|until| self.leases.postpone(token, until)) {
            self.commands.push_back(Command::Postpone { token, due });
        }
        if is_outdated {
            return self.notify(Notice::Extend(token));
        }
        let answer = if granted.is_some() { Answer::Granted } else { Answer::Refused };
        self.commands.push_back(Command::Answer { token, answer });
    }
}
