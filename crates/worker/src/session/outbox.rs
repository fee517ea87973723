//! Outcomes that the coordinator has not acknowledged.

use super::conversation::Notice;
use crate::{
    assignment::{Likeness, Token},
    held::Held,
};
use bytes::Bytes;
use leasehold_policy::Mutant;
use leasehold_proto::v1::{self, lease_outcome::Outcome};
use prost::Message as _;
use std::sync::Arc;

/// How many bytes of outcomes may wait before no more work is started: memory stays bounded while a coordinator is
/// away or its disk is full.
const BYTES_MAX: usize = 64 << 20;

/// The outcomes that the coordinator has not acknowledged. An outcome stays until it is answered, whatever the answer.
#[derive(Default)]
pub(super) struct Outbox {
    letters: Held<Letter>,
    bytes: usize,
}

/// An outcome, and what the log says of it.
pub(super) struct Letter {
    pub(super) task_id: String,
    /// Where its trace is found. `None`: of a task that this worker does not know.
    likeness: Option<Arc<Likeness>>,
    /// What the work had saved last: said before the outcome, so that it counts with it.
    pub(super) checkpoint: Option<Bytes>,
    pub(super) outcome: v1::LeaseOutcome,
    /// How long the outcome is on the wire.
    pub(super) outcome_bytes: usize,
}

impl Letter {
    /// The outcome of a task of that trace.
    pub(super) fn new(
        task_id: String,
        likeness: Option<Arc<Likeness>>,
        outcome: v1::LeaseOutcome,
    ) -> Self {
        let outcome_bytes = outcome.encoded_len();
        Self { task_id, likeness, checkpoint: None, outcome, outcome_bytes }
    }

    /// The trace, for the log: written out only where that is read.
    pub(super) fn trace_id(&self) -> String {
        self.likeness.as_ref().map(|it| it.trace.trace_id()).unwrap_or_default()
    }

    /// The same outcome, said behind what its work had saved.
    pub(super) fn behind(self, checkpoint: Option<Bytes>) -> Self {
        let checkpoint = checkpoint.filter(|_| !Mutant::CheckpointLeftBehind.is_alive());
        Self { checkpoint, ..self }
    }

    fn bytes(&self) -> usize {
        self.outcome_bytes + self.checkpoint.as_ref().map_or(0, Bytes::len)
    }

    /// The lease that it is of.
    pub(super) fn token(&self) -> Token {
        Token(self.outcome.fencing_token)
    }

    /// What there is to say of it, in order.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> + use<> {
        let token = self.token();
        let saved = self.checkpoint.as_ref().map(|_| Notice::Checkpoint(token));
        saved.into_iter().chain([Notice::Outcome(token)])
    }

    /// Whether it is the result of work that began and came to its end.
    pub(super) fn is_result(&self) -> bool {
        matches!(self.outcome.outcome, Some(Outcome::Success(_)))
    }

    /// What kind of outcome it is, for the log.
    pub(super) fn kind(&self) -> &'static str {
        match self.outcome.outcome {
            Some(Outcome::Success(_)) => "success",
            Some(Outcome::Failure(_)) => "failure",
            Some(Outcome::Stopped(_)) => "stopped",
            Some(Outcome::Declined(_)) => "declined",
            None => "none",
        }
    }
}

impl Outbox {
    pub(super) fn put(&mut self, letter: Letter) {
        self.bytes += letter.bytes();
        debug_assert!(self.get(letter.token()).is_none(), "a lease ends once");
        self.letters.insert(letter.token(), letter);
    }

    pub(super) fn take(&mut self, token: Token) -> Option<Letter> {
        let letter = self.letters.remove(token)?;
        self.bytes -= letter.bytes();
        Some(letter)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get(&self, token: Token) -> Option<&Letter> {
        self.letters.get(token)
    }

    /// What there is to say of all outcomes.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> {
        self.letters.ascending().flat_map(|(_, letter)| letter.notices())
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.letters.ascending().map(|(token, _)| token)
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Whether more work may be started.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX
    }
}
