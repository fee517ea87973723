//! The promises that are looked after, and how each can be broken.

use leasehold_client::v1::{Task, TaskState};

use crate::{fault::Machine, ledger::Story, plan::Order};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two handlers of one task ran at the same time.
    Overlap {
        /// The task.
        task: String,
        /// Their leases.
        tokens: (i64, i64),
        /// Where they ran.
        machines: (Machine, Machine),
    },
    /// A token was given out twice.
    TokenTwice {
        /// The task.
        task: String,
        /// The token.
        token: i64,
        /// Where the first handler still runs.
        was: Option<Machine>,
    },
    /// An order became two tasks.
    Doubled {
        /// The order's key.
        key: String,
        /// The tasks.
        tasks: [String; 2],
    },
    /// A task that was accepted is not there.
    Lost {
        /// The task.
        task: String,
        /// What was said instead.
        answer: String,
    },
    /// A task ended otherwise than it can.
    WrongEnd {
        /// The task.
        task: String,
        /// What is wrong.
        problem: String,
    },
    /// There are more or fewer tasks than were accepted.
    Count {
        /// How many were accepted.
        accepted: usize,
        /// How many there are.
        listed: usize,
    },
    /// Something panicked.
    Panic(String),
    /// A process ended by itself.
    Ended {
        /// On which machine.
        machine: Machine,
        /// What it said.
        error: String,
    },
    /// Not everything came to an end in time.
    Stuck(String),
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overlap { task, tokens, machines } => write!(
                f,
                "{task} ran on {} under {} and on {} under {} at once",
                machines.0, tokens.0, machines.1, tokens.1
            ),
            Self::TokenTwice { task, token, was } => {
                write!(f, "{task} began twice under {token}; still running: {was:?}")
            }
            Self::Doubled { key, tasks: [first, second] } => {
                write!(f, "{key} is two tasks: {first} and {second}")
            }
            Self::Lost { task, answer } => write!(f, "{task} was accepted and is lost: {answer}"),
            Self::WrongEnd { task, problem } => write!(f, "{task}: {problem}"),
            Self::Count { accepted, listed } => {
                write!(f, "{accepted} tasks were accepted, {listed} are listed")
            }
            Self::Panic(message) => write!(f, "a panic: {message}"),
            Self::Ended { machine, error } => write!(f, "{machine} ended by itself: {error}"),
            Self::Stuck(what) => write!(f, "stuck: {what}"),
        }
    }
}

/// Whether a task ended as it had to.
pub(crate) fn end(order: &Order, task: &Task, story: Option<&Story>) -> Result<(), Violation> {
    let wrong = |problem: String| Violation::WrongEnd { task: task.task_id.clone(), problem };
    let state = task.state();
    if state == TaskState::Cancelled && order.cancelled_after.is_some() {
        return Ok(());
    }
    if state != TaskState::Succeeded {
        return Err(wrong(format!("ended as {state:?}: {:?}", task.last_failure)));
    }
    let story = story.ok_or_else(|| wrong("succeeded, and no handler ever began".to_owned()))?;
    let result = String::from_utf8_lossy(&task.result);
    let token = result.parse().map_err(|_| wrong(format!("has the result {result:?}")))?;
    if !story.returned.contains(&token) {
        return Err(wrong(format!("has the result of {token}, which never returned one")));
    }
    match story.begun.last() {
        Some(last) if *last != token => {
            Err(wrong(format!("has the result of {token}, which {last} had replaced")))
        }
        Some(_) | None => Ok(()),
    }
}
