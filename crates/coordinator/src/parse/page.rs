//! Pages: how many rows, and from where on.
//!
//! A token is the id of the last task that was looked at. Ids grow with the age of a task and stay the same when it
//! ends, so that a page goes on right even when tasks end in between. Workers are listed by name, and so are their tokens.

use leasehold_queue::{Name, TaskId};

use super::Refusal;
use crate::config::is_worker_id;

/// Without a wish.
const PAGE_DEFAULT: usize = 100;

/// A page is read into memory at once.
const PAGE_MAX: usize = 1_000;

/// An id in hexadecimal.
const TOKEN_DIGITS: usize = 32;

/// How many rows a page has.
pub fn page_size(asked: i32) -> Result<usize, Refusal> {
    Ok(wished_page_size(asked)?.unwrap_or(PAGE_DEFAULT))
}

/// How many rows a page has, if somebody cares.
pub fn wished_page_size(asked: i32) -> Result<Option<usize>, Refusal> {
    match usize::try_from(asked) {
        Ok(0) => Ok(None),
        Ok(size) if size <= PAGE_MAX => Ok(Some(size)),
        Ok(_) | Err(_) => Err(Refusal::field(
            "page_size",
            format!("{asked} is not 1 to {PAGE_MAX}; leave it out if you do not care"),
        )),
    }
}

/// The id after which a page begins; zero at the start.
pub fn page_token(text: &str) -> Result<TaskId, Refusal> {
    if text.is_empty() {
        return Ok(TaskId::from_u128(0));
    }
    let digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let hex = text.len() == TOKEN_DIGITS && text.bytes().all(digit);
    let id = if hex { u128::from_str_radix(text, 16).ok() } else { None };
    id.map(TaskId::from_u128).ok_or_else(foreign)
}

/// The worker and the process behind which a page begins; nobody at the start.
pub fn worker_page_token(text: &str) -> Result<(Name, Name), Refusal> {
    if text.is_empty() {
        return Ok(Default::default());
    }
    let (worker, instance) = text.split_once('/').ok_or_else(foreign)?;
    // Neither has a slash in it.
    if is_worker_id(worker) && is_worker_id(instance) {
        Ok((worker.into(), instance.into()))
    } else {
        Err(foreign())
    }
}

/// The token of the page behind this worker's process.
pub fn next_worker_page_token(worker: &str, instance: &str) -> String {
    format!("{worker}/{instance}")
}

fn foreign() -> Refusal {
    Refusal::field(
        "page_token",
        "is none of ours: pass on `next_page_token` of the page before as it is",
    )
}

/// The token of the page after this task; empty if there is no more.
pub fn next_page_token(last: Option<TaskId>) -> String {
    last.map_or_else(String::new, |last| format!("{:0TOKEN_DIGITS$x}", last.as_u128()))
}
