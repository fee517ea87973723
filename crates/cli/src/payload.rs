//! Bytes for people: as text where they are text, as size and base64 where they are not.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// How much of a payload or result a detail view shows, in characters. `-o json` has all of it.
const SHOWN_CHARS_MAX: usize = 2_000;

/// Bytes as one piece of text.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "(empty)".to_owned(),
        Ok(text) if text.chars().all(is_printable) => cut(text, bytes.len()),
        Ok(_) | Err(_) => {
            format!("{} bytes, base64 {}", bytes.len(), cut(&encode(bytes), bytes.len()))
        }
    }
}

/// Base64, as protobuf's JSON mapping wants it.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("is no base64: {error}"))
}

/// Text on one line that cannot steer a terminal: what comes from tasks and workers is not trusted.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The same for text of several lines, whose line breaks and tabs are kept.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines()
        .map(|line| line.split('\t').map(printable).collect::<Vec<_>>().join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_printable(c: char) -> bool {
    !steers(c) || c == '\n' || c == '\t'
}

/// Whether a character makes a terminal do something, or show text in another order or in more lines than it has.
fn steers(c: char) -> bool {
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders || matches!(c, '\u{2028}' | '\u{2029}')
}

fn cut(text: &str, bytes: usize) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => {
            let (shown, _) = text.split_at(end);
            format!("{shown}... ({bytes} bytes; -o json shows all)")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
