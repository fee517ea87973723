//! Tasks that are unlikely to be over in time are refused if they ask for that, and accepted with a word about it if not.

use super::check;

/// A worker of one slot that is taken until 2000 ms, and tasks of type t that are known to take 1 s.
const BUSY: &str = "
        configure open=100
        hello w s1 types=t,u
            welcome
        submit x
            accepted x
        grant
            s1: run x as t1, attempt 1
        start s1 t1
        at 1000
        ok s1 t1
            x Succeeded; 1 attempts, 0 losses
            s1: t1 is Accepted
        submit y
            accepted y
        grant
            s1: run y as t2, attempt 1
        start s1 t2
";

fn check_busy(script: &str) {
    check(&format!("{BUSY}{script}"));
}

#[test]
fn a_deadline_behind_the_likely_end_is_refused_or_told() {
    check_busy(
        "
        submit a total=2000 admission=strict
            refused: the task has 2s and is likely to need 2.001s: tasks before it: 0, slots: 1, longest it waits for a free slot, half of its type run for up to 1s
        submit b total=2001 admission=strict
            accepted b
        submit b2 total=2001 admission=strict
            refused: the task has 2.001s and is likely to need 3.001s: tasks before it: 1, slots: 1, longest it waits for a free slot, half of its type run for up to 1s
        submit c total=2001
            accepted c
        submit d total=2001 admission=best-effort
            accepted d, likely over at 4001ms
        submit e total=60000 admission=best-effort
            accepted e
    ",
    );
}

#[test]
fn what_is_refused_leaves_nothing() {
    check_busy(
        "
        submit a total=2000 admission=strict key=k digest=1
            refused: the task has 2s and is likely to need 2.001s: tasks before it: 0, slots: 1, longest it waits for a free slot, half of its type run for up to 1s
        show a
            gone
        submit b key=k digest=2
            accepted b
        submit c key=k digest=2 total=2000 admission=strict
            accepted known as b
        queues
            q: 0 + 1 + 1, oldest 1000ms
    ",
    );
}

#[test]
fn who_only_asks_is_told_the_same() {
    check_busy(
        "
        submit a total=2000 admission=strict check
            refused: the task has 2s and is likely to need 2.001s: tasks before it: 0, slots: 1, longest it waits for a free slot, half of its type run for up to 1s
        submit b total=2000 admission=best-effort check
            accepted nothing, likely over at 3000ms
        submit c total=2001 admission=strict check
            accepted nothing
    ",
    );
}

#[test]
fn of_what_is_not_known_the_best_is_assumed() {
    check_busy(
        "
        submit a total=1 type=nobody admission=strict
            accepted a
        submit b total=1001 type=u admission=strict
            accepted b
        submit c total=900 type=u admission=strict
            refused: the task has 900ms and is likely to need 1.002s: tasks before it: 0, slots: 1, longest it waits for a free slot
        pause q
        submit d total=1 admission=strict
            accepted d
    ",
    );
}

#[test]
fn a_later_deadline_stands_behind_more_others() {
    check_busy(
        "
        submit a total=3500
            accepted a
        submit b total=5500
            accepted b
        submit c total=2000 admission=strict
            refused: the task has 2s and is likely to need 2.001s: tasks before it: 0, slots: 1, longest it waits for a free slot, half of its type run for up to 1s
        submit d total=1500 admission=strict priority=6
            refused: the task has 1.5s and is likely to need 4.001s: tasks before it: 2, slots: 1, longest it waits for a free slot, half of its type run for up to 1s
        submit e total=4000 delay=3500 admission=strict
            refused: the task has 4s and is likely to need 4.501s: tasks before it: 1, slots: 1, longest it waits for its initial delay, half of its type run for up to 1s
    ",
    );
}
