//! A pool turned by hand: who is started when, and who goes.

use super::*;

/// A roster, and a clock that is turned.
struct Stage {
    roster: Roster,
    now: Instant,
}

impl Stage {
    fn new(range: (u32, u32)) -> Self {
        let now = Instant::now();
        Self { roster: Roster::new(range, now), now }
    }

    /// Starts whatever is due; the numbers.
    fn start(&mut self) -> Vec<u32> {
        let mut started = Vec::new();
        while let Some(number) = self.roster.next_due(self.now) {
            self.roster.started(number, self.now);
            started.push(number);
        }
        started
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// The worker ends after the longest wait there can be.
    fn end(&mut self, number: u32, left: Left) -> Option<Duration> {
        self.roster.ended(number, left, self.now, u64::MAX)
    }
}

fn seconds(wait: Option<Duration>) -> Option<u64> {
    // The draw is never quite the ceiling.
    wait.map(|it| (it + Duration::from_millis(1)).as_secs())
}

#[test]
fn what_is_missing_is_started_at_once_under_the_lowest_numbers() {
    let mut stage = Stage::new((2, 5));
    assert_eq!(stage.start(), [1, 2]);
    assert_eq!(stage.roster.want(4), 2);
    assert_eq!(stage.start(), [3, 4]);
    stage.roster.want(100);
    assert_eq!((stage.roster.wanted(), stage.start()), (5, vec![5]));
    assert!(stage.start().is_empty());
}

#[test]
fn one_goes_at_a_time_the_least_loaded_first() {
    let mut stage = Stage::new((1, 5));
    stage.roster.want(4);
    stage.start();
    assert_eq!(stage.roster.victim([2].into_iter()), None, "none is too many");
    stage.roster.want(2);
    assert_eq!(stage.roster.victim([9, 3, 1].into_iter()), Some(3), "9 is none of ours");
    assert_eq!(stage.roster.victim([].into_iter()), None, "nobody is known to be idle");
    stage.roster.draining(3);
    assert_eq!((stage.roster.kept(), stage.start()), (3, vec![]));
    assert_eq!(stage.roster.victim([3, 1].into_iter()), Some(1), "3 goes already");
    stage.roster.draining(1);
    assert_eq!(stage.roster.victim([2].into_iter()), None);
    // One more is wanted while both still work: it gets a number of its own.
    stage.roster.want(3);
    assert_eq!(stage.start(), [5]);
    assert_eq!(stage.end(3, Left::Drained), None);
    stage.roster.want(4);
    assert_eq!(stage.start(), [3]);
}

#[test]
fn what_is_being_told_to_drain_may_be_gone_before_the_answer() {
    let mut stage = Stage::new((1, 2));
    stage.roster.want(2);
    stage.start();
    stage.roster.want(1);
    stage.roster.draining(2);
    assert_eq!(stage.end(2, Left::Drained), None, "it was for the pool");
    stage.roster.want(2);
    assert_eq!(stage.start(), [2]);
    // That the one before could not be told is no news of this one.
    stage.roster.not_draining(2, stage.now);
    assert_eq!(stage.roster.kept(), 2);
    stage.roster.want(1);
    stage.roster.draining(1);
    stage.roster.not_draining(1, stage.now);
    assert_eq!((stage.roster.kept(), stage.roster.victim([1].into_iter())), (2, Some(1)));
}

#[test]
fn those_that_drain_do_not_pile_up() {
    let mut stage = Stage::new((1, 2));
    for _ in 0..10 {
        stage.roster.want(2);
        for number in stage.start() {
            stage.roster.draining(number);
        }
    }
    assert_eq!(stage.roster.seats.len(), 4, "twice as many as there may be");
}

#[test]
fn what_fails_is_started_again_later_and_later() {
    let mut stage = Stage::new((1, 1));
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(stage.start(), [1]);
        waits.extend(seconds(stage.end(1, Left::Failed(70))));
        assert!(stage.start().is_empty() && stage.roster.next_start() > Some(stage.now));
        stage.later(31);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    // It has run for half a minute: what was before does not count any more.
    stage.start();
    stage.later(30);
    assert_eq!(seconds(stage.end(1, Left::Killed(9))), Some(1));
    stage.later(1);
    stage.start();
    assert_eq!(stage.end(1, Left::Recycled), Some(Duration::ZERO));
    assert_eq!(stage.start(), [1], "it wants to be started again");
    assert_eq!(stage.end(1, Left::Drained), Some(Duration::ZERO));
    assert_eq!(stage.start(), [1], "somebody else drained it");
}

#[test]
fn what_does_not_run_goes_without_a_word() {
    let mut stage = Stage::new((0, 3));
    stage.roster.want(3);
    stage.start();
    stage.end(2, Left::Failed(69));
    stage.roster.want(2);
    assert_eq!((stage.roster.kept(), stage.roster.next_start()), (2, None));
    stage.roster.draining(1);
    assert_eq!(stage.end(1, Left::Killed(9)), None, "it was to go anyway");
}

#[test]
fn how_a_worker_left_is_told_by_its_code() {
    for (code, signal, left, said) in [
        (Some(0), None, Left::Drained, 0),
        (Some(71), None, Left::Recycled, 71),
        (Some(75), None, Left::Failed(75), 75),
        (None, Some(9), Left::Killed(9), 137),
        (None, None, Left::Broken, 70),
    ] {
        let found = Left::of(code, signal);
        assert_eq!((found, found.code()), (left, said), "{code:?} {signal:?}");
    }
}
