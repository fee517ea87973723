//! A circuit against the sentences that define it, and over random sequences against a judge that keeps every call.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    Call, CallEnd, Circuit, CircuitState, CircuitTerms, PARTS, Pass, SlowTerms, Tally, Turn,
    window::part_of,
};
use crate::Time;

const MS: Duration = Duration::from_millis(1);

const TERMS: CircuitTerms = CircuitTerms {
    window: Duration::from_secs(3),
    calls_min: 4,
    failure_share: 500,
    slow: Some(SlowTerms { after: Duration::from_millis(100), share: 750 }),
    open_for: Duration::from_secs(1),
    open_for_max: Duration::from_secs(5),
    probes: 2,
};

fn at(ms: u64) -> Time {
    Time::from_unix_ms(1_000_000 + ms)
}

/// A call of a script: `.` succeeds, `s` does so slowly, `x` fails.
fn call(letter: char) -> Call {
    let end = if letter == 'x' { CallEnd::Failed } else { CallEnd::Succeeded };
    Call { end, ran: if letter == 's' { 101 * MS } else { 100 * MS } }
}

/// Calls one after the other, each with what it turned the circuit to.
fn play(circuit: &mut Circuit, script: &str, now: u64) -> String {
    let mut said = String::new();
    for letter in script.chars() {
        let pass = circuit.pass();
        let turn = circuit.count(pass, call(letter), &TERMS, at(now));
        circuit.leave(pass);
        said.push(match turn {
            None => '-',
            Some(Turn::Opened) => 'O',
            Some(Turn::HalfOpened) => 'H',
            Some(Turn::Closed) => 'C',
        });
    }
    said
}

#[test]
fn it_opens_when_enough_of_enough_calls_fail_or_are_slow() {
    // What is called, and what comes of it.
    let cases = [
        ("....................", "--------------------"),
        ("xxxx", "---O"),
        ("xxx", "---"),
        // The share is looked at with each call, also when a good one is the fourth.
        ("xxx.", "---O"),
        ("..xx", "---O"),
        ("...xx", "-----"),
        ("...xxx", "-----O"),
        ("ssss", "---O"),
        ("sss.", "---O"),
        ("ss..", "----"),
        ("s.ss", "---O"),
    ];
    for (script, turns) in cases {
        assert_eq!(play(&mut Circuit::default(), script, 0), turns, "{script}");
    }
}

#[test]
fn what_went_well_long_ago_does_not_hide_an_outage() {
    // How long after twenty good calls four bad ones come, and whether they open it: only if they are all that there was
    // in the last tenth of the window, which is three parts of a hundred milliseconds.
    for (later, opens) in [(0, false), (299, false), (300, true), (2_000, true)] {
        let mut circuit = Circuit::default();
        assert_eq!(play(&mut circuit, "....................", 0), "--------------------");
        let turns = play(&mut circuit, "xxxx", later);
        assert_eq!(turns, if opens { "---O" } else { "----" }, "{later} ms later");
        let calls = circuit.tally(&TERMS, at(later)).calls;
        assert_eq!(calls, if opens { 4 } else { 24 }, "what opened it is what is told");
    }
}

#[test]
fn what_is_older_than_the_window_does_not_count() {
    // When three fail, when a fourth does, and what is in the window then.
    let cases = [
        (0, 2_899, Tally { calls: 4, failures: 4, slow: 0 }, "O"),
        (0, 3_000, Tally { calls: 1, failures: 1, slow: 0 }, "-"),
        (99, 2_999, Tally { calls: 4, failures: 4, slow: 0 }, "O"),
        (99, 1_000_000, Tally { calls: 1, failures: 1, slow: 0 }, "-"),
    ];
    for (first, last, tally, turn) in cases {
        let mut circuit = Circuit::default();
        assert_eq!(play(&mut circuit, "xxx", first), "---");
        assert_eq!(play(&mut circuit, "x", last), turn, "{first} {last}");
        assert_eq!(circuit.tally(&TERMS, at(last)), tally, "{first} {last}");
    }
    let mut circuit = Circuit::default();
    play(&mut circuit, "xxxx", 0);
    let opened = circuit.tally(&TERMS, at(1_000_000));
    assert_eq!(opened.failures, 4, "an open one tells what opened it");
}

#[test]
fn probes_close_it_or_open_it_for_twice_as_long() {
    let mut circuit = Circuit::default();
    play(&mut circuit, "xxxx", 0);
    let mut now = 0;
    for lasts in [1_000, 2_000, 4_000, 5_000, 5_000] {
        let until = at(now + lasts);
        assert_eq!(circuit.state(), CircuitState::Open { until });
        assert_eq!((circuit.advance(at(now + lasts - 1)), circuit.lets(&TERMS)), (None, false));
        now += lasts;
        assert_eq!(circuit.advance(at(now)), Some(Turn::HalfOpened));
        assert_eq!(play(&mut circuit, ".x", now), "-O");
    }
    now += 5_000;
    circuit.advance(at(now));
    assert_eq!(play(&mut circuit, ".s.", now), "---", "a slow one breaks the row");
    assert_eq!(play(&mut circuit, ".", now), "C");
    assert_eq!(play(&mut circuit, "xxx", now), "---", "it begins anew");
    assert_eq!(play(&mut circuit, "x", now), "O");
    assert_eq!(circuit.state(), CircuitState::Open { until: at(now + 1_000) }, "and not for long");
}

#[test]
fn a_few_probes_run_at_a_time_whatever_round_they_are_of() {
    let mut circuit = Circuit::default();
    let early = circuit.pass();
    play(&mut circuit, "xxxx", 0);
    circuit.advance(at(1_000));
    assert_eq!(circuit.count(early, call('x'), &TERMS, at(1_000)), None, "it is no probe");
    let [first, second] = [circuit.pass(), circuit.pass()];
    assert!(!circuit.lets(&TERMS));
    circuit.leave(first);
    assert!(circuit.lets(&TERMS), "one that says nothing leaves its place");
    let third = circuit.pass();
    assert_eq!(circuit.count(third, call('x'), &TERMS, at(1_000)), Some(Turn::Opened));
    circuit.advance(at(3_000));
    assert_eq!(circuit.count(second, call('x'), &TERMS, at(3_000)), None, "of another round");
    assert!(!circuit.lets(&TERMS), "they may still run");
    circuit.leave(third);
    assert!(circuit.lets(&TERMS));
    assert_eq!((circuit.close(at(3_000)), circuit.lets(&TERMS)), (Turn::Closed, true));
    circuit.leave(second);
    assert_eq!(circuit.probes(), 0);
}

#[test]
fn other_terms_hold_from_then_on() {
    let longer = CircuitTerms { window: Duration::from_secs(6), ..TERMS };
    let stricter = CircuitTerms { calls_min: 2, ..TERMS };
    let shorter = CircuitTerms { open_for_max: Duration::from_millis(700), ..TERMS };
    let mut circuit = Circuit::default();
    play(&mut circuit, "xxx", 0);
    circuit.obey(&TERMS, &stricter, at(10));
    assert_eq!(circuit.tally(&stricter, at(10)).calls, 3, "the window stays");
    circuit.obey(&stricter, &longer, at(10));
    assert_eq!(circuit.tally(&longer, at(10)), Tally::default(), "another one begins");
    let mut circuit = Circuit::default();
    play(&mut circuit, "xxxx", 0);
    circuit.obey(&TERMS, &shorter, at(100));
    assert_eq!(circuit.state(), CircuitState::Open { until: at(800) });
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    /// Somebody passes, if he may.
    Pass,
    /// What the n-th does ends and says something.
    Count(prop::sample::Index, char),
    /// What the n-th does is over.
    Leave(prop::sample::Index),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => prop::sample::select(vec![1, 40, 100, 500, 900, 3_000]).prop_map(Step::Wait),
        6 => Just(Step::Pass),
        6 => (index(), prop::sample::select(vec!['.', '.', 's', 'x', 'x'])).prop_map(|(n, it)| Step::Count(n, it)),
        3 => index().prop_map(Step::Leave),
        1 => Just(Step::Close),
    ]
}

/// The rules, over a list of every call.
#[derive(Default)]
struct Judge {
    /// When calls ended that were let through while it was closed, since it last closed.
    calls: Vec<(Time, char)>,
    /// Since the last turn: those that passed, and how the probes ended.
    round: u64,
    ends: Vec<char>,
    open_until: Option<Time>,
    is_half_open: bool,
    failed_rounds: u32,
    probes: u32,
}

impl Judge {
    fn window(&self, now: Time) -> Vec<char> {
        self.last(PARTS as u64, now)
    }

    fn last(&self, parts: u64, now: Time) -> Vec<char> {
        let number = |time: Time| part_of(TERMS.window, time);
        let lately = |time: Time| number(now) < number(time) + parts;
        self.calls.iter().filter(|(time, _)| lately(*time)).map(|(_, it)| *it).collect()
    }

    fn advance(&mut self, now: Time) {
        if self.open_until.is_some_and(|until| until <= now) {
            (self.open_until, self.is_half_open) = (None, true);
            (self.round, self.ends) = (self.round + 1, Vec::new());
        }
    }

    fn lets(&self) -> bool {
        self.open_until.is_none() && (!self.is_half_open || self.probes < TERMS.probes)
    }

    fn open(&mut self, now: Time) {
        let lasts = TERMS.open_for * 2_u32.pow(self.failed_rounds.min(10));
        (self.open_until, self.is_half_open) = (Some(now + lasts.min(TERMS.open_for_max)), false);
        self.round += 1;
    }

    fn close(&mut self) {
        (self.open_until, self.is_half_open, self.failed_rounds) = (None, false, 0);
        self.calls.clear();
        self.round += 1;
    }

    fn count(&mut self, round: u64, letter: char, now: Time) {
        if round != self.round || self.open_until.is_some() {
            return;
        }
        if !self.is_half_open {
            self.calls.push((now, letter));
            let is_bad = |calls: Vec<char>| {
                let count = |wanted: char| calls.iter().filter(|it| **it == wanted).count();
                let (half, three_quarters) = (2 * count('x'), 4 * count('s'));
                4 <= calls.len() && (calls.len() <= half || 3 * calls.len() <= three_quarters)
            };
            if is_bad(self.window(now)) || is_bad(self.last(3, now)) {
                self.open(now);
            }
            return;
        }
        self.ends.push(letter);
        if letter == 'x' {
            self.failed_rounds += 1;
            self.open(now);
        } else if self.ends.ends_with(&['.', '.']) {
            self.close();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn it_does_what_a_judge_says_that_keeps_every_call(steps in prop::collection::vec(step(), 1..120)) {
        let (mut circuit, mut judge, mut now) = (Circuit::default(), Judge::default(), at(0));
        // Who has passed, in which round, whether as a probe, and whether it was counted.
        let mut inside: Vec<(Pass, u64, bool, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now = now + Duration::from_millis(ms),
                Step::Pass if judge.lets() => {
                    inside.push((circuit.pass(), judge.round, judge.is_half_open, false));
                    judge.probes += u32::from(judge.is_half_open);
                }
                Step::Count(n, letter) if !inside.is_empty() => {
                    let (pass, round, _, is_counted) = n.get_mut(&mut inside);
                    if !*is_counted {
                        circuit.count(*pass, call(letter), &TERMS, now);
                        judge.count(*round, letter, now);
                    }
                    *is_counted = true;
                }
                Step::Leave(n) if !inside.is_empty() => {
                    let (pass, _, is_probe, _) = inside.remove(n.index(inside.len()));
                    circuit.leave(pass);
                    judge.probes -= u32::from(is_probe);
                }
                Step::Close => {
                    circuit.close(now);
                    judge.close();
                }
                Step::Pass | Step::Count(..) | Step::Leave(_) => {}
            }
            circuit.advance(now);
            judge.advance(now);
            let open_until = match circuit.state() {
                CircuitState::Open { until } => Some(until),
                CircuitState::Closed | CircuitState::HalfOpen { .. } => None,
            };
            prop_assert_eq!(open_until, judge.open_until);
            prop_assert_eq!(circuit.lets(&TERMS), judge.lets());
            prop_assert_eq!(circuit.probes(), judge.probes);
            if open_until.is_none() && !judge.is_half_open {
                let window = judge.window(now);
                let count = |letter: char| window.iter().filter(|it| **it == letter).count();
                let tally = circuit.tally(&TERMS, now);
                let counted = [tally.calls, tally.failures, tally.slow].map(|it| it as usize);
                prop_assert_eq!(counted, [window.len(), count('x'), count('s')]);
            }
        }
    }
}
