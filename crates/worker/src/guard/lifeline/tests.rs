//! What a guard does when, and that it reads what its worker wrote last.

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use super::{Asker, Bound, Lifeline, Limits, Lookout, Reached, Renewal, Strand, Window};
use crate::{OnSessionLost, clock::Moment};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(at_ms: u64) -> Moment {
    Moment::default() + ms(at_ms)
}

/// Everything in ms: the session's end and margin, the lease's due and grace, and when the guard asks and kills.
#[test]
fn whichever_bound_is_nearer_counts_and_only_the_session_is_not_put_off() {
    for (session, lease, ask, kill) in [
        // The session is nearer: the grace is shorter than its margin, or longer.
        ((10_000, 2_500), (60_000, 1_000), 9_250, 10_000),
        ((10_000, 2_500), (60_000, 5_000), 7_750, 10_000),
        // The lease is nearer.
        ((10_000, 2_500), (3_000, 1_000), 3_000, 4_000),
        ((10_000, 2_500), (3_000, 0), 3_000, 3_000),
        // The lease asks, and the session kills.
        ((10_000, 2_500), (6_000, 5_000), 6_000, 10_000),
        // No margin, no time to wait for the worker.
        ((10_000, 2_500), (60_000, 0), 10_000, 10_000),
        ((10_000, 400), (60_000, 1_000), 9_700, 10_000),
    ] {
        let bound = |(end, span)| Bound { at: at(end), span: ms(span), asked: 0 };
        let expected = Limits { ask_at: at(ask), kill_at: at(kill), is_asked: false };
        assert_eq!(Limits::of(bound(session), bound(lease)), expected, "{session:?} {lease:?}");
    }
}

#[test]
fn a_lease_without_a_limit_is_bound_by_the_session_alone() {
    let (_lifeline, window) = watched(None, ms(1_000));
    assert_eq!(limits(&window), (at(9_250), at(10_000)));
}

#[test]
fn one_write_renews_all_and_a_nearer_bound_is_told() {
    let lifeline = Arc::new(Lifeline::new(None, OnSessionLost::Stop).expect("memory"));
    let strands = [ms(100), ms(200)].map(|grace| lifeline.strand(None, grace));
    let renew = |end, margin| lifeline.renew(at(end), ms(margin)).expect("it is written");
    assert_eq!(renew(10_000, 1_000), Renewal::Longer);
    let windows = strands.each_ref().map(|strand| {
        let (worker, guard) = UnixStream::pair().expect("a socket pair");
        let window = window(strand);
        window.send(&worker).expect("it is sent");
        Window::receive(&guard, window.index()).expect("it arrives")
    });
    assert_eq!(windows.each_ref().map(|it| limits(it).1), [at(10_000); 2]);
    assert_eq!(renew(12_000, 1_000), Renewal::Longer);
    assert_eq!(windows.each_ref().map(|it| limits(it).1), [at(12_000); 2]);
    assert_eq!(renew(11_000, 1_000), Renewal::Shorter);
    assert_eq!(renew(11_000, 2_000), Renewal::Shorter);
    assert_eq!(renew(11_000, 1_000), Renewal::Longer);
}

#[test]
fn where_work_may_finish_the_session_is_no_bound_for_it_and_is_one_for_its_effects() {
    let lifeline = Arc::new(Lifeline::new(None, OnSessionLost::Finish).expect("memory"));
    lifeline.renew(at(10_000), ms(2_500)).expect("it is written");
    let strand = lifeline.strand(Some(at(60_000)), ms(1_000));
    assert_eq!(limits(&window(&strand)), (at(60_000), at(61_000)));
    assert_eq!(reached(&strand, at(9_500)), Some(Reached::Session));
}

#[test]
fn nothing_runs_before_the_first_renewal() {
    let lifeline = Arc::new(Lifeline::new(None, OnSessionLost::Stop).expect("memory"));
    let strand = lifeline.strand(Some(at(5_000)), ms(100));
    assert_eq!(limits(&window(&strand)).1, Moment::default());
}

#[test]
fn a_record_is_used_again_only_when_its_lease_is_over() {
    let lifeline = Arc::new(Lifeline::new(None, OnSessionLost::Stop).expect("memory"));
    let written = || window(&lifeline.strand(None, ms(0)));
    let (first, second) = (written(), written());
    assert_ne!(first.index(), second.index());
    let freed = first.index();
    drop(first);
    assert_eq!(written().index(), freed);
}

#[test]
fn what_was_never_written_is_no_bound() {
    let (_lifeline, window) = watched(None, ms(0));
    assert!(window.limits().is_ok());
    assert!(Window { index: 7, ..window }.limits().is_err());
}

#[test]
fn an_effect_is_refused_from_when_its_work_is_asked_to_stop() {
    let lifeline = Arc::new(Lifeline::new(None, OnSessionLost::Stop).expect("memory"));
    lifeline.renew(at(10_000), ms(2_500)).expect("it is written");
    for (due, grace, now, expected) in [
        (None, 1_000, 8_999, None),
        (None, 1_000, 9_000, Some(Reached::Session)),
        (None, 5_000, 7_499, None),
        (None, 5_000, 7_500, Some(Reached::Session)),
        (Some(at(3_000)), 1_000, 2_999, None),
        (Some(at(3_000)), 1_000, 3_000, Some(Reached::Own)),
        (Some(at(3_000)), 1_000, 20_000, Some(Reached::Session)),
    ] {
        let strand = lifeline.strand(due, ms(grace));
        assert_eq!(reached(&strand, at(now)), expected, "{due:?} {grace} {now}");
    }
    // The worker was away for long; what it did not renew is over.
    lifeline.renew(at(20_000), ms(2_500)).expect("it is written");
    assert_eq!(reached(&lifeline.strand(None, ms(0)), at(10_001)), None);
}

#[test]
fn why_work_is_asked_to_stop_is_told_and_changes_no_bound() {
    let (lifeline, other) = watched(Some(at(5_000)), ms(100));
    let strand = lifeline.strand(Some(at(5_000)), ms(100));
    let before = limits(&window(&strand));
    let is_asked = || window(&strand).limits().expect("whole records").is_asked;
    assert_eq!((asked(&strand), is_asked()), (None, false));
    for (asker, by_worker) in [(Asker::Guard, false), (Asker::Worker, true)] {
        strand.ask(asker, 3).expect("it is written");
        assert_eq!((asked(&strand), limits(&window(&strand))), (Some(3), before));
        assert_eq!(is_asked(), by_worker, "{asker:?}");
    }
    assert_eq!(Lookout::There(Arc::new(other)).asked(), None, "the other lease is not asked");
}

#[test]
fn more_time_moves_the_own_bound_of_a_lease_and_nothing_else() {
    let (lifeline, other) = watched(Some(at(2_000)), ms(100));
    let strand = lifeline.strand(Some(at(2_000)), ms(100));
    strand.ask(Asker::Worker, 3).expect("it is written");
    strand.postpone(at(4_000)).expect("it is written");
    assert_eq!(limits(&window(&strand)), (at(4_000), at(4_100)));
    assert_eq!((asked(&strand), reached(&strand, at(3_999))), (Some(3), None));
    assert_eq!(limits(&other), (at(2_000), at(2_100)), "the other lease has no more");
}

#[test]
fn a_record_written_late_says_what_was_changed_before() {
    let lifeline = Arc::new(Lifeline::new(None, OnSessionLost::Stop).expect("memory"));
    lifeline.renew(at(10_000), ms(2_500)).expect("it is written");
    let strand = lifeline.strand(Some(at(2_000)), ms(100));
    strand.postpone(at(4_000)).expect("nothing is written yet");
    assert_eq!(limits(&window(&strand)), (at(4_000), at(4_100)));
    strand.postpone(at(5_000)).expect("it is written");
    assert_eq!(limits(&window(&strand)), (at(5_000), at(5_100)));
}

fn watched(due: Option<Moment>, grace: Duration) -> (Arc<Lifeline>, Window) {
    let lifeline = Arc::new(Lifeline::new(None, OnSessionLost::Stop).expect("memory"));
    let strand = lifeline.strand(due, grace);
    lifeline.renew(at(10_000), ms(2_500)).expect("it is written");
    let window = window(&strand);
    (lifeline, window)
}

fn window(strand: &Arc<Strand>) -> Window {
    strand.write_down().expect("a record")
}

/// What the worker itself sees, and so does every other process.
fn reached(strand: &Arc<Strand>, now: Moment) -> Option<Reached> {
    let there = Lookout::There(Arc::new(window(strand))).reached(now);
    let here = Lookout::Here(Arc::clone(strand)).reached(now);
    assert_eq!(here, there, "both see the same");
    here
}

fn asked(strand: &Arc<Strand>) -> Option<u8> {
    let there = Lookout::There(Arc::new(window(strand))).asked();
    let here = Lookout::Here(Arc::clone(strand)).asked();
    assert_eq!(here, there, "both see the same");
    here
}

fn limits(window: &Window) -> (Moment, Moment) {
    let Limits { ask_at, kill_at, .. } = window.limits().expect("whole records");
    (ask_at, kill_at)
}
