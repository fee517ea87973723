//! What a seed draws: who there is, what there is to do, and what goes wrong.

use std::time::Duration;

use crate::{
    chance::{one, percent, time},
    fault::{Fault, Machine, Weather},
};

/// For how long things go wrong.
const TROUBLED: Duration = Duration::from_mins(1);

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long a session lives without being heard.
    pub session_ttl: Duration,
    /// How long a packet takes at least and at most.
    pub latency: (Duration, Duration),
    /// How many tasks each worker runs at once.
    pub slots: Vec<u32>,
    /// What each caller submits.
    pub orders: Vec<Vec<Order>>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// From when on nothing goes wrong any more.
    pub healed_at: Duration,
}

/// A task to submit.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its idempotency key.
    pub key: String,
    /// How long the caller waits before it.
    pub pause: Duration,
    /// What its handler does.
    pub work: Work,
    /// After how long somebody cancels it.
    pub cancelled_after: Option<Duration>,
    /// Whether it is submitted a second time.
    pub is_repeated: bool,
}

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// How long it takes.
    pub takes: Duration,
    /// How many attempts fail first.
    pub failures: u32,
    /// Whether the first attempt never ends by itself.
    pub hangs: bool,
}

impl Plan {
    /// What this seed draws.
    pub fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rng = &mut rng;
        let slots: Vec<u32> = (0..rng.usize(1..=4)).map(|_| rng.u32(1..=4)).collect();
        let orders: Vec<Vec<Order>> = (0..rng.usize(1..=3))
            .map(|caller| {
                let many = rng.usize(2..=12);
                (0..many).map(|number| Order::draw(rng, caller, number)).collect()
            })
            .collect();
        let machines: Vec<Machine> = (0..slots.len())
            .map(Machine::Worker)
            .chain((0..orders.len()).map(Machine::Caller))
            .collect();
        let weather = Weather::draw(rng);
        let mut faults: Vec<Fault> = (0..rng.usize(1..=14))
            .filter_map(|_| weather.fault(rng, &machines, TROUBLED))
            .collect();
        faults.sort_by_key(|fault| fault.at);
        let last = Duration::from_millis(rng.u64(1..=40));
        Self {
            session_ttl: one(
                rng,
                Duration::from_secs(5),
                &[Duration::from_secs(10), Duration::from_secs(20)],
            ),
            latency: (Duration::ZERO, last),
            slots,
            orders,
            faults,
            healed_at: TROUBLED,
        }
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.orders.iter().map(Vec::len).sum()
    }
}

impl Order {
    fn draw(rng: &mut fastrand::Rng, caller: usize, number: usize) -> Self {
        Self {
            key: format!("key-{caller}-{number}"),
            pause: time(rng, 0..6_000),
            work: Work {
                takes: match rng.u32(0..100) {
                    0..50 => time(rng, 0..500),
                    50..85 => time(rng, 500..8_000),
                    _ => time(rng, 8_000..30_000),
                },
                failures: if percent(rng, 20) { rng.u32(1..=3) } else { 0 },
                hangs: percent(rng, 10),
            },
            cancelled_after: percent(rng, 10).then(|| time(rng, 0..8_000)),
            is_repeated: percent(rng, 30),
        }
    }
}

impl Work {
    /// As the payload of a task says it.
    pub(crate) fn to_payload(self) -> String {
        let Self { takes, failures, hangs } = self;
        format!("{} {failures} {}", takes.as_millis(), u8::from(hangs))
    }

    /// What a payload says.
    pub(crate) fn of_payload(payload: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(payload).ok()?.split(' ');
        Some(Self {
            takes: Duration::from_millis(words.next()?.parse().ok()?),
            failures: words.next()?.parse().ok()?,
            hangs: words.next()? == "1",
        })
    }
}
