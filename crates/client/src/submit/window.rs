//! The tasks of a submit stream that have no final answer yet.
//!
//! Pure bookkeeping: what may be taken in, what is to be sent, what an answer belongs to, what must
//! be sent again after a break. It knows no network and no clock.

use std::collections::VecDeque;

use leasehold_proto::v1::SubmitTaskRequest;

use crate::{Error, TaskSpec, submit::Receipt};

/// The most a window holds in bytes, so that large payloads do not multiply with its length.
pub(crate) const WINDOW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most one message of several tasks holds in bytes: well below what the coordinator accepts.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How a task is sent that says the same as the one before it in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wording {
    /// As any other.
    Full,
    /// Without what both say: who reads it knows that.
    Brief,
}

/// Where a task of the window stands.
#[derive(Debug)]
enum Slot {
    /// To be sent, or to be answered: `waiting` or `sent` names it.
    Open(Task),
    /// Has its final answer.
    Answered(Result<Receipt, Error>),
}

/// A task, and about how many bytes its message takes in full.
#[derive(Debug)]
struct Task {
    spec: TaskSpec,
    bytes: usize,
}

/// Tasks in the order they were taken in, up to the first that is not answered.
#[derive(Debug)]
pub(crate) struct Window {
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    /// Numbers of tasks to be sent, in order.
    waiting: VecDeque<u64>,
    /// Numbers of tasks sent and not answered, in the order of sending, which is that of the answers.
    sent: VecDeque<u64>,
    /// The encoded size of all open tasks.
    open_bytes: usize,
    tasks_max: usize,
    batch_max: usize,
}

impl Window {
    pub(crate) fn new(tasks_max: usize, batch_max: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            open_bytes: 0,
            tasks_max,
            batch_max,
        }
    }

    /// Whether another task may be taken in. One always may when there is none, whatever its size.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.is_empty()
            || (self.slots.len() < self.tasks_max && self.open_bytes < WINDOW_BYTES_MAX)
    }

    /// Whether a full message is waiting to be sent.
    pub(crate) fn has_batch(&self) -> bool {
        self.waiting.len() >= self.batch_max
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn has_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes a task in whose message takes about so many bytes, to be sent after those before it.
    pub(crate) fn push(&mut self, spec: TaskSpec, bytes: usize) {
        self.open_bytes += bytes;
        self.waiting.push_back(self.first + self.slots.len() as u64);
        self.slots.push_back(Slot::Open(Task { spec, bytes }));
    }

    /// Takes a task in that is not worth sending.
    pub(crate) fn push_answered(&mut self, answer: Result<Receipt, Error>) {
        self.slots.push_back(Slot::Answered(answer));
    }

    /// The next message: as many waiting tasks as one may hold. They count as sent.
    pub(crate) fn take_batch(
        &mut self,
        namespace: &str,
        wording: Wording,
    ) -> Vec<SubmitTaskRequest> {
        let mut batch = Vec::with_capacity(self.batch_max.min(self.waiting.len()));
        let mut bytes = 0;
        let mut before: Option<&TaskSpec> = None;
        while batch.len() < self.batch_max
            && let Some(&number) = self.waiting.front()
            && let Some(Task { spec, bytes: more }) = open(&self.slots, self.first, number)
        {
            bytes += more;
            if !batch.is_empty() && bytes > BATCH_BYTES_MAX {
                break;
            }
            let is_alike =
                wording == Wording::Brief && before.is_some_and(|before| spec.is_like(before));
            batch.push(if is_alike { spec.alike_message() } else { spec.message(namespace) });
            before = Some(spec);
            self.waiting.pop_front();
            self.sent.push_back(number);
        }
        batch
    }

    /// Gives the oldest task that was sent its final answer. False: none was sent.
    pub(crate) fn answer(&mut self, answer: Result<Receipt, Error>) -> bool {
        let Some(number) = self.sent.pop_front() else { return false };
        self.close(number, answer);
        true
    }

    /// Puts the oldest task that was sent back among the waiting, behind those already there.
    pub(crate) fn postpone(&mut self) -> bool {
        let Some(number) = self.sent.pop_front() else { return false };
        self.waiting.push_back(number);
        true
    }

    /// After a break: what was sent is to be sent again, in its old order, before the rest.
    pub(crate) fn rewind(&mut self) {
        self.sent.extend(self.waiting.drain(..));
        std::mem::swap(&mut self.sent, &mut self.waiting);
    }

    /// Whether sending again what was sent could make a second task of one.
    pub(crate) fn has_sent_without_key(&self) -> bool {
        let task = |number: &u64| open(&self.slots, self.first, *number);
        self.sent.iter().filter_map(task).any(|task| !task.spec.has_key())
    }

    /// Gives every task that is still open the same answer.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.rewind();
        while let Some(number) = self.waiting.pop_front() {
            self.close(number, Err(error.clone()));
        }
    }

    /// The answer of the oldest task, if it has one.
    pub(crate) fn pop(&mut self) -> Option<Result<Receipt, Error>> {
        let Some(Slot::Answered(_)) = self.slots.front() else { return None };
        self.first += 1;
        match self.slots.pop_front() {
            Some(Slot::Answered(answer)) => Some(answer),
            Some(Slot::Open(_)) | None => None,
        }
    }

    fn close(&mut self, number: u64, answer: Result<Receipt, Error>) {
        let Some(slot) = self.slots.get_mut(index(self.first, number)) else { return };
        if let Slot::Open(task) = slot {
            self.open_bytes = self.open_bytes.saturating_sub(task.bytes);
        }
        *slot = Slot::Answered(answer);
    }
}

/// The task of this number, unless it has its answer.
fn open(slots: &VecDeque<Slot>, first: u64, number: u64) -> Option<&Task> {
    match slots.get(index(first, number))? {
        Slot::Open(task) => Some(task),
        Slot::Answered(_) => None,
    }
}

fn index(first: u64, number: u64) -> usize {
    usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
