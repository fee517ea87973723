//! The servers that do the same work, each spoken to in its own protocol.

mod beanstalkd;
mod postgres;
mod redis;
mod wire;

use std::path::Path;

use anyhow::Result;

use crate::{
    args,
    driver::{Submitter, Worker},
    server::Server,
};

/// A running peer.
#[derive(Debug)]
pub(crate) struct Peer {
    kind: args::Server,
    read: usize,
    server: Server,
}

impl Peer {
    /// Starts one. `read` is how many tasks its worker takes at a time.
    pub(crate) fn start(kind: args::Server, read: usize, data_in: &Path) -> Result<Self> {
        let server = match kind {
            args::Server::Redis => redis::start("redis-server", data_in),
            args::Server::Valkey => redis::start("valkey-server", data_in),
            args::Server::Beanstalkd => beanstalkd::start(data_in),
            args::Server::Postgres => postgres::start(data_in),
        }?;
        Ok(Self { kind, read, server })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// A submitter on a connection of its own.
    pub(crate) fn submitter(&self) -> Result<Box<dyn Submitter + Send>> {
        let address = self.server.address();
        Ok(match self.kind {
            args::Server::Redis | args::Server::Valkey => {
                Box::new(redis::Submitter::connect(address)?)
            }
            args::Server::Beanstalkd => Box::new(beanstalkd::Submitter::connect(address)?),
            args::Server::Postgres => Box::new(postgres::Submitter::connect(address)?),
        })
    }

    /// A worker on a connection of its own.
    pub(crate) fn worker(&self) -> Result<Box<dyn Worker>> {
        let address = self.server.address();
        Ok(match self.kind {
            args::Server::Redis | args::Server::Valkey => {
                Box::new(redis::Worker::connect(address, self.read)?)
            }
            args::Server::Beanstalkd => Box::new(beanstalkd::Worker::connect(address, self.read)?),
            args::Server::Postgres => Box::new(postgres::Worker::connect(address, self.read)?),
        })
    }
}
