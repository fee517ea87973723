//! Redis and Valkey: a stream with one consumer group. Every command is in the append-only file, and the file synced,
//! before it is answered.
//!
//! A task is leased by XREADGROUP, and completed by XACK and XDEL. All commands are pipelined; what one read took is
//! completed in the same write that asks for the next.

mod resp;

use std::{net::SocketAddr, ops::Range, path::Path, process::Command};

use anyhow::{Result, ensure};

use self::resp::Reply;
use super::wire::Wire;
use crate::{
    driver::{self, Patience, payload},
    server::{Place, Server, program},
};

/// The stream.
const STREAM: &[u8] = b"tasks";

/// The consumer group.
const GROUP: &[u8] = b"workers";

/// The worker's name in its group.
const CONSUMER: &[u8] = b"one";

/// How long a read waits for a first task, in milliseconds.
const BLOCK_MS: &[u8] = b"1000";

pub(super) fn start(name: &str, data_in: &Path) -> Result<Server> {
    let place = Place::new(data_in)?;
    let mut command = Command::new(program(name)?);
    command
        .args(["--bind", "127.0.0.1", "--port", &place.port(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(place.directory());
    let server = place.serve(command)?;
    let mut wire = Wire::connect(server.address())?;
    let mut commands = Vec::new();
    resp::command(&mut commands, &[b"XGROUP", b"CREATE", STREAM, GROUP, b"0", b"MKSTREAM"]);
    wire.send(&commands)?;
    next(&mut wire)?;
    Ok(server)
}

/// Adds tasks to the stream.
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
            resp::command(&mut self.commands, &[b"XADD", STREAM, b"*", b"p", &payload(number)]);
        }
        self.wire.send(&self.commands)
    }

    fn confirmed(&mut self, patience: Patience) -> Result<u64> {
        self.wire.receive(patience)?;
        let mut confirmed = 0;
        while let Some(reply) = self.wire.reply(resp::parse)? {
            reply.error()?;
            confirmed += 1;
        }
        Ok(confirmed)
    }
}

/// Reads tasks from the stream.
#[derive(Debug)]
pub(super) struct Worker {
    wire: Wire,
    commands: Vec<u8>,
    read: u64,
    /// The ids of the tasks that were read and not completed.
    held: Vec<Vec<u8>>,
}

impl Worker {
    pub(super) fn connect(address: SocketAddr, read: usize) -> Result<Self> {
        let wire = Wire::connect(address)?;
        Ok(Self { wire, commands: Vec::new(), read: read as u64, held: Vec::new() })
    }

    /// Adds the completion of what is held.
    fn complete(&mut self) {
        for done in [&[b"XACK".as_slice(), STREAM, GROUP][..], &[b"XDEL", STREAM]] {
            let words: Vec<&[u8]> =
                done.iter().copied().chain(self.held.iter().map(Vec::as_slice)).collect();
            resp::command(&mut self.commands, &words);
        }
    }

    /// Adds a read of at most this many tasks.
    fn ask(&mut self, most: u64) {
        let most = most.to_string();
        let group = [b"XREADGROUP".as_slice(), b"GROUP", GROUP, CONSUMER];
        let limits = [b"COUNT", most.as_bytes(), b"BLOCK", BLOCK_MS];
        let words = group.into_iter().chain(limits).chain([b"STREAMS".as_slice(), STREAM, b">"]);
        resp::command(&mut self.commands, &words.collect::<Vec<_>>());
    }
}

impl driver::Worker for Worker {
    fn work(&mut self, left: u64, started: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let held = self.held.len() as u64;
        let most = self.read.min(left - held);
        self.commands.clear();
        if held > 0 {
            self.complete();
        }
        if most > 0 {
            self.ask(most);
        }
        self.wire.send(&self.commands)?;
        if held > 0 {
            for done in ["XACK", "XDEL"] {
                let count = next(&mut self.wire)?.number()?;
                ensure!(count == held, "{done} did {count} of {held}");
            }
            self.held.clear();
        }
        if most > 0 {
            for (id, payload) in next(&mut self.wire)?.entries()? {
                started(&payload);
                self.held.push(id);
            }
        }
        Ok(held)
    }
}

/// The next reply, which is waited for.
fn next(wire: &mut Wire) -> Result<Reply> {
    loop {
        if let Some(reply) = wire.reply(resp::parse)? {
            reply.error()?;
            return Ok(reply);
        }
        wire.receive(Patience::Wait)?;
    }
}
