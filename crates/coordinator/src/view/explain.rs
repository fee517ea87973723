//! Why a task is where it is, as it is shown: facts, a line for people, and what would change it.
//!
//! What would change it is said of each blocker alone: done, that one is out of the way. It decides nothing and asks nobody.

use leasehold_policy::{Time, namespace};
use leasehold_proto::v1;
use leasehold_queue::{
    BlockedGroup, Blocker, Bound, Bucketed, Capacity, Ending, Estimate, Explanation, FailureReason,
    Gate, Guarantee, Guarded, Holder, LabelGap, Lease, LeaseBound, Misfit, Name, Obstacle, Outlook,
    Permit, QueueExplanation, SessionState, Shortage, Size, Take, Task, TaskId, TaskSpec, Template,
    Unfit, Use, Wait,
};

use super::{
    blocked_reason, blocking_limit, count, failure, failure_reason, lease_of, lease_view, long,
    queue, queue_key, resources, short, state, timestamp, worker_state,
};
use crate::{
    config::{Config, QueueLimit},
    snapshot::{EndedView, Explained, Snapshot},
    status::Budgets,
};

/// How many of its namespaces are named of a worker.
const NAMESPACES_SHOWN: usize = 4;

/// An open task, or one that has ended.
///
/// The configuration says by which of its keys a limit is set.
pub fn explanation(explained: &Explained, budgets: Budgets, config: &Config) -> v1::Explanation {
    let Explained { snapshot, explanation } = explained;
    let Snapshot { task, ended, .. } = snapshot;
    let (space, queue) = namespace::split(&task.spec.queue);
    let blank = v1::Explanation {
        task_id: task.id.to_string(),
        namespace: space.to_owned(),
        queue: queue.to_owned(),
        task_type: task.spec.task_type.to_string(),
        state: state(snapshot).into(),
        ..v1::Explanation::default()
    };
    match (explanation, ended) {
        (Some(explanation), _) => open(blank, task, explanation, config),
        (None, Some(ended)) => over(blank, task, ended, budgets),
        (None, None) => blank,
    }
}

/// What the tasks of a queue wait for.
pub fn queue_explanation(
    explained: &QueueExplanation,
    now: Time,
    config: &Config,
) -> v1::ExplainQueueResponse {
    let QueueExplanation { view, groups, more } = explained;
    v1::ExplainQueueResponse {
        queue: Some(queue(view, now)),
        groups: groups.iter().map(|it| group(it, config)).collect(),
        omitted_task_count: long(*more),
    }
}

fn group(group: &BlockedGroup, config: &Config) -> v1::BlockedTasks {
    let BlockedGroup { count, first, spec, blocker } = group;
    v1::BlockedTasks {
        task_count: long(*count),
        first_task_id: first.to_string(),
        blocker: Some(self::blocker(blocker, spec, config)),
    }
}

fn open(
    blank: v1::Explanation,
    task: &Task,
    explanation: &Explanation,
    config: &Config,
) -> v1::Explanation {
    let Explanation { blockers, outlook, estimate, gives_up } = explanation;
    let blockers: Vec<_> = blockers.iter().map(|it| blocker(it, &task.spec, config)).collect();
    let summary = match (&blockers[..], outlook) {
        ([first, rest @ ..], _) => {
            let more = match rest.len() {
                0 => String::new(),
                more => format!("; {more} more would hold it after that"),
            };
            format!("{}{more}", first.message)
        }
        ([], Some(outlook)) => held(task, outlook),
        ([], None) => String::new(),
    };
    // Of what may be started once, the end of its lease is the end.
    let is_once = task.spec.terms.guarantee == Guarantee::AtMostOnce && task.ran;
    let goes_on = |lease: &&Lease| lease.revoking.is_none() && !is_once;
    let revoke = task.lease().filter(goes_on).map(|_| v1::Advice {
        kind: v1::AdviceKind::RevokeLease.into(),
        text: "take the lease away: the task is leased again once the worker has stopped"
            .to_owned(),
        command: format!("leasehold lease revoke {}", task.id),
        ..v1::Advice::default()
    });
    v1::Explanation {
        summary,
        blockers,
        give_up_time: gives_up.map(|(at, _)| timestamp(at)),
        give_up_reason: gives_up
            .map_or(v1::FailureReason::Unspecified, |(_, reason)| failure_reason(reason))
            .into(),
        forecast: Some(forecast(estimate)),
        lease: outlook.as_ref().map(|outlook| self::outlook(task, outlook)),
        advice: revoke.into_iter().collect(),
        ..blank
    }
}

fn forecast(estimate: &Estimate) -> v1::Forecast {
    let Estimate { ahead, slots, starts, over, bound_by } = estimate;
    let bound_by = match bound_by {
        Bound::Nothing => v1::BlockedReason::Unspecified,
        Bound::Delay(Wait::Delay) => v1::BlockedReason::Delayed,
        Bound::Delay(Wait::Backoff) => v1::BlockedReason::Backoff,
        Bound::Capacity => v1::BlockedReason::NoCapacity,
        Bound::Limit(Take::Permit(_)) => v1::BlockedReason::ConcurrencyLimit,
        Bound::Limit(Take::Tokens(Bucketed::Retries(_), _)) => v1::BlockedReason::RetryBudget,
        Bound::Limit(Take::Tokens(..)) => v1::BlockedReason::RateLimited,
        Bound::Circuit(_) => v1::BlockedReason::CircuitOpen,
        Bound::Paused => v1::BlockedReason::QueuePaused,
        Bound::Worker => v1::BlockedReason::NoEligibleWorker,
    };
    v1::Forecast {
        tasks_ahead: long(*ahead),
        slots: long(*slots),
        start_time: starts.map(timestamp),
        likely_end_time: over.map(|over| timestamp(over.p50)),
        late_end_time: over.map(|over| timestamp(over.p95)),
        bound_by: bound_by.into(),
    }
}

/// Who has it, and what ends that.
fn held(task: &Task, outlook: &Outlook) -> String {
    let Some(lease) = task.lease() else { return String::new() };
    let worker = &lease.worker;
    let since = match lease.started {
        Some(started) => format!("{worker} has run it since {}", timestamp(started)),
        None if outlook.is_ahead => {
            format!("{worker} has it since {} and no slot for it yet", timestamp(lease.granted))
        }
        None => {
            format!("{worker} has it since {} and has not started it", timestamp(lease.granted))
        }
    };
    let revoked = lease.revoking.map(|revoking| match revoking.delivered {
        None => ", was asked to stop and does not know it yet".to_owned(),
        Some(_) => ", was asked to stop and has not answered yet".to_owned(),
    });
    let end = outlook.bounds.first();
    let end = end.map(|(bound, at)| format!("; {} at {}", ends_by(*bound), timestamp(*at)));
    let end = end.unwrap_or_else(|| "; it ends with its worker's word or session".to_owned());
    format!("{since}{}{end}", revoked.unwrap_or_default())
}

const fn ends_by(bound: LeaseBound) -> &'static str {
    match bound {
        LeaseBound::Start => "its start timeout is over",
        LeaseBound::Attempt => "its attempt timeout is over",
        LeaseBound::Progress => "without progress its progress timeout is over",
        LeaseBound::Total => "the task's whole time is over",
        LeaseBound::Revocation => "it is not waited for any longer",
        LeaseBound::Session => "its worker is not connected, and its session is over",
    }
}

fn outlook(task: &Task, outlook: &Outlook) -> v1::LeaseOutlook {
    let Outlook { session, is_ahead, bounds } = outlook;
    let bounds = bounds.iter().map(|(bound, at)| v1::LeaseBound {
        kind: bound_kind(*bound).into(),
        time: Some(timestamp(*at)),
    });
    v1::LeaseOutlook {
        lease: lease_of(&task.phase).map(|lease| lease_view(task, lease)),
        worker_state: session.map_or(v1::WorkerState::Unspecified, worker_state).into(),
        waits_for_slot: *is_ahead,
        bounds: bounds.collect(),
    }
}

const fn bound_kind(bound: LeaseBound) -> v1::LeaseBoundKind {
    match bound {
        LeaseBound::Start => v1::LeaseBoundKind::Start,
        LeaseBound::Attempt => v1::LeaseBoundKind::Attempt,
        LeaseBound::Progress => v1::LeaseBoundKind::Progress,
        LeaseBound::Total => v1::LeaseBoundKind::Total,
        LeaseBound::Revocation => v1::LeaseBoundKind::Revocation,
        LeaseBound::Session => v1::LeaseBoundKind::Session,
    }
}

fn blocker(blocker: &Blocker, spec: &TaskSpec, config: &Config) -> v1::Blocker {
    let blank =
        v1::Blocker { reason: blocked_reason(blocker.reason()).into(), ..v1::Blocker::default() };
    match blocker {
        Blocker::Wait { wait, until } => {
            let until = timestamp(*until);
            v1::Blocker {
                message: match wait {
                    Wait::Delay => format!("its delay is over at {until}"),
                    Wait::Backoff => format!("it failed, and its backoff is over at {until}"),
                },
                until_time: Some(until),
                advice: vec![wait_until(until)],
                ..blank
            }
        }
        Blocker::Pause { queue, since } => {
            let since = since.map(timestamp);
            let for_long = since.map(|since| format!(" since {since}"));
            v1::Blocker {
                message: format!("queue {queue} is paused{}", for_long.unwrap_or_default()),
                pause_time: since,
                advice: vec![v1::Advice {
                    kind: v1::AdviceKind::ResumeQueue.into(),
                    text: format!("resume queue {queue}"),
                    command: format!("leasehold queue resume {}", words(queue)),
                    ..v1::Advice::default()
                }],
                ..blank
            }
        }
        Blocker::NoWorker(unfit) => v1::Blocker {
            message: nobody(unfit, spec),
            unfit_workers: Some(unfit_workers(unfit)),
            advice: vec![start_worker(spec)],
            ..blank
        },
        Blocker::Gate { obstacle, holders, more } => {
            let limit = blocking_limit(obstacle, config);
            v1::Blocker {
                message: shut(obstacle, &limit),
                advice: advice_of(obstacle, holders.first(), config),
                limit: Some(limit),
                holders: holders.iter().map(holder).collect(),
                omitted_holder_count: long(*more),
                ..blank
            }
        }
        Blocker::Capacity(capacity) => v1::Blocker {
            message: crowded(capacity, spec),
            advice: vec![start_worker(spec)],
            slot_use: Some(slot_use(capacity)),
            ..blank
        },
    }
}

fn wait_until(time: prost_types::Timestamp) -> v1::Advice {
    v1::Advice {
        kind: v1::AdviceKind::Wait.into(),
        text: format!("wait until {time}"),
        time: Some(time),
        ..v1::Advice::default()
    }
}

/// A worker that serves such tasks; with labels or a schema, by a configuration: no flag says those. It is to be named, as one
/// without a name would take the place of another on its machine.
fn start_worker(spec: &TaskSpec) -> v1::Advice {
    let Template { task_type, shape, .. } = &*spec.template;
    let mut wants = vec![format!("start a worker that takes {task_type}")];
    let mut configuration = Vec::new();
    if !shape.selector.is_empty() {
        wants.push(format!("is labelled {}", labelled(spec)));
        let pair = |(name, value): &(Name, Name)| format!("{}: {}", plain(name), plain(value));
        let labels: Vec<String> = shape.selector.iter().map(pair).collect();
        configuration.push(format!("labels: {{{}}}", labels.join(", ")));
    }
    let Size { slots, resources } = &shape.size;
    if !shape.size.is_plain() {
        wants.push(format!("has {}", amounts(&shape.size)));
    }
    if 1 < *slots {
        configuration.push(format!("slots: {slots}"));
    }
    if !resources.is_empty() {
        let pair = |(name, amount): &(Name, u64)| format!("{}: {amount}", plain(name));
        let resources: Vec<String> = resources.iter().map(pair).collect();
        configuration.push(format!("resources: {{{}}}", resources.join(", ")));
    }
    let schemas = shape.schema.map(|schema| {
        wants.push(format!("reads payload schema {}", short(&schema)));
        format!(", schemas: [{schema}]")
    });
    if schemas.is_some() || !configuration.is_empty() {
        let schemas = schemas.unwrap_or_default();
        configuration
            .push(format!("programs: {{{}: {{command: COMMAND{schemas}}}}}", plain(task_type)));
    }
    let command = if configuration.is_empty() {
        format!("leasehold-worker --id NAME --program {task_type}=COMMAND")
    } else {
        "leasehold-worker --id NAME --config FILE".to_owned()
    };
    v1::Advice {
        kind: v1::AdviceKind::StartWorker.into(),
        text: wants.join(" and "),
        command,
        configuration: configuration.join("\n"),
        time: None,
    }
}

/// The labels that a task asks for.
fn labelled(spec: &TaskSpec) -> String {
    let pair = |(name, value): &(Name, Name)| format!("{name}={value}");
    spec.shape.selector.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// A text as YAML has it, whatever is in it.
fn plain(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn nobody(unfit: &Unfit, spec: &TaskSpec) -> String {
    let Unfit { misfits, others, .. } = unfit;
    let task_type = &spec.task_type;
    if misfits.is_empty() {
        return match others {
            0 => format!("no worker takes {task_type}: there is none"),
            others => format!("no worker takes {task_type}, of {}", counted(*others, "worker")),
        };
    }
    let groups = misfits.iter().map(|(misfit, count, names)| {
        let first = names.first().map_or("", |name| &**name);
        let more = match count.saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{first}{more}: {}", wrong(misfit))
    });
    let groups = groups.collect::<Vec<_>>().join("; ");
    format!("no worker fits that takes {task_type}: {groups}")
}

/// What is wrong with a worker.
fn wrong(misfit: &Misfit) -> String {
    let Misfit { state, namespaces, labels, shortages, reads, sizes_unknown, has_declined } =
        misfit;
    let state = match state {
        SessionState::Active => None,
        SessionState::Draining => Some("it drains"),
        SessionState::Quarantined => Some("it is quarantined"),
        SessionState::Disconnected => Some("it is not connected"),
        SessionState::Evicted => Some("it was evicted"),
    };
    let mut all: Vec<String> = state.into_iter().map(str::to_owned).collect();
    all.extend(labels.iter().map(|LabelGap { name, wanted, found }| match found {
        Some(found) => format!("its label {name} is {found}, not {wanted}"),
        None => format!("it has no label {name}, wanted {wanted}"),
    }));
    all.extend(shortages.iter().map(|Shortage { resource, wanted, most }| {
        let what = resource.as_deref().unwrap_or("slots");
        format!("the largest has {most} {what}, wanted {wanted}")
    }));
    if !namespaces.is_empty() {
        let all_of: Vec<&str> = namespaces.iter().take(NAMESPACES_SHOWN).map(|it| &**it).collect();
        let more = if all_of.len() < namespaces.len() { ", ..." } else { "" };
        all.push(format!("it serves only namespaces {}{more}", all_of.join(", ")));
    }
    if !reads.is_empty() {
        let reads: Vec<String> = reads.iter().take(super::SCHEMAS_SHOWN).map(short).collect();
        all.push(format!("it reads payload schemas {} instead", reads.join(", ")));
    }
    if *sizes_unknown {
        all.push("its version knows only leases of one slot".to_owned());
    }
    if *has_declined {
        all.push("it declined such a task as unsupported".to_owned());
    }
    all.join(", ")
}

fn unfit_workers(unfit: &Unfit) -> v1::UnfitWorkers {
    let Unfit { misfits, more, others } = unfit;
    let group = |(misfit, count, names): &(Misfit, u64, Vec<_>)| v1::UnfitGroup {
        worker_count: long(*count),
        worker_ids: names.iter().map(ToString::to_string).collect(),
        state: worker_state(misfit.state).into(),
        labels: misfit.labels.iter().map(label_gap).collect(),
        payload_schemas: misfit.reads.iter().map(ToString::to_string).collect(),
        declined: misfit.has_declined,
        shortages: misfit.shortages.iter().map(shortage).collect(),
        namespaces: misfit.namespaces.iter().map(ToString::to_string).collect(),
        sizes_unknown: misfit.sizes_unknown,
    };
    v1::UnfitWorkers {
        groups: misfits.iter().map(group).collect(),
        omitted_worker_count: long(*more),
        other_worker_count: long(*others),
    }
}

fn shortage(shortage: &Shortage) -> v1::Shortage {
    v1::Shortage {
        resource: shortage.resource.as_deref().unwrap_or_default().to_owned(),
        wanted: long(shortage.wanted),
        largest: long(shortage.most),
    }
}

fn label_gap(gap: &LabelGap) -> v1::LabelGap {
    v1::LabelGap {
        name: gap.name.to_string(),
        wanted: gap.wanted.to_string(),
        found: gap.found.as_ref().map(ToString::to_string),
    }
}

fn shut(obstacle: &Obstacle, limit: &v1::BlockingLimit) -> String {
    let Use { used, max, free_at } = obstacle.limit;
    match (&obstacle.gate, free_at) {
        (Gate::Circuit(guarded), Some(at)) => format!(
            "the circuit of breakers.{guarded} is open, as {used} of {max} calls failed or were slow; it lets probes through at {}",
            timestamp(at)
        ),
        (Gate::Circuit(guarded), None) => format!(
            "the circuit of breakers.{guarded} is half-open, with {used} of {max} probes running"
        ),
        (Gate::Queue(_) | Gate::Limit(_), _) => used_up(limit),
    }
}

fn used_up(limit: &v1::BlockingLimit) -> String {
    let v1::BlockingLimit { limit: name, key, used_count, max_count, available_time } = limit;
    let whose = if key.is_empty() { String::new() } else { format!(" for {key:?}") };
    let again = available_time.map(|time| format!(", with enough left at {time}"));
    format!("{name}{whose} is at {used_count} of {max_count}{}", again.unwrap_or_default())
}

/// What opens a gate: time, a hand, more of a limit, or the end of who has had it for longest.
fn advice_of(obstacle: &Obstacle, first: Option<&Holder>, config: &Config) -> Vec<v1::Advice> {
    let Obstacle { gate, limit: Use { used, max, free_at } } = obstacle;
    let wait = free_at.map(|at| wait_until(timestamp(at)));
    let opens = match gate {
        Gate::Queue(_) => Vec::new(),
        Gate::Circuit(guarded) => vec![close_circuit(guarded)],
        Gate::Limit(take) => {
            let raise = raise_limit(take, *used, *max, config);
            // One less of more than there may be would change nothing.
            let ends = first.filter(|_| used <= max).and_then(end_holder);
            std::iter::once(raise).chain(ends).collect()
        }
    };
    wait.into_iter().chain(opens).collect()
}

fn close_circuit(guarded: &Guarded) -> v1::Advice {
    v1::Advice {
        kind: v1::AdviceKind::ResetBreaker.into(),
        text: format!("close the circuit of breakers.{guarded}, if what it guards is well again"),
        command: format!("leasehold breaker reset {}", quoted(&guarded.to_string())),
        ..v1::Advice::default()
    }
}

/// A queue as a command names it.
fn words(queue: &str) -> String {
    match namespace::split(queue) {
        (namespace::DEFAULT, name) => name.to_owned(),
        (space, name) => format!("{name} --namespace {space}"),
    }
}

/// A word as a shell has it, whatever is in it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn raise_limit(take: &Take, used: u32, max: u32, config: &Config) -> v1::Advice {
    // A cap may be lower than what is used by now, and tasks may be held behind one that is not used up yet.
    let more = used.max(max).saturating_add(1);
    let of_queue = |queue: &str, limit: QueueLimit, value: &str| {
        let (space, name) = namespace::split(queue);
        let own = format!("{{{}: {{{}: {value}}}}}", plain(name), limit.key());
        let configuration = if config.is_own_limit(queue, limit) {
            format!("namespaces: {{{}: {{queues: {own}}}}}", plain(space))
        } else {
            format!("queues: {{settings: {own}}}")
        };
        (queue_key(queue, limit, config), configuration)
    };
    let (key, configuration) = match take {
        Take::Permit(Permit::Key(key)) => (
            format!("concurrency.keys.{key}"),
            format!("concurrency: {{keys: {{{}: {more}}}}}", plain(key)),
        ),
        Take::Permit(Permit::Queue(queue)) => {
            of_queue(queue, QueueLimit::Concurrency, &more.to_string())
        }
        Take::Permit(Permit::Flow(queue, _)) => {
            of_queue(queue, QueueLimit::ConcurrencyPerKey, &more.to_string())
        }
        Take::Tokens(Bucketed::Key(key), _) => {
            (format!("rates.{key}"), format!("rates: {{{}: RATE}}", plain(key)))
        }
        Take::Tokens(Bucketed::Queue(queue), _) => of_queue(queue, QueueLimit::Rate, "RATE"),
        Take::Tokens(Bucketed::Retries(guarded), _) => {
            let (kind, name) = match guarded {
                Guarded::TaskType(name) => ("task_types", name),
                Guarded::Dependency(name) => ("dependencies", name),
            };
            let budget = "{share: SHARE, per_second: RATE, burst: BURST}";
            let settings = format!("{{{}: {{retry_budget: {budget}}}}}", plain(name));
            (
                format!("breakers.{guarded}.retry_budget"),
                format!("breakers: {{{kind}: {settings}}}"),
            )
        }
    };
    let text = match take {
        Take::Permit(_) => format!("raise {key} from {max} in the coordinator's configuration"),
        Take::Tokens(..) => format!("raise {key} in the coordinator's configuration"),
    };
    v1::Advice {
        kind: v1::AdviceKind::RaiseLimit.into(),
        text,
        command: "leasehold config reload".to_owned(),
        configuration,
        time: None,
    }
}

/// The end of a lease that holds a permit. One that is over already is held by a worker that does not answer.
fn end_holder(holder: &Holder) -> Option<v1::Advice> {
    let Holder { task, worker, is_over, .. } = holder;
    let (text, command) = if *is_over {
        let worker = worker.as_ref()?;
        let text = format!("give worker {worker} up, which has not answered for what it ran");
        (text, format!("leasehold worker evict {worker}"))
    } else {
        let task = (*task)?;
        let text = format!("end task {task}, which has had it for longest, or wait until it ends");
        (text, format!("leasehold task cancel {task}"))
    };
    let kind = v1::AdviceKind::EndHolder.into();
    Some(v1::Advice { kind, text, command, ..v1::Advice::default() })
}

fn holder(holder: &Holder) -> v1::LimitHolder {
    v1::LimitHolder {
        fencing_token: holder.token.as_i64(),
        task_id: holder.task.map(|task| task.to_string()).unwrap_or_default(),
        worker_id: holder.worker.as_deref().unwrap_or_default().to_owned(),
        ended: holder.is_over,
    }
}

fn crowded(capacity: &Capacity, spec: &TaskSpec) -> String {
    let Capacity { workers, hushed, slots, used, wanted, has_room, reserved, .. } = capacity;
    let (task_type, all) = (&spec.task_type, counted(*workers, "worker"));
    let of = format!("{used} of {slots} slots for {task_type} are taken, of {all}");
    if let Some((worker, task)) = reserved.first() {
        let more = reserved.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        return format!("{of}; {worker} takes nothing before it has room for task {task}{more}");
    }
    if *has_room && used < slots {
        return format!("it is leased as soon as it is its turn: {of}");
    }
    if hushed < workers && !wanted.is_plain() {
        return format!("no worker has {} left at once: {of}", amounts(wanted));
    }
    match hushed {
        0 => of,
        _ => format!("{of}; {hushed} had no room for one, or do not read, and will be asked again"),
    }
}

/// So many of something.
fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn slot_use(capacity: &Capacity) -> v1::SlotUse {
    let Capacity { workers, hushed, slots, used, taken_by, more, wanted, reserved, .. } = capacity;
    let taken = taken_by.iter().map(|(queue, task_type, leases)| {
        let (space, queue) = namespace::split(queue);
        v1::SlotHolder {
            namespace: space.to_owned(),
            queue: queue.to_owned(),
            task_type: task_type.to_string(),
            lease_count: long(*leases),
        }
    });
    v1::SlotUse {
        worker_count: long(*workers),
        hushed_worker_count: long(*hushed),
        slots: long(*slots),
        used_slots: long(*used),
        taken_by: taken.collect(),
        omitted_lease_count: long(*more),
        wanted_slots: count(wanted.slots),
        wanted_resources: resources(wanted),
        reserved: reserved.iter().map(reserved_worker).collect(),
    }
}

fn reserved_worker((worker, task): &(Name, TaskId)) -> v1::ReservedWorker {
    v1::ReservedWorker { worker_id: worker.to_string(), task_id: task.to_string() }
}

/// As people read it: `2 slots, 1 gpu`.
fn amounts(size: &Size) -> String {
    let slots = counted(size.slots.into(), "slot");
    let resources = size.resources.iter().map(|(name, amount)| format!(", {amount} {name}"));
    format!("{slots}{}", resources.collect::<String>())
}

/// A task that has ended.
fn over(
    blank: v1::Explanation,
    task: &Task,
    ended: &EndedView,
    budgets: Budgets,
) -> v1::Explanation {
    let time = timestamp(ended.time);
    let ending = ended.ending;
    let spent = spent(task, ending, budgets);
    let (budget, used, max) = spent.unwrap_or((v1::TaskBudget::Unspecified, 0, 0));
    let last = task.last_failure();
    let why = spent.map(|spent| format!(": {}", used_budget(spent)));
    let why = why.or_else(|| {
        let is_final = last.is_some_and(|last| last.counted) && ending == Ending::Failed;
        is_final
            .then(|| ": its last failure was final, or left no time for another attempt".to_owned())
    });
    let last_words = last.filter(|last| !last.message.is_empty());
    let last_words = last_words.map(|last| format!("; last: {}", last.message));
    let (why, last_words) = (why.unwrap_or_default(), last_words.unwrap_or_default());
    let summary = match ended.ending {
        Ending::Succeeded => format!("it succeeded at {time}"),
        Ending::Cancelled => format!("it was cancelled, and ended at {time}"),
        Ending::Failed => format!("it failed at {time}{why}{last_words}"),
    };
    let replay = (ended.ending == Ending::Failed).then(|| v1::Advice {
        kind: v1::AdviceKind::Replay.into(),
        text: "put it back into its queue, with all its budgets anew".to_owned(),
        command: format!("leasehold dead replay {}", task.id),
        ..v1::Advice::default()
    });
    v1::Explanation {
        summary,
        end: Some(v1::EndSummary {
            budget: budget.into(),
            used_count: used,
            max_count: max,
            failure: last.map(failure),
            finish_time: Some(time),
        }),
        advice: replay.into_iter().collect(),
        ..blank
    }
}

/// The budget that a task has used up, how much of it, and how much there was, as far as budgets are now.
fn spent(task: &Task, ending: Ending, budgets: Budgets) -> Option<(v1::TaskBudget, i64, i64)> {
    let last = task.last_failure().filter(|_| ending == Ending::Failed)?;
    let of = |budget, used: u32, max: u32| Some((budget, i64::from(used), i64::from(max)));
    match last.reason {
        FailureReason::TotalTimeout => of(v1::TaskBudget::TotalTime, 0, 0),
        FailureReason::QueueTimeout => of(v1::TaskBudget::QueueTime, 0, 0),
        FailureReason::OutcomeUnknown => of(v1::TaskBudget::Starts, 1, 1),
        FailureReason::WorkerLossLimit if budgets.worker_losses <= task.worker_losses() => {
            of(v1::TaskBudget::WorkerLosses, task.worker_losses(), budgets.worker_losses)
        }
        FailureReason::WorkerLossLimit => of(v1::TaskBudget::Leases, task.leases, budgets.leases),
        FailureReason::Error
        | FailureReason::Panic
        | FailureReason::AttemptTimeout
        | FailureReason::ProgressTimeout
        | FailureReason::ResultTooLarge
        | FailureReason::WorkerLost
        | FailureReason::StartTimeout
        | FailureReason::Cancelled
        | FailureReason::HandedBack
        | FailureReason::Revoked => {
            let max = task.spec.retry.max_attempts;
            let is_spent = max <= task.attempts;
            if is_spent { of(v1::TaskBudget::Attempts, task.attempts, max) } else { None }
        }
    }
}

fn used_budget((budget, used, max): (v1::TaskBudget, i64, i64)) -> String {
    match budget {
        v1::TaskBudget::Unspecified => String::new(),
        v1::TaskBudget::Attempts => format!("its attempts are used up ({used} of {max})"),
        v1::TaskBudget::WorkerLosses => format!("its workers were lost {used} times of {max}"),
        v1::TaskBudget::Leases => format!("it was leased {used} times of {max} without an end"),
        v1::TaskBudget::TotalTime => {
            "its time is used up, or could not suffice any more".to_owned()
        }
        v1::TaskBudget::QueueTime => "nobody started it within its queue timeout".to_owned(),
        v1::TaskBudget::Starts => {
            "it may be started once, and nobody said how that start ended".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
