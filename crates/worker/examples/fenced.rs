//! A worker whose writes cannot be undone by one that has lost its lease: `docs/fencing.md` explains it.
//!
//! The payload names a file, and each task takes as long as that file takes to appear. `row` keeps what is in it in a
//! row of PostgreSQL, `file` in a file, `log` appends it to one that cannot compare tokens.
#![expect(clippy::print_stderr, reason = "it is for whoever runs the example")]

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use leasehold_worker::{Context, TaskError, Worker};

/// One row for each task: the fence is the largest token that has written it.
const WRITE: &str = "
CREATE TABLE IF NOT EXISTS report (task text PRIMARY KEY, fence bigint NOT NULL, body text NOT NULL);
INSERT INTO report (task, fence, body) VALUES (:'task', :token, :'body')
ON CONFLICT (task) DO UPDATE SET fence = excluded.fence, body = excluded.body
WHERE report.fence <= excluded.fence;
";

/// Somebody with a newer lease has written before.
#[derive(Debug, thiserror::Error)]
#[error("refused: token {0} is older than the last that wrote")]
struct Stale(i64);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leasehold_worker::Error> {
    let worker = Worker::from_env()?;
    worker.blocking("row", row).blocking("file", file).blocking("log", log).run().await
}

fn row(payload: &[u8], ctx: &Context) -> Result<(), TaskError> {
    let body = body(payload, ctx)?;
    said(write_row(ctx.task_id(), ctx.fencing_token(), &body))
}

fn file(payload: &[u8], ctx: &Context) -> Result<(), TaskError> {
    let body = body(payload, ctx)?;
    let path = format!("{}.report", text(payload)?);
    said(write_file(Path::new(&path), ctx.fencing_token(), &body))
}

fn log(payload: &[u8], ctx: &Context) -> Result<(), TaskError> {
    let body = body(payload, ctx)?;
    // A log takes what it is given. Not to give it anything is all that can be done.
    said(ctx.guard().map_err(Into::into))?;
    let mut log = OpenOptions::new().append(true).create(true).open(text(payload)? + ".log")?;
    Ok(writeln!(log, "{body}")?)
}

/// Writes the row, unless somebody with a newer lease has: the comparison and the write are one statement.
fn write_row(task: &str, token: i64, body: &str) -> Result<(), Box<dyn Error>> {
    let mut psql = Command::new("psql")
        .args(["--no-psqlrc", "--set=ON_ERROR_STOP=1"])
        .arg(format!("--set=task={task}"))
        .arg(format!("--set=token={token}"))
        .arg(format!("--set=body={body}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    psql.stdin.take().ok_or("psql has no stdin")?.write_all(WRITE.as_bytes())?;
    let output = psql.wait_with_output()?;
    match String::from_utf8_lossy(&output.stdout).trim().lines().last() {
        Some("INSERT 0 1") => Ok(()),
        Some("INSERT 0 0") => Err(Stale(token).into()),
        _ => Err(format!("psql: {}", output.status).into()),
    }
}

/// Replaces the file, unless somebody with a newer lease has. The token stands in a file beside it, whose lock makes the
/// comparison and the write one step. It is raised first: who comes between the two is refused, not overtaken.
fn write_file(path: &Path, token: i64, body: &str) -> Result<(), Box<dyn Error>> {
    let mut fence = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.with_extension("fence"))?;
    fence.lock()?;
    let mut last = String::new();
    fence.read_to_string(&mut last)?;
    if token < last.trim().parse().unwrap_or(0) {
        return Err(Stale(token).into());
    }
    fence.rewind()?;
    write!(fence, "{token:020}")?;
    fence.sync_all()?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(body.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(())
}

/// What to write, once the file that the payload names is there.
#[expect(clippy::disallowed_methods, reason = "the thread is its own, and files do not ring")]
fn body(payload: &[u8], ctx: &Context) -> Result<String, TaskError> {
    let path = text(payload)?;
    eprintln!("waiting for {path}");
    let text = loop {
        match fs::read_to_string(&path) {
            Ok(text) => break text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    };
    Ok(format!("{} by {}", text.trim(), ctx.worker_id()))
}

fn text(payload: &[u8]) -> Result<String, TaskError> {
    Ok(std::str::from_utf8(payload)?.trim().to_owned())
}

/// A refusal is also said aloud: whoever has lost the lease has nobody else to tell.
fn said(written: Result<(), Box<dyn Error>>) -> Result<(), TaskError> {
    written.map_err(|error| {
        eprintln!("{error}");
        TaskError::retry(error.to_string())
    })
}
