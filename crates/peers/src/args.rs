//! The command line, and who takes part.

use std::{fmt, path::PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    driver,
    leasehold::{self, Rows},
    peer::Peer,
    standing::Figures,
};

/// How many tasks one read takes: both are tried, because peers differ in what suits them.
const READS: [usize; 2] = [500, 2_000];

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
    #[command(subcommand)]
    case: Case,
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
}

/// Somebody who takes turns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contender {
    /// Leasehold, keeping or not keeping a row of each finished task.
    Leasehold(Rows),
    /// A peer, and how many tasks one read takes.
    Peer(Server, usize),
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    pub(crate) fn case(&self) -> Case {
        self.case
    }

    /// Leasehold first: the others are compared with it.
    pub(crate) fn contenders(&self) -> Result<Vec<Contender>> {
        ensure!(self.rounds > 0, "--rounds is 0: nobody would take a turn");
        let all = Server::value_variants();
        let peers = if self.peers.is_empty() { all } else { &self.peers };
        let reads = match self.case {
            Case::Flow { .. } => READS.as_slice(),
            // At a rate that leaves everybody idle most of the time no read is ever full.
            Case::Latency { .. } => &READS[..1],
        };
        let turns = |server: &Server| {
            reads.iter().map(|read| Contender::Peer(*server, *read)).collect::<Vec<_>>()
        };
        let ours = [Rows::Kept, Rows::Dropped].map(Contender::Leasehold);
        Ok(ours.into_iter().chain(peers.iter().flat_map(turns)).collect())
    }
}

impl Contender {
    /// Does the work once, on a server of its own.
    pub(crate) fn turn(self, args: &Args) -> Result<Figures> {
        match self {
            Self::Leasehold(rows) => leasehold::turn(rows, args.case, &args.data_in),
            Self::Peer(server, read) => {
                let peer = Peer::start(server, read, &args.data_in)?;
                driver::turn(&peer, args.case)
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leasehold(Rows::Kept) => f.write_str("leasehold, defaults"),
            Self::Leasehold(Rows::Dropped) => f.write_str("leasehold, retention 0"),
            Self::Peer(Server::Redis, read) => write!(f, "redis streams always, reads of {read}"),
            Self::Peer(Server::Valkey, read) => write!(f, "valkey streams always, reads of {read}"),
            Self::Peer(Server::Beanstalkd, read) => write!(f, "beanstalkd -f0, window {read}"),
            Self::Peer(Server::Postgres, read) => {
                write!(f, "postgres skip locked, reads of {read}")
            }
        }
    }
}
