//! The servers that do the same work, each spoken to in its own protocol.

mod beanstalkd;
pub(crate) mod echo;
pub(crate) mod node;
mod postgres;
mod rabbitmq;
mod redis;
mod wire;

use std::path::Path;

use anyhow::Result;

use crate::{
    driver::{Submitter, Worker},
    server::Server,
};

/// A server that is spoken to from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Redis streams.
    Redis,
    /// Valkey streams.
    Valkey,
    /// beanstalkd.
    Beanstalkd,
    /// A PostgreSQL table.
    Postgres,
    /// No server of anybody's: the transport alone.
    Echo,
}

/// A running peer.
#[derive(Debug)]
pub(crate) struct Peer {
    kind: Kind,
    read: usize,
    server: Server,
}

impl Peer {
    /// Starts one. `read` is how many tasks its worker takes at a time.
    pub(crate) fn start(kind: Kind, read: usize, data_in: &Path) -> Result<Self> {
        let server = match kind {
            Kind::Redis => redis::start("redis-server", data_in),
            Kind::Valkey => redis::start("valkey-server", data_in),
            Kind::Beanstalkd => beanstalkd::start(data_in),
            Kind::Postgres => postgres::start(data_in),
            Kind::Echo => echo::start(data_in),
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
            Kind::Redis | Kind::Valkey => Box::new(redis::Submitter::connect(address)?),
            Kind::Beanstalkd => Box::new(beanstalkd::Submitter::connect(address)?),
            Kind::Postgres => Box::new(postgres::Submitter::connect(address)?),
            Kind::Echo => Box::new(echo::Submitter::connect(address)?),
        })
    }

    /// A worker on a connection of its own.
    pub(crate) fn worker(&self) -> Result<Box<dyn Worker>> {
        let address = self.server.address();
        Ok(match self.kind {
            Kind::Redis | Kind::Valkey => Box::new(redis::Worker::connect(address, self.read)?),
            Kind::Beanstalkd => Box::new(beanstalkd::Worker::connect(address, self.read)?),
            Kind::Postgres => Box::new(postgres::Worker::connect(address, self.read)?),
            Kind::Echo => Box::new(echo::Worker::connect(address)?),
        })
    }
}
