//! Every handler that is set off is called and leaves one end, whatever it and those beside it do.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use leasehold_proto::v1;
use leasehold_telemetry::LazySpan;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    task::{block_in_place, yield_now},
    time::timeout,
};

use super::{Piece, STARTS_MAX, set_off};
use crate::{
    CancelReason, Context, OnSessionLost, TaskError,
    assignment::{Assignment, Token},
    clock::Clock,
    context::{House, Known},
    ends::Ends,
    guard::{Lifeline, Lookout},
    limits::Limits,
    outcome::{End, Failure},
    progress::Board,
    task::Function,
    tether::{Signal, Tether},
};

/// Longer than anything here takes, and shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// A runtime whose threads call handlers.
struct Stage {
    runtime: Runtime,
    ends: Arc<Ends>,
    lifeline: Arc<Lifeline>,
    house: Arc<House>,
}

impl Stage {
    fn of_threads(threads: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        Self::on(runtime.expect("a runtime"))
    }

    fn on(runtime: Runtime) -> Self {
        let lifeline = Lifeline::new(None, OnSessionLost::Stop).expect("a lifeline");
        let house = House {
            worker_id: "w".to_owned(),
            clock: Clock::Boot,
            board: Arc::new(Board::default()),
            asks: None,
        };
        Self { runtime, ends: Arc::default(), lifeline: Arc::new(lifeline), house: Arc::new(house) }
    }

    fn context(&self, token: i64) -> Context {
        let sent = v1::Assignment { fencing_token: token, ..v1::Assignment::default() };
        let assignment = Arc::new(Assignment::parse(sent));
        let in_time = Instant::now() + PATIENCE;
        Context::new(Known {
            house: Arc::clone(&self.house),
            trace: assignment.trace.clone(),
            assignment,
            limits: Limits { result_bytes: 1, checkpoint_bytes: 1 },
            lookout: Lookout::Here(self.lifeline.strand(None, Duration::ZERO)),
            tether: Tether::new(in_time),
            task_deadline: in_time,
        })
    }

    fn piece<F, Fut>(&self, token: i64, handler: F) -> Piece
    where
        F: Fn(Bytes, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, TaskError>> + Send + 'static,
    {
        let function: Arc<dyn Function> = Arc::new(handler);
        let context = self.context(token);
        let span = LazySpan::Unseen(context.unseen());
        Piece::new(function, context, span, self.ends.slip(Token(token)))
    }

    /// The next so many ends, by token.
    fn ends(&self, count: usize) -> Vec<(i64, End)> {
        let mut all = Vec::new();
        self.runtime.block_on(async {
            while all.len() < count {
                let arrived = timeout(2 * PATIENCE, self.ends.arrived()).await;
                arrived.unwrap_or_else(|_| panic!("{count} ends are expected: {all:?}"));
                let mut taken = VecDeque::new();
                self.ends.take(&mut taken);
                all.extend(taken.into_iter().map(|(Token(token), end)| (token, end)));
            }
        });
        assert_eq!(all.len(), count, "{all:?}");
        all.sort_by_key(|(token, _)| *token);
        all
    }
}

fn success(token: i64) -> (i64, End) {
    (token, End::Returned(Ok(Bytes::from(token.to_string()))))
}

fn answer(context: &Context) -> String {
    context.fencing_token().to_string()
}

#[test]
fn however_many_begin_together_each_is_called_once_and_answers() {
    for threads in [1, 2, 4] {
        let stage = Stage::of_threads(threads);
        for count in [0, 1, 2, 3, STARTS_MAX, STARTS_MAX + 1, 10 * STARTS_MAX] {
            let called = Arc::new(AtomicUsize::new(0));
            let tokens = 0..i64::try_from(count).expect("a few");
            let pieces = tokens.clone().map(|token| {
                let called = Arc::clone(&called);
                stage.piece(token, move |_, context| {
                    called.fetch_add(1, Ordering::SeqCst);
                    async move {
                        // Every third has to wait, and so is over only when it is polled again.
                        if context.fencing_token() % 3 == 0 {
                            yield_now().await;
                        }
                        Ok(answer(&context))
                    }
                })
            });
            set_off(stage.runtime.handle(), pieces.collect());
            assert_eq!(stage.ends(count), tokens.map(success).collect::<Vec<_>>());
            assert_eq!(called.load(Ordering::SeqCst), count, "{threads} threads");
        }
    }
}

/// One handler keeps its thread until all others have ended: those that were called before it and wait, and those behind it.
#[test]
fn a_handler_that_keeps_its_thread_keeps_nobody_else() {
    for keeper in 0..6 {
        let stage = Stage::of_threads(2);
        let ((keeps, keeping), (release, kept)) = (sync_channel(1), sync_channel(1));
        let kept = Arc::new(Mutex::new(kept));
        let wake = Arc::new(Notify::new());
        let pieces = (0..6).map(|token| {
            let (keeps, kept, wake) = (keeps.clone(), Arc::clone(&kept), Arc::clone(&wake));
            stage.piece(token, move |_, context| {
                let (keeps, kept, wake) = (keeps.clone(), Arc::clone(&kept), Arc::clone(&wake));
                async move {
                    if token == keeper {
                        keeps.send(()).expect("somebody wants to know");
                        let kept = kept.lock().expect("one keeps its thread");
                        kept.recv_timeout(3 * PATIENCE).expect("it is released");
                    } else if token + 1 == keeper {
                        // Until the one that is called next has the thread.
                        wake.notified().await;
                    }
                    Ok(answer(&context))
                }
            })
        });
        set_off(stage.runtime.handle(), pieces.collect());
        keeping.recv_timeout(PATIENCE).expect("it is called");
        wake.notify_one();
        let others = (0..6).filter(|token| *token != keeper);
        assert_eq!(stage.ends(5), others.map(success).collect::<Vec<_>>(), "beside {keeper}");
        release.send(()).expect("it waits for that");
        assert_eq!(stage.ends(1), [success(keeper)]);
    }
}

/// What blocks in place has a thread of its own for that, so as many can as want to.
#[test]
fn handlers_that_block_in_place_do_so_side_by_side() {
    let stage = Stage::of_threads(1);
    let all = Arc::new((Mutex::new(0), Condvar::new()));
    let pieces = (0..8).map(|token| {
        let all = Arc::clone(&all);
        stage.piece(token, move |_, context| {
            let all = Arc::clone(&all);
            async move {
                let are_together = block_in_place(|| {
                    let (count, changed) = &*all;
                    let mut count = count.lock().expect("nobody panics");
                    *count += 1;
                    changed.notify_all();
                    let waited = changed.wait_timeout_while(count, PATIENCE, |count| *count < 8);
                    *waited.expect("nobody panics").0 == 8
                });
                are_together.then(|| answer(&context)).ok_or_else(|| TaskError::retry("alone"))
            }
        })
    });
    set_off(stage.runtime.handle(), pieces.collect());
    assert_eq!(stage.ends(8), (0..8).map(success).collect::<Vec<_>>());
}

#[test]
fn a_panic_ends_one_handler_wherever_it_comes() {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("torn");
        }
    }
    let stage = Stage::of_threads(1);
    let calls = |at: &'static str| {
        move |_, context: Context| {
            assert_ne!(at, "called");
            async move {
                let _fragile = (at == "dropped").then(|| Fragile);
                assert_ne!(at, "polled");
                if at == "waited" {
                    yield_now().await;
                    panic!("woken");
                }
                Ok(answer(&context))
            }
        }
    };
    let panics = ["called", "polled", "waited", "dropped"];
    let pieces = (0..).zip(panics.into_iter().chain(["not at all"]));
    let pieces = pieces.map(|(token, at)| stage.piece(token, calls(at))).collect();
    set_off(stage.runtime.handle(), pieces);
    let mut ends = stage.ends(5);
    assert_eq!(ends.pop(), Some(success(4)));
    for ((_, end), at) in ends.into_iter().zip(panics) {
        let End::Returned(Err(Failure(failure))) = end else { panic!("{at}: {end:?}") };
        assert_eq!(failure.reason(), v1::FailureReason::Panic, "{at}");
        assert!(failure.details.contains(file!()), "{at}: {failure:?}");
    }
}

#[test]
fn what_is_killed_before_it_begins_is_not_called_and_what_waits_is_aborted() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stage = Stage::on(runtime);
    let never = |_, _| async { panic!("it was called") };
    let waits = |_, _| async { pending().await };
    let killed = [stage.piece(0, never), stage.piece(1, never)];
    let (waiting, last) =
        (stage.piece(2, waits), stage.piece(3, |_, context| async move { Ok(answer(&context)) }));
    let told: Vec<Context> = killed.iter().map(|piece| piece.context.clone()).collect();
    let waited = waiting.context.clone();
    set_off(stage.runtime.handle(), killed.into_iter().chain([waiting, last]).collect());
    told[0].tether().signal(Signal::Kill(CancelReason::Cancelled));
    told[1].tether().loosen();
    assert_eq!(stage.ends(3), [(0, End::Aborted), (1, End::Aborted), success(3)]);
    waited.tether().signal(Signal::Kill(CancelReason::Cancelled));
    assert_eq!(stage.ends(1), [(2, End::Aborted)]);
}

#[test]
fn what_a_runtime_leaves_behind_has_ended_too() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stage = Stage::on(runtime);
    let never = |_, _| async { panic!("it was called") };
    let pieces = (0..3).map(|token| stage.piece(token, never)).collect();
    set_off(stage.runtime.handle(), pieces);
    drop(stage.runtime);
    let mut taken = VecDeque::new();
    stage.ends.take(&mut taken);
    let ends: Vec<_> = taken.into_iter().map(|(Token(token), end)| (token, end)).collect();
    assert_eq!(ends, (0..3).map(|token| (token, End::Aborted)).collect::<Vec<_>>());
}
