//! Every piece of work leaves exactly one end, whatever becomes of it.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::poll_immediate;
use leasehold_proto::v1;
use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
};

use super::{Ends, run};
use crate::{assignment::Token, outcome::End};

/// What falls over when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("torn");
    }
}

#[test]
fn work_that_returns_panics_is_aborted_or_never_polled_leaves_one_end() {
    let ends = Arc::<Ends>::default();
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (mut work, mut taken) = (JoinSet::new(), VecDeque::new());
        work.spawn(run(async { End::Killed }, ends.slip(Token(1))));
        let torn = async {
            let _fragile = Fragile;
            End::Killed
        };
        work.spawn(run(torn, ends.slip(Token(2))));
        let aborted = work.spawn(run(pending(), ends.slip(Token(3))));
        yield_now().await;
        aborted.abort();
        drop(run(pending(), ends.slip(Token(4))));
        while work.join_next().await.is_some() {}
        ends.arrived().await;
        ends.take(&mut taken);
        taken.make_contiguous().sort_by_key(|(token, _)| *token);
        let [(_, returned), (_, torn), (_, aborted), (_, unpolled)] = taken.make_contiguous()
        else {
            panic!("not one end for each: {taken:?}")
        };
        assert_eq!(
            (returned, aborted, unpolled),
            (&mut End::Killed, &mut End::Aborted, &mut End::Aborted)
        );
        let End::Returned(Err(failure)) = torn else { panic!("{torn:?}") };
        assert_eq!((failure.0.reason(), &*failure.0.message), (v1::FailureReason::Panic, "torn"));
    });
}

/// What looks, when it is dropped, whether an end was left already.
struct Witness(Arc<Ends>, Arc<AtomicBool>);

impl Drop for Witness {
    fn drop(&mut self) {
        let mut taken = VecDeque::new();
        self.0.take(&mut taken);
        self.1.store(taken.is_empty(), Ordering::SeqCst);
    }
}

#[test]
fn nothing_of_the_work_is_left_when_its_end_is() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for is_polled in [false, true] {
        let (ends, was_first) = (Arc::<Ends>::default(), Arc::<AtomicBool>::default());
        let witness = Witness(Arc::clone(&ends), Arc::clone(&was_first));
        let work = async move {
            let _witness = witness;
            pending().await
        };
        let ran = run(work, ends.slip(Token(1)));
        runtime.block_on(async {
            let mut ran = Box::pin(ran);
            if is_polled {
                assert!(poll_immediate(&mut ran).await.is_none(), "it never ends");
            }
            drop(ran);
        });
        assert!(was_first.load(Ordering::SeqCst), "polled: {is_polled}");
    }
}

#[test]
fn what_is_left_behind_others_needs_no_news_of_its_own() {
    let ends = Arc::<Ends>::default();
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut taken = VecDeque::new();
        for last in 0..3 {
            for token in 0..=last {
                ends.slip(Token(token)).leave(End::Killed);
            }
            ends.arrived().await;
            ends.take(&mut taken);
            let tokens: Vec<_> = taken.drain(..).map(|(Token(token), _)| token).collect();
            assert_eq!(tokens, (0..=last).collect::<Vec<_>>());
        }
    });
}
