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
    /// Do what there is for the journal to do.
    Write,
    /// Look after the journal.
    Tidy,
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
    deciding: Duty,
    writing: Duty,
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

/// One thing to do.
#[derive(Clone, Copy, Debug, Default)]
struct Duty {
    /// Whether there is something to do.
    is_wanted: bool,
    /// Whether somebody does it.
    is_taken: bool,
}

impl Duty {
    const fn is_open(self) -> bool {
        self.is_wanted && !self.is_taken
    }

    /// Somebody takes it up.
    const fn take(&mut self) {
        *self = Self { is_wanted: false, is_taken: true };
    }
}

impl Default for State {
    /// The engine has a first turn, whatever comes in.
    fn default() -> Self {
        Self {
            deciding: Duty { is_wanted: true, is_taken: false },
            writing: Duty::default(),
            is_untidy: false,
            due: None,
            waits: [None; HANDS],
            decided: 0,
            is_over: false,
        }
    }
}

impl State {
    /// What there is to do for one of them, which looks after the journal at that time if it has not before.
    fn role(&self, hand: usize, now: Instant, idle: Instant) -> Option<Role> {
        let is_due = self.due.is_some_and(|due| due <= now);
        let decides = self.deciding.is_open() || (!self.deciding.is_taken && is_due);
        let writes = self.writing.is_open();
        // A batch may come of what is being decided, and would wait for that.
        let is_quiet = !self.deciding.is_taken && self.is_untidy;
        let tidies = !self.writing.is_taken && (is_quiet || idle <= now);
        match (decides, writes) {
            _ if self.is_over => Some(Role::Leave),
            (true, true) => Some(if self.decided == hand { Role::Decide } else { Role::Write }),
            (true, false) => Some(Role::Decide),
            (false, true) => Some(Role::Write),
            (false, false) => tidies.then_some(Role::Tidy),
        }
    }

    /// Whom to wake, if there is something to do that nobody does, or will be before anybody looks.
    fn wanted(&self) -> Option<usize> {
        let hands = [self.decided, HANDS - 1 - self.decided];
        let waits = |hand: &usize| self.waits.get(*hand).copied().flatten();
        let waiting = hands.into_iter().find(|hand| waits(hand).is_some())?;
        let is_free = !self.deciding.is_taken;
        let now = self.deciding.is_open() || self.writing.is_open();
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
        let mut idle = Instant::now() + self.idle;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.writing.is_taken {
                // However long the disk takes: whoever waits for it comes here afterwards.
                idle = now + self.idle;
            }
            if let Some(role) = state.role(hand, now, idle) {
                match role {
                    Role::Decide => {
                        state.deciding.take();
                        state.decided = hand;
                    }
                    Role::Write => state.writing.take(),
                    Role::Tidy => {
                        state.writing.take();
                        state.is_untidy = false;
                    }
                    Role::Leave => {}
                }
                self.wake_one(state);
                return role;
            }
            // Whoever decides looks at what is due then.
            let due = state.due.filter(|_| !state.deciding.is_taken);
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
        (state.deciding.is_taken, state.due) = (false, due);
        state.deciding.is_wanted |= has_more;
        state.writing.is_wanted |= has_jobs;
    }

    /// Whoever wrote is done, and what that led to is to be decided.
    pub(super) fn wrote(&self, done: Done) {
        let mut state = self.lock();
        state.writing.is_taken = false;
        state.deciding.is_wanted |= done.has_reported;
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
        if !state.deciding.is_wanted {
            state.deciding.is_wanted = true;
            self.wake_one(state);
        }
    }
}
