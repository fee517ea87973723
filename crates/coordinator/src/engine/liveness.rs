//! What workers say, carried to the queue.

use leasehold_queue::{Command, Hello, NotWelcome, Reply, StreamId, Token};

use super::{Engine, Stream, release::Release};
use crate::{
    egress::{Closing, Egress, Event},
    request::Liveness,
    terms::SessionTerms,
};

impl Engine {
    pub(super) fn hear(&mut self, said: Liveness) {
        match said {
            Liveness::Hello { hello, number, egress } => self.hello(hello, number, egress),
            Liveness::Several(said) => {
                for said in said {
                    self.hear(said);
                }
            }
            Liveness::Heartbeat { stream, sequence, held, cpu } => {
                self.hear_cpu(stream, cpu);
                self.heartbeat(stream, sequence, held);
            }
            Liveness::Progress { stream, token, progress, checkpoint } => {
                self.apply(Command::Progressed { stream, token, progress });
                if let Some(data) = checkpoint {
                    self.hear_checkpoint(stream, token, data);
                }
            }
            Liveness::HeardUntil(time) => {
                self.is_listening = false;
                self.heard_until = time;
            }
            Liveness::Event(command) => {
                if let Command::Disconnect { stream } | Command::Goodbye { stream } = &command {
                    self.streams.remove(stream);
                    self.save_before_leaving(*stream);
                }
                if let Command::Outcome { stream, token, .. } = &command {
                    self.save_before_outcome(*stream, *token);
                }
                self.apply(command);
            }
        }
    }

    fn hello(&mut self, hello: Box<Hello>, number: i64, egress: Egress) {
        if self.is_stopping() {
            return egress.close(Closing::Shutdown);
        }
        if !self.latest.admits(&hello, number, &self.queue) {
            tracing::info!(worker = &*hello.worker, number, "an overtaken hello is not heard");
            return egress.close(Closing::Replaced);
        }
        let stream = hello.stream;
        let (worker, slots) = (hello.worker.to_string(), hello.slots);
        let Reply::Welcome(answer) = self.apply(Command::Hello(hello)) else { return };
        match answer {
            Ok(welcome) => {
                let (session, resumed) = (welcome.session.0, welcome.resumed);
                tracing::info!(worker, session, resumed, slots, "worker connected");
                let (sent, is_welcome, cpu) = (Vec::new(), false, None);
                self.streams.insert(stream, Stream { egress, sent, is_welcome, cpu });
                // What the queue believes in from here on is what the worker is told, whatever is configured before it leaves.
                let terms = SessionTerms::of(&self.config);
                self.say(Release::Welcome(stream, Box::new((welcome, terms))));
            }
            Err(NotWelcome::Banned { left }) => egress.close(Closing::Banned { left }),
            Err(NotWelcome::Outlived) => {
                tracing::warn!(worker, "a later process has the worker's id and is connected");
                egress.close(Closing::Replaced);
            }
        }
    }

    /// A heartbeat changes nothing durable, so its answer does not wait; but a worker hears nothing before its welcome.
    fn heartbeat(&mut self, stream: StreamId, sequence: i64, held: Vec<Token>) {
        let heard = self.apply(Command::Heartbeat { stream, held });
        self.forget_checkpoints_not_held(stream);
        let Reply::Heard(true) = heard else { return };
        if self.streams.get(&stream).is_some_and(|session| session.is_welcome) {
            self.send(stream, Event::HeartbeatAck { sequence });
        }
    }
}
