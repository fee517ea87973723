//! What queues, kinds of work and limits may be called.

/// The longest name of a queue, task type or limit.
pub const NAME_BYTES_MAX: usize = 128;

/// The longest name of a namespace, as of one in Kubernetes.
pub const NAMESPACE_BYTES_MAX: usize = 63;

/// Whether a text can name a namespace.
pub fn is_namespace(text: &str) -> bool {
    text.len() <= NAMESPACE_BYTES_MAX && is_queue_name(text)
}

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

/// Whether a text can be a concurrency key or a rate key. Other than names they are made by programs, of whatever they have.
pub fn is_limit_key(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The longest name of a resource, as that of a label.
pub const RESOURCE_NAME_BYTES_MAX: usize = 63;

/// Whether a text can name a resource: what a program is told of several is one text with `=` and `,` between them.
pub fn is_resource(text: &str) -> bool {
    text.len() <= RESOURCE_NAME_BYTES_MAX && is_task_type(text)
}

fn is_name(text: &str, mark: impl Fn(u8) -> bool) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || mark(c))
}
