//! Workers that do nothing but live: a connection and a session each, and a heartbeat as often as it is asked for.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use leasehold_client::{
    duration::from_wire,
    v1::{
        Capacity, ConnectRequest, ConnectResponse, Heartbeat, Hello, WorkerEvent,
        coordinator_event::Event as Said, worker_event::Event,
        worker_service_client::WorkerServiceClient,
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::delays::Delays;
use crate::{failure::Failure, progress};

/// How many frames of one worker wait for the network: it has one to say at a time.
const FRAMES_WAITING_MAX: usize = 1;

/// A task type that nobody submits.
const TASK_TYPE: &str = "leasehold-bench-idle";

/// Idle workers. They go when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Idle(JoinSet<()>);

/// One of them.
#[derive(Debug)]
pub(super) struct Session {
    frames: mpsc::Sender<ConnectRequest>,
    said: Streaming<ConnectResponse>,
    /// How often it must be heard of.
    interval: Duration,
    /// How many frames were sent.
    sent: i64,
    /// How many heartbeats were sent.
    beats: i64,
    /// The last frame that was received.
    heard: i64,
}

impl Idle {
    /// Connects so many, one after the other, each of which is welcome.
    pub(super) async fn crowd(address: &str, workers: u32) -> Result<Self, Failure> {
        let bar = progress::bar(workers.into(), "workers connected");
        let mut idle = Self::default();
        for number in 0..workers {
            idle.0.spawn(Session::connect(address, number).await?.live());
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(idle)
    }

    /// Fails if one has ended.
    pub(super) fn all_live(mut self) -> Result<(), Failure> {
        match self.0.try_join_next() {
            None => Ok(()),
            Some(_ended) => Err(Failure::Bench("an idle worker lost its connection".to_owned())),
        }
    }
}

impl Session {
    /// Connects, and waits until it is welcome.
    pub(super) async fn connect(address: &str, number: u32) -> Result<Self, Failure> {
        let refused = |what: &dyn fmt::Display| {
            Failure::Bench(format!("idle worker {number} cannot connect: {what}"))
        };
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|it| refused(&it))?;
        // As a worker does.
        let endpoint = endpoint.tcp_nodelay(true).http2_header_table_size(0);
        let channel = endpoint.connect().await.map_err(|it| refused(&it))?;
        let mut session = Self::open(channel, number).await.map_err(|it| refused(&it))?;
        session.interval = session.welcome().await.ok_or_else(|| refused(&"it is not welcome"))?;
        Ok(session)
    }

    /// Says hello.
    async fn open(channel: Channel, number: u32) -> Result<Self, Status> {
        let (frames, outgoing) = mpsc::channel(FRAMES_WAITING_MAX);
        let hello = Hello {
            protocol_version: 1,
            worker_id: format!("{TASK_TYPE}-{number}"),
            instance_id: format!("{}-{number}", std::process::id()),
            task_types: vec![TASK_TYPE.to_owned()],
            capacity: Some(Capacity { slots: 1, ..Capacity::default() }),
            stream_number: 1,
            ..Hello::default()
        };
        // There is room: it is the first.
        drop(frames.try_send(frame(1, 0, Event::Hello(hello.into()))));
        let mut service = WorkerServiceClient::new(channel);
        let said = service.connect(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { frames, said, interval: Duration::MAX, sent: 1, beats: 0, heard: 0 })
    }

    /// How often it must be heard of, if it may stay.
    async fn welcome(&mut self) -> Option<Duration> {
        let said =
            self.hear().await?.into_iter().find_map(|said| {
                if let Said::Welcome(welcome) = said { Some(welcome) } else { None }
            });
        from_wire(&said?.settings?.heartbeat_interval?).ok()
    }

    /// What the coordinator says next, unless the connection is lost.
    async fn hear(&mut self) -> Option<Vec<Said>> {
        let answer = self.said.message().await.ok()??;
        self.heard = answer.frame_sequence;
        Some(answer.events.into_iter().filter_map(|said| said.event).collect())
    }

    /// Says that it lives, unless the connection is lost.
    async fn beat(&mut self) -> Option<()> {
        self.beats += 1;
        self.sent += 1;
        let beat = Event::Heartbeat(Heartbeat { sequence: self.beats, ..Heartbeat::default() });
        self.frames.send(frame(self.sent, self.heard, beat)).await.ok()
    }

    /// Lives until the connection is lost.
    async fn live(mut self) {
        let mut beats = time::interval(self.interval);
        loop {
            let lives = tokio::select! {
                said = self.hear() => said.map(drop),
                _ = beats.tick() => self.beat().await,
            };
            if lives.is_none() {
                return;
            }
        }
    }

    /// Lives until `ended` says so, with a heartbeat as often as `every`: from when each was due to its answer. None: the
    /// connection was lost.
    pub(super) async fn ask(
        mut self,
        every: Duration,
        mut ended: watch::Receiver<bool>,
        delays: &mut Delays,
    ) -> Option<()> {
        let mut beats = time::interval(every);
        let mut unanswered: VecDeque<(i64, Instant)> = VecDeque::new();
        loop {
            tokio::select! {
                due = beats.tick() => {
                    self.beat().await?;
                    unanswered.push_back((self.beats, due.into_std()));
                }
                said = self.hear() => {
                    for said in said? {
                        let Said::HeartbeatAck(ack) = said else { continue };
                        let is_answered = |(beat, _): &mut (i64, Instant)| *beat <= ack.sequence;
                        while let Some((_, due)) = unanswered.pop_front_if(is_answered) {
                            delays.record(due.elapsed());
                        }
                    }
                }
                () = is_over(&mut ended) => {
                    // What is unanswered counts for as long as it has waited.
                    for (_, due) in unanswered {
                        delays.record(due.elapsed());
                    }
                    return Some(());
                }
            }
        }
    }
}

/// Waits until it is said that it is over, or nobody is left to say so.
pub(super) async fn is_over(said: &mut watch::Receiver<bool>) {
    drop(said.wait_for(|is_over| *is_over).await);
}

fn frame(frame_sequence: i64, ack_frame_sequence: i64, event: Event) -> ConnectRequest {
    let events = vec![WorkerEvent { event: Some(event) }];
    ConnectRequest { frame_sequence, ack_frame_sequence, events }
}
