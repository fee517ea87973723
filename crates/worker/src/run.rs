//! Running a worker: where its connection is, and the loop that connects the session with the world.

use std::{collections::BTreeMap, future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use signal_hook::consts::SIGTERM;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
};
use tonic::transport::Endpoint;

use crate::{
    Error,
    adjuster::{Room, Rooms},
    assignment::Token,
    clock::{Bell, Clock, Moment},
    context::House,
    cpu::Meter,
    guard::Lifeline,
    identity::Identity,
    outcome::End,
    progress::{Board, Pace},
    session::{Command, Leaving, Session},
    slots::{Grounds, Slots},
    state_dir::StateDir,
    stream::{self, Dial, Stream, StreamEvent},
    task::Task,
    term::{self, Ask},
    tether::Signal,
    threads::Thread,
};

/// How many ends of work are taken in before a frame is made: they leave together.
const ENDS_PER_TURN_MAX: usize = 256;

/// How long it may take until the coordinator hears that work began whose kind is usually over by then, and needs one message
/// and not two.
const STARTS_WAIT: Duration = Duration::from_millis(1);

/// How long a process may take to end by itself that has no worker any more and has work that goes on. A handler that blocks
/// its thread keeps its runtime from ending, and on a `current_thread` one even `run` from returning. Longer than
/// telemetry takes to deliver what it has, so that a process that can end says with its own code how it did.
const FORCED_WAIT_MAX: Duration = Duration::from_secs(4);

/// A worker whose settings have been checked.
pub(crate) struct Plan {
    pub(crate) endpoint: Endpoint,
    pub(crate) identity: Identity,
    pub(crate) leaving: Leaving,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) tasks: BTreeMap<String, Task>,
    /// Where it hears that it is to take more or less.
    pub(crate) rooms: Option<Rooms>,
}

/// Who asks the worker to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// SIGTERM and SIGINT.
    Signals,
    /// Nobody but the caller.
    Caller,
}

/// Where a coordinator listens.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let fault = |problem| Error::Setting { name: "address", value: address.to_owned(), problem };
    if address.starts_with("https://") {
        return Err(fault("TLS is not supported yet: use http://host:port"));
    }
    let url =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    if !url.starts_with("http://") {
        return Err(fault("must be http://host:port"));
    }
    let endpoint = Endpoint::from_shared(url).map_err(|_| fault("must be http://host:port"))?;
    if endpoint.uri().port().is_none() {
        return Err(fault("must be http://host:port, with the port"));
    }
    Ok(endpoint)
}

/// Runs a worker until a signal.
pub(crate) async fn until_signal(plan: Plan) -> Result<(), Error> {
    let (asked, asks) = mpsc::channel(1);
    let result = start(plan, Leave::Signals, asks)?.await.unwrap_or(Err(Error::Panicked));
    drop(asked);
    result
}

/// Runs a worker until the caller says so.
pub(crate) async fn until(plan: Plan, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let (asked, asks) = mpsc::channel(1);
    let ended = start(plan, Leave::Caller, asks)?;
    asking(ended, asked, shutdown).await.unwrap_or(Err(Error::Panicked))
}

/// The same, but nothing runs anywhere else than here.
pub(crate) async fn here(
    plan: Plan,
    dial: Dial,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (asked, asks) = mpsc::channel(1);
    let requests = Requests::new(Leave::Caller, asks).map_err(Error::Start)?;
    let mut connection = Connection::new(plan, requests, Handle::current(), dial, clock).await?;
    asking(Box::pin(connection.run()), asked, shutdown).await
}

/// Waits for the end of a connection, and asks for it when `shutdown` resolves.
async fn asking<T>(
    mut ended: impl Future<Output = T> + Unpin,
    asked: mpsc::Sender<()>,
    shutdown: impl Future<Output = ()>,
) -> T {
    let result = tokio::select! {
        result = &mut ended => result,
        () = shutdown => {
            // A connection that does not listen has ended, and says how.
            let _ended = asked.try_send(());
            ended.await
        }
    };
    drop(asked);
    result
}

/// Starts the connection.
///
/// Not on the caller's runtime: heartbeats and the supervision of programs go on while a handler blocks that.
fn start(
    plan: Plan,
    leave: Leave,
    asks: mpsc::Receiver<()>,
) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let (done, ended) = oneshot::channel();
    let handlers = Handle::current();
    let thread = Thread::share().map_err(Error::Start)?;
    let runtime = thread.runtime().clone();
    let run = async move {
        let _thread = thread;
        let (result, slots) = connection(plan, leave, asks, handlers).await;
        let must_end = leaves_work(&result);
        // Nobody is there to hear it if the caller has gone.
        let _unheard = done.send(result);
        let left = async {
            if let Some(slots) = slots {
                slots.stop().await;
            }
            if must_end {
                // What handlers have started beside themselves may keep the process all the same.
                std::future::pending::<()>().await;
            }
        };
        if leave == Leave::Signals && tokio::time::timeout(FORCED_WAIT_MAX, left).await.is_err() {
            // It returns only where signals cannot end a process.
            let _immortal = signal_hook::low_level::emulate_default_handler(SIGTERM);
        }
    };
    drop(runtime.spawn(run));
    Ok(ended)
}

/// Whether a worker was told to end, or gave up waiting, with work that goes on.
fn leaves_work(result: &Result<(), Error>) -> bool {
    let running = match result {
        Err(
            Error::Interrupted { running }
            | Error::Undelivered { running, .. }
            | Error::SlotsLost { lost: running },
        ) => *running,
        Ok(()) | Err(_) => 0,
    };
    running > 0
}

async fn connection(
    plan: Plan,
    leave: Leave,
    asks: mpsc::Receiver<()>,
    handlers: Handle,
) -> (Result<(), Error>, Option<Slots>) {
    let requests = match Requests::new(leave, asks) {
        Ok(requests) => requests,
        Err(error) => return (Err(Error::Start(error)), None),
    };
    match Connection::new(plan, requests, handlers, stream::tcp(), Clock::Boot).await {
        Ok(mut connection) => (connection.run().await, Some(connection.slots)),
        Err(error) => (Err(error), None),
    }
}

/// The session and the world around it.
struct Connection {
    session: Session,
    stream: Stream,
    slots: Slots,
    clock: Clock,
    alarm: Bell,
    /// None where time is not the machine's, and so its processor is not that of this worker either.
    meter: Option<Meter>,
    board: Arc<Board>,
    pace: Pace,
    /// Handlers that want more time.
    asks: mpsc::Receiver<Ask>,
    requests: Requests,
    rooms: Option<Rooms>,
    /// It is this worker's for as long as it runs.
    _state_dir: Option<StateDir>,
}

impl Connection {
    async fn new(
        mut plan: Plan,
        requests: Requests,
        handlers: Handle,
        dial: Dial,
        clock: Clock,
    ) -> Result<Self, Error> {
        let board = Arc::new(Board::default());
        let state_dir = match &plan.state_dir {
            Some(directory) => Some(StateDir::claim(directory, &plan.identity).await?),
            None => None,
        };
        let pledge = state_dir.as_ref().map(|it| Arc::clone(&it.pledge));
        plan.identity.replaces = state_dir.as_ref().map_or_else(Vec::new, |it| it.gone.clone());
        let lifeline = Lifeline::new(pledge, plan.leaving.on_session_lost).map_err(Error::Start)?;
        let (asking, asks) = mpsc::channel(term::ASKS_MAX);
        let house = House {
            worker_id: plan.identity.worker_id.clone(),
            clock,
            board: Arc::clone(&board),
            asks: Some(asking),
        };
        let work = Grounds { handlers, lifeline: Arc::new(lifeline), house: Arc::new(house) };
        Ok(Self {
            session: Session::new(plan.identity, plan.leaving, STARTS_WAIT, fastrand::u64(..)),
            stream: Stream::new(plan.endpoint, dial),
            slots: Slots::new(plan.tasks, work),
            clock,
            alarm: clock.bell().map_err(Error::Timer)?,
            meter: matches!(clock, Clock::Boot).then(Meter::new),
            board,
            pace: Pace::new(),
            asks,
            requests,
            rooms: plan.rooms,
            _state_dir: state_dir,
        })
    }

    async fn run(&mut self) -> Result<(), Error> {
        loop {
            if let Some(result) = self.act() {
                return result;
            }
            self.turn().await?;
        }
    }

    /// Does what the session wants; the result, if it wants to end.
    fn act(&mut self) -> Option<Result<(), Error>> {
        while let Some(command) = self.session.poll_command() {
            match command {
                Command::Connect => self.stream.dial(),
                Command::Disconnect => self.stream.drop_all(),
                Command::CloseSend => self.stream.close_send(),
                Command::Renew { valid_until, stop_margin } => {
                    if let Err(error) = self.slots.renew(valid_until, stop_margin) {
                        return Some(Err(Error::Lifeline(error)));
                    }
                }
                Command::Postpone { token, due } => {
                    if let Err(error) = self.slots.postpone(token, due) {
                        return Some(Err(Error::Lifeline(error)));
                    }
                }
                Command::Answer { token, answer } => self.slots.answer(token, answer),
                Command::Start { assignment, due, limits } => {
                    self.slots.start(assignment, due, limits);
                }
                Command::Cancel { token, reason } => {
                    self.slots.signal(token, Signal::Cancel(reason));
                }
                Command::Kill { token, reason } => self.slots.signal(token, Signal::Kill(reason)),
                Command::Exit(result) => return Some(result),
            }
        }
        self.slots.set_off();
        None
    }

    /// Waits until something happens, and tells the session.
    async fn turn(&mut self) -> Result<(), Error> {
        self.alarm.set(self.session.deadline()).map_err(Error::Timer)?;
        let happened = self.happened().await.map_err(Error::Timer)?;
        let now = self.clock.now();
        if let Some(meter) = &mut self.meter {
            self.session.handle_load(meter.read(now));
        }
        self.session.handle_tick(now);
        match happened {
            Happened::Alarm => {}
            Happened::Request(Request::Drain(reason)) => {
                self.session.handle_drain(now, None, reason);
            }
            Happened::Request(Request::Stop) => self.session.handle_interrupt(),
            Happened::Resized(room) => self.session.handle_room(now, room),
            Happened::End(token, end) => {
                self.end(now, token, end);
                for _ in 0..ENDS_PER_TURN_MAX {
                    let Some((token, end)) = self.slots.try_next_end() else { break };
                    self.end(now, token, end);
                }
            }
            Happened::Stream(StreamEvent::Up) => self.session.handle_stream_up(now),
            Happened::Stream(StreamEvent::Frame(frame)) => self.session.handle_frame(now, frame),
            Happened::Stream(StreamEvent::End(end)) => self.session.handle_stream_end(now, end),
            Happened::Room(permit) => {
                if let Some(frame) = self.session.poll_frame(now) {
                    drop(permit.send(frame));
                }
            }
            Happened::Ask(Ask { token, until, answer }) => {
                self.slots.await_answer(token, answer);
                self.session.handle_ask(token, until);
            }
            Happened::Progress => self.session.handle_progress(self.board.take()),
        }
        Ok(())
    }

    /// What work had left behind when it ended comes before its end.
    fn end(&mut self, now: Moment, token: Token, end: End) {
        if let Some(report) = self.board.take_of(token) {
            self.session.handle_progress(BTreeMap::from([(token, report)]));
        }
        self.session.handle_end(now, token, end);
    }

    async fn happened(&mut self) -> io::Result<Happened> {
        let room = self.stream.room();
        // Mostly a result makes it needless: the system's timer is not set for that.
        let starts_wait = self.session.starts_due().map(|due| due.since(self.clock.now()));
        let happened = tokio::select! {
            biased;
            rung = self.alarm.ring() => {
                rung?;
                Happened::Alarm
            }
            request = self.requests.next() => Happened::Request(request),
            room = resized(&mut self.rooms) => Happened::Resized(room),
            (token, end) = self.slots.next_end() => Happened::End(token, end),
            permit = room, if self.session.has_frame() => Happened::Room(permit),
            event = self.stream.next() => Happened::Stream(event),
            Some(ask) = self.asks.recv() => Happened::Ask(ask),
            () = self.pace.next(&self.board) => Happened::Progress,
            () = over(starts_wait) => Happened::Alarm,
        };
        Ok(happened)
    }
}

/// Something the session must hear of.
enum Happened {
    Alarm,
    Request(Request),
    Resized(Room),
    End(Token, End),
    Room(mpsc::OwnedPermit<leasehold_proto::v1::ConnectRequest>),
    Stream(StreamEvent),
    Ask(Ask),
    Progress,
}

/// What the worker's owner wants.
enum Request {
    /// Leave in order, for this reason.
    Drain(&'static str),
    /// Leave at once.
    Stop,
}

/// Where the wishes of the worker's owner come from.
struct Requests {
    signals: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
    asks: mpsc::Receiver<()>,
    is_leaving: bool,
}

impl Requests {
    fn new(leave: Leave, asks: mpsc::Receiver<()>) -> io::Result<Self> {
        let signals = match leave {
            Leave::Signals => {
                Some((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
            }
            Leave::Caller => None,
        };
        Ok(Self { signals, asks, is_leaving: false })
    }

    async fn next(&mut self) -> Request {
        let reason = tokio::select! {
            () = signalled(&mut self.signals) => "signal",
            asked = self.asks.recv() => match asked {
                Some(()) => "shutdown",
                // The caller has dropped the worker.
                None => return Request::Stop,
            },
        };
        if std::mem::replace(&mut self.is_leaving, true) {
            return Request::Stop;
        }
        Request::Drain(reason)
    }
}

/// Resolves when so much time has passed, if any is to.
async fn over(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn resized(rooms: &mut Option<Rooms>) -> Room {
    match rooms {
        Some(rooms) => rooms.next().await,
        None => std::future::pending().await,
    }
}

async fn signalled(
    signals: &mut Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
) {
    match signals {
        Some((terminate, interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        None => std::future::pending().await,
    }
}
