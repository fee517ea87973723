//! The judge of circuits: what a breaker lets through, by a list of every call.
//!
//! It reads the records as they become durable and shares no code with the core's circuits. Where it cannot know whether the
//! work of a lease is over, it takes it to be: so it asks for no less than was promised, and for no more.

use std::collections::BTreeMap;

use leasehold_policy::Time;
use leasehold_queue::{EndFact, EndKind, Record, RevocationReason, Token};

use crate::{judge::Violation, ledger::Entry, plan::Breaker};

/// In how many parts the window is counted.
const PARTS: u64 = 30;

/// What the circuit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open(Time),
    /// With how many successes in a row.
    HalfOpen(u32),
}

/// The circuit of the one dependency there is.
#[derive(Debug, Default)]
pub(crate) struct Circuits {
    breaker: Option<Breaker>,
    epoch: u32,
    state: State,
    /// When calls ended since it last closed, and whether they failed.
    calls: Vec<(Time, bool)>,
    failed_rounds: u32,
    /// Grows whenever the circuit turns: what was let through before does not count.
    round: u64,
    /// The leases that it let through, in which round, and whether as a probe.
    passed: BTreeMap<Token, (u64, bool)>,
    revoking: BTreeMap<Token, RevocationReason>,
    /// Whether it was ever open, and closed after that.
    pub(crate) has_opened: bool,
    pub(crate) has_closed: bool,
}

impl Circuits {
    pub(crate) fn new(breaker: Option<Breaker>) -> Self {
        Self { breaker, ..Self::default() }
    }

    /// Takes in a durable record about a task as it was before.
    pub(crate) fn take(&mut self, record: &Record, task: Option<&Entry>) -> Result<(), Violation> {
        let Some(breaker) = self.breaker else { return Ok(()) };
        let calls = |task: &Entry| {
            task.spec.claims.as_ref().is_some_and(|claims| !claims.dependencies.is_empty())
        };
        match record {
            // After a restart it is closed.
            Record::EpochStarted { epoch, .. } if self.epoch < *epoch => {
                let (has_opened, has_closed) = (self.has_opened, self.has_closed);
                let fresh = Self::new(self.breaker);
                *self = Self { epoch: *epoch, has_opened, has_closed, ..fresh };
            }
            Record::LeaseGranted { token, time, .. } if task.is_some_and(calls) => {
                self.advance(*time);
                return self.pass(*token, breaker);
            }
            Record::LeaseRevoking { token, reason, .. } => {
                self.revoking.insert(*token, *reason);
            }
            Record::LeaseEnded { token, fact: Some(fact), time, .. } => {
                self.end(*token, fact, *time, breaker);
            }
            Record::TaskEnded { fact: Some(fact), time, .. } => {
                let token = task.and_then(|task| task.lease.as_ref()).map(|lease| lease.token);
                if let Some(token) = token {
                    self.end(token, fact, *time, breaker);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn pass(&mut self, token: Token, breaker: Breaker) -> Result<(), Violation> {
        let probes = self.passed.values().filter(|(_, is_probe)| *is_probe).count();
        let is_probe = matches!(self.state, State::HalfOpen(_));
        let is_let = match self.state {
            State::Closed => true,
            State::Open(_) => false,
            State::HalfOpen(_) => probes < breaker.probes as usize,
        };
        self.passed.insert(token, (self.round, is_probe));
        if is_let {
            return Ok(());
        }
        let message = format!("{token} passes a circuit that is {:?}, {probes} probes", self.state);
        Err(Violation::new("circuit", message))
    }

    fn end(&mut self, token: Token, fact: &EndFact, time: Time, breaker: Breaker) {
        self.advance(time);
        let revoked = self.revoking.remove(&token);
        let Some((round, _)) = self.passed.remove(&token) else { return };
        let timeouts = [RevocationReason::AttemptTimeout, RevocationReason::ProgressTimeout];
        let has_failed = match fact.kind {
            EndKind::Succeeded => false,
            EndKind::AttemptTimeout | EndKind::ProgressTimeout => true,
            // Nobody here calls what fails for good.
            EndKind::Error | EndKind::Panic if revoked.is_none_or(|it| timeouts.contains(&it)) => {
                true
            }
            _ => return,
        };
        if round != self.round {
            return;
        }
        match self.state {
            State::Closed => {
                self.calls.push((time, has_failed));
                let part = |at: Time| {
                    at.unix_ms() / (u64::try_from(breaker.window.as_millis()).unwrap_or(0) / PARTS)
                };
                let is_bad = |parts: u64| {
                    let lately = self.calls.iter().filter(|(at, _)| part(time) < part(*at) + parts);
                    let (all, failed) = lately.fold((0, 0), |(all, failed), (_, has_failed)| {
                        (all + 1, failed + u32::from(*has_failed))
                    });
                    breaker.calls_min <= all && all <= 2 * failed
                };
                if is_bad(PARTS) || is_bad(PARTS / 10) {
                    self.open(time, breaker);
                }
            }
            State::HalfOpen(_) if has_failed => {
                self.failed_rounds += 1;
                self.open(time, breaker);
            }
            State::HalfOpen(in_a_row) if in_a_row + 1 < breaker.probes => {
                self.state = State::HalfOpen(in_a_row + 1);
            }
            State::HalfOpen(_) => {
                self.turn(State::Closed);
                (self.calls, self.failed_rounds, self.has_closed) = (Vec::new(), 0, true);
            }
            State::Open(_) => {}
        }
    }

    fn open(&mut self, time: Time, breaker: Breaker) {
        let doubled = breaker.open_for * 2_u32.pow(self.failed_rounds.min(16));
        self.turn(State::Open(time + doubled.min(breaker.open_for_max())));
        self.has_opened = true;
    }

    fn advance(&mut self, time: Time) {
        if let State::Open(until) = self.state
            && until <= time
        {
            self.turn(State::HalfOpen(0));
        }
    }

    fn turn(&mut self, state: State) {
        (self.state, self.round) = (state, self.round + 1);
    }
}
