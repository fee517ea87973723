//! Whose a queue is: the name by which everything behind the edges knows it.
//!
//! A queue of the namespace "default" is known by its own name, one of another as `namespace/queue`: what is kept, counted,
//! limited or paused by queue is thereby apart for each namespace, and what was written before there were any reads as it did.
//! No name of a queue has the mark, so that one text says both.

use std::{borrow::Borrow, collections::BTreeMap};

/// The namespace of whoever names none.
pub const DEFAULT: &str = "default";

/// What stands between a namespace and the name of its queue.
pub const MARK: char = '/';

/// The name by which a queue is known, where an edge has checked both.
pub fn join(namespace: &str, queue: &str) -> String {
    if namespace == DEFAULT { queue.to_owned() } else { format!("{namespace}{MARK}{queue}") }
}

/// The namespace of a queue, and what it is called there.
pub fn split(queue: &str) -> (&str, &str) {
    let parted = mark(queue).and_then(|at| Some((queue.get(..at)?, queue.get(at + 1..)?)));
    parted.unwrap_or((DEFAULT, queue))
}

/// The namespace of a queue.
pub fn of(queue: &str) -> &str {
    split(queue).0
}

/// By what settings go that every namespace but "default" has for queues of this name. No queue is known by it.
pub fn anywhere(queue: &str) -> String {
    join("", queue)
}

/// What is set for a queue: by its own name, or else for queues of that name [`anywhere`].
pub fn setting<'a, K: Borrow<str> + Ord, T>(
    settings: &'a BTreeMap<K, T>,
    queue: &str,
) -> Option<&'a T> {
    settings.get(queue).or_else(|| settings.get(elsewhere(queue)?))
}

/// The name [`anywhere`] of a queue that is none of "default".
pub fn elsewhere(queue: &str) -> Option<&str> {
    mark(queue).and_then(|at| queue.get(at..))
}

/// Where the mark is. Names are short, and this is asked several times for each task: a search made for long texts costs ten
/// times as much.
fn mark(queue: &str) -> Option<usize> {
    queue.bytes().position(|byte| char::from(byte) == MARK)
}

#[cfg(test)]
mod tests;
