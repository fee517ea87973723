//! What must be true between any two commands. Debug builds look after each.
//!
//! It repeats from scratch what the indexes keep up to date, so it shares no code with them.

use std::collections::BTreeMap;

use leasehold_policy::{Time, namespace};

use crate::{
    EndKind, Name, Phase, Queue, Task, Token, Usage, Wait,
    book::size,
    mark::alarm,
    session::Work,
    templates::{Counts, Leased, Tally},
    timers::Alarm,
};

/// Up to so many tasks and kept keys everything is looked at after each command.
const THINGS_MAX: usize = 512;

/// Beyond that only after so many commands for each of them, so that looking costs each command about as much as looking
/// at one does, and a debug build with a million of them stays usable.
const COMMANDS_PER_THING: u64 = 4;

pub(crate) fn check_some(queue: &Queue, applied: u64) {
    let things = queue.book.tasks.len() + queue.book.keys.kept_count();
    let every = (things as u64 * COMMANDS_PER_THING).next_power_of_two();
    if things <= THINGS_MAX || applied.is_multiple_of(every) {
        check(queue);
    }
}

/// Everything.
pub(crate) fn check(queue: &Queue) {
    for task in queue.book.tasks.iter() {
        check_place(queue, task);
        check_counters(queue, task);
    }
    check_sessions(queue);
    check_totals(queue);
}

/// A task is in exactly one of: the wait for a time, a lane, the leases of one session.
fn check_place(queue: &Queue, task: &Task) {
    let (id, index) = (task.id, &queue.index);
    assert!(index.lanes.contains(task) == (task.phase == Phase::Queued), "{id}: lanes disagree");
    let template = queue.book.tasks.find(id).and_then(|(_, no)| queue.book.templates.get(no));
    let is_own = template.is_some_and(|known| *known.template == *task.spec.template);
    assert!(is_own, "{id}: another template");
    let due = alarm(task);
    assert!(due == Time::NEVER || index.timers.is_set(due, Alarm::Task(id)), "{id}: no alarm");
    let unheard = task.ends().last().filter(|end| {
        task.lease().is_none()
            && (Some(end.token), end.generation) == (task.last_token(), task.generation())
            && end.kind == EndKind::WorkerLost
    });
    let is_listed = |token: &Token| index.unheard.get(token) == Some(&id);
    let listed = task.last_token().filter(is_listed);
    assert!(listed == unheard.map(|end| end.token), "{id}: who may be heard late disagrees");
    if let Phase::Scheduled { eligible, wait } = task.phase {
        let tally = queue.book.templates.queues.find(&task.spec.queue);
        let is_listed = tally.is_some_and(|tally| tally.waits(wait).contains(&(eligible, id)));
        assert!(is_listed, "{id}: waits disagree");
    }
    let Some(lease) = task.lease() else { return };
    assert!(index.leases.get(&lease.token) == Some(&id), "{id}: leases disagree");
    let session = lease.session.and_then(|session| queue.roster.get(session));
    let held = session.and_then(|session| session.work(lease.token));
    assert!(held == Some(Work::Lease(id)), "{id}: its lease is held by nobody");
}

fn check_counters(queue: &Queue, task: &Task) {
    let (id, ceilings) = (task.id, &queue.ceilings);
    assert!(task.attempts < task.spec.retry.max_attempts, "{id}: goes on without attempts left");
    assert!(task.worker_losses() < ceilings.worker_losses, "{id}: goes on after its last loss");
    assert!(task.leases <= ceilings.leases, "{id}: leased too often");
    assert!(task.lease().is_some() || task.leases < ceilings.leases, "{id}: goes on leaseless");
    assert!(!task.cancel_requested || task.lease().is_some(), "{id}: goes on though cancelled");
    assert!(task.last_token().is_some() || task.leases == 0, "{id}: leased without a token");
    assert!(0 < task.revision, "{id}: counts from 1");
}

fn check_sessions(queue: &Queue) {
    assert!(queue.roster.agrees(), "the roster disagrees with its sessions");
    assert!(queue.parking.agrees(), "what waits for slots disagrees with itself");
    let (mut leases, mut holds) = (0, Vec::new());
    for (id, session) in queue.roster.iter() {
        let armed = queue.index.timers.is_set(session.armed, Alarm::Session(id));
        assert!(armed, "{id:?}: no alarm");
        assert!(queue.now <= session.expires_at() || session.armed <= queue.now, "{id:?}: missed");
        let parked = queue.parking.tokens(id);
        let is_held = parked.iter().all(|token| session.work(*token).is_some());
        assert!(is_held, "{id:?}: a lease waits for a slot that is not held");
        let first = parked.first().and_then(|token| queue.parking.get(id, *token));
        assert!(
            first.is_none_or(|first| !session.has_left(&first.shape.size)),
            "{id:?}: there is room for what waits"
        );
        assert!(parked.len() == session.ahead() as usize, "{id:?}: what waits disagrees");
        for (token, work) in session.held() {
            let Work::Lease(task) = work else {
                holds.push((token, None));
                continue;
            };
            leases += 1;
            let held = queue.book.task(task).map(|it| queue.index.lanes.gates.permits_of(it));
            holds.push((token, held));
            let lease = queue.book.task(task).and_then(Task::lease);
            let agrees = lease.is_some_and(|l| l.token == token && l.session == Some(id));
            assert!(agrees, "{id:?} holds {token} of {task}, which is not under it");
        }
    }
    assert!(leases == queue.index.leases.len(), "a lease is held twice or by nobody");
    assert!(
        queue.index.lanes.gates.agree(&holds),
        "permits disagree with the slots that are taken"
    );
}

fn check_totals(queue: &Queue) {
    let mut counts: BTreeMap<_, Counts> = BTreeMap::new();
    let (mut keyed, mut bytes, mut alarms, mut queued) = (0, 0, 0, 0);
    let mut usages: BTreeMap<_, Usage> = BTreeMap::new();
    let mut kinds: BTreeMap<_, Leased> = BTreeMap::new();
    for task in queue.book.tasks.iter() {
        let counts = counts.entry(Name::clone(&task.spec.queue)).or_default();
        match task.phase {
            Phase::Scheduled { .. } => counts.scheduled += 1,
            Phase::Queued => counts.queued += 1,
            Phase::Leased(_) => {
                counts.leased += 1;
                let kind = (Name::clone(&task.spec.queue), Name::clone(&task.spec.task_type));
                let leased = kinds.entry(kind).or_default();
                leased.leases += 1;
                leased.slots += u64::from(task.spec.shape.size.slots);
            }
        }
        queued += u64::from(task.phase == Phase::Queued);
        keyed += usize::from(task.spec.key().is_some());
        bytes += size(task);
        let namespace = namespace::of(&task.spec.queue);
        usages.entry(Name::from(namespace)).or_default().enter(size(task));
        alarms += usize::from(alarm(task) < Time::NEVER);
    }
    let templates = &queue.book.templates;
    let counted = templates.used().map(|(name, tally)| (Name::clone(name), tally.counts));
    assert!(counted.eq(counts.clone()), "the counts of queues");
    let is_sum = |it: &Tally| it.open == it.counts.scheduled + it.counts.queued + it.counts.leased;
    assert!(templates.used().all(|(_, tally)| is_sum(tally)), "open counts");
    assert!(templates.in_use() == counts.len(), "how many queues are in use");
    let leased: BTreeMap<_, _> = templates.leased().map(|(kind, it)| (kind.clone(), it)).collect();
    assert!(leased == kinds, "what is leased by kind");
    let known = queue.book.tasks.iter_with_templates().map(|(_, template)| template);
    assert!(templates.agree(known), "what tasks have in common");
    let waiting: u64 = counts.values().map(|counts| counts.scheduled).sum();
    let waits = [Wait::Delay, Wait::Backoff];
    let listed =
        templates.queues.iter().flat_map(|(_, tally)| waits.map(|it| tally.waits(it).len()));
    let listed = listed.map(|len| len as u64).sum();
    assert!(waiting == listed, "tasks that wait for a time");
    assert!(queue.book.idle.names().all(|name| !queue.book.is_counted(name)), "idle queues");
    assert!(queued == queue.index.lanes.len() && queue.index.lanes.agree(), "lanes");
    let unheard = queue.book.tasks.iter().filter(|task| task.unheard_end().is_some()).count();
    assert!(unheard == queue.index.unheard.len(), "leases that may be heard late");
    assert!(alarms + queue.roster.ids().len() == queue.index.timers.len(), "alarms");
    assert!(bytes == queue.book.open_bytes, "open bytes");
    let held: u64 = queue.book.tasks.iter().map(|task| task.spec.payload.held()).sum();
    assert!(held == queue.book.payload_bytes, "payloads in memory");
    let taken = templates.namespaces.iter().filter(|(_, usage)| 0 < usage.tasks);
    assert!(taken.map(|(name, it)| (Name::clone(name), *it)).eq(usages), "what namespaces take");
    let (live, key_bytes) = queue.book.keys.audit();
    assert!(live == keyed && key_bytes == queue.book.keys.bytes(), "keys");
    assert!(queue.avoided.keys().all(|id| queue.book.task(*id).is_some()), "avoided sessions");
}
