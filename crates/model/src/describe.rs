//! A trace for people: one action, one line.

use crate::{
    action::{Action, Process},
    cluster::shown,
    state::State,
    stream::{News, Said, Told, Word},
};

impl State {
    /// What happens, in one line.
    pub(crate) fn describe(&self, action: Action) -> String {
        let at = self.now.unix_ms() % 1_000_000;
        format!("{at:>4} ms  {}", self.say(action))
    }

    fn say(&self, action: Action) -> String {
        let log = &self.log;
        let unsynced = log.len() - log.durable();
        match action {
            Action::Submit(task) => format!("a client submits task {task}"),
            Action::Cancel(task) => format!("a client cancels task {task}"),
            Action::Replay(task) => format!("a client replays dead letter {task}"),
            Action::Connect(worker, process) => {
                format!("worker {worker} connects to {}", coordinator(process))
            }
            Action::Beat(worker) => format!("worker {worker} sends a heartbeat"),
            Action::End(worker, token, outcome) => {
                format!("worker {worker}: the work of lease {} ends: {outcome:?}", shown(token))
            }
            Action::Fence(worker) => format!("worker {worker} fences itself"),
            Action::ToCoordinator(id) => {
                let stream = self.streams.iter().find(|stream| stream.id == id);
                let said = stream.and_then(|stream| stream.to_coordinator.front());
                let worker = stream.map_or(0, |stream| stream.worker);
                let which = self.of(stream.map_or(0, |stream| stream.process));
                format!("{which} hears worker {worker} on stream {}: {}", id.0, said_text(said))
            }
            Action::ToWorker(id) => {
                let stream = self.streams.iter().find(|stream| stream.id == id);
                let told = stream.and_then(|stream| stream.to_worker.front());
                let worker = stream.map_or(0, |stream| stream.worker);
                format!("worker {worker} hears on stream {}: {}", id.0, told_text(told))
            }
            Action::CoordinatorNotices(id) => {
                format!("the coordinator notices that stream {} is over", id.0)
            }
            Action::WorkerNotices(id) => format!("the worker notices that stream {} is over", id.0),
            Action::Sync => format!("{unsynced} batches become durable"),
            Action::Alarm(process) => format!("timers of {} ring", coordinator(process)),
            Action::Wait => "time passes while everybody is heard".to_owned(),
            Action::Tick => "time passes".to_owned(),
            Action::Cut(id) => format!("stream {} is cut", id.0),
            Action::CrashWorker(worker) => format!("worker {worker} dies and is started anew"),
            Action::Restart(kept) => format!(
                "the coordinator dies and is started anew; {} of {unsynced} batches are lost",
                log.len() - kept
            ),
            Action::Supersede(kept) => format!(
                "another coordinator takes over; {} of {unsynced} batches are lost",
                log.len() - kept
            ),
            Action::Retire => "the old coordinator ends".to_owned(),
        }
    }

    fn of(&self, process: u32) -> &'static str {
        let is_current = process == self.current.process;
        coordinator(if is_current { Process::Current } else { Process::Old })
    }
}

fn coordinator(process: Process) -> &'static str {
    match process {
        Process::Current => "the coordinator",
        Process::Old => "the old coordinator",
    }
}

fn said_text(said: Option<&Said>) -> String {
    match said.map(|said| &said.word) {
        Some(Word::Hello { held, .. }) => {
            let held: Vec<_> =
                held.iter().map(|it| format!("{} {:?}", shown(it.token), it.phase)).collect();
            format!("hello, holding [{}]", held.join(", "))
        }
        Some(Word::Started(token)) => format!("started {}", shown(*token)),
        Some(Word::Outcome(token, outcome)) => format!("{} ended: {outcome:?}", shown(*token)),
        Some(Word::Heartbeat { held }) => {
            let held: Vec<_> = held.iter().map(|token| shown(*token)).collect();
            format!("heartbeat, holding [{}]", held.join(", "))
        }
        None => String::new(),
    }
}

fn told_text(told: Option<&Told>) -> String {
    match told.map(|told| &told.news) {
        Some(News::Welcome { epoch, lost, .. }) => {
            let lost: Vec<_> = lost.iter().map(|token| shown(*token)).collect();
            format!("welcome to epoch {epoch}, lost [{}]", lost.join(", "))
        }
        Some(News::Assignment { token, task }) => {
            format!("task {task} is leased to you as {}", shown(*token))
        }
        Some(News::Revocation { token, reason }) => {
            format!("{} is revoked: {reason:?}", shown(*token))
        }
        Some(News::Answer { token, disposition }) => {
            format!("the outcome of {} is {disposition:?}", shown(*token))
        }
        Some(News::HeartbeatAck) => "your heartbeat was heard".to_owned(),
        None => String::new(),
    }
}
