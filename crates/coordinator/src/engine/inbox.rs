//! Everything that comes in, each kind on a bounded channel of its own.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, Receiver},
    time::timeout,
};

use crate::{
    request::{Admission, Control, Liveness},
    writer::{Failure, JOBS_MAX, Report},
};

/// How often sessions may have told something before they wait: once each of the tens of thousands of workers there can be,
/// and a few dozen events at a time.
const LIVENESS_MAX: usize = 32_768;

/// How many cancels, replays and orders may be on their way.
const CONTROL_MAX: usize = 4_096;

/// How many submits and reads may be on their way; each is bounded by the size of a message.
const ADMISSION_MAX: usize = 1_024;

/// How much of each kind a turn takes in, so that a turn ends.
const LIVENESS_PER_TURN: usize = 4_096;
const CONTROL_PER_TURN: usize = 512;

/// What a turn takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intake {
    /// Everything.
    All,
    /// Nothing that adds work: too much waits for the disk already.
    Urgent,
}

/// What the engine reads.
#[derive(Debug)]
pub(crate) struct Inbox {
    reports: Lane<Report>,
    liveness: Lane<Liveness>,
    control: Lane<Control>,
    admission: Lane<Admission>,
}

/// The ends that others write to.
#[derive(Clone, Debug)]
pub(crate) struct Senders {
    pub reports: mpsc::Sender<Report>,
    pub liveness: mpsc::Sender<Liveness>,
    pub control: mpsc::Sender<Control>,
    pub admission: mpsc::Sender<Admission>,
}

/// A channel whose next item may have been received while waiting for any of several.
#[derive(Debug)]
struct Lane<T> {
    receiver: Receiver<T>,
    held: Option<T>,
}

impl<T> Lane<T> {
    fn new(bound: usize) -> (mpsc::Sender<T>, Self) {
        let (sender, receiver) = mpsc::channel(bound);
        (sender, Self { receiver, held: None })
    }

    fn next(&mut self) -> Option<T> {
        self.held.take().or_else(|| self.receiver.try_recv().ok())
    }

    /// Ready if it holds something, or (with false) if nothing will ever come.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.held.is_none() {
            self.held = ready!(self.receiver.poll_recv(cx));
        }
        Poll::Ready(self.held.is_some())
    }

    fn has_more(&self) -> bool {
        self.held.is_some() || !self.receiver.is_empty()
    }

    fn take(&mut self, most: usize) -> Vec<T> {
        std::iter::from_fn(|| self.next()).take(most).collect()
    }
}

impl Inbox {
    pub(crate) fn new() -> (Senders, Self) {
        // A report for each job, and one that the journal failed or has room.
        let (report_sender, reports) = Lane::new(JOBS_MAX + 2);
        let (liveness_sender, liveness) = Lane::new(LIVENESS_MAX);
        let (control_sender, control) = Lane::new(CONTROL_MAX);
        let (admission_sender, admission) = Lane::new(ADMISSION_MAX);
        let senders = Senders {
            reports: report_sender,
            liveness: liveness_sender,
            control: control_sender,
            admission: admission_sender,
        };
        (senders, Self { reports, liveness, control, admission })
    }

    /// What the writer said next.
    pub(super) fn report(&mut self) -> Option<Report> {
        self.reports.next()
    }

    /// What sessions said, as much as a turn takes.
    pub(super) fn liveness(&mut self) -> Vec<Liveness> {
        let (mut taken, mut weight) = (Vec::new(), 0);
        while weight < LIVENESS_PER_TURN
            && let Some(said) = self.liveness.next()
        {
            weight += said.weight();
            taken.push(said);
        }
        taken
    }

    /// What frees or steers, as much as a turn takes.
    pub(super) fn control(&mut self) -> Vec<Control> {
        self.control.take(CONTROL_PER_TURN)
    }

    /// What adds work or looks, next.
    pub(super) fn admission(&mut self) -> Option<Admission> {
        self.admission.next()
    }

    /// Whether there is something left to be taken in.
    pub(super) fn has_more(&self, intake: Intake) -> bool {
        self.liveness.has_more()
            || self.control.has_more()
            || (intake == Intake::All && self.admission.has_more())
    }

    /// Waits until something comes in or `at_most` is over.
    pub(super) async fn wait(&mut self, intake: Intake, at_most: Option<Duration>) {
        if at_most == Some(Duration::ZERO) {
            return;
        }
        let heard = poll_fn(|cx| {
            let reported = self.reports.poll(cx);
            if reported == Poll::Ready(false) {
                self.reports.held = Some(Report::Failed(Failure::Gone));
            }
            if reported.is_ready() { Poll::Ready(()) } else { self.poll(intake, cx) }
        });
        match at_most {
            // The same whether it is over or something came in.
            Some(at_most) => drop(timeout(at_most, heard).await),
            None => heard.await,
        }
    }

    /// Whether something has come in but for reports; if not, it is said to the waker when something does.
    pub(super) fn poll(&mut self, intake: Intake, cx: &mut Context<'_>) -> Poll<()> {
        // All are asked: each is to know the waker.
        let liveness = self.liveness.poll(cx);
        let control = self.control.poll(cx);
        let admission = if intake == Intake::All { self.admission.poll(cx) } else { Poll::Pending };
        let is_any = [liveness, control, admission].contains(&Poll::Ready(true));
        if is_any { Poll::Ready(()) } else { Poll::Pending }
    }
}
