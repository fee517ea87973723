//! The coordinator without its sockets and its disk: engine, sessions, codec and the frames on the wire.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use leasehold_coordinator::{
    config::Config,
    simulation::{Answer, Ask, Coordinator, Dial, Start, Word, Work},
};
use leasehold_journal::Position;
use leasehold_policy::Time;
use leasehold_proto::v1;
use leasehold_queue::StreamId;
use prost::Message as _;

use crate::core::spec;

const STREAM: StreamId = StreamId(1);
const WALL: Time = Time::from_unix_ms(1_800_000_000_000);

/// How many tasks are submitted together, and how many the worker has slots for.
const WINDOW: usize = 200;

/// A coordinator whose disk keeps what it is given, and its only worker.
struct Site {
    coordinator: Coordinator,
    batches: Vec<(Position, Bytes)>,
    tickets: u64,
    sent: i64,
    seen: i64,
}

/// Lets so many tasks flow through a coordinator, each submit, grant and result durable before it leaves.
pub(crate) fn flow(tasks: u64) -> anyhow::Result<()> {
    let mut site = Site::start(&[])?;
    site.greet()?;
    let mut done = 0;
    while done < tasks {
        done += site.submit()?;
        let granted = site.take()?;
        ensure!(granted.len() == WINDOW, "{} leases were granted", granted.len());
        site.say(granted.into_iter().flat_map(finished).collect())?;
        let acknowledged = site.take()?;
        ensure!(acknowledged.is_empty(), "more leases were granted");
    }
    Ok(())
}

/// Takes up a journal with so many open tasks.
pub(crate) fn restart(tasks: u64) -> anyhow::Result<()> {
    let mut site = Site::start(&[])?;
    let mut submitted = 0;
    while submitted < tasks {
        submitted += site.submit()?;
    }
    Site::start(&site.batches).map(drop)
}

impl Site {
    fn start(batches: &[(Position, Bytes)]) -> anyhow::Result<Self> {
        let mut config = Config::default();
        config.retention.finished = Duration::ZERO;
        let dial = Arc::new(Dial::default());
        dial.set(Duration::ZERO, WALL);
        let coordinator = Coordinator::start(Start {
            config,
            journal_id: "journal".to_owned(),
            epoch: 1 + u32::from(!batches.is_empty()),
            batches: batches.iter().map(|(position, body)| (*position, body)).collect(),
            head: batches.last().map(|(position, _)| *position).unwrap_or_default(),
            settled: Position::default(),
            facts: Vec::new(),
            tidy_bytes: u64::MAX,
            least_payload_bytes: 0,
            payloads_ahead_share: 8,
            dial,
        })?;
        let mut site =
            Self { coordinator, batches: batches.to_vec(), tickets: 0, sent: 0, seen: 0 };
        site.settle()?;
        Ok(site)
    }

    /// Turns until everything is durable and nothing is left to do.
    fn settle(&mut self) -> anyhow::Result<()> {
        loop {
            let Ok(_) = self.coordinator.turn() else { bail!("the coordinator ended") };
            let mut is_idle = self.coordinator.is_quiet();
            while let Some(work) = self.coordinator.work(|_| None) {
                is_idle = false;
                let Work::Append(position, batch) = work else { bail!("{work:?} is asked for") };
                self.batches.push((position, batch.body));
                self.coordinator.report(Word::Durable(position));
            }
            if is_idle {
                return Ok(());
            }
        }
    }

    fn submit(&mut self) -> anyhow::Result<u64> {
        self.tickets += 1;
        self.coordinator.ask(self.tickets, Ask::Submit(vec![spec("echo", 5); WINDOW]));
        self.settle()?;
        let answers: BTreeMap<u64, Answer> = self.coordinator.answers().into_iter().collect();
        let answer = answers.get(&self.tickets).context("the submit is answered")?;
        let Answer::Submitted(Some(accepted)) = answer else {
            bail!("the submit is answered with {answer:?}");
        };
        Ok(accepted.iter().flatten().count() as u64)
    }

    fn greet(&mut self) -> anyhow::Result<()> {
        let slots = i32::try_from(WINDOW)?;
        let hello = v1::Hello {
            protocol_version: leasehold_proto::PROTOCOL_VERSION,
            worker_id: "worker".to_owned(),
            instance_id: "instance".to_owned(),
            task_types: vec!["echo".to_owned()],
            capacity: Some(v1::Capacity { slots, ..v1::Capacity::default() }),
            // It does not know what is alike: what is counted is an assignment in full.
            knows_alike: false,
            ..v1::Hello::default()
        };
        self.say(vec![v1::worker_event::Event::Hello(hello.into())])?;
        self.take().map(drop)
    }

    /// The worker says something, in a frame that crosses the wire.
    fn say(&mut self, events: Vec<v1::worker_event::Event>) -> anyhow::Result<()> {
        self.sent += 1;
        let event = |event| v1::WorkerEvent { event: Some(event) };
        let frame = v1::ConnectRequest {
            frame_sequence: self.sent,
            ack_frame_sequence: self.seen,
            events: events.into_iter().map(event).collect(),
        };
        let frame = v1::ConnectRequest::decode(Bytes::from(frame.encode_to_vec()))?;
        ensure!(self.coordinator.hear(STREAM, frame).is_ok(), "the stream is refused");
        self.settle()
    }

    /// The leases that the coordinator grants, in frames that cross the wire.
    fn take(&mut self) -> anyhow::Result<Vec<i64>> {
        let mut granted = Vec::new();
        while let Some(frame) = self.coordinator.frame(STREAM) {
            let frame = v1::ConnectResponse::decode(Bytes::from(frame.encode_to_vec()))?;
            self.seen = frame.frame_sequence;
            granted.extend(frame.events.iter().filter_map(|said| match &said.event {
                Some(v1::coordinator_event::Event::Assignment(lease)) => Some(lease.fencing_token),
                _ => None,
            }));
        }
        Ok(granted)
    }
}

/// What a worker says of a lease whose work is short.
fn finished(fencing_token: i64) -> [v1::worker_event::Event; 2] {
    let success = v1::lease_outcome::Outcome::Success(v1::Success::default());
    let run_time = Some(prost_types::Duration::default());
    let outcome = v1::LeaseOutcome { fencing_token, outcome: Some(success), run_time };
    [
        v1::worker_event::Event::LeaseStarted(v1::LeaseStarted { fencing_token }),
        v1::worker_event::Event::LeaseOutcome(outcome),
    ]
}
