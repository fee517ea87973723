//! The work that runs: handlers on the caller's runtime, programs on the connection's.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use leasehold_proto::v1;
use leasehold_telemetry::TraceContext;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, Id, JoinError, JoinSet},
};
use tracing::{Instrument as _, Span, warn};

use crate::{
    Context, Program, TaskError,
    assignment::{Assignment, Token},
    clock::{Clock, Moment},
    context::{Hold, Signal},
    guard::{Asker, Lifeline, Renewal, Strand},
    limits::Limits,
    outcome::{End, Failure},
    panic_note,
    program::{Attempt, Kind, Leash, Scratch},
    progress::Board,
    task::Task,
    term::{Answer, Ask, Term},
};

/// The work that runs. The session says what to start and never exceeds the worker's slots.
pub(crate) struct Slots {
    tasks: BTreeMap<String, Task>,
    worker_id: Arc<str>,
    board: Arc<Board>,
    grounds: Grounds,
    /// Where programs find and leave checkpoints.
    scratch: Arc<Scratch>,
    running: JoinSet<End>,
    /// Which lease a piece of work belongs to.
    tokens: HashMap<Id, Token>,
    controls: BTreeMap<Token, Control>,
}

/// Where work runs, and by what time.
pub(crate) struct Grounds {
    /// The caller's runtime, for handlers.
    pub(crate) handlers: Handle,
    pub(crate) clock: Clock,
    /// Until when work may go on, for those who look by themselves.
    pub(crate) lifeline: Arc<Lifeline>,
    /// Where handlers ask for more time.
    pub(crate) asks: mpsc::Sender<Ask>,
}

/// What a piece of work begins with.
struct Start {
    assignment: Arc<Assignment>,
    /// The attempt's own span.
    trace: TraceContext,
    strand: Arc<Strand>,
    term: Term,
    limits: Limits,
}

/// What a piece of work is reached by.
struct Control {
    rein: Rein,
    strand: Arc<Strand>,
    /// The deadline as its handler knows it.
    deadline: watch::Sender<Instant>,
    /// Whoever waits for more time.
    asking: Option<oneshot::Sender<Answer>>,
}

/// What stops a piece of work.
enum Rein {
    /// A handler in this process hears what is wanted of it, and is aborted when that is not enough.
    Handler { signal: watch::Sender<Signal>, abort: AbortHandle },
    /// A process gets signals. Who looks after it must live to see it die.
    Process(Arc<Leash>),
}

impl Slots {
    pub(crate) fn new(
        tasks: BTreeMap<String, Task>,
        worker_id: &str,
        board: Arc<Board>,
        grounds: Grounds,
    ) -> Self {
        Self {
            tasks,
            worker_id: worker_id.into(),
            board,
            grounds,
            scratch: Arc::new(Scratch::default()),
            running: JoinSet::new(),
            tokens: HashMap::new(),
            controls: BTreeMap::new(),
        }
    }

    /// Begins the work of a lease.
    pub(crate) fn start(
        &mut self,
        assignment: Arc<Assignment>,
        due: Option<Moment>,
        limits: Limits,
    ) {
        let token = assignment.token;
        let strand = match self.grounds.lifeline.strand(due, assignment.kill_grace) {
            Ok(strand) => strand,
            Err(error) => {
                let error = error.to_string();
                warn!(error, "no room to keep a lease's limits: its task is handed back");
                let handle = self.running.spawn(async { End::NotStarted });
                self.tokens.insert(handle.id(), token);
                return;
            }
        };
        let span = self.span(&assignment);
        let limit = assignment.time_limit();
        let (deadline, term) = Term::new(limit, Some(self.grounds.asks.clone()));
        let start = Start {
            trace: TraceContext::of_span(&span).unwrap_or_else(|| assignment.trace.child()),
            assignment,
            strand: Arc::clone(&strand),
            term,
            limits,
        };
        let (id, rein) = self.launch(start, span);
        self.tokens.insert(id, token);
        self.controls.insert(token, Control { rein, strand, deadline, asking: None });
    }

    /// Runs work where its kind runs.
    fn launch(&mut self, start: Start, span: Span) -> (Id, Rein) {
        match self.tasks.get(&start.assignment.task_type).cloned() {
            Some(Task::Function(function)) => {
                let strand = Arc::clone(&start.strand);
                let (payload, context, signal) = self.context(start);
                let handler = async move {
                    // Not the handler's to drop: as long as it runs, the worker's pledge is kept.
                    let _strand = strand;
                    function.call(payload, context).await
                };
                let work = returned(handler).instrument(span);
                let abort = self.running.spawn_on(work, &self.grounds.handlers);
                (abort.id(), Rein::Handler { signal, abort })
            }
            Some(Task::Blocking(function)) => {
                let (payload, context, signal) = self.context(start);
                let work = move || {
                    let _entered = span.enter();
                    end(panic_note::caught_blocking(|| function(&payload, &context)))
                };
                let abort = self.running.spawn_blocking_on(work, &self.grounds.handlers);
                (abort.id(), Rein::Handler { signal, abort })
            }
            Some(Task::Isolated(program, _)) => {
                self.attempt(start, span, program, Kind::Isolated(Arc::clone(&self.board)))
            }
            Some(Task::Program(program)) => {
                self.attempt(start, span, program, Kind::Program(Arc::clone(&self.board)))
            }
            // The session declines what is not served; should it ever err, the task says so.
            None => {
                let failure = Failure::error("the worker does not serve this task type");
                let abort = self.running.spawn(async { End::Returned(Err(failure)) });
                let (signal, _nobody) = watch::channel(Signal::Run);
                (abort.id(), Rein::Handler { signal, abort })
            }
        }
    }

    /// What a handler in this process is called with, and what it is told by.
    fn context(&self, start: Start) -> (Bytes, Context, watch::Sender<Signal>) {
        let (signal, listener) = watch::channel(Signal::Run);
        let payload = start.assignment.payload.clone();
        let lookout = Arc::new(start.strand.lookout());
        let context = Context::new(
            start.assignment,
            Arc::clone(&self.worker_id),
            start.trace,
            listener,
            (Arc::clone(&self.board), start.limits),
            Hold { clock: self.grounds.clock, lookout, term: start.term },
        );
        (payload, context, signal)
    }

    /// Runs a program, on the runtime of the connection.
    fn attempt(
        &mut self,
        start: Start,
        span: Span,
        program: Arc<Program>,
        kind: Kind,
    ) -> (Id, Rein) {
        let leash = Arc::<Leash>::default();
        let attempt = Attempt {
            program,
            kind,
            assignment: start.assignment,
            worker_id: Arc::clone(&self.worker_id),
            trace: start.trace,
            limits: start.limits,
            scratch: Arc::clone(&self.scratch),
            leash: Arc::clone(&leash),
            strand: start.strand,
        };
        let handle = self.running.spawn(attempt.run().instrument(span));
        (handle.id(), Rein::Process(leash))
    }

    /// The leases hold until then; see [`Lifeline::renew`].
    pub(crate) fn renew(&self, valid_until: Moment, stop_margin: Duration) -> io::Result<()> {
        if self.grounds.lifeline.renew(valid_until, stop_margin)? == Renewal::Shorter {
            for control in self.controls.values() {
                if let Rein::Process(leash) = &control.rein {
                    leash.nudge();
                }
            }
        }
        Ok(())
    }

    /// A handler waits for more time. One that asked before waits no more.
    pub(crate) fn await_answer(&mut self, token: Token, answer: oneshot::Sender<Answer>) {
        if let Some(control) = self.controls.get_mut(&token) {
            control.asking = Some(answer);
        }
    }

    /// Work may go on until `due`: its guard and its handler go by that from here on.
    pub(crate) fn postpone(&self, token: Token, due: Moment) -> io::Result<()> {
        let Some(control) = self.controls.get(&token) else { return Ok(()) };
        control.strand.postpone(due)?;
        control.deadline.send_replace(Instant::now() + due.since(self.grounds.clock.now()));
        Ok(())
    }

    /// Tells a handler what became of its request.
    pub(crate) fn answer(&mut self, token: Token, answer: Answer) {
        let asking = self.controls.get_mut(&token).and_then(|control| control.asking.take());
        if let Some(asking) = asking {
            // Whoever asked may wait no more.
            let _unheard = asking.send(answer);
        }
    }

    /// Tells work what is wanted of it. A handler that must die is aborted; a process whose own time is over is asked to
    /// stop by its guard, which has a timer for that.
    pub(crate) fn signal(&self, token: Token, signal: Signal) {
        let Some(Control { rein, strand, .. }) = self.controls.get(&token) else { return };
        let asker = match rein {
            Rein::Process(_) if strand.is_due(self.grounds.clock.now()) => Asker::Guard,
            Rein::Process(_) | Rein::Handler { .. } => Asker::Worker,
        };
        if let Signal::Cancel(reason) = signal {
            // Unwritten it is guessed: whoever is asked to stop hears that in any case.
            let _unwritten = strand.ask(asker, reason.code());
        }
        match rein {
            Rein::Handler { signal: told, abort } => {
                told.send_replace(signal);
                if matches!(signal, Signal::Kill(_)) {
                    abort.abort();
                }
            }
            Rein::Process(leash) => match signal {
                Signal::Run => {}
                Signal::Cancel(_) => leash.terminate(asker),
                Signal::Kill(_) => leash.kill(),
            },
        }
    }

    /// Waits until work ends; for ever if none runs. May be dropped and called again at any time.
    pub(crate) async fn next_end(&mut self) -> (Token, End) {
        loop {
            match self.running.join_next_with_id().await {
                Some(joined) => {
                    if let Some(ended) = self.ended(joined) {
                        return ended;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Work that has ended already.
    pub(crate) fn try_next_end(&mut self) -> Option<(Token, End)> {
        let joined = self.running.try_join_next_with_id()?;
        self.ended(joined)
    }

    /// Stops all work, and waits until nothing of it is left: for ever, where something cannot be stopped.
    pub(crate) async fn stop(mut self) {
        // What cannot be aborted hears of it by this.
        self.controls.clear();
        self.running.shutdown().await;
    }

    fn ended(&mut self, joined: Result<(Id, End), JoinError>) -> Option<(Token, End)> {
        let (id, end) = match joined {
            Ok(ended) => ended,
            Err(error) => (error.id(), end_of(error)),
        };
        let token = self.tokens.remove(&id)?;
        self.controls.remove(&token);
        Some((token, end))
    }

    fn span(&self, assignment: &Assignment) -> Span {
        let span = tracing::info_span!(
            "process",
            otel.name = format!("process {}", assignment.queue),
            otel.kind = "consumer",
            task_id = assignment.task_id,
            trace_id = assignment.trace.trace_id(),
            task_type = assignment.task_type,
            fencing_token = assignment.token.0,
            attempt = assignment.attempt,
            generation = assignment.generation,
            worker_id = &*self.worker_id,
        );
        leasehold_telemetry::set_parent(&span, &assignment.trace);
        span
    }
}

/// Runs a handler to its end; a panic is one of them.
async fn returned(handler: impl Future<Output = Result<Bytes, TaskError>>) -> End {
    end(panic_note::caught(handler).await)
}

/// What it means that a handler returned, or panicked.
fn end(caught: Result<Result<Bytes, TaskError>, Failure>) -> End {
    End::Returned(caught.and_then(|result| result.map_err(TaskError::into_failure)))
}

/// What it means that work did not return.
fn end_of(error: JoinError) -> End {
    match error.try_into_panic() {
        // Only what a handler leaves behind can panic here, when it is dropped.
        Ok(payload) => {
            let message = panic_note::words(payload.as_ref());
            End::Returned(Err(Failure::new(v1::FailureReason::Panic, &message, "")))
        }
        Err(_aborted) => End::Aborted,
    }
}
