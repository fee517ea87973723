//! A PostgreSQL of the test's own: in a directory of its own, reached by a socket there, owned by nobody of importance.

use std::{
    env,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rustix::{
    fs::chown,
    process::{Gid, Signal, Uid, geteuid},
};
use tempfile::TempDir;

use crate::{
    condition::{SOON, until},
    process::Process,
};

/// The user without rights of every Debian, and its group. PostgreSQL refuses to be run by root.
const NOBODY: u32 = 65_534;

/// A running server.
pub(crate) struct Postgres {
    process: Process,
    dir: TempDir,
}

impl Postgres {
    /// Makes a new database and serves it.
    pub(crate) async fn start() -> Self {
        let bin = binaries();
        let dir = TempDir::with_prefix("leasehold-pg-").expect("a temporary directory");
        if geteuid().is_root() {
            let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
            chown(dir.path(), Some(user), Some(group)).expect("root may give it away");
        }
        let data = dir.path().join("data");
        let mut initdb = unprivileged(&bin.join("initdb"));
        initdb.args(["--username=leasehold", "--auth=trust", "--no-sync", "--pgdata"]).arg(&data);
        let made = initdb.current_dir(dir.path()).output().expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = unprivileged(&bin.join("postgres"));
        server.current_dir(dir.path()).arg("-F").arg("-D").arg(&data).arg("-k").arg(dir.path());
        server.args(["-c", "listen_addresses="]);
        let logs = TempDir::with_prefix("leasehold-pg-log-").expect("a temporary directory");
        let process = Process::spawn("postgres", server, logs.path().join("log"));
        let started = Self { process, dir };
        until("PostgreSQL answers", SOON, async || started.psql("SELECT 1").status.success()).await;
        started
    }

    /// What leads clients to it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("PGHOST", self.dir.path().display().to_string()),
            ("PGUSER", "leasehold".to_owned()),
            ("PGDATABASE", "postgres".to_owned()),
        ]
    }

    /// The one value of a query.
    pub(crate) fn value(&self, query: &str) -> String {
        let output = self.psql(query);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Ends it in order, so that it leaves nothing behind.
    pub(crate) async fn stop(mut self) {
        self.process.signal(Signal::INT);
        self.process.exits_with(0, SOON).await;
    }

    fn psql(&self, query: &str) -> Output {
        let mut psql = Command::new(binaries().join("psql"));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", query]);
        psql.envs(self.environment()).output().expect("psql starts")
    }
}

/// Where the newest PostgreSQL is: where Debian puts it, or where the shell finds it.
fn binaries() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = debian.map(|it| it.path().join("bin")).collect();
    debian.sort();
    let path = env::var_os("PATH").unwrap_or_default();
    let places = debian.into_iter().rev().chain(env::split_paths(&path));
    places.into_iter().find(|dir| is_executable(&dir.join("initdb"))).unwrap_or_else(|| {
        panic!("this test needs PostgreSQL: apt-get install -y --no-install-recommends postgresql")
    })
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// A command that is not run by root.
fn unprivileged(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string()]);
    command.args(["--clear-groups", "--"]).arg(program);
    command
}
