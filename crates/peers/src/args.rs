//! The command line, and who takes part.

use std::{fmt, path::PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    driver,
    leasehold::{self, Rows},
    peer::{
        Kind, Peer,
        node::{self, Library},
    },
    standing::Figures,
};

/// How many tasks one read takes: both are tried, because peers differ in what suits them.
const READS: [usize; 2] = [500, 2_000];

/// How many tasks our worker runs at once: as many as a read takes at most, and as many as it may.
const SLOTS: [u32; 2] = [2_000, 10_000];

/// Gives the same work to Leasehold and to its peers, and prints how they compare.
#[derive(Debug, Parser)]
#[command(name = "leasehold-peers", version)]
pub(crate) struct Args {
    /// How many turns each takes
    #[arg(long, default_value_t = 3, global = true, value_name = "N")]
    rounds: u32,
    /// Who takes part beside Leasehold [default: all]
    #[arg(long = "peer", global = true, value_name = "PEER")]
    peers: Vec<Server>,
    /// Where each server's directory is made [default: the present directory]
    #[arg(long, global = true, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) data_in: PathBuf,
    /// The directory of `npm install --prefix DIR amqplib graphile-worker pg`, for the peers that are spoken to by Node
    #[arg(long, global = true, value_name = "DIR")]
    npm_prefix: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Measure(Case),
    /// The server of the peer `echo`
    #[command(hide = true)]
    ServeEcho {
        /// Where it listens, on loopback
        port: u16,
    },
}

/// What is measured.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Case {
    /// Tasks per second, from the first submit to the last confirmed completion
    Flow {
        /// How many tasks
        #[arg(long, default_value_t = 100_000, value_name = "N")]
        tasks: u64,
    },
    /// From the time a task is due to its start, at a steady rate
    Latency {
        /// Tasks per second
        #[arg(long, default_value_t = 1_000, value_name = "HZ")]
        rate: u64,
        /// How many seconds
        #[arg(long, default_value_t = 8, value_name = "N")]
        secs: u64,
    },
}

/// A server that others use for such work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// Redis streams with a consumer group, `appendfsync always`
    Redis,
    /// Valkey streams, the same
    Valkey,
    /// beanstalkd with a binlog that is synced with each write
    Beanstalkd,
    /// A PostgreSQL table, leased with SKIP LOCKED
    Postgres,
    /// A RabbitMQ quorum queue with publisher confirms (Node: amqplib)
    Rabbitmq,
    /// graphile-worker on PostgreSQL, jobs in batches (Node: graphile-worker, pg)
    Graphile,
    /// The transport alone: the same messages over gRPC, with no queue and no disk
    Echo,
}

/// Somebody who takes turns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contender {
    /// Leasehold, keeping or not keeping a row of each finished task, and how many its worker runs at once.
    Leasehold(Rows, u32),
    /// A peer, and how many tasks one read takes.
    Peer(Kind, usize),
    /// The same, spoken to by Node.
    ByNode(Library, usize),
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Leasehold first: the others are compared with it.
    pub(crate) fn contenders(&self, case: Case) -> Result<Vec<Contender>> {
        ensure!(self.rounds > 0, "--rounds is 0: nobody would take a turn");
        let all = Server::value_variants();
        let peers = if self.peers.is_empty() { all } else { &self.peers };
        let (reads, slots) = match case {
            Case::Flow { .. } => (READS.as_slice(), SLOTS.as_slice()),
            // At a rate that leaves everybody idle most of the time no read is ever full.
            Case::Latency { .. } => (&READS[..1], &SLOTS[..1]),
        };
        let turns = |server: &Server| server.turns(reads);
        let with = |rows| slots.iter().map(move |slots| Contender::Leasehold(rows, *slots));
        let ours = [Rows::Kept, Rows::Dropped].into_iter().flat_map(with);
        Ok(ours.chain(peers.iter().flat_map(turns)).collect())
    }
}

impl Server {
    /// A turn with each of these reads; what is not read takes one.
    fn turns(self, reads: &[usize]) -> Vec<Contender> {
        let peer = |kind| reads.iter().map(|read| Contender::Peer(kind, *read)).collect();
        let by_node =
            |library| reads.iter().map(|read| Contender::ByNode(library, *read)).collect();
        match self {
            Self::Redis => peer(Kind::Redis),
            Self::Valkey => peer(Kind::Valkey),
            Self::Beanstalkd => peer(Kind::Beanstalkd),
            Self::Postgres => peer(Kind::Postgres),
            Self::Rabbitmq => by_node(Library::Amqplib),
            Self::Graphile => by_node(Library::GraphileWorker),
            Self::Echo => vec![Contender::Peer(Kind::Echo, 0)],
        }
    }
}

impl Contender {
    /// Does the work of a case once, on a server of its own.
    pub(crate) fn turn(self, case: Case, args: &Args) -> Result<Figures> {
        let data_in = &args.data_in;
        match self {
            Self::Leasehold(rows, slots) => leasehold::turn(rows, slots, case, data_in),
            Self::Peer(kind, read) => driver::turn(&Peer::start(kind, read, data_in)?, case),
            Self::ByNode(library, read) => {
                node::Peer::start(library, read, data_in, args.npm_prefix.as_deref())?.turn(case)
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leasehold(Rows::Kept, slots) => write!(f, "leasehold, {slots} slots"),
            Self::Leasehold(Rows::Dropped, slots) => {
                write!(f, "leasehold, retention 0, {slots} slots")
            }
            Self::Peer(Kind::Redis, read) => write!(f, "redis streams always, reads of {read}"),
            Self::Peer(Kind::Valkey, read) => write!(f, "valkey streams always, reads of {read}"),
            Self::Peer(Kind::Beanstalkd, read) => write!(f, "beanstalkd -f0, window {read}"),
            Self::Peer(Kind::Postgres, read) => write!(f, "postgres skip locked, reads of {read}"),
            Self::Peer(Kind::Echo, _) => f.write_str("echo: the transport alone"),
            Self::ByNode(Library::Amqplib, read) => write!(f, "rabbitmq quorum, prefetch {read}"),
            Self::ByNode(Library::GraphileWorker, read) => {
                write!(f, "graphile-worker, local queue {read}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
