//! Nobody does what another does, and nothing is left undone.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
};

use super::*;

/// Longer than any test takes: nobody finds something to do by chance.
const LONG: Duration = Duration::from_hours(1);

const AT_ONCE: Pause = Pause { left: None, has_more: true, has_jobs: false };
const NOTHING: Pause = Pause { left: None, has_more: false, has_jobs: false };
const A_BATCH: Done = Done { has_worked: true, has_reported: true };
const A_LOOK: Done = Done { has_worked: false, has_reported: false };
const A_JOB: Pause = Pause { left: None, has_more: false, has_jobs: true };

/// Something that happens, or is due soon.
type Change = fn(&mut State, Instant);

const WANTED: Duty = Duty { is_wanted: true, is_taken: false };
const TAKEN: Duty = Duty { is_wanted: true, is_taken: true };

/// What each of them would do now.
fn roles(rota: &Rota) -> [Option<Role>; HANDS] {
    let state = rota.lock();
    let now = Instant::now();
    [0, 1].map(|hand| state.role(hand, now, now + LONG))
}

#[test]
fn whoever_decided_writes_unless_there_is_more_to_decide() {
    use Role::{Decide, Write};
    for (pause, first, second, why) in [
        (NOTHING, None, None, "nothing came in"),
        (AT_ONCE, Some(Decide), Some(Decide), "either can"),
        (A_JOB, Some(Write), Some(Write), "either can, and the first is there"),
        (Pause { has_more: true, ..A_JOB }, Some(Decide), Some(Write), "each has something"),
        (Pause { left: Some(LONG), ..NOTHING }, None, None, "it is not due"),
        (Pause { left: Some(Duration::ZERO), ..NOTHING }, Some(Decide), Some(Decide), "it is due"),
    ] {
        let rota = Rota::new(LONG);
        assert_eq!(rota.next(0), Decide, "the engine has a first turn");
        rota.decided(pause);
        assert_eq!(roles(&rota), [first, second], "{why}: {pause:?}");
    }
}

#[test]
fn what_one_does_the_other_does_not() {
    let rota = Rota::new(LONG);
    assert_eq!(rota.next(0), Role::Decide);
    rota.lock().deciding.is_wanted = true;
    assert_eq!(roles(&rota), [None, None], "somebody decides");
    rota.decided(A_JOB);
    assert_eq!(rota.next(1), Role::Write);
    rota.lock().writing.is_wanted = true;
    assert_eq!(roles(&rota), [Some(Role::Decide), Some(Role::Decide)], "somebody writes");
    assert_eq!(rota.next(0), Role::Decide);
    rota.decided(NOTHING);
    rota.wrote(A_BATCH);
    assert_eq!(roles(&rota), [Some(Role::Decide), Some(Role::Write)], "there is a job again");
    assert_eq!([rota.next(0), rota.next(1)], [Role::Decide, Role::Write]);
    rota.decided(NOTHING);
    rota.wrote(A_BATCH);
    assert_eq!(rota.next(1), Role::Decide, "what was written is learned first");
    assert_eq!(roles(&rota), [None, None], "a batch may come of that");
    rota.decided(NOTHING);
    assert_eq!(rota.next(0), Role::Tidy, "then the journal is looked after");
    rota.wrote(A_LOOK);
    assert_eq!(roles(&rota), [None, None], "and that is all");
    rota.close();
    assert_eq!([rota.next(0), rota.next(1)], [Role::Leave; HANDS]);
}

#[test]
fn only_who_waits_is_woken_and_only_for_what_nobody_does() {
    let soon = Instant::now() + Duration::from_millis(50);
    let late = soon + LONG;
    let cases: [(&str, Change, Option<usize>); 8] = [
        ("nothing is to be done", |_, _| {}, None),
        ("something came in", |it, _| it.deciding = WANTED, Some(1)),
        ("somebody decides already", |it, _| it.deciding = TAKEN, None),
        ("there is a job", |it, _| it.writing = WANTED, Some(1)),
        ("somebody writes already", |it, _| it.writing = TAKEN, None),
        ("it is due before anybody looks", |it, soon| it.due = Some(soon), Some(1)),
        (
            "whoever decides looks himself",
            |it, soon| {
                (it.due, it.deciding) = (Some(soon), TAKEN);
            },
            None,
        ),
        ("it is over", |it, _| it.is_over = true, Some(1)),
    ];
    for (why, change, woken) in cases {
        let fresh =
            || State { deciding: Duty::default(), waits: [None, Some(late)], ..State::default() };
        let mut state = fresh();
        change(&mut state, soon);
        assert_eq!(state.wanted(), woken, "{why}");
        let mut nobody = State { waits: [None; HANDS], ..fresh() };
        change(&mut nobody, soon);
        assert_eq!(nobody.wanted(), None, "{why}, and nobody waits");
        // Of two, the one that decided last.
        let mut both = State { waits: [Some(late); HANDS], ..fresh() };
        change(&mut both, soon);
        assert_eq!(both.wanted(), woken.map(|_| 0), "{why}, and both wait");
    }
}

#[test]
fn whoever_waits_while_the_disk_hangs_looks_again_once_in_a_while() {
    let idle = Duration::from_millis(10);
    let rota = Rota::new(idle);
    assert_eq!(rota.next(0), Role::Decide, "the engine has a first turn");
    rota.decided(A_JOB);
    assert_eq!(rota.next(0), Role::Write);
    thread::scope(|scope| {
        let other = scope.spawn(|| rota.next(1));
        let long_since = Instant::now() + 3 * idle;
        let waits = || rota.lock().waits[1].map(|until| (Instant::now(), until));
        let until_later = |(now, until): (Instant, Instant)| long_since < now && now < until;
        while !waits().is_some_and(until_later) {
            thread::yield_now();
        }
        rota.close();
        assert_eq!(other.join().expect("it is told"), Role::Leave);
    });
}

/// Callers call at any moment; what they left is always taken, and each job is done, by one at a time.
#[test]
fn no_call_and_no_job_is_lost() {
    const CALLS: u64 = 20_000;
    let rota = Arc::new(Rota::new(LONG));
    let (inbox, jobs, taken, done) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (decides, writes) = (AtomicBool::new(false), AtomicBool::new(false));
    let alone = |role: &AtomicBool| assert!(!role.swap(true, SeqCst), "two do the same");
    let rest = |calls: u64| {
        let began = Instant::now();
        while done.load(SeqCst) < calls && began.elapsed() < Duration::from_secs(30) {
            thread::yield_now();
        }
        if done.load(SeqCst) < calls {
            rota.close();
            panic!("something was lost");
        }
    };
    thread::scope(|scope| {
        for hand in 0..HANDS {
            let (rota, inbox, jobs, taken, done) = (&rota, &inbox, &jobs, &taken, &done);
            let (decides, writes) = (&decides, &writes);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(hand as u64);
                loop {
                    match rota.next(hand) {
                        Role::Decide => {
                            alone(decides);
                            // One at a time: what is left is more to decide, as the engine would say.
                            let has = inbox.load(SeqCst);
                            let some = has.min(random.u64(1..4));
                            inbox.fetch_sub(some, SeqCst);
                            taken.fetch_add(some, SeqCst);
                            jobs.fetch_add(some, SeqCst);
                            let has_more = inbox.load(SeqCst) != 0;
                            decides.store(false, SeqCst);
                            rota.decided(Pause { left: None, has_more, has_jobs: 0 < some });
                        }
                        Role::Write | Role::Tidy => {
                            alone(writes);
                            let some = jobs.swap(0, SeqCst);
                            done.fetch_add(some, SeqCst);
                            writes.store(false, SeqCst);
                            rota.wrote(Done { has_worked: 0 < some, has_reported: 0 < some });
                        }
                        Role::Leave => return,
                    }
                }
            });
        }
        for call in 0..CALLS {
            inbox.fetch_add(1, SeqCst);
            Arc::clone(&rota).wake();
            if call % 64 == 0 {
                // Lets them come to rest, now and then.
                rest(call + 1);
            }
        }
        rest(CALLS);
        rota.close();
    });
    assert_eq!((taken.into_inner(), done.into_inner()), (CALLS, CALLS));
}
