//! Pages: how many rows, and from where on.
//!
//! A token is the serial of the last task of the page before, in hexadecimal: serials grow with the age of a task and
//! are the same whether it is open or has ended, so that a page goes on right even when tasks end in between.

use super::Refusal;

/// Without a wish.
const PAGE_DEFAULT: usize = 100;

/// A page must fit into one message.
const PAGE_MAX: usize = 1_000;

/// How many rows a page has.
pub fn page_size(asked: i32) -> Result<usize, Refusal> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(size) if size <= PAGE_MAX => Ok(size),
        Ok(_) | Err(_) => Err(Refusal::field(
            "page_size",
            format!("{asked} is not 1 to {PAGE_MAX}; leave it out for {PAGE_DEFAULT}"),
        )),
    }
}

/// The serial after which a page begins.
pub fn page_token(text: &str) -> Result<i64, Refusal> {
    if text.is_empty() {
        return Ok(0);
    }
    let hex = text.len() == 16 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let serial = if hex { i64::from_str_radix(text, 16).ok() } else { None };
    serial.ok_or_else(|| {
        Refusal::field(
            "page_token",
            "is none of ours: pass on `next_page_token` of the page before as it is",
        )
    })
}

/// The token of the page after the task with this serial.
pub fn next_page_token(serial: i64) -> String {
    format!("{serial:016x}")
}
