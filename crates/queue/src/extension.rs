//! More time for an attempt that asks for it.
//!
//! It knows only the attempt's own time: the whole task's bounds it as if nobody had asked.

use std::time::Duration;

use leasehold_policy::{Mutant, Time};

use crate::{Effect, Queue, Record, StreamId, TaskId, Token, mark};

impl Queue {
    /// An answer is due to whoever has a session, whatever it is.
    pub(crate) fn extend(&mut self, stream: StreamId, token: Token, remaining: Duration) {
        let Some(id) = self.roster.on_stream(stream) else { return };
        let task = self.task_under(id, token);
        let remaining = task.and_then(|task| self.postpone(task, token, remaining));
        self.emit(Effect::Extend { stream, token, remaining });
    }

    /// Lets an attempt run for that long from now, as far as the configuration allows, and says how long it has then. What
    /// it has already is not taken away: an answer may have been lost that gave it more. None: its lease has to end, be it
    /// that all the time it may have is over and no timer has rung yet; or its work has not begun.
    fn postpone(&mut self, id: TaskId, token: Token, remaining: Duration) -> Option<Duration> {
        let (now, task) = (self.now, self.book.task(id)?);
        let lease = task.lease().filter(|lease| lease.revoking.is_none())?;
        let (started, had) = (lease.started?, mark::attempt_end(task)?);
        let most = started + self.config.attempt_max;
        let most = if Mutant::ExtensionUnbounded.is_alive() { Time::NEVER } else { most };
        let until = (now + remaining).min(most);
        if had.max(until) <= now {
            return None;
        }
        let shortens = Mutant::ExtensionShortens.is_alive();
        if (had < until || shortens) && !Mutant::ExtensionUnwritten.is_alive() {
            self.write(Record::LeaseExtended { task: id, token, until, time: now });
            self.show(id);
        }
        Some(if shortens { until } else { had.max(until) }.since(now))
    }
}
