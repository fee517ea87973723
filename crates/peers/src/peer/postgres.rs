//! PostgreSQL: a table, leased with SKIP LOCKED. Every commit is synced before it is confirmed, which is its default.
//!
//! Submits are batched: one statement for all that may be sent. A task is leased by an update that names when the lease
//! ends, and completed by a delete, a batch each.

use std::{
    fs,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use postgres::{Client, Config, NoTls, Statement};

use crate::{
    driver::{self, Patience, payload},
    server::{Place, Server, User, program},
};

/// The superuser of the cluster.
const USER: &str = "peers";

/// How often a server that starts is asked for a connection, and how many times.
const WELCOME_POLL: Duration = Duration::from_millis(20);
const WELCOME_TRIES_MAX: u32 = 500;

/// How long a worker rests that found nothing.
const POLL: Duration = Duration::from_millis(1);

/// The table and the index that finds what is not leased.
const SCHEMA: &str = "
    CREATE TABLE tasks (id bigserial PRIMARY KEY, payload bytea NOT NULL, leased_until timestamptz);
    CREATE INDEX free ON tasks (id) WHERE leased_until IS NULL;";

const SUBMIT: &str = "INSERT INTO tasks (payload) SELECT unnest($1::bytea[])";

const LEASE: &str = "
    UPDATE tasks SET leased_until = now() + interval '5 minutes'
    WHERE id IN (
        SELECT id FROM tasks WHERE leased_until IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING id, payload";

const COMPLETE: &str = "DELETE FROM tasks WHERE id = ANY($1)";

pub(super) fn start(data_in: &Path) -> Result<Server> {
    let server = cluster(data_in)?;
    connect(server.address())?.batch_execute(SCHEMA)?;
    Ok(server)
}

/// A server with nothing in it.
pub(super) fn cluster(data_in: &Path) -> Result<Server> {
    let place = Place::new(data_in)?;
    let programs = programs()?;
    let user = User::unprivileged()?;
    if let Some(user) = &user {
        place.hand_over(user)?;
    }
    let as_user = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command.current_dir(place.directory());
        if let Some(user) = &user {
            user.runs(&mut command);
        }
        command
    };
    let data = place.directory().join("data");
    let mut initdb = as_user("initdb");
    let made =
        initdb.args(["--auth", "trust", "--username", USER]).arg("-D").arg(&data).output()?;
    ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr).trim());
    let mut postgres = as_user("postgres");
    // No socket in a directory of the system's, which may not be this user's.
    postgres.args(["-h", "127.0.0.1", "-p", &place.port(), "-k", ""]).arg("-D").arg(&data);
    let server = place.serve(postgres)?;
    welcome(server.address())?;
    Ok(server)
}

/// A first connection. A server that listens may still turn everybody away while it starts.
fn welcome(address: SocketAddr) -> Result<Client> {
    for _ in 0..WELCOME_TRIES_MAX {
        if let Ok(client) = connect(address) {
            return Ok(client);
        }
        thread::park_timeout(WELCOME_POLL);
    }
    connect(address)
}

/// Where the newest PostgreSQL has its programs: packages keep them off the path.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions.map(|it| it.path()).filter(|it| it.join("bin/initdb").is_file());
    let newest = installed.max_by_key(|path| {
        let version = path.file_name().and_then(|it| it.to_str());
        version.and_then(|it| it.parse::<u32>().ok())
    });
    match newest {
        Some(newest) => Ok(newest.join("bin")),
        None => {
            Ok(program("initdb")?.parent().context("a program without a directory")?.to_owned())
        }
    }
}

fn connect(address: SocketAddr) -> Result<Client> {
    let mut config = Config::new();
    config.host(&address.ip().to_string()).port(address.port()).user(USER).dbname("postgres");
    Ok(config.connect(NoTls)?)
}

/// Inserts tasks.
pub(super) struct Submitter {
    client: Client,
    submit: Statement,
    confirmed: u64,
}

impl Submitter {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let mut client = connect(address)?;
        let submit = client.prepare(SUBMIT)?;
        Ok(Self { client, submit, confirmed: 0 })
    }
}

impl driver::Submitter for Submitter {
    fn send(&mut self, numbers: Range<u64>) -> Result<()> {
        let payloads: Vec<_> = numbers.map(|number| payload(number).to_vec()).collect();
        // The answer comes with the commit.
        self.confirmed += self.client.execute(&self.submit, &[&payloads])?;
        Ok(())
    }

    fn confirmed(&mut self, _patience: Patience) -> Result<u64> {
        Ok(std::mem::take(&mut self.confirmed))
    }
}

/// Leases tasks and deletes them.
pub(super) struct Worker {
    client: Client,
    lease: Statement,
    complete: Statement,
    read: i64,
}

impl Worker {
    pub(super) fn connect(address: SocketAddr, read: usize) -> Result<Self> {
        let mut client = connect(address)?;
        let (lease, complete) = (client.prepare(LEASE)?, client.prepare(COMPLETE)?);
        Ok(Self { client, lease, complete, read: i64::try_from(read)? })
    }
}

impl driver::Worker for Worker {
    fn work(&mut self, _left: u64, started: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let leased = self.client.query(&self.lease, &[&self.read])?;
        if leased.is_empty() {
            thread::park_timeout(POLL);
            return Ok(0);
        }
        for row in &leased {
            started(row.try_get(1)?);
        }
        let ids: Vec<i64> = leased.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(self.client.execute(&self.complete, &[&ids])?)
    }
}
