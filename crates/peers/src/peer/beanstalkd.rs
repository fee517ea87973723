//! beanstalkd with a binlog that is synced with each write.
//!
//! A task is leased by `reserve`, and completed by `delete`. As many reserves are on their way as one read takes:
//! a connection answers in order, so a reserve that waits for a task holds up what was sent after it, and there are
//! never more of them than tasks to come.

mod reply;

use std::{io::Write as _, net::SocketAddr, ops::Range, path::Path, process::Command};

use anyhow::{Result, bail, ensure};

use self::reply::Reply;
use super::wire::Wire;
use crate::{
    driver::{self, PAYLOAD_BYTES, Patience, payload},
    server::{Place, Server, program},
};

/// How long a task may be held, in seconds.
const TIME_TO_RUN_S: u32 = 300;

pub(super) fn start(data_in: &Path) -> Result<Server> {
    let place = Place::new(data_in)?;
    let mut command = Command::new(program("beanstalkd")?);
    command.args(["-l", "127.0.0.1", "-p", &place.port(), "-f", "0", "-b"]).arg(place.directory());
    place.serve(command)
}

/// Puts tasks in.
#[derive(Debug)]
pub(super) struct Submitter {
    wire: Wire,
    commands: Vec<u8>,
}

impl Submitter {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { wire: Wire::connect(address)?, commands: Vec::new() })
    }
}

impl driver::Submitter for Submitter {
    fn send(&mut self, numbers: Range<u64>) -> Result<()> {
        self.commands.clear();
        for number in numbers {
            write!(self.commands, "put 0 0 {TIME_TO_RUN_S} {PAYLOAD_BYTES}\r\n")?;
            self.commands.extend(payload(number));
            self.commands.extend(b"\r\n");
        }
        self.wire.send(&self.commands)
    }

    fn confirmed(&mut self, patience: Patience) -> Result<u64> {
        self.wire.receive(patience)?;
        let mut confirmed = 0;
        while let Some(reply) = self.wire.reply(reply::parse)? {
            ensure!(reply == Reply::Inserted, "a put was answered with {reply:?}");
            confirmed += 1;
        }
        Ok(confirmed)
    }
}

/// Reserves tasks.
#[derive(Debug)]
pub(super) struct Worker {
    wire: Wire,
    commands: Vec<u8>,
    /// How many tasks may be on their way or held.
    window: u64,
    /// How many reserves and deletes have not been answered.
    unanswered: u64,
}

impl Worker {
    pub(super) fn connect(address: SocketAddr, window: usize) -> Result<Self> {
        let wire = Wire::connect(address)?;
        Ok(Self { wire, commands: Vec::new(), window: window as u64, unanswered: 0 })
    }
}

impl driver::Worker for Worker {
    fn work(&mut self, left: u64, started: &mut dyn FnMut(&[u8])) -> Result<u64> {
        for _ in self.unanswered..self.window.min(left) {
            self.commands.extend(b"reserve\r\n");
            self.unanswered += 1;
        }
        self.wire.send(&self.commands)?;
        self.commands.clear();
        self.wire.receive(Patience::Wait)?;
        let mut completed = 0;
        while let Some(reply) = self.wire.reply(reply::parse)? {
            match reply {
                // Its delete takes the place of the reserve.
                Reply::Reserved { id, payload } => {
                    started(&payload);
                    write!(self.commands, "delete {id}\r\n")?;
                }
                Reply::Deleted => {
                    completed += 1;
                    self.unanswered -= 1;
                }
                Reply::Inserted => bail!("a worker put nothing in"),
            }
        }
        Ok(completed)
    }
}
