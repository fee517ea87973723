//! Clients and operators: they ask, wait, lose patience and ask again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use leasehold_coordinator::simulation::{Answer, Ask};
use leasehold_policy::{Backoff, Jitter};
use leasehold_queue::{
    Admission, Claims, Exclusivity, Extras, Key, Name, Refusal, Retry, Shape, TaskId, TaskSpec,
    Template, Trace,
};

use super::{
    Event, World,
    crew::{TASK_TYPE, worker_name},
};
use crate::{
    judge::Violation,
    make::{Make, whole_ms},
    moment::{MS, Micros, SECOND},
    plan::{self, DEPENDENCY, KEYS, Order, QUEUES, RATE, Wish},
    probe::Probe,
};

/// The trace of every task.
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// How long a client waits before it asks again.
const PATIENCE: Micros = 2 * SECOND;

/// For how long a worker that was given up is not let in again.
const BAN: Duration = Duration::from_secs(2);

/// Everybody who asks.
#[derive(Debug)]
pub(super) struct Callers {
    /// What is left of each wish. None: it was answered, or given up.
    wishes: Vec<Status>,
    calls: BTreeMap<u64, Call>,
    tickets: u64,
    /// Calls that arrived while the coordinator stood still.
    backlog: VecDeque<u64>,
    /// Every task that was acknowledged, in order.
    pub(super) acknowledged: Vec<TaskId>,
    /// Which task a key was said to name, by which start of the coordinator.
    named: BTreeMap<(usize, u32), (TaskId, u32)>,
    /// Queues still to be resumed at the end of all faults, as wishes of their own.
    resumed: Vec<usize>,
}

/// What is left of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// It was not asked for yet, or waits to be asked for again.
    Open,
    /// A call is under way.
    Asked(u64),
    /// There is nothing more to do.
    Done,
}

#[derive(Clone, Debug)]
struct Call {
    wish: usize,
    ask: Ask,
    orders: Vec<Order>,
    answer: Option<Answer>,
    /// The start of the coordinator it was asked of.
    site: u32,
    is_asked: bool,
}

impl Callers {
    pub(super) fn new(wishes: usize) -> Self {
        Self {
            wishes: vec![Status::Open; wishes],
            calls: BTreeMap::new(),
            tickets: 0,
            backlog: VecDeque::new(),
            acknowledged: Vec::new(),
            named: BTreeMap::new(),
            resumed: Vec::new(),
        }
    }

    /// A wish that was not answered.
    pub(super) fn unanswered(&self) -> Option<usize> {
        self.wishes.iter().position(|status| *status != Status::Done)
    }
}

impl World {
    /// Asks for what is wished, unless it has been answered.
    pub(super) fn wish(&mut self, index: usize) {
        match self.callers.wishes[index] {
            Status::Done => return,
            // It is not taken back: it may still arrive, behind the one that is asked now.
            Status::Asked(_) | Status::Open => {}
        }
        let retries = self.callers.wishes[index] != Status::Open;
        let Some((ask, orders)) = self.ask_of(index, retries) else {
            self.callers.wishes[index] = Status::Done;
            return;
        };
        let call = Call { wish: index, ask, orders, answer: None, site: 0, is_asked: false };
        if self.happens(self.plan.setting.doubled_calls_percent) {
            self.sometimes(Probe::Doubled);
            self.call(call.clone());
        }
        let ticket = self.call(call);
        self.callers.wishes[index] = Status::Asked(ticket);
        self.after(PATIENCE, Event::Wish(index));
    }

    /// Puts a call on its way, unless it is lost.
    fn call(&mut self, call: Call) -> u64 {
        self.callers.tickets += 1;
        let ticket = self.callers.tickets;
        self.callers.calls.insert(ticket, call);
        if !self.happens(self.plan.setting.lost_calls_percent) {
            let delay = self.delay();
            self.after(delay, Event::Asked(ticket));
        }
        ticket
    }

    /// Whether something happens that goes wrong so many times of a hundred.
    fn happens(&mut self, percent: u64) -> bool {
        !self.is_healed && self.rng.u64(..100) < percent
    }

    /// What to ask for. A task without a key is asked for once: nobody knows whether it was accepted.
    fn ask_of(&mut self, index: usize, retries: bool) -> Option<(Ask, Vec<Order>)> {
        let acknowledged = &self.callers.acknowledged;
        let wish = match self.plan.wishes.get(index) {
            Some((_, wish)) => wish.clone(),
            None => Wish::Pause(*self.callers.resumed.get(index - self.plan.wishes.len())?, false),
        };
        let ask = match wish {
            Wish::Submit(orders) => {
                let orders: Vec<Order> =
                    orders.into_iter().filter(|order| !retries || order.key.is_some()).collect();
                let specs = orders.iter().map(spec).collect();
                return (!orders.is_empty()).then_some((Ask::Submit(specs), orders));
            }
            Wish::Cancel(n) => {
                let count = acknowledged.len();
                Ask::Cancel(*acknowledged.get(n.checked_rem(count)?)?)
            }
            Wish::Replay(n) => {
                let rows: Vec<(u128, u32)> = self
                    .drive
                    .disk
                    .dead_letters()
                    .map(|row| (u128::from_be_bytes(row.task_id), row.generation))
                    .collect();
                let (id, generation) = *rows.get(n.checked_rem(rows.len())?)?;
                Ask::Replay(TaskId::from_u128(id), generation)
            }
            Wish::Pause(queue, paused) => {
                // Nothing is paused for good: the run has to end.
                Ask::Pause(queue_name(queue), paused && !self.is_healed)
            }
            Wish::Revoke(n) => {
                let count = acknowledged.len();
                Ask::Revoke(*acknowledged.get(n.checked_rem(count)?)?)
            }
            Wish::Evict(worker) => Ask::Evict(Name::from(worker_name(worker)), BAN),
            Wish::Drain(worker) => Ask::Drain(Name::from(worker_name(worker))),
            Wish::Configure(wanted) => Ask::Configure(Box::new(self.configured(wanted))),
        };
        Some((ask, Vec::new()))
    }

    /// A call arrives.
    pub(super) fn asked(&mut self, ticket: u64) {
        if self.site.machine.is_some() && self.site.is_paused() {
            return self.callers.backlog.push_back(ticket);
        }
        let Some(call) = self.callers.calls.get_mut(&ticket) else { return };
        match &mut self.site.machine {
            Some(machine) => {
                (call.site, call.is_asked) = (self.site.incarnation, true);
                let ask = call.ask.clone();
                machine.ask(ticket, ask.clone());
                match ask {
                    Ask::Evict(worker, _) => self.note_evicted(&worker),
                    Ask::Configure(config) => self.site.may_go_by(&config),
                    _ => {}
                }
                self.turn_soon();
            }
            None => self.broken(ticket),
        }
    }

    /// The coordinator goes on: it reads what arrived.
    pub(super) fn calls_wake(&mut self) {
        while let Some(ticket) = self.callers.backlog.pop_front() {
            self.asked(ticket);
        }
    }

    /// The coordinator is gone: whoever waits for it learns that.
    pub(super) fn calls_broken(&mut self) {
        let arrived = std::mem::take(&mut self.callers.backlog);
        let waiting = self.callers.calls.iter().filter(|(_, call)| {
            call.is_asked && call.answer.is_none() && call.site == self.site.incarnation
        });
        let waiting: Vec<u64> = waiting.map(|(ticket, _)| *ticket).chain(arrived).collect();
        for ticket in waiting {
            self.broken(ticket);
        }
    }

    fn broken(&mut self, ticket: u64) {
        let delay = self.delay();
        if let Some(call) = self.callers.calls.get_mut(&ticket) {
            call.answer = Some(Answer::Dropped);
            self.after(delay, Event::Answered(ticket));
        }
    }

    /// An answer leaves the coordinator.
    pub(super) fn answer(&mut self, ticket: u64, answer: Answer) {
        let asked = self.callers.calls.get(&ticket).map(|call| call.ask.clone());
        // Somebody who has lost patience is answered all the same: what is said must be true.
        self.judge_answer(asked.as_ref(), &answer);
        if let (Some(Ask::Configure(config)), Answer::Configured) = (&asked, &answer) {
            self.sometimes(Probe::Configured);
            self.site.configured(config);
        }
        let lost = self.happens(self.plan.setting.lost_calls_percent);
        let delay = self.delay();
        let Some(call) = self.callers.calls.get_mut(&ticket) else { return };
        call.answer = Some(answer);
        if !lost {
            self.after(delay, Event::Answered(ticket));
        }
    }

    /// An answer arrives.
    pub(super) fn answered(&mut self, ticket: u64) {
        let Some(call) = self.callers.calls.remove(&ticket) else { return };
        let is_current = self.callers.wishes[call.wish] == Status::Asked(ticket);
        let Some(answer) = call.answer.filter(|_| is_current) else { return };
        self.trace.note(self.now, || format!("  wish {} is answered: {answer:?}", call.wish));
        match answer {
            Answer::Dropped | Answer::Submitted(None) => {
                if matches!(answer, Answer::Submitted(None)) && self.now < self.drive.full_until {
                    self.sometimes(Probe::RefusedFull);
                }
                // It is asked again when patience ends.
                self.callers
                    .calls
                    .insert(ticket, Call { answer: None, orders: call.orders, ..call });
                return;
            }
            Answer::Submitted(Some(accepted)) => {
                for (order, accepted) in call.orders.iter().zip(accepted) {
                    match accepted {
                        Ok(it) => self.acknowledge(order, it.id, it.deduplicated, call.site),
                        Err(Refusal::Quota { .. }) => self.sometimes(Probe::QuotaReached),
                        Err(_) => {}
                    }
                }
            }
            Answer::Replayed(Some(_)) => self.sometimes(Probe::Replayed),
            Answer::Paused(true) => self.sometimes(Probe::Paused),
            Answer::Cancelled(_)
            | Answer::Replayed(None)
            | Answer::Paused(false)
            | Answer::Revoked(_)
            | Answer::Evicted(_)
            | Answer::Configured
            | Answer::Draining(_) => {}
        }
        self.callers.wishes[call.wish] = Status::Done;
    }

    /// A client knows that its task was accepted.
    fn acknowledge(&mut self, order: &Order, id: TaskId, was_known: bool, site: u32) {
        self.callers.acknowledged.push(id);
        let Some(key) = order.key else { return };
        if was_known {
            self.sometimes(Probe::KeyKnown);
        }
        let name = (order.queue, key);
        let before = self.callers.named.insert(name, (id, site));
        let Some((earlier, earlier_site)) = before else { return };
        if earlier == id {
            if earlier_site != site {
                self.sometimes(Probe::KeyKnownAfterRestart);
            }
            return;
        }
        let retention = self.plan.setting.key_retention;
        let ended = self.ledger.task(earlier).and_then(|entry| entry.ended);
        // The second may have been accepted a while ago: its own time says when.
        let is_kept = ended.is_none_or(|(_, time)| {
            let accepted = leasehold_policy::Time::from_unix_ms(accepted_ms(id));
            accepted + Duration::from_secs(1) < time + retention
        });
        if is_kept && accepted_ms(earlier) <= accepted_ms(id) {
            self.fail(Violation::new("key", format!("{name:?} named {earlier}, then {id}")));
        }
    }

    /// At the end of all faults every queue goes on, whatever was wished before.
    pub(super) fn resume_queues(&mut self) {
        for queue in 0..QUEUES {
            let index = self.callers.wishes.len();
            self.callers.wishes.push(Status::Open);
            self.callers.resumed.push(queue);
            // Behind whatever was asked for in the last moment.
            self.after(3 * PATIENCE, Event::Wish(index));
        }
    }
}

/// When a task was accepted: its id says so.
fn accepted_ms(id: TaskId) -> u64 {
    u64::try_from(id.as_u128() >> 80).unwrap_or_default()
}

fn queue_name(queue: usize) -> Name {
    Name::from(plan::queue_name(queue))
}

fn names((name, value): (String, String)) -> (Name, Name) {
    (name.into(), value.into())
}

fn claims(order: &Order) -> Option<Arc<Claims>> {
    let keys = KEYS.iter().enumerate().filter(|(bit, _)| order.keys >> bit & 1 == 1);
    let tokens = u32::from(order.tokens);
    let claims = Claims {
        keys: keys.map(|(_, key)| Name::from(*key)).collect(),
        charges: if tokens == 0 { Vec::new() } else { vec![(Name::from(RATE), tokens)] },
        dependencies: if order.calls { vec![Name::from(DEPENDENCY)] } else { Vec::new() },
        fails_fast: false,
    };
    (!claims.is_empty()).then(|| Arc::new(claims))
}

fn spec(order: &Order) -> TaskSpec {
    let make = Make {
        kind: order.kind,
        is_shared: order.terms.exclusivity == Exclusivity::BestEffort,
        is_guarded: order.is_guarded,
        progress: order.terms.progress_timeout.map(whole_ms),
        asks: order.asks,
        saves: order.saves,
    };
    let key = order.key.map(|key| {
        let digest = u128::from(key).to_be_bytes();
        Key { name: Name::from(format!("k{key}")), digest }
    });
    TaskSpec {
        template: Arc::new(Template {
            queue: queue_name(order.queue),
            task_type: Name::from(TASK_TYPE),
            content_type: Name::from(""),
            priority: order.priority,
            start_timeout: Duration::from_micros(order.start_timeout),
            attempt_timeout: Duration::from_micros(order.attempt_timeout),
            kill_grace: Duration::from_micros(order.kill_grace),
            retry: Retry {
                max_attempts: order.max_attempts,
                backoff: Backoff {
                    initial: Duration::from_micros(order.backoff),
                    factor: 2.0,
                    cap: Duration::from_micros(5_000 * MS),
                    jitter: Jitter::Full,
                },
            },
            terms: order.terms,
            claims: claims(order),
            fairness_key: ["", "red", "blue"][usize::from(order.fairness_key % 3)].into(),
            shape: Shape {
                selector: plan::zone_label(order.zone).map(names).into_iter().collect(),
                schema: plan::schema_print(order.schema),
                size: plan::size_of(1 + u32::from(order.size.0), order.size.1),
            },
            admission: Admission::BestEffort,
        }),
        payload: Bytes::from(make.payload(order.ordinal)).into(),
        total_timeout: Duration::from_micros(order.total_timeout).into(),
        // Only what is of one trace is assigned as being alike.
        trace: Some(Arc::new(Trace { parent: TRACE.into(), state: "".into() })),
        extras: Extras {
            initial_delay: Duration::from_micros(order.delay),
            labels: Vec::new(),
            key,
        }
        .kept(),
    }
}
