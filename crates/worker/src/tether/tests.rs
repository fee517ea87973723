//! What a handler hears of its worker, and when.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
};

use super::{Signal, Tether};
use crate::CancelReason;

type Said = fn(&Tether);

fn tether() -> Arc<Tether> {
    Arc::new(Tether::new(Instant::now() + Duration::from_mins(1)))
}

#[test]
fn what_is_said_last_is_the_reason_and_a_loose_end_has_one_too() {
    let cases: [(_, Said, _); 5] = [
        ("nothing", |_| (), None),
        ("loose", Tether::loosen, Some(CancelReason::LeaseLost)),
        (
            "cancel",
            |it| it.signal(Signal::Cancel(CancelReason::Draining)),
            Some(CancelReason::Draining),
        ),
        (
            "cancel, then loose",
            |it| {
                it.signal(Signal::Cancel(CancelReason::Draining));
                it.loosen();
            },
            Some(CancelReason::Draining),
        ),
        (
            "cancel, then kill",
            |it| {
                it.signal(Signal::Cancel(CancelReason::Draining));
                it.signal(Signal::Kill(CancelReason::Cancelled));
            },
            Some(CancelReason::Cancelled),
        ),
    ];
    for (name, say, expected) in cases {
        let tether = tether();
        say(&tether);
        assert_eq!(tether.reason(), expected, "{name}");
    }
}

/// Whatever is said first: the spawn, or that the work must die.
#[test]
fn work_that_must_die_is_aborted_whenever_it_is_spawned() {
    let kill: Said = |it| it.signal(Signal::Kill(CancelReason::Cancelled));
    let ask: Said = |it| it.signal(Signal::Cancel(CancelReason::Cancelled));
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for (name, say, is_aborted) in
        [("kill", kill, true), ("cut", Tether::cut, true), ("ask", ask, false)]
    {
        for is_first in [true, false] {
            let aborted = runtime.block_on(async {
                let (tether, mut work) = (tether(), JoinSet::new());
                if is_first {
                    say(&tether);
                }
                let waits = Arc::clone(&tether);
                tether.tie(work.spawn(async move {
                    waits.stopped().await;
                    // An aborted task ends here.
                    yield_now().await;
                }));
                yield_now().await;
                if !is_first {
                    say(&tether);
                }
                work.join_next().await.expect("the work").is_err()
            });
            assert_eq!(aborted, is_aborted, "{name}, first: {is_first}");
        }
    }
}
