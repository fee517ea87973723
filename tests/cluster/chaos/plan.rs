//! What is done to a cluster and when, drawn from a seed before anything starts.
//!
//! It is data: who does it is the fleet's business. Each process and each link has a life of its own, in which it is
//! left alone for a while and then ill-treated for a while, so that troubles meet in every combination.

use std::time::Duration;

use super::proxy::{Cut, Way, Weather};

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Coordinator,
    /// The worker of this number.
    Worker(usize),
}

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// `kill -9`.
    Kill(Victim),
    /// Start again what was killed.
    Start(Victim),
    /// SIGSTOP.
    Stop(Victim),
    /// SIGCONT.
    Continue(Victim),
    /// Change how a link carries bytes.
    Turn(usize, Weather),
    /// End every connection of a link.
    Cut(usize, Cut),
}

/// One thing that is done, and when, counted from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) act: Act,
}

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nemesis {
    /// Processes are killed and started again, the coordinator also while it starts.
    Kill,
    /// Processes stand still, for less and for more than a session lasts.
    Pause,
    /// Links are slow, silent, cut or refused.
    Net,
    /// All of that at once.
    All,
}

/// The steps of a run, in order. All trouble ends with `span`, except that what was killed may still be down and what
/// stands still may still do so.
pub(crate) fn draw(seed: u64, nemesis: Nemesis, workers: usize, span: Duration) -> Vec<Step> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let victims = (0..workers).map(Victim::Worker).chain([Victim::Coordinator]);
    let mut steps = Vec::new();
    let (kills, pauses, nets) = match nemesis {
        Nemesis::Kill => (1, 0, 0),
        Nemesis::Pause => (0, 1, 0),
        Nemesis::Net => (0, 0, 1),
        Nemesis::All => (1, 1, 1),
    };
    for victim in victims {
        if kills + pauses > 0 {
            // Without a coordinator nobody has anything to lose: it is left alone for longer.
            let quiet = if victim == Victim::Coordinator { 8_000 } else { 4_000 };
            live(&mut rng, &mut steps, span, quiet, |rng, at, steps| {
                if rng.u32(..kills + pauses) < kills {
                    kill(rng, at, victim, steps)
                } else {
                    pause(rng, at, victim, steps)
                }
            });
        }
    }
    // One link for each worker, and one for the client.
    for link in (0..=workers).filter(|_| nets > 0) {
        live(&mut rng, &mut steps, span, 4_000, |rng, at, steps| storm(rng, at, link, steps));
    }
    steps.sort_by_key(|it| it.at);
    steps
}

/// Ill-treats one thing again and again, with times of up to `quiet_max_ms` between. `trouble` says when it is over.
fn live(
    rng: &mut fastrand::Rng,
    steps: &mut Vec<Step>,
    span: Duration,
    quiet_max_ms: u64,
    mut trouble: impl FnMut(&mut fastrand::Rng, Duration, &mut Vec<Step>) -> Duration,
) {
    let mut at = between(rng, 100, 2_500);
    while at < span {
        at = trouble(rng, at, steps) + between(rng, 300, quiet_max_ms);
    }
}

fn kill(
    rng: &mut fastrand::Rng,
    mut at: Duration,
    victim: Victim,
    steps: &mut Vec<Step>,
) -> Duration {
    // A coordinator is often killed again while it reads its journal.
    let again = if victim == Victim::Coordinator { rng.u32(..3) } else { 0 };
    for _ in 0..again {
        steps.push(Step { at, act: Act::Kill(victim) });
        at += between(rng, 0, 200);
        steps.push(Step { at, act: Act::Start(victim) });
        at += between(rng, 1, 120);
    }
    steps.push(Step { at, act: Act::Kill(victim) });
    // Mostly back within a session's time, sometimes later.
    at += if rng.u32(..4) > 0 { between(rng, 0, 700) } else { between(rng, 1_500, 4_000) };
    steps.push(Step { at, act: Act::Start(victim) });
    at
}

fn pause(rng: &mut fastrand::Rng, at: Duration, victim: Victim, steps: &mut Vec<Step>) -> Duration {
    let until = at + if rng.bool() { between(rng, 50, 1_500) } else { between(rng, 2_000, 4_500) };
    steps.push(Step { at, act: Act::Stop(victim) });
    steps.push(Step { at: until, act: Act::Continue(victim) });
    until
}

fn storm(rng: &mut fastrand::Rng, at: Duration, link: usize, steps: &mut Vec<Step>) -> Duration {
    let cut = |rng: &mut fastrand::Rng| if rng.bool() { Cut::Reset } else { Cut::Close };
    if rng.u32(..4) == 0 {
        steps.push(Step { at, act: Act::Cut(link, cut(rng)) });
        return at;
    }
    let until = at + if rng.bool() { between(rng, 50, 1_500) } else { between(rng, 2_500, 6_000) };
    let weather = weather(rng);
    steps.push(Step { at, act: Act::Turn(link, weather) });
    // Nobody connects to a link that refuses: what is connected must go for it to matter.
    if weather == Weather::CLOSED {
        steps.push(Step { at, act: Act::Cut(link, cut(rng)) });
    }
    steps.push(Step { at: until, act: Act::Turn(link, Weather::FAIR) });
    until
}

fn weather(rng: &mut fastrand::Rng) -> Weather {
    let way = |rng: &mut fastrand::Rng| match rng.u32(..6) {
        0 | 1 => Way::Stalled,
        2 | 3 => Way::Lost,
        4 => Way::Slow { delay: between(rng, 1, 200), jitter: between(rng, 1, 200) },
        _ => Way::Sliced { bytes: rng.usize(1..64) },
    };
    match rng.u32(..4) {
        0 => Weather { up: way(rng), ..Weather::FAIR },
        1 => Weather { down: way(rng), ..Weather::FAIR },
        2 => Weather { up: way(rng), down: way(rng), ..Weather::FAIR },
        _ => Weather::CLOSED,
    }
}

/// A duration of so many milliseconds.
fn between(rng: &mut fastrand::Rng, from: u64, to: u64) -> Duration {
    Duration::from_micros(rng.u64(from * 1_000..=to * 1_000))
}

#[test]
fn a_plan_is_what_its_seed_says_and_ends() {
    let minute = Duration::from_mins(1);
    for nemesis in [Nemesis::Kill, Nemesis::Pause, Nemesis::Net, Nemesis::All] {
        let plan = draw(7, nemesis, 4, minute);
        assert_eq!(plan, draw(7, nemesis, 4, minute));
        assert_ne!(plan, draw(8, nemesis, 4, minute));
        assert!(plan.len() > 40, "{nemesis:?}: {} steps", plan.len());
        assert!(plan.is_sorted_by_key(|it| it.at));
        assert!(plan.iter().all(|it| it.at < minute + Duration::from_secs(7)));
        let kinds: Vec<usize> = [
            |act: &Act| matches!(act, Act::Kill(_)),
            |act: &Act| matches!(act, Act::Stop(_)),
            |act: &Act| matches!(act, Act::Turn(..)),
        ]
        .map(|is_kind| plan.iter().filter(|it| is_kind(&it.act)).count())
        .into();
        let expected = match nemesis {
            Nemesis::Kill => [true, false, false],
            Nemesis::Pause => [false, true, false],
            Nemesis::Net => [false, false, true],
            Nemesis::All => [true, true, true],
        };
        assert_eq!(kinds.iter().map(|it| *it > 0).collect::<Vec<_>>(), expected, "{nemesis:?}");
    }
}
