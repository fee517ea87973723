//! One run of a plan, with whatever panics in it taken for a broken promise.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use crate::{
    judge::Violation,
    plan::Plan,
    probe::Probes,
    trace::{Detail, Trace},
    world::{Run, Stats, World},
};

thread_local! {
    /// What the last panic of this thread said.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the plan of a seed.
pub fn seed(seed: u64, detail: Detail) -> Run {
    plan(Plan::of(seed), detail)
}

/// Runs a plan. An assertion of the core that fails is a violation like any other.
pub fn plan(plan: Plan, detail: Detail) -> Run {
    listen();
    let ran = panic::catch_unwind(AssertUnwindSafe(|| World::new(plan, Trace::new(detail)).run()));
    ran.unwrap_or_else(|_| Run {
        violation: Some(Violation::new("panic", LAST_PANIC.with_borrow(String::clone))),
        probes: Probes::default(),
        stats: Stats::default(),
        hash: 0,
        tail: Vec::new(),
    })
}

/// Keeps what panics say, instead of printing it.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            LAST_PANIC.with_borrow_mut(|last| *last = info.to_string());
        }));
    });
}
