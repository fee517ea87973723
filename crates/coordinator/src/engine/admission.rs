//! What adds work or only looks.

use leasehold_queue::{
    Accepted, Audience, Command, Phase, Refusal, Reply, RevocationReason, Submit, Task, TaskId,
};

use super::{
    Engine,
    release::{Release, Told},
};
use crate::{
    handle::{ListFilter, ListPage, OpenState, Submission, Unavailable, Waiter},
    request::Admission,
    snapshot::{Explained, Snapshot},
    watch::{Watch, WatchFilter},
};

/// How many tasks a list looks at in one turn: about a millisecond.
const LISTED_TASKS_MAX: usize = 10_000;

/// What a request that only looks takes of a turn, in tasks.
const LOOK_COST: usize = 8;

/// What a submit takes of it for which it is reckoned whether it can be over in time; and one that may be refused for that,
/// for which it is reckoned several times when it could be.
const RECKON_COST: usize = 8;
const REFUSE_COST: usize = 48;

fn cost(admission: leasehold_queue::Admission) -> usize {
    match admission {
        leasehold_queue::Admission::Unasked => 1,
        leasehold_queue::Admission::BestEffort => RECKON_COST,
        leasehold_queue::Admission::Strict => REFUSE_COST,
    }
}

impl Engine {
    /// Does what is asked and says how much of the turn it took, in tasks.
    pub(super) fn admit(&mut self, asked: Admission) -> usize {
        match asked {
            Admission::Submit { tasks, answer } => {
                // Whoever asked may have done so before admission ended, so it is asked again here, where it counts. Nothing
                // was decided then, so there is nothing to wait for: on a full disk that would be for ever.
                if let Err(refused) = self.status.admission() {
                    drop(answer.send(Err(refused)));
                    return LOOK_COST;
                }
                // Nor is anything begun for a caller whose time is over: he does not wait for it any more.
                if answer.is_closed() {
                    return LOOK_COST;
                }
                let cost = tasks.iter().map(|submit| cost(submit.spec.admission)).sum();
                let accepted = self.submit(tasks);
                self.say(Release::Submitted(Told::new(answer, Ok(accepted))));
                return cost;
            }
            Admission::Get { task, answer } => {
                let open = self.queue.task(task);
                let snapshot = open.map(|task| Box::new(self.snapshot(task)));
                self.say(Release::Shown(Told::new(answer, snapshot)));
            }
            Admission::Explain { task, answer } => {
                let open = self.queue.task(task);
                let explained = open.map(|task| Box::new(Explained::of(&self.queue, task)));
                self.say(Release::Explained(Told::new(answer, explained)));
                // It looks at each session, and into some of the slots.
                let slots = LISTED_TASKS_MAX.min(self.queue.lease_count()) / LOOK_COST;
                return (self.queue.session_count() + slots).max(LOOK_COST);
            }
            Admission::ExplainQueue { queue, answer } => {
                let explained = self.queue.explain_queue(&queue);
                self.say(Release::QueueExplained(Told::new(answer, explained)));
                return LISTED_TASKS_MAX / LOOK_COST;
            }
            Admission::List { filter, answer } => {
                let page = self.list(&filter);
                self.say(Release::Listed(Told::new(answer, page)));
                return LISTED_TASKS_MAX / LOOK_COST;
            }
            Admission::Await { task, answer } => {
                let waiter = self.wait_for(task);
                self.say(Release::Waits(Told::new(answer, waiter)));
            }
            Admission::Watch { filter, answer } => {
                let watch = self.watch(filter);
                self.say(Release::Watches(Told::new(answer, watch)));
            }
            Admission::Queues { answer } => {
                let queues: Vec<_> = self.queue.queues().collect();
                let cost = queues.len().max(LOOK_COST);
                self.say(Release::Queues(Told::new(answer, queues)));
                return cost;
            }
            Admission::Namespaces { answer } => {
                let namespaces: Vec<_> = self.queue.namespaces().collect();
                // It looks at each queue.
                let cost = self.queue.queue_count().max(namespaces.len()).max(LOOK_COST);
                self.say(Release::Namespaces(Told::new(answer, namespaces)));
                return cost;
            }
            Admission::Breakers { answer } => {
                let breakers: Vec<_> = self.queue.breakers().collect();
                self.say(Release::Breakers(Told::new(answer, breakers)));
            }
            Admission::Workers { after: (worker, instance), most, answer } => {
                let behind = self.queue.workers_after(&worker, &instance);
                let workers: Vec<_> = behind.take(most).collect();
                let cost = workers.len().max(LOOK_COST);
                self.say(Release::Workers(Told::new(answer, workers)));
                return cost;
            }
        }
        LOOK_COST
    }

    fn submit(&mut self, tasks: Vec<Submission>) -> Vec<Result<Accepted, Refusal>> {
        let submitted: Vec<_> = tasks.into_iter().map(|task| self.submit_one(task)).collect();
        let accepted = submitted.iter().flatten();
        let deduplicated = accepted.clone().filter(|accepted| accepted.deduplicated).count();
        self.metrics.deduplicated(deduplicated as u64);
        submitted
    }

    fn submit_one(&mut self, submission: Submission) -> Result<Accepted, Refusal> {
        let Submission { spec, validate_only } = submission;
        let id = self.minter.mint(self.now, fastrand::u64(..));
        let submit = Box::new(Submit { id, spec, validate_only });
        let reply = self.apply(Command::Submit(submit));
        let Reply::Submitted(submitted) = reply else {
            // A violated invariant stops the process before it writes.
            unreachable!("a submit was answered with {reply:?}")
        };
        submitted
    }

    fn list(&self, filter: &ListFilter) -> ListPage {
        let (mut tasks, mut last) = (Vec::new(), None);
        let mut open = self.queue.tasks_after(filter.after);
        for task in open.by_ref().take(LISTED_TASKS_MAX) {
            last = Some(task.id);
            if filter.matches(task) {
                tasks.push(self.snapshot(task));
            }
            if filter.limit <= tasks.len() {
                break;
            }
        }
        let next = last.filter(|_| open.next().is_some());
        ListPage { tasks, next }
    }

    fn wait_for(&mut self, task: TaskId) -> Result<Option<Waiter>, Unavailable> {
        if self.queue.task(task).is_none() {
            return Ok(None);
        }
        let most = self.config.limits.waiters as usize;
        let full = Unavailable::full("limits.waiters", most as u64);
        self.waiters.wait(task, most).map(Some).ok_or(full)
    }

    fn watch(&mut self, filter: WatchFilter) -> Result<Watch, Unavailable> {
        let present = filter.tasks.iter().filter_map(|id| self.queue.task(*id));
        let present = present.map(|task| self.snapshot(task)).collect();
        let most = self.config.limits.watchers as usize;
        self.queue.play_to(Audience::Watchers);
        let full = Unavailable::full("limits.watchers", most as u64);
        self.watchers.watch(filter, most, present).ok_or(full)
    }

    pub(super) fn snapshot(&self, task: &Task) -> Snapshot {
        let is_away = task.spec.payload.here().is_none();
        let home = if is_away { self.keeper.home(task.id) } else { None };
        Snapshot { home, ..Snapshot::of(&self.queue, task) }
    }
}

impl ListFilter {
    fn matches(&self, task: &Task) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(&task.spec.queue))
            && self.task_type.as_ref().is_none_or(|task_type| *task_type == task.spec.task_type)
            && (self.states.is_empty() || self.states.contains(&OpenState::of(task)))
    }
}

impl OpenState {
    /// The state of a task that has not ended.
    pub fn of(task: &Task) -> Self {
        match &task.phase {
            Phase::Scheduled { .. } => Self::Scheduled,
            Phase::Queued => Self::Queued,
            Phase::Leased(lease) => {
                let reason = lease.revoking.map(|revoking| revoking.reason);
                if task.cancel_requested || reason == Some(RevocationReason::Cancelled) {
                    Self::Cancelling
                } else if lease.started.is_some() {
                    Self::Running
                } else {
                    Self::Leased
                }
            }
        }
    }
}
