//! The session as scripts: what happens when, and everything it says and does.
//!
//! `check` plays a script and compares the whole transcript, so that nothing unexpected goes unseen. Between the steps
//! time passes as the session asks for it. Heartbeats of a script that acknowledges them by itself are left out, and so
//! is what guards are let know: it must be what the session believes, after every step.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "half of the steps are said by the coordinator"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use leasehold_proto::v1::{
    self, RevocationReason as Reason, Verdict, coordinator_event::Event as Heard,
    worker_event::Event as Said,
};

use super::{Command, Leaving, Session, StreamEnd};
use crate::{
    OnSessionLost,
    assignment::{Token, duration},
    clock::Moment,
    identity::Identity,
    outcome::{End, Failure},
    size::Size,
};

mod checkpoint;
mod connection;
mod drain;
mod extension;
mod fence;
mod leases;
mod lost;
mod prefetch;
mod reconnect;
mod sizes;

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    /// The stream comes up.
    Up,
    /// The stream breaks.
    Down,
    /// The coordinator refuses the worker.
    Refused,
    /// The coordinator says welcome: journal, epoch, verdicts.
    Welcome(&'static str, i64, &'static [(i64, Verdict)]),
    /// A task of type "work" is assigned: start 10 s, attempt 60 s, total 1 h, grace 2 s.
    Assign(i64),
    /// The same with other limits in ms: start, attempt, total, grace.
    AssignWithin(i64, [u64; 4]),
    /// The same, and it takes so many slots and so much of `gpu`.
    AssignSized(i64, i32, i64),
    /// A task of another type is assigned.
    AssignForeign(i64),
    /// A lease is revoked, with a grace in ms.
    Revoke(i64, Reason, u64),
    /// A lease is wanted back unless its work has begun.
    GiveBack(i64),
    /// An outcome is answered.
    Answer(i64, v1::ResultDisposition),
    /// A heartbeat is acknowledged.
    Beat(i64),
    /// From here on every heartbeat is acknowledged at once.
    Beats,
    /// Work returns a result of this many bytes.
    Done(i64, usize),
    /// Work fails.
    Failed(i64),
    /// Work is dropped.
    Aborted(i64),
    /// A program's group is killed.
    Killed(i64),
    /// There is no room to start a program.
    NoRoom(i64),
    /// Work reports progress.
    Progress(i64),
    /// Work saves a checkpoint.
    Save(i64, &'static str),
    /// Work asks to run for this long in ms.
    Ask(i64, u64),
    /// Work may run for this long in ms, or gets no more.
    Extended(i64, Option<u64>),
    /// The worker's owner wants it to leave.
    Drain,
    /// The coordinator wants it to leave, with a grace in ms.
    DrainRequest(u64),
    /// The worker's owner wants it to leave at once.
    Interrupt,
    /// The coordinator goes away, for this long in ms.
    GoAway(v1::GoAwayReason, u64),
    /// The network takes no frames.
    Stuck,
    /// The network takes frames again.
    Free,
    /// Nothing but time.
    Wait,
}

/// The slots of the worker, where a script does not say.
const SLOTS: u32 = 2;

/// The largest result in all scripts.
const RESULT_BYTES_MAX: i64 = 100;

/// Plays a script of (time in ms, step) and compares all that is said and done, each line behind its time.
#[track_caller]
fn check(script: &[(u64, Step)], expected: &[&str]) {
    compare(&play(Stage::new(0, OnSessionLost::Stop), script), expected);
}

/// Plays a script behind a welcome at 0 ms, with heartbeats acknowledged, and leaves that part out.
#[track_caller]
fn check_connected(script: &[(u64, Step)], expected: &[&str]) {
    check_ahead(0, script, expected);
}

/// The same for a worker that takes this many leases ahead.
#[track_caller]
fn check_ahead(prefetch: u32, script: &[(u64, Step)], expected: &[&str]) {
    check_welcomed(Stage::new(prefetch, OnSessionLost::Stop), script, expected);
}

/// The same for this worker.
#[track_caller]
fn check_welcomed(stage: Stage, script: &[(u64, Step)], expected: &[&str]) {
    let mut whole = vec![(0, Step::Up), (0, Step::Welcome("j", 7, &[])), (0, Step::Beats)];
    whole.extend_from_slice(script);
    let opening = ["0 connect", "0 say hello journal= epoch=0 held=[]"];
    let expected: Vec<&str> = opening.into_iter().chain(expected.iter().copied()).collect();
    compare(&play(stage, &whole), &expected);
}

#[track_caller]
fn compare(transcript: &[String], expected: &[&str]) {
    assert!(
        transcript == expected,
        "the session did\n  {}\nbut should do\n  {}",
        transcript.join("\n  "),
        expected.join("\n  ")
    );
}

fn play(mut stage: Stage, script: &[(u64, Step)]) -> Vec<String> {
    for (at, step) in script {
        stage.pass_until(*at);
        stage.happen(step);
        stage.settle();
    }
    stage.transcript
}

struct Stage {
    session: Session,
    now_ms: u64,
    /// The number of the coordinator's last frame.
    heard: i64,
    acks_heartbeats: bool,
    is_stuck: bool,
    /// Until when guards have been told that the leases hold, and how long before it work is to be asked to stop.
    renewed: Option<(Moment, Duration)>,
    transcript: Vec<String>,
}

impl Stage {
    fn new(prefetch: u32, on_session_lost: OnSessionLost) -> Self {
        Self::of_slots(SLOTS, prefetch, on_session_lost)
    }

    fn of_slots(slots: u32, prefetch: u32, on_session_lost: OnSessionLost) -> Self {
        let identity = Identity {
            worker_id: "w".to_owned(),
            instance_id: "i".to_owned(),
            process_start: None,
            replaces: Vec::new(),
            labels: BTreeMap::new(),
            task_types: BTreeSet::from(["work".to_owned()]),
            namespaces: BTreeSet::new(),
            schemas: BTreeMap::new(),
            whole: Size { slots, resources: [("gpu".to_owned(), 2)].into() },
            prefetch,
            software: String::new(),
        };
        let leaving =
            Leaving { on_session_lost, drain_grace: Duration::from_secs(30), lost_slots_max: 1 };
        let mut stage = Self {
            session: Session::new(identity, leaving, Duration::ZERO, 1),
            now_ms: 0,
            heard: 0,
            acks_heartbeats: false,
            is_stuck: false,
            renewed: None,
            transcript: Vec::new(),
        };
        stage.tick();
        stage
    }

    /// The same worker, which may take so long to say that work began.
    fn saying_starts_within(mut self, ms: u64) -> Self {
        self.session.starts_wait = Duration::from_millis(ms);
        self
    }

    fn now(&self) -> Moment {
        at(self.now_ms)
    }

    /// When the session wants to hear of the time.
    fn deadline(&self) -> Option<Moment> {
        [self.session.deadline(), self.session.starts_due()].into_iter().flatten().min()
    }

    /// Lets time pass as the session asks for it.
    fn pass_until(&mut self, at_ms: u64) {
        while let Some(deadline) = self.deadline().filter(|it| *it <= at(at_ms)) {
            // Rounded up: what is due within a millisecond is due at its end.
            let due = deadline.since(at(0)).as_nanos().div_ceil(1_000_000);
            let due = u64::try_from(due).expect("a small number");
            let before = self.transcript.len();
            self.now_ms = due.max(self.now_ms);
            self.tick();
            let moved = self.deadline() != Some(deadline);
            assert!(moved || self.transcript.len() > before, "the session spins at {due} ms");
        }
        self.now_ms = at_ms.max(self.now_ms);
        self.session.handle_tick(self.now());
    }

    fn tick(&mut self) {
        self.session.handle_tick(self.now());
        self.settle();
    }

    /// Lets the session do and say all it wants to.
    fn settle(&mut self) {
        loop {
            if let Some(command) = self.session.poll_command() {
                if let Command::Renew { valid_until, stop_margin } = command {
                    self.renewed = Some((valid_until, stop_margin));
                    continue;
                }
                if let Command::Start { assignment, .. } = &command {
                    // Nothing begins under a lease that a guard takes for over.
                    self.assert_renewed();
                    let lease = self.session.leases.get(assignment.token).expect("it is held");
                    let left = lease.total_due.map(|due| due.since(self.now()));
                    assert_eq!(assignment.total_remaining, left, "it knows what is left to it");
                }
                self.log(&done(&command));
            } else if let Some(frame) = self.frame() {
                let is_answer = frame.events.is_empty();
                assert!(!is_answer || frame.ack_frame_sequence == self.heard, "it answers");
                for event in frame.events {
                    self.hear_said(&event.event.expect("an event"), frame.ack_frame_sequence);
                }
            } else {
                return self.assert_renewed();
            }
        }
    }

    fn assert_renewed(&self) {
        let margin = self.session.terms.stop_margin();
        assert_eq!(self.renewed, self.session.valid_until.map(|until| (until, margin)));
    }

    fn frame(&mut self) -> Option<v1::ConnectRequest> {
        if self.is_stuck {
            return None;
        }
        assert_eq!(self.session.has_frame(), self.session.has_frame(), "asking changes nothing");
        self.session.poll_frame(self.now())
    }

    fn hear_said(&mut self, event: &Said, ack: i64) {
        if let Said::Heartbeat(beat) = event {
            if self.acks_heartbeats {
                return self
                    .hear(Heard::HeartbeatAck(v1::HeartbeatAck { sequence: beat.sequence }));
            }
            assert_eq!(ack, self.heard, "a heartbeat names the last frame acted upon");
        }
        self.log(&format!("say {}", said(event)));
    }

    fn hear(&mut self, event: Heard) {
        self.heard += 1;
        let is_welcome = matches!(event, Heard::Welcome(_));
        let frame = v1::ConnectResponse {
            frame_sequence: self.heard,
            ack_frame_sequence: 0,
            events: vec![v1::CoordinatorEvent { event: Some(event) }],
        };
        self.session.handle_frame(self.now(), frame);
        if is_welcome && self.session.link.open().is_some() {
            assert!(self.session.has_frame(), "a welcome is acknowledged at once");
        }
    }

    fn happen(&mut self, step: &Step) {
        let now = self.now();
        let result = |len| End::Returned(Ok(Bytes::from(vec![b'x'; len])));
        match step.clone() {
            Step::Up => {
                self.heard = 0;
                self.session.handle_stream_up(now);
            }
            Step::Down => self.session.handle_stream_end(now, StreamEnd::Closed),
            Step::Refused => {
                self.session.handle_stream_end(now, StreamEnd::Refused("no".to_owned()));
            }
            Step::Done(token, len) => self.session.handle_end(now, Token(token), result(len)),
            Step::Failed(token) => {
                let end = End::Returned(Err(Failure::error("no luck")));
                self.session.handle_end(now, Token(token), end);
            }
            Step::Aborted(token) => self.session.handle_end(now, Token(token), End::Aborted),
            Step::NoRoom(token) => self.session.handle_end(now, Token(token), End::NotStarted),
            Step::Killed(token) => self.session.handle_end(now, Token(token), End::Killed),
            Step::Progress(token) => {
                let progress = v1::Progress { fraction: Some(0.5), ..v1::Progress::default() };
                self.session.handle_progress(BTreeMap::from([(Token(token), progress)]));
            }
            Step::Save(token, data) => {
                let checkpoint = Some(data.into());
                let report = v1::Progress { checkpoint, ..v1::Progress::default() };
                self.session.handle_progress(BTreeMap::from([(Token(token), report)]));
            }
            Step::Ask(token, ms) => {
                self.session.handle_ask(Token(token), now + Duration::from_millis(ms));
            }
            Step::Drain => self.session.handle_drain(now, None, "asked"),
            Step::Interrupt => self.session.handle_interrupt(),
            Step::Beats => self.acks_heartbeats = true,
            Step::Stuck => self.is_stuck = true,
            Step::Free => self.is_stuck = false,
            Step::Wait => {}
            heard => self.hear(event(heard)),
        }
    }

    fn log(&mut self, line: &str) {
        self.transcript.push(format!("{} {line}", self.now_ms));
    }
}

fn at(ms: u64) -> Moment {
    Moment::default() + Duration::from_millis(ms)
}

fn ms(ms: u64) -> prost_types::Duration {
    leasehold_proto::duration::to_wire(Duration::from_millis(ms))
}

/// What the coordinator says in a step.
fn event(step: Step) -> Heard {
    match step {
        Step::Welcome(journal_id, epoch, verdicts) => Heard::Welcome(Box::new(v1::Welcome {
            protocol_version: 1,
            journal_id: journal_id.to_owned(),
            epoch,
            settings: Some(v1::SessionSettings {
                heartbeat_interval: Some(ms(5_000)),
                session_ttl: Some(ms(20_000)),
                reconnect_initial: Some(ms(0)),
                reconnect_cap: Some(ms(0)),
                result_bytes_max: RESULT_BYTES_MAX,
                checkpoint_bytes_max: RESULT_BYTES_MAX,
            }),
            verdicts: verdicts
                .iter()
                .map(|(fencing_token, verdict)| v1::LeaseVerdict {
                    fencing_token: *fencing_token,
                    verdict: (*verdict).into(),
                })
                .collect(),
            ..v1::Welcome::default()
        })),
        Step::Assign(token) => assignment(token, "work", [10_000, 60_000, 3_600_000, 2_000]),
        Step::AssignWithin(token, limits) => assignment(token, "work", limits),
        Step::AssignSized(token, slots, gpu) => {
            let Heard::Assignment(plain) = event(Step::Assign(token)) else {
                unreachable!("it is an assignment")
            };
            let resources = (0 < gpu).then(|| ("gpu".to_owned(), gpu)).into_iter().collect();
            Heard::Assignment(Box::new(v1::Assignment { slots, resources, ..*plain }))
        }
        Step::AssignForeign(token) => {
            assignment(token, "other", [10_000, 60_000, 3_600_000, 2_000])
        }
        Step::Revoke(fencing_token, reason, grace) => Heard::Revocation(v1::Revocation {
            fencing_token,
            reason: reason.into(),
            grace: Some(ms(grace)),
            unstarted_only: false,
        }),
        Step::GiveBack(fencing_token) => Heard::Revocation(v1::Revocation {
            fencing_token,
            reason: Reason::Retracted.into(),
            grace: None,
            unstarted_only: true,
        }),
        Step::Answer(fencing_token, disposition) => {
            Heard::ResultAck(v1::ResultAck { fencing_token, disposition: disposition.into() })
        }
        Step::Extended(fencing_token, remaining) => Heard::LeaseExtension(v1::LeaseExtension {
            fencing_token,
            remaining: remaining.map(ms),
        }),
        Step::Beat(sequence) => Heard::HeartbeatAck(v1::HeartbeatAck { sequence }),
        Step::DrainRequest(grace) => Heard::DrainRequest(v1::DrainRequest {
            grace: Some(ms(grace)),
            reason: "told".to_owned(),
        }),
        Step::GoAway(reason, delay) => Heard::GoAway(v1::GoAway {
            reconnect_delay: Some(ms(delay)),
            reason: reason.into(),
            message: String::new(),
        }),
        other => unreachable!("{other:?} is not said by the coordinator"),
    }
}

fn assignment(token: i64, task_type: &str, [start, attempt, total, grace]: [u64; 4]) -> Heard {
    Heard::Assignment(Box::new(v1::Assignment {
        fencing_token: token,
        task_id: format!("task-{token}"),
        task_type: task_type.to_owned(),
        start_timeout: Some(ms(start)),
        attempt_timeout: Some(ms(attempt)),
        total_remaining: Some(ms(total)),
        kill_grace: Some(ms(grace)),
        ..v1::Assignment::default()
    }))
}

fn done(command: &Command) -> String {
    match command {
        Command::Connect => "connect".to_owned(),
        Command::Disconnect => "disconnect".to_owned(),
        Command::CloseSend => "close send".to_owned(),
        Command::Start { assignment, .. } => format!("start {}", assignment.token),
        Command::Cancel { token, reason } => format!("cancel {token}: {reason}"),
        Command::Kill { token, reason } => format!("kill {token}: {reason}"),
        Command::Postpone { token, due } => {
            format!("postpone {token} to {}", due.since(at(0)).as_millis())
        }
        Command::Answer { token, answer } => format!("answer {token}: {answer:?}"),
        Command::Renew { .. } => unreachable!("it is looked at when it comes"),
        Command::Exit(Ok(())) => "exit".to_owned(),
        Command::Exit(Err(error)) => format!("exit: {error}"),
    }
}

fn said(event: &Said) -> String {
    match event {
        Said::Hello(hello) => {
            let phase = |it: &v1::HeldLease| match it.phase() {
                v1::LeasePhase::Pending => "pending",
                v1::LeasePhase::Running => "running",
                v1::LeasePhase::Finished => "finished",
                v1::LeasePhase::Unspecified => "?",
            };
            let held: Vec<String> = hello
                .held_leases
                .iter()
                .map(|it| format!("{} {}", it.fencing_token, phase(it)))
                .collect();
            let (journal, epoch) = (&hello.journal_id, hello.seen_epoch);
            format!("hello journal={journal} epoch={epoch} held=[{}]", held.join(", "))
        }
        Said::Heartbeat(beat) => format!("heartbeat {} {:?}", beat.sequence, beat.held_tokens),
        Said::LeaseStarted(started) => format!("started {}", started.fencing_token),
        Said::LeaseProgress(said) => said_progress(said),
        Said::ExtendLease(ask) => {
            let remaining = ask.remaining.map(duration).unwrap_or_default();
            format!("extend {} by {} ms", ask.fencing_token, remaining.as_millis())
        }
        Said::LeaseOutcome(outcome) => said_outcome(outcome),
        Said::WorkerDrain(drain) => {
            format!("drain {}s: {}", drain.grace.map_or(0, |it| it.seconds), drain.reason)
        }
        Said::Goodbye(_) => "goodbye".to_owned(),
        Said::SlotsLost(it) => format!("slots lost {}", it.count),
        Said::Capacity(_) => unreachable!("the capacity never changes"),
    }
}

fn said_progress(said: &v1::LeaseProgress) -> String {
    let progress = said.progress.clone().unwrap_or_default();
    let message = progress.fraction.map(|fraction| fraction.to_string());
    let saved = progress.checkpoint.map(|data| format!("saved {}", String::from_utf8_lossy(&data)));
    let parts = [Some(format!("progress {}", said.fencing_token)), message, saved];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn said_outcome(outcome: &v1::LeaseOutcome) -> String {
    use v1::lease_outcome::Outcome;
    let what = match outcome.outcome.as_ref().expect("an outcome") {
        Outcome::Success(it) => format!("success of {} bytes", it.result.len()),
        Outcome::Failure(it) => format!("{}: {}", it.reason().as_str_name(), it.message),
        Outcome::Stopped(it) => format!("{}, started {}", it.method().as_str_name(), it.started),
        Outcome::Declined(it) => it.reason().as_str_name().to_owned(),
    };
    format!("outcome {} {what}", outcome.fencing_token)
}
