//! Where a task stands in the indexes: in a lane, among the leases, among the timers, in the counts of its queue.
//!
//! A mark is a function of the task and its template alone, so that the mark from before a change says exactly what to take out.

use std::{collections::BTreeMap, time::Duration};

use leasehold_policy::{Mutant, Time};

use crate::{
    Phase, RevocationReason, Task, TaskId, Token, Wait,
    by_id::ById,
    lanes::{Lanes, Place},
    templates::{Counts, TemplateNo, Templates},
    timers::{Alarm, Timers},
};

/// How much later than its worker the coordinator acts on a time that is over: by then the worker has signalled and
/// killed what ran, and the word that proves it has had time to arrive.
const WORD_MARGIN: Duration = Duration::from_secs(1);

/// Where one task stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    id: TaskId,
    template: TemplateNo,
    place: Place,
    state: State,
    /// When it could first be leased: most that wait do so since then.
    first_ready: Time,
    /// When its own alarm rings.
    due: Time,
    /// The lease whose worker was lost and may still be heard.
    unheard: Option<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Scheduled(Wait, Time),
    Queued,
    Leased(Token),
}

impl Mark {
    pub(crate) fn of(task: &Task, template: TemplateNo) -> Self {
        let state = match &task.phase {
            Phase::Scheduled { wait, eligible } => State::Scheduled(*wait, *eligible),
            Phase::Queued => State::Queued,
            Phase::Leased(lease) => State::Leased(lease.token),
        };
        let unheard = task.unheard_end().map(|end| end.token);
        let (id, place, due) = (task.id, Place::of(task), alarm(task));
        let first_ready = task.first_ready();
        Self { id, template, place, state, first_ready, due, unheard }
    }

    /// Whether the two differ at most in when they ring.
    fn is_beside(&self, other: &Self) -> bool {
        self.state == other.state
            && self.place == other.place
            && self.unheard == other.unheard
            && self.template == other.template
    }
}

/// When time alone next changes a task.
pub(crate) fn due(task: &Task) -> Time {
    let lease = match &task.phase {
        Phase::Scheduled { eligible, .. } => return task.give_up_waiting().min(*eligible),
        Phase::Queued => return task.give_up_waiting(),
        Phase::Leased(lease) => lease,
    };
    match lease.revoking {
        None => {
            let hard = attempt_limit(task).filter(|_| !Mutant::HardLimitForgotten.is_alive());
            let total = Some(task.deadline).filter(|_| !Mutant::TotalLimitForgotten.is_alive());
            let silence = silence_alarm(task).filter(|_| !Mutant::SilenceForgotten.is_alive());
            let limits = [hard, silence, total];
            limits.into_iter().flatten().fold(Time::NEVER, Time::min)
        }
        Some(revoking) => {
            let given_up = given_up(task).unwrap_or(Time::NEVER);
            match revoking.reason {
                RevocationReason::Cancelled if Mutant::CancelWaitsForEver.is_alive() => Time::NEVER,
                RevocationReason::StartTimeout
                | RevocationReason::AttemptTimeout
                | RevocationReason::ProgressTimeout
                | RevocationReason::Operator => given_up.min(task.deadline),
                RevocationReason::Cancelled
                | RevocationReason::TotalTimeout
                | RevocationReason::UnknownLease => given_up,
            }
        }
    }
}

/// When the alarm of a task itself rings. One that waits in a lane to the end of its time has none: that of the lane is enough.
pub(crate) fn alarm(task: &Task) -> Time {
    let due = due(task);
    let is_of_lane = task.phase == Phase::Queued && due == task.deadline;
    if is_of_lane { Time::NEVER } else { due }
}

/// When a revoked lease ends without its worker's word, if its task does not wait for that.
pub(crate) fn given_up(task: &Task) -> Option<Time> {
    let revoking = task.lease()?.revoking.filter(|it| task.gives_up(it.reason))?;
    Some(revoking.since + revoking.grace + WORD_MARGIN)
}

/// When the attempt's own time is over, for its worker.
pub(crate) fn attempt_end(task: &Task) -> Option<Time> {
    let lease = task.lease()?;
    Some(lease.extended.unwrap_or(lease.started? + task.spec.attempt_timeout))
}

/// When the attempt has run so long that even its worker's kill must be over.
pub(crate) fn attempt_limit(task: &Task) -> Option<Time> {
    Some(attempt_end(task)? + task.spec.kill_grace + WORD_MARGIN)
}

/// When the alarm of its silence rings.
pub(crate) fn silence_alarm(task: &Task) -> Option<Time> {
    let lease = task.lease()?;
    let since = lease.started?;
    Some(lease.silence_since.unwrap_or(since).max(since) + task.spec.terms.progress_timeout?)
}

/// When it has been silent for too long.
pub(crate) fn silence_limit(task: &Task) -> Option<Time> {
    let lease = task.lease()?;
    let since = lease.started?;
    Some(lease.heard.unwrap_or(since).max(since) + task.spec.terms.progress_timeout?)
}

/// Everything that can be found about tasks without looking at each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) lanes: Lanes,
    pub(crate) timers: Timers,
    pub(crate) leases: ById<Token, TaskId>,
    /// Of each open task at most the newest lease, if its worker was lost.
    pub(crate) unheard: BTreeMap<Token, TaskId>,
}

/// An alarm has rung.
pub(crate) enum Rung {
    /// At its time.
    At(Time, Alarm),
    /// At the time of a task that waits in a lane, by its serial.
    InLane(Time, i64),
    /// Too early, and was set anew.
    Early,
}

impl Index {
    /// Takes out the first alarm that is due.
    pub(crate) fn pop_due(&mut self, until: Time) -> Option<Rung> {
        let own = self.timers.first();
        let of_lane = self.lanes.next_alarm().filter(|(at, _)| *at <= until);
        let is_of_lane = of_lane.is_some_and(|of_lane| {
            own.is_none_or(|(at, alarm)| match alarm {
                Alarm::Task(id) => of_lane < (at, id.serial()),
                Alarm::Session(_) => of_lane.0 <= at,
            })
        });
        if is_of_lane {
            let over = self.lanes.ring();
            return Some(over.map_or(Rung::Early, |(at, task)| Rung::InLane(at, task)));
        }
        self.timers.pop_due(until).map(|(at, alarm)| Rung::At(at, alarm))
    }

    /// When the first alarm rings.
    pub(crate) fn next_alarm(&self) -> Option<Time> {
        let of_lane = self.lanes.next_alarm().map(|(at, _)| at);
        let own = self.timers.first().map(|(at, _)| at);
        [of_lane, own].into_iter().flatten().min()
    }

    /// Takes a task in. If it could be leased, it could since then.
    pub(crate) fn insert(&mut self, mark: &Mark, since: Time, templates: &mut Templates) {
        self.shift(None, Some(mark), since, templates);
    }

    /// Moves a task from where it stood to where it stands. If it could be leased only now, it could since then.
    pub(crate) fn shift(
        &mut self,
        before: Option<&Mark>,
        after: Option<&Mark>,
        since: Time,
        templates: &mut Templates,
    ) {
        let stays = before.zip(after).is_some_and(|(before, after)| before.is_beside(after));
        if !stays {
            if let Some(before) = before {
                self.leave(before, templates);
            }
            if let Some(after) = after {
                self.enter(after, since, templates);
            }
        }
        let alarm = |mark: &Mark| (mark.due, Alarm::Task(mark.id));
        let (rang, rings) = (before.map(alarm), after.map(alarm));
        if rang != rings {
            if let Some((at, alarm)) = rang {
                self.timers.unset(at, alarm);
            }
            if let Some((at, alarm)) = rings {
                self.timers.set(at, alarm);
            }
        }
    }

    fn enter(&mut self, mark: &Mark, since: Time, templates: &mut Templates) {
        let (no, id) = (mark.template, mark.id);
        self.unheard.extend(mark.unheard.map(|token| (token, id)));
        if let Some(tally) = templates.tally_mut(no) {
            *mark.state.count(&mut tally.counts) += 1;
            if let State::Scheduled(wait, until) = mark.state {
                tally.waits_mut(wait).insert((until, id), ());
            }
        }
        match mark.state {
            State::Scheduled(..) => {}
            State::Queued => {
                if let Some(known) = templates.get_mut(no) {
                    self.lanes.insert(known, mark.place, (since, mark.first_ready));
                }
            }
            State::Leased(token) => {
                self.leases.insert(token, id);
                templates.lease(no);
            }
        }
    }

    fn leave(&mut self, mark: &Mark, templates: &mut Templates) {
        let (no, id) = (mark.template, mark.id);
        if let Some(token) = mark.unheard {
            self.unheard.remove(&token);
        }
        if let Some(tally) = templates.tally_mut(no) {
            *mark.state.count(&mut tally.counts) -= 1;
            if let State::Scheduled(wait, until) = mark.state {
                tally.waits_mut(wait).remove(&(until, id));
            }
        }
        match mark.state {
            State::Scheduled(..) => {}
            State::Queued => {
                if let Some(known) = templates.get_mut(no) {
                    self.lanes.remove(known, mark.place, mark.first_ready);
                }
            }
            State::Leased(token) => {
                self.leases.remove(&token);
                templates.end_lease(no);
            }
        }
    }
}

impl State {
    /// Among what it counts.
    const fn count(self, counts: &mut Counts) -> &mut u64 {
        match self {
            Self::Scheduled(..) => &mut counts.scheduled,
            Self::Queued => &mut counts.queued,
            Self::Leased(_) => &mut counts.leased,
        }
    }
}
