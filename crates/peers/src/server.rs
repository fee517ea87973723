//! A server that is started for one turn: a process on loopback, with a directory that goes with it.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// How long a server may take until it listens: RabbitMQ takes ten seconds of a core.
const START_MAX: Duration = Duration::from_mins(1);

/// How often it is tried whether it does.
const START_POLL: Duration = Duration::from_millis(20);

/// Where packages put servers that are not on the path.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// A server that runs. It ends with this, and so does its directory.
#[derive(Debug)]
pub(crate) struct Server {
    program: Program,
    address: SocketAddr,
    /// What it cannot do without, and ends after it.
    _beside: Option<Program>,
    _directory: TempDir,
}

/// A process that ends with this.
#[derive(Debug)]
pub(crate) struct Program(Child);

/// A directory for a server that has yet to be started, and the address it shall listen on.
#[derive(Debug)]
pub(crate) struct Place {
    directory: TempDir,
    address: SocketAddr,
}

impl Place {
    /// A new one.
    pub(crate) fn new(parent: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("leasehold-peers-").tempdir_in(parent);
        let directory =
            directory.with_context(|| format!("no directory in {}", parent.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Ok(Self { directory, address })
    }

    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Gives the directory to another user.
    pub(crate) fn hand_over(&self, user: &User) -> Result<()> {
        Ok(chown(self.directory(), Some(user.uid), Some(user.gid))?)
    }

    /// Starts the server that shall listen here, and waits until it does.
    pub(crate) fn serve(self, mut command: Command) -> Result<Server> {
        let log = self.directory().join("log");
        let log_file = fs::File::create(&log)?;
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file);
        let program = Program::start(&mut command)?;
        let Self { directory, address } = self;
        let mut server = Server { program, address, _beside: None, _directory: directory };
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(address).is_err() {
            let ended = server.program.0.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!("{name} does not listen: {}", said.lines().last().unwrap_or("no word"));
            }
            thread::park_timeout(START_POLL);
        }
        Ok(server)
    }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.0.id()
    }

    /// Together with a program that it needs.
    pub(crate) fn beside(self, program: Program) -> Self {
        Self { _beside: Some(program), ..self }
    }
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.spawn().map(Self).with_context(|| format!("cannot start {name}"))
    }

    /// Its input and output, if they were made pipes and nobody has taken them.
    pub(crate) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        self.0.stdin.take().zip(self.0.stdout.take())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGINT may be ignored by whoever has a shell run this in the background. PostgreSQL waits for its clients: they go
        // before it does.
        let _gone = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ended = self.0.wait();
    }
}

/// A port of loopback that nobody listens on. Somebody else may take it before the server does; that then does not start,
/// and says why.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A user without privileges, for servers that refuse to run with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// `None`: this process has no privileges to give up.
    pub(crate) fn unprivileged() -> Result<Option<Self>> {
        if !getuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let user = ["postgres", "nobody"].into_iter().find_map(|name| Self::named(name, &users));
        user.map(Some).context("there is no user without privileges")
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.skip(1)))?;
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }

    /// Makes a command run as this user.
    pub(crate) fn runs(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// Where a program is installed: on the path, or where the system keeps its servers.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|it| it.is_file());
    found.with_context(|| format!("{name} is not installed"))
}

#[cfg(test)]
mod tests;
