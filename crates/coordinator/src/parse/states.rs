//! The states that a list is restricted to, sorted by where tasks in them are found.

use leasehold_journal::Class;
use leasehold_proto::v1::TaskState;

use super::Refusal;
use crate::handle::OpenState;

/// More than there are states: a list of them has no need to be longer.
const STATES_MAX: usize = 16;

/// Which states a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Of tasks that have not ended. Empty with `any`: all.
    pub open: Vec<OpenState>,
    /// Of tasks that have ended well or were cancelled.
    pub finished: Vec<Class>,
    /// Whether dead letters.
    pub failed: bool,
    /// Nothing was named: every state.
    any: bool,
}

impl States {
    /// Reads the numbers of a request.
    pub fn read(field: &str, numbers: &[i32]) -> Result<Self, Refusal> {
        if numbers.len() > STATES_MAX {
            let count = numbers.len();
            return Err(Refusal::field(field, format!("has {count} states: at most {STATES_MAX}")));
        }
        let mut states = Self { any: numbers.is_empty(), ..Self::default() };
        for number in numbers {
            let state = TaskState::try_from(*number).unwrap_or(TaskState::Unspecified);
            if !states.add(state) {
                return Err(Refusal::field(field, format!("{number} is no known state")));
            }
        }
        Ok(states)
    }

    fn add(&mut self, state: TaskState) -> bool {
        match state {
            TaskState::Unspecified => return false,
            TaskState::Scheduled => self.open.push(OpenState::Scheduled),
            TaskState::Queued => self.open.push(OpenState::Queued),
            TaskState::Leased => self.open.push(OpenState::Leased),
            TaskState::Running => self.open.push(OpenState::Running),
            TaskState::Cancelling => self.open.push(OpenState::Cancelling),
            TaskState::Succeeded => self.finished.push(Class::Succeeded),
            TaskState::Cancelled => self.finished.push(Class::Cancelled),
            TaskState::Failed => self.failed = true,
        }
        true
    }

    /// Whether to look among open tasks.
    pub fn wants_open(&self) -> bool {
        self.any || !self.open.is_empty()
    }

    /// Whether to look among finished tasks.
    pub fn wants_finished(&self) -> bool {
        self.any || !self.finished.is_empty()
    }

    /// Whether to look among dead letters.
    pub fn wants_failed(&self) -> bool {
        self.any || self.failed
    }

    /// The one kind of finished tasks that is wanted; none: both.
    pub fn class(&self) -> Option<Class> {
        let mut kinds = self.finished.iter();
        let first = kinds.next()?;
        kinds.all(|kind| kind == first).then_some(*first)
    }
}
