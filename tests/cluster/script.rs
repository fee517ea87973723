//! A worker played by hand: every frame is the test's own.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use leasehold_proto::v1::{
    Assignment, Capacity, ConnectRequest, ConnectResponse, DeclineReason, Declined, Goodbye,
    Heartbeat, HeldLease, Hello, LeaseOutcome, LeaseStarted, ResultDisposition, Revocation,
    StopMethod, Stopped, Success, Welcome, WorkerEvent, coordinator_event::Event as Told,
    lease_outcome, worker_event::Event as Say, worker_service_client::WorkerServiceClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{client::endpoint, condition::SOON};

/// Frames on their way out: a script writes a few and then waits for an answer.
const FRAMES: usize = 64;

/// After this many heartbeats a script stops waiting for work.
const BEATS_MAX: u32 = 100;

/// One stream of a worker.
pub(crate) struct Script {
    frames: mpsc::Sender<ConnectRequest>,
    answers: Streaming<ConnectResponse>,
    told: VecDeque<Told>,
    sent: i64,
    seen: i64,
    beats: i64,
}

impl Script {
    /// Opens a stream and says nothing.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Status> {
        let channel = endpoint(address).connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let (frames, outgoing) = mpsc::channel(FRAMES);
        let mut client = WorkerServiceClient::new(channel);
        let answers = client.connect(ReceiverStream::new(outgoing)).await?.into_inner();
        let told = VecDeque::new();
        Ok(Self { frames, answers, told, sent: 0, seen: 0, beats: 0 })
    }

    /// Opens a stream and says hello as a worker that holds nothing.
    pub(crate) async fn join(address: SocketAddr, hello: Hello) -> Self {
        Self::greet(address, hello).await.expect("the worker is welcome").0
    }

    /// Opens a stream, says hello and waits for the welcome.
    pub(crate) async fn greet(
        address: SocketAddr,
        hello: Hello,
    ) -> Result<(Self, Welcome), Status> {
        let mut script = Self::open(address).await?;
        script.say([Say::Hello(hello.into())]).await;
        match script.next().await? {
            Some(Told::Welcome(welcome)) => Ok((script, *welcome)),
            other => panic!("expected a welcome, got {other:?}"),
        }
    }

    /// Sends one frame.
    pub(crate) async fn say(&mut self, events: impl IntoIterator<Item = Say>) {
        self.sent += 1;
        let frame = ConnectRequest {
            frame_sequence: self.sent,
            ack_frame_sequence: self.seen,
            events: events.into_iter().map(|event| WorkerEvent { event: Some(event) }).collect(),
        };
        // A stream the coordinator has ended shows in the next answer.
        let _closed = self.frames.send(frame).await;
    }

    /// Sends an event of a kind that a later version might add: this one knows none of its fields.
    pub(crate) async fn say_nothing_known(&mut self) {
        self.sent += 1;
        let events = vec![WorkerEvent { event: None }];
        let frame =
            ConnectRequest { frame_sequence: self.sent, ack_frame_sequence: self.seen, events };
        let _closed = self.frames.send(frame).await;
    }

    /// Says that the session lives, with everything it holds.
    pub(crate) async fn beat(&mut self, held: &[i64]) {
        self.beats += 1;
        let beat = Heartbeat { sequence: self.beats, held_tokens: held.to_vec(), load: None };
        self.say([Say::Heartbeat(beat)]).await;
    }

    /// Says that a lease's work began.
    pub(crate) async fn started(&mut self, token: i64) {
        self.say([Say::LeaseStarted(LeaseStarted { fencing_token: token })]).await;
    }

    /// Says how a lease ended and waits for the answer.
    pub(crate) async fn finish(&mut self, outcome: LeaseOutcome) -> ResultDisposition {
        let token = outcome.fencing_token;
        self.say([Say::LeaseOutcome(outcome)]).await;
        self.ack_of(token).await
    }

    /// Says that a lease succeeded with this result and waits for the answer.
    pub(crate) async fn succeed(&mut self, token: i64, result: &[u8]) -> ResultDisposition {
        self.finish(success(token, result)).await
    }

    /// Says goodbye and waits until the stream is over: it was heard, and nothing more is leased to this worker.
    pub(crate) async fn leave(mut self) {
        self.say([Say::Goodbye(Goodbye { reason: "the script is over".to_owned() })]).await;
        while let Ok(Some(_)) = self.next().await {}
    }

    /// The next thing the coordinator says; none: it ended the stream well.
    pub(crate) async fn next(&mut self) -> Result<Option<Told>, Status> {
        self.next_within(SOON).await.expect("the coordinator says something")
    }

    /// The next thing the coordinator says, if it says anything in time.
    pub(crate) async fn next_within(
        &mut self,
        within: Duration,
    ) -> Option<Result<Option<Told>, Status>> {
        while self.told.is_empty() {
            match timeout(within, self.answers.message()).await.ok()? {
                Ok(Some(frame)) => self.read(frame),
                Ok(None) => return Some(Ok(None)),
                Err(status) => return Some(Err(status)),
            }
        }
        Some(Ok(self.told.pop_front()))
    }

    /// What has been read already, and so acknowledged, and was not looked at.
    pub(crate) fn ready(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// The next assignment.
    pub(crate) async fn assignment(&mut self) -> Assignment {
        self.expect("an assignment", |told| match told {
            Told::Assignment(assignment) => Some((**assignment).clone()),
            _ => None,
        })
        .await
    }

    /// The next assignment, however long it takes: the session is kept alive, holding nothing.
    pub(crate) async fn assignment_in_time(&mut self, beat: Duration) -> Assignment {
        for _ in 0..BEATS_MAX {
            match self.next_within(beat).await {
                Some(Ok(Some(Told::Assignment(assignment)))) => return *assignment,
                Some(Ok(Some(_))) => {}
                Some(end) => panic!("expected an assignment, got {end:?}"),
                None => self.beat(&[]).await,
            }
        }
        panic!("no assignment after {BEATS_MAX} heartbeats");
    }

    /// The next revocation.
    pub(crate) async fn revocation(&mut self) -> Revocation {
        self.expect("a revocation", |told| match told {
            Told::Revocation(revocation) => Some(*revocation),
            _ => None,
        })
        .await
    }

    /// The answer to the outcome of a lease.
    pub(crate) async fn ack_of(&mut self, token: i64) -> ResultDisposition {
        self.expect("an answer to the outcome", |told| match told {
            Told::ResultAck(ack) if ack.fencing_token == token => Some(ack.disposition()),
            _ => None,
        })
        .await
    }

    /// Waits for the thing `pick` recognizes. The rest is kept for later.
    pub(crate) async fn expect<T>(&mut self, what: &str, pick: impl Fn(&Told) -> Option<T>) -> T {
        let mut looked_at = 0;
        loop {
            if let Some(told) = self.told.get(looked_at) {
                if let Some(it) = pick(told) {
                    self.told.remove(looked_at);
                    return it;
                }
                looked_at += 1;
                continue;
            }
            match timeout(SOON, self.answers.message()).await {
                Ok(Ok(Some(frame))) => self.read(frame),
                other => panic!("expected {what}, got {other:?} after {:?}", self.told),
            }
        }
    }

    /// The status the stream ends with.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a status"),
                Err(status) => return status,
            }
        }
    }

    fn read(&mut self, frame: ConnectResponse) {
        assert_eq!(frame.frame_sequence, self.seen + 1, "frames are numbered without gaps");
        self.seen = frame.frame_sequence;
        self.told.extend(frame.events.into_iter().filter_map(|it| it.event));
    }
}

/// A worker of this name that serves one task type and holds nothing.
pub(crate) fn hello(worker_id: &str, task_type: &str, slots: i32) -> Hello {
    Hello {
        protocol_version: leasehold_proto::PROTOCOL_VERSION,
        worker_id: worker_id.to_owned(),
        instance_id: format!("{worker_id}-1"),
        task_types: vec![task_type.to_owned()],
        capacity: Some(Capacity { slots, ..Capacity::default() }),
        software: "script/1".to_owned(),
        knows_sizes: true,
        ..Hello::default()
    }
}

/// The same worker with these leases in its hands.
pub(crate) fn holding(hello: Hello, leases: &[(i64, leasehold_proto::v1::LeasePhase)]) -> Hello {
    let lease = |(token, phase): &(i64, leasehold_proto::v1::LeasePhase)| HeldLease {
        fencing_token: *token,
        phase: (*phase).into(),
        ..HeldLease::default()
    };
    Hello { held_leases: leases.iter().map(lease).collect(), ..hello }
}

/// A lease that succeeded.
pub(crate) fn success(token: i64, result: &[u8]) -> LeaseOutcome {
    let success = Success { result: bytes(result) };
    outcome(token, lease_outcome::Outcome::Success(success))
}

/// A lease whose work was stopped as asked.
pub(crate) fn stopped(token: i64) -> LeaseOutcome {
    let stopped = Stopped { method: StopMethod::Returned.into(), started: true };
    outcome(token, lease_outcome::Outcome::Stopped(stopped))
}

/// A lease that was not worked on.
pub(crate) fn declined(token: i64, reason: DeclineReason) -> LeaseOutcome {
    outcome(
        token,
        lease_outcome::Outcome::Declined(Declined { reason: reason.into(), ..Declined::default() }),
    )
}

/// A lease that ended like this.
pub(crate) fn outcome(token: i64, outcome: lease_outcome::Outcome) -> LeaseOutcome {
    LeaseOutcome { fencing_token: token, outcome: Some(outcome), run_time: None }
}

/// A copy of some bytes as the contract holds them.
pub(crate) fn bytes(value: &[u8]) -> prost::bytes::Bytes {
    prost::bytes::Bytes::copy_from_slice(value)
}
