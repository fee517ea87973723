//! Where a handler panicked, kept for the failure that is reported.
//!
//! Only the panic hook knows the place; only the one who catches the panic knows the task. A task-local note carries
//! it from one to the other.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::RefCell,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

use leasehold_proto::v1;

use crate::outcome::Failure;

tokio::task_local! {
    static NOTE: RefCell<Option<String>>;
}

/// Runs a handler, or a part of it; a panic becomes a failure that says where.
pub(crate) fn caught<T>(handler: impl FnOnce() -> T) -> Result<T, Failure> {
    note_panics();
    NOTE.sync_scope(RefCell::new(None), || {
        panic::catch_unwind(AssertUnwindSafe(handler)).map_err(|payload| failure(payload.as_ref()))
    })
}

fn failure(payload: &(dyn Any + Send)) -> Failure {
    let place = NOTE.with(|note| note.borrow_mut().take()).unwrap_or_default();
    Failure::new(v1::FailureReason::Panic, &words(payload), &place)
}

/// What a panic said.
pub(crate) fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the handler panicked").to_owned()
}

/// Adds to the process's panic hook, once; the hook that was there is still called.
fn note_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Outside of a handler there is no note to write.
            let _noted = NOTE.try_with(|note| note.replace(Some(place(info))));
            previous(info);
        }));
    });
}

fn place(info: &PanicHookInfo<'_>) -> String {
    let location = info.location().map(|it| format!("at {it}")).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        format!("{location}\n{backtrace}")
    } else {
        location
    }
}

#[cfg(test)]
mod tests;
