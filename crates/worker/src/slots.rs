//! The work that runs: handlers on the caller's runtime, programs on the connection's.

use std::{
    collections::{BTreeMap, VecDeque},
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use leasehold_telemetry::{LazySpan, TraceContext};
use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};
use tracing::{Instrument as _, Span};

use crate::{
    Context, Program,
    assignment::{Assignment, Token},
    clock::Moment,
    context::{House, Known},
    ends::{self, Ends, Slip},
    guard::{Asker, Lifeline, Lookout, Renewal, Strand},
    held::Held,
    limits::Limits,
    outcome::{End, Failure},
    panic_note,
    piece::{self, Piece},
    program::{Attempt, Kind, Leash, Scratch},
    task::Task,
    term::Answer,
    tether::{Signal, Tether},
};

/// The work that runs. The session says what to start and never exceeds the worker's slots.
pub(crate) struct Slots {
    tasks: BTreeMap<String, Task>,
    grounds: Grounds,
    /// Where programs find and leave checkpoints.
    scratch: Arc<Scratch>,
    /// Handlers that begin with the end of this turn: they cross to their runtime together.
    starting: Vec<Piece>,
    /// When the first of them was started, from which the time of all of them counts.
    now: Option<Instant>,
    programs: JoinSet<()>,
    ends: Arc<Ends>,
    /// What has been taken of them.
    ended: VecDeque<(Token, End)>,
    controls: Held<Control>,
}

/// Where work runs, and by what time.
pub(crate) struct Grounds {
    /// The caller's runtime, for handlers.
    pub(crate) handlers: Handle,
    /// Until when work may go on, for those who look by themselves.
    pub(crate) lifeline: Arc<Lifeline>,
    /// What all attempts share.
    pub(crate) house: Arc<House>,
}

/// What a piece of work begins with.
struct Start {
    assignment: Arc<Assignment>,
    strand: Arc<Strand>,
    limits: Limits,
    slip: Slip,
}

/// What a piece of work is reached by.
struct Control {
    rein: Rein,
    strand: Arc<Strand>,
    /// Whoever waits for more time.
    asking: Option<oneshot::Sender<Answer>>,
}

/// What stops a piece of work.
enum Rein {
    /// A handler in this process hears what is wanted of it, and is aborted when that is not enough.
    Handler(Context),
    /// A process gets signals. Who looks after it must live to see it die.
    Process(Arc<Leash>),
    /// It has ended already.
    None,
}

impl Slots {
    pub(crate) fn new(tasks: BTreeMap<String, Task>, grounds: Grounds) -> Self {
        Self {
            tasks,
            grounds,
            scratch: Arc::new(Scratch::default()),
            starting: Vec::new(),
            now: None,
            programs: JoinSet::new(),
            ends: Arc::default(),
            ended: VecDeque::new(),
            controls: Held::default(),
        }
    }

    /// Begins the work of a lease: with [`set_off`](Self::set_off) at the latest.
    pub(crate) fn start(
        &mut self,
        assignment: Arc<Assignment>,
        due: Option<Moment>,
        limits: Limits,
    ) {
        let token = assignment.token;
        let strand = self.grounds.lifeline.strand(due, assignment.kill_grace);
        let slip = self.ends.slip(token);
        let start = Start { assignment, strand: Arc::clone(&strand), limits, slip };
        let rein = self.launch(start);
        self.controls.insert(token, Control { rein, strand, asking: None });
    }

    /// Lets the handlers begin that were started in this turn.
    pub(crate) fn set_off(&mut self) {
        self.now = None;
        let most = self.starting.len();
        piece::set_off(&self.grounds.handlers, mem::take(&mut self.starting));
        self.starting.reserve(most);
    }

    /// Runs work where its kind runs.
    fn launch(&mut self, start: Start) -> Rein {
        match self.tasks.get(&start.assignment.task_type).cloned() {
            Some(Task::Function(function)) => {
                let (span, slip, context) = self.context(start);
                self.starting.push(Piece::new(function, context.clone(), span, slip));
                Rein::Handler(context)
            }
            Some(Task::Blocking(function)) => {
                let (mut span, slip, context) = self.context(start);
                let told = context.clone();
                let work = move || {
                    span.in_scope(|| {
                        let called = panic_note::caught(|| function(told.payload(), &told));
                        slip.leave(End::of_handler(called));
                    });
                };
                let blocking = self.grounds.handlers.spawn_blocking(work);
                context.tether().tie(blocking.abort_handle());
                Rein::Handler(context)
            }
            Some(Task::Isolated(program, _)) => {
                let board = Arc::clone(&self.grounds.house.board);
                self.attempt(start, program, Kind::Isolated(board))
            }
            Some(Task::Program(program)) => {
                let board = Arc::clone(&self.grounds.house.board);
                self.attempt(start, program, Kind::Program(board))
            }
            // The session declines what is not served; should it ever err, the task says so.
            None => {
                let failure = Failure::error("the worker does not serve this task type");
                start.slip.leave(End::Returned(Err(failure)));
                Rein::None
            }
        }
    }

    /// What a handler in this process is called with, and what it is told by.
    fn context(&mut self, start: Start) -> (LazySpan, Slip, Context) {
        let Start { assignment, strand, limits, slip } = start;
        let begun = (!LazySpan::can_wait()).then(|| self.span(&assignment));
        let (span, trace) = begun.unzip();
        let trace = trace.unwrap_or_else(|| assignment.trace.child());
        let now = *self.now.get_or_insert_with(Instant::now);
        let [deadline, task_deadline] = assignment.deadlines(now);
        let context = Context::new(Known {
            house: Arc::clone(&self.grounds.house),
            assignment,
            trace,
            limits,
            lookout: Lookout::Here(strand),
            tether: Tether::new(deadline),
            task_deadline,
        });
        let span = span.map_or_else(|| LazySpan::Unseen(context.unseen()), LazySpan::Begun);
        (span, slip, context)
    }

    /// Runs a program, on the runtime of the connection.
    fn attempt(&mut self, start: Start, program: Arc<Program>, kind: Kind) -> Rein {
        let Start { assignment, strand, limits, slip } = start;
        let (span, trace) = self.span(&assignment);
        let leash = Arc::<Leash>::default();
        let attempt = Attempt {
            program,
            kind,
            assignment,
            house: Arc::clone(&self.grounds.house),
            trace,
            limits,
            scratch: Arc::clone(&self.scratch),
            leash: Arc::clone(&leash),
            strand,
        };
        self.programs.spawn(ends::run(attempt.run(), slip).instrument(span));
        Rein::Process(leash)
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
        if let Some(control) = self.controls.get_mut(token) {
            control.asking = Some(answer);
        }
    }

    /// Work may go on until `due`: its guard and its handler go by that from here on.
    pub(crate) fn postpone(&self, token: Token, due: Moment) -> io::Result<()> {
        let Some(control) = self.controls.get(token) else { return Ok(()) };
        control.strand.postpone(due)?;
        if let Rein::Handler(context) = &control.rein {
            context.tether().postpone(Instant::now() + due.since(self.grounds.house.clock.now()));
        }
        Ok(())
    }

    /// Tells a handler what became of its request.
    pub(crate) fn answer(&mut self, token: Token, answer: Answer) {
        let asking = self.controls.get_mut(token).and_then(|control| control.asking.take());
        if let Some(asking) = asking {
            // Whoever asked may wait no more.
            let _unheard = asking.send(answer);
        }
    }

    /// Tells work what is wanted of it. A handler that must die is aborted; a process whose own time is over is asked to
    /// stop by its guard, which has a timer for that.
    pub(crate) fn signal(&self, token: Token, signal: Signal) {
        let Some(Control { rein, strand, .. }) = self.controls.get(token) else { return };
        let asker = match rein {
            Rein::Process(_) if strand.is_due(self.grounds.house.clock.now()) => Asker::Guard,
            Rein::Process(_) | Rein::Handler(_) | Rein::None => Asker::Worker,
        };
        if let Signal::Cancel(reason) = signal {
            // Unwritten it is guessed: whoever is asked to stop hears that in any case.
            let _unwritten = strand.ask(asker, reason.code());
        }
        match rein {
            Rein::Handler(context) => context.tether().signal(signal),
            Rein::None => {}
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
            if let Some(ended) = self.try_next_end() {
                return ended;
            }
            self.ends.arrived().await;
        }
    }

    /// Work that has ended already.
    pub(crate) fn try_next_end(&mut self) -> Option<(Token, End)> {
        if self.ended.is_empty() {
            self.ends.take(&mut self.ended);
            while self.programs.try_join_next().is_some() {}
        }
        let (token, end) = self.ended.pop_front()?;
        if let Some(Control { rein: Rein::Handler(context), .. }) = self.controls.remove(token) {
            context.tether().loosen();
        }
        Some((token, end))
    }

    /// Stops all work, and waits until nothing of it is left: for ever, where something cannot be stopped.
    pub(crate) async fn stop(mut self) {
        self.cut_all();
        while !self.controls.is_empty() {
            self.next_end().await;
        }
    }

    /// What cannot be aborted hears of it by this.
    fn cut_all(&mut self) {
        self.starting.clear();
        self.programs.abort_all();
        for control in self.controls.values() {
            if let Rein::Handler(context) = &control.rein {
                context.tether().cut();
            }
        }
    }

    /// The span of an attempt, and its place in the submitter's trace.
    fn span(&self, assignment: &Assignment) -> (Span, TraceContext) {
        let span = assignment.span(&self.grounds.house.worker_id);
        let trace = leasehold_telemetry::place(&span, &assignment.trace);
        (span, trace)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.cut_all();
    }
}
