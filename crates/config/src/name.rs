//! What queues and kinds of work may be called.

/// The longest name of a queue or task type.
pub const NAME_BYTES_MAX: usize = 128;

/// Whether a text can name a queue.
pub fn is_queue_name(text: &str) -> bool {
    is_name(text, |c| matches!(c, b'.' | b'_' | b'-'))
}

/// Whether a text can name a kind of work.
pub fn is_task_type(text: &str) -> bool {
    is_name(text, |c| matches!(c, b'.' | b'_' | b'/' | b'-'))
}

/// Whether a worker, or a pool of workers, can have this name.
pub fn is_worker_id(text: &str) -> bool {
    is_queue_name(text)
}

fn is_name(text: &str, mark: impl Fn(u8) -> bool) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || mark(c))
}
