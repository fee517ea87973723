//! Workers that do nothing but live: a connection and a session each, and a heartbeat as often as it is asked for.

use std::{fmt, time::Duration};

use leasehold_client::{
    duration::from_wire,
    v1::{
        Capacity, ConnectRequest, ConnectResponse, Heartbeat, Hello, WorkerEvent,
        coordinator_event::Event as Said, worker_event::Event,
        worker_service_client::WorkerServiceClient,
    },
};
use tokio::{sync::mpsc, task::JoinSet, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::failure::Failure;

/// How many frames of one worker wait for the network: it has one to say at a time.
const FRAMES_WAITING_MAX: usize = 1;

/// A task type that nobody submits.
const TASK_TYPE: &str = "leasehold-bench-idle";

/// Idle workers. They go when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Idle(JoinSet<()>);

/// One of them.
struct Session {
    frames: mpsc::Sender<ConnectRequest>,
    said: Streaming<ConnectResponse>,
    /// How many frames were sent.
    sent: i64,
    /// The last frame that was received.
    heard: i64,
}

impl Idle {
    /// Connects one more, and waits until it is welcome.
    pub(super) async fn connect(&mut self, address: &str, number: u32) -> Result<(), Failure> {
        let refused = |what: &dyn fmt::Display| {
            Failure::Bench(format!("idle worker {number} cannot connect: {what}"))
        };
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|it| refused(&it))?;
        let channel = endpoint.tcp_nodelay(true).connect().await.map_err(|it| refused(&it))?;
        let mut session = Session::open(channel, number).await.map_err(|it| refused(&it))?;
        let interval = session.welcome().await.ok_or_else(|| refused(&"it is not welcome"))?;
        self.0.spawn(session.live(interval));
        Ok(())
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
        drop(frames.try_send(frame(1, 0, Event::Hello(hello))));
        let mut service = WorkerServiceClient::new(channel);
        let said = service.connect(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { frames, said, sent: 1, heard: 0 })
    }

    /// How often it must be heard of, if it may stay.
    async fn welcome(&mut self) -> Option<Duration> {
        let answer = self.said.message().await.ok()??;
        self.heard = answer.frame_sequence;
        let interval = answer.events.into_iter().find_map(|said| {
            let Said::Welcome(welcome) = said.event? else { return None };
            welcome.settings?.heartbeat_interval
        });
        from_wire(&interval?).ok()
    }

    /// Lives until the connection is lost.
    async fn live(mut self, interval: Duration) {
        let mut beats = time::interval(interval);
        let mut sequence = 0;
        loop {
            tokio::select! {
                said = self.said.message() => match said {
                    Ok(Some(answer)) => self.heard = answer.frame_sequence,
                    Ok(None) | Err(_) => return,
                },
                _ = beats.tick() => {
                    sequence += 1;
                    self.sent += 1;
                    let beat = Event::Heartbeat(Heartbeat { sequence, ..Heartbeat::default() });
                    if self.frames.send(frame(self.sent, self.heard, beat)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn frame(frame_sequence: i64, ack_frame_sequence: i64, event: Event) -> ConnectRequest {
    let events = vec![WorkerEvent { event: Some(event) }];
    ConnectRequest { frame_sequence, ack_frame_sequence, events }
}
