//! Which of the threads does what next, and which waits. It knows neither engine nor journal.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Wake,
    time::{Duration, Instant},
};

use crate::{engine::Pause, writer::Done};

#[cfg(test)]
mod tests;

/// How many there are: one can be kept by the disk.
pub(super) const HANDS: usize = 2;

/// What one of them does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Turn the engine.
    Decide,
    /// Do what there is for the journal to do, or look after it.
    Write,
    /// Go: it is over.
    Leave,
}

/// Where they come for what to do. What comes in for the engine calls for somebody by waking this.
#[derive(Debug)]
pub(super) struct Rota {
    /// How long the journal is left alone at the most.
    idle: Duration,
    state: Mutex<State>,
    bells: [Condvar; HANDS],
}

#[derive(Debug)]
struct State {
    /// Whether somebody decides, and whether somebody writes.
    is_deciding: bool,
    is_writing: bool,
    /// Whether there is something to decide, and something to write.
    is_called: bool,
    has_jobs: bool,
    /// Whether something was written since the journal was last looked after. That is for whoever has nothing else to do.
    is_untidy: bool,
    /// When there will be something to decide, whatever comes in.
    due: Option<Instant>,
    /// Until when each of them waits, if it does.
    waits: [Option<Instant>; HANDS],
    /// Who decided last: what that takes may still be near its processor.
    decided: usize,
    is_over: bool,
}

impl Default for State {
    /// The engine has a first turn, whatever comes in.
    fn default() -> Self {
        Self {
            is_deciding: false,
            is_writing: false,
            is_called: true,
            has_jobs: false,
            is_untidy: false,
            due: None,
            waits: [None; HANDS],
            decided: 0,
            is_over: false,
        }
    }
}

impl State {
    /// What there is to do for one of them.
    fn role(&self, hand: usize, is_idle: bool) -> Option<Role> {
        let is_due = || self.due.is_some_and(|due| due <= Instant::now());
        let decides = !self.is_deciding && (self.is_called || is_due());
        let writes = !self.is_writing && self.has_jobs;
        // A batch may come of what is being decided, and would wait for that.
        let is_quiet = !self.is_deciding && self.is_untidy;
        let tidies = !self.is_writing && (is_quiet || is_idle);
        match (decides, writes) {
            _ if self.is_over => Some(Role::Leave),
            (true, true) => Some(if self.decided == hand { Role::Decide } else { Role::Write }),
            (true, false) => Some(Role::Decide),
            (false, true) => Some(Role::Write),
            (false, false) => tidies.then_some(Role::Write),
        }
    }

    /// Whom to wake, if there is something to do that nobody does, or will be before anybody looks.
    fn wanted(&self) -> Option<usize> {
        let hands = [self.decided, HANDS - 1 - self.decided];
        let waits = |hand: &usize| self.waits.get(*hand).copied().flatten();
        let waiting = hands.into_iter().find(|hand| waits(hand).is_some())?;
        let is_free = !self.is_deciding;
        let now = (is_free && self.is_called) || (!self.is_writing && self.has_jobs);
        let looks = hands.iter().filter_map(waits).min();
        let later = is_free && self.due.is_some_and(|due| looks.is_some_and(|looks| due < looks));
        (now || later || self.is_over).then_some(waiting)
    }
}

impl Rota {
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, state: Mutex::default(), bells: Default::default() }
    }

    /// Waits until there is something to do for one of them, and says what.
    pub(super) fn next(&self, hand: usize) -> Role {
        let idle = Instant::now() + self.idle;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(role) = state.role(hand, idle <= now) {
                match role {
                    Role::Decide => {
                        (state.is_deciding, state.is_called) = (true, false);
                        state.decided = hand;
                    }
                    Role::Write => {
                        (state.is_writing, state.has_jobs, state.is_untidy) = (true, false, false);
                    }
                    Role::Leave => {}
                }
                self.wake_one(state);
                return role;
            }
            // Whoever decides looks at what is due then.
            let due = state.due.filter(|_| !state.is_deciding);
            let until = due.map_or(idle, |due| due.min(idle));
            let Some(bell) = self.bells.get(hand) else { return Role::Leave };
            if let Some(waits) = state.waits.get_mut(hand) {
                *waits = Some(until);
            }
            let waited = bell.wait_timeout(state, until.saturating_duration_since(now));
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if let Some(waits) = state.waits.get_mut(hand) {
                *waits = None;
            }
        }
    }

    /// Whoever decided is done. It comes for what is next, so that nobody else has to be woken for that.
    pub(super) fn decided(&self, pause: Pause) {
        let Pause { left, has_more, has_jobs } = pause;
        let due = left.and_then(|left| Instant::now().checked_add(left));
        let mut state = self.lock();
        (state.is_deciding, state.due) = (false, due);
        state.is_called |= has_more;
        state.has_jobs |= has_jobs;
    }

    /// Whoever wrote is done, and what that led to is to be decided.
    pub(super) fn wrote(&self, done: Done) {
        let mut state = self.lock();
        state.is_writing = false;
        state.is_called |= done.has_reported;
        state.is_untidy |= done.has_worked;
    }

    /// It is over for all.
    pub(super) fn close(&self) {
        self.lock().is_over = true;
        for bell in &self.bells {
            bell.notify_all();
        }
    }

    /// Wakes somebody, if there is something to do that nobody does.
    fn wake_one(&self, state: MutexGuard<'_, State>) {
        let bell = state.wanted().and_then(|hand| self.bells.get(hand));
        drop(state);
        if let Some(bell) = bell {
            bell.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Rota {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        // Who was called by others already is on the way, or looks again.
        if !state.is_called {
            state.is_called = true;
            self.wake_one(state);
        }
    }
}
