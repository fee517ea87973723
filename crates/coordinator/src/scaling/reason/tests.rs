//! Every reason, word for word.

use leasehold_policy::scale::{Held, Processor};

use super::*;

#[test]
fn every_reason_is_a_line_for_people() {
    let second = Duration::from_secs(1);
    let settings = Settings {
        min: 1,
        max: 16,
        queue_wait: second * 4 / 5,
        start_latency: second * 2 / 5,
        start_backlog: 5_000,
        start_patience: second * 120,
        cpu_high: 750,
        cpu_low: 300,
        processor: Processor::Own,
        spare: 2,
        settle: second * 10,
        cooldown: second * 60,
    };
    let signals = Signals {
        workers: 4,
        idle: 3,
        slots_each: 2,
        leased: 8,
        backlog: 12,
        held: Held { paused: 500, ..Held::default() },
        queue_wait: Some(Duration::from_micros(994_666)),
        start_latency: Some(Duration::from_millis(1_234)),
        cpu: Some(826),
    };
    for (why, expected) in [
        (Why::Calm, "no threshold is crossed"),
        (Why::Nobody, "12 tasks wait and there is no worker"),
        (Why::QueueWait, "tasks wait 994ms on average, more than 800ms, and 12 do now"),
        (
            Why::StartLatency,
            "for 120s not even 95 % of tasks started within 400ms (1.2s now), and 12 wait",
        ),
        (Why::Cpu, "the processors of 4 workers are 82 % busy, more than 75 %"),
        (Why::Idle, "3 workers have nothing to do, more than 2"),
        (Why::Settling, "more are wanted; the last change has 10s to show what it does"),
        (Why::Cooling, "3 workers have nothing to do; one goes in 4.4s if that lasts"),
        (
            Why::Limited,
            "all 500 tasks that wait are held by paused queues: more workers would not help",
        ),
        (Why::Range, "from 1 to 16 workers are allowed"),
    ] {
        let cooldown_left = Duration::from_millis(4_484);
        let bound = Some(Bound::Paused);
        let verdict = Verdict { desired: 4, why, bound, cooldown_left };
        assert_eq!(of(&verdict, &signals, &settings), expected);
    }
}
