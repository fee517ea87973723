//! What a worker runs for a task type: a Rust function or a program.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::{Context, Program, TaskError};

/// What a task type is served with.
#[derive(Clone)]
pub(crate) enum Task {
    /// An async function, behind a type that hides its future.
    Function(Arc<dyn Function>),
    /// A function that may block, for a thread of its own.
    Blocking(Arc<Blocking>),
    /// The same, for a process of its own: the worker's executable again.
    Isolated(Arc<Program>, Arc<Blocking>),
    /// A process of its own.
    Program(Arc<Program>),
}

impl Task {
    /// Whether it runs in a process of its own, under a guard.
    pub(crate) fn is_process(&self) -> bool {
        match self {
            Self::Isolated(..) | Self::Program(_) => true,
            Self::Function(_) | Self::Blocking(_) => false,
        }
    }
}

/// A function that may block, behind a type that hides what it returns.
pub(crate) type Blocking = dyn Fn(&[u8], &Context) -> Result<Bytes, TaskError> + Send + Sync;

/// An async function whose future has been boxed.
pub(crate) trait Function: Send + Sync {
    /// Calls it.
    fn call(&self, payload: Bytes, context: Context) -> Attempt;
}

/// One run of a function.
pub(crate) type Attempt = Pin<Box<dyn Future<Output = Result<Bytes, TaskError>> + Send>>;

impl<F, Fut> Function for F
where
    F: Fn(Bytes, Context) -> Fut + Send + Sync,
    Fut: Future<Output: TaskResult> + Send + 'static,
{
    fn call(&self, payload: Bytes, context: Context) -> Attempt {
        let running = self(payload, context);
        Box::pin(async move { running.await.into_result() })
    }
}

/// What a handler may return: a `Result` of any [`Output`] and any error that `?` can turn into a [`TaskError`].
pub trait TaskResult {
    /// The result's bytes, or why there are none.
    fn into_result(self) -> Result<Bytes, TaskError>;
}

impl<T: Output, E: Into<TaskError>> TaskResult for Result<T, E> {
    fn into_result(self) -> Result<Bytes, TaskError> {
        self.map(Output::into_bytes).map_err(Into::into)
    }
}

/// A task's result: bytes, text or nothing.
pub trait Output {
    /// The bytes that are stored.
    fn into_bytes(self) -> Bytes;
}

impl Output for () {
    fn into_bytes(self) -> Bytes {
        Bytes::new()
    }
}

impl Output for Bytes {
    fn into_bytes(self) -> Bytes {
        self
    }
}

impl Output for Vec<u8> {
    fn into_bytes(self) -> Bytes {
        self.into()
    }
}

impl Output for String {
    fn into_bytes(self) -> Bytes {
        self.into()
    }
}

impl Output for &'static str {
    fn into_bytes(self) -> Bytes {
        Bytes::from_static(self.as_bytes())
    }
}
