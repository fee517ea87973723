//! The machine that is explored: the cluster under one configuration, done right or wrong in one way.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use leasehold_policy::Time;
use leasehold_queue::{Queue, StreamId, Token};

use crate::{
    action::{self, Action, Process},
    config::{Begin, Config, FIRST},
    coordinator::Coordinator,
    explore::{Machine, Violation},
    judge::{self, Looked},
    log::Log,
    state::{Ghosts, State},
    variant::Variant,
    worker::Worker,
};

/// The cluster.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    /// What there is and what goes wrong.
    pub config: Config,
    /// What is done wrong, if anything.
    pub variant: Option<Variant>,
}

impl Cluster {
    /// Lets happen what is not to be explored.
    fn begin(&self, state: &mut State) -> Result<(), Violation> {
        let (begin, last) = (self.config.begin, self.config.workers - 1);
        self.act(state, Action::Sync)?;
        for worker in 0..self.config.workers {
            let is_later = begin == Begin::Superseded && worker == last;
            if Begin::Connected <= begin && !is_later {
                self.join(state, worker)?;
            }
        }
        if Begin::Leased <= begin {
            self.act(state, Action::Submit(0))?;
            self.act(state, Action::Sync)?;
            self.act(state, Action::ToWorker(StreamId(1)))?;
        }
        if begin == Begin::Restarted {
            self.act(state, Action::Restart(state.log.len()))?;
            self.act(state, Action::Sync)?;
        }
        if begin == Begin::Superseded {
            self.act(state, Action::Supersede(state.log.len()))?;
            self.act(state, Action::Sync)?;
            self.join(state, last)?;
        }
        Ok(())
    }

    fn join(&self, state: &mut State, worker: usize) -> Result<(), Violation> {
        self.act(state, Action::Connect(worker, Process::Current))?;
        let stream = StreamId(state.opened);
        self.act(state, Action::ToCoordinator(stream))?;
        self.act(state, Action::Sync)?;
        self.act(state, Action::ToWorker(stream))
    }

    /// Whether this is done wrong.
    pub(crate) fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    /// A coordinator that has read the whole journal, and what it writes first.
    pub(crate) fn boot(&self, state: &mut State, process: u32) -> Result<(), Violation> {
        if process == FIRST || !self.is(Variant::TokensReused) {
            state.log.epoch += 1;
        }
        let (config, epoch) = (self.config.queue(process), state.log.epoch);
        let ttl = config.session_ttl;
        let mut queue = Queue::new(config, epoch);
        self.read(&state.log, &mut queue)?;
        queue.recovered(state.now, Some(state.now));
        let gate = VecDeque::new();
        state.current = Arc::new(Coordinator {
            queue,
            process,
            epoch,
            ttl,
            gate,
            greeted: BTreeMap::new(),
            is_doomed: false,
        });
        self.first_turn(state)?;
        judge::acknowledged(state)?;
        judge::told(state)
    }
}

impl Machine for Cluster {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        let empty = Queue::new(self.config.queue(FIRST), 0);
        let placeholder = Coordinator {
            queue: empty.clone(),
            process: 0,
            epoch: 0,
            ttl: crate::config::SESSION_TTL,
            gate: VecDeque::new(),
            greeted: BTreeMap::new(),
            is_doomed: false,
        };
        let mut state = State {
            now: Time::from_unix_ms(1_000_000),
            log: Log::new(empty),
            current: Arc::new(placeholder),
            old: None,
            streams: Vec::new(),
            opened: 0,
            workers: std::array::from_fn(|_| Arc::new(Worker::new(0))),
            left: self.config.budget,
            ghosts: Ghosts { submits: vec![0; self.config.tasks.into()], ..Ghosts::default() },
            looked: Looked::default(),
        };
        let begun = self.boot(&mut state, FIRST).and_then(|()| self.begin(&mut state));
        debug_assert!(begun.is_ok(), "nothing can go wrong yet: {begun:?}");
        state
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        action::possible(self, state)
    }

    fn step(&self, state: &State, action: Action) -> Result<State, Violation> {
        let mut next = state.clone();
        next.looked = Looked::default();
        self.act(&mut next, action)?;
        next.streams.retain(|stream| !stream.is_gone());
        Ok(next)
    }

    fn judged(&self, state: &State) -> u32 {
        state.looked.bits()
    }

    fn fingerprint(&self, state: &State) -> u128 {
        state.fingerprint()
    }

    fn is_done(&self, state: &State) -> bool {
        let Some(safe) = state.log.safe() else { return false };
        let ended = safe.histories.values().filter(|history| history.end.is_some()).count();
        ended == usize::from(self.config.tasks)
            && state.workers.iter().all(|it| it.leases.is_empty() && it.outbox.is_empty())
    }

    fn describe(&self, state: &State, action: Action) -> String {
        state.describe(action)
    }
}

/// A token as people read it: epoch and number.
pub(crate) fn shown(token: Token) -> String {
    let (epoch, number) = (token.as_i64() >> 31, token.as_i64() & ((1 << 31) - 1));
    format!("{epoch}.{number}")
}
