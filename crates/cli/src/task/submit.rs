//! `leasehold task submit`: one task from the command line, or many from JSON lines.

mod many;

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use leasehold_client::{
    Client, TaskSpec,
    v1::{Admission, Exclusivity, Guarantee},
};
use leasehold_telemetry::TraceContext;

use super::wait;
use crate::{
    Done,
    args::Format,
    budget,
    deadline::{Deadline, parse_deadline},
    duration::{brief, parse_duration},
    exit::Exit,
    failure::{Failure, say},
    json::ReceiptJson,
    output::Output,
    words::parse_admission,
};

/// The most of a payload that is read before the coordinator is asked whether it likes it. Larger than
/// any message, so that the refusal names the coordinator's limit and not ours.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What `--wait` without a duration stands for.
const FOREVER: &str = "forever";

/// How long to wait for what was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Until it has ended.
    Forever,
    /// At most this long.
    AtMost(Duration),
}

/// What `task submit` understands.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct SubmitArgs {
    /// The handler's input; `-` reads it from stdin
    payload: Option<String>,

    /// Read the payload from a file
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    file: Option<PathBuf>,

    /// Submit many tasks: one JSON object a line, `-` for stdin. Fields: type, queue, payload or
    /// `payload_base64`, `content_type`, priority, key, delay, deadline, timeout, `total_timeout`,
    /// `queue_timeout`, `progress_timeout`, `max_attempts`, `at_most_once`, `best_effort`, admission, `concurrency_keys`, rates,
    /// dependencies, `fail_fast`, labels, `fairness_key`, selector, slots, resources, `payload_schema`. Flags fill in what a line leaves out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["payload", "file", "key", "check"])]
    jsonl: Option<PathBuf>,

    /// The kind of work; workers serve task types
    #[arg(long = "type", short = 't', value_name = "TYPE", required_unless_present = "jsonl")]
    task_type: Option<String>,

    /// The queue to wait in [default: default]
    #[arg(long, short = 'q')]
    queue: Option<String>,

    /// 0, the most urgent, to 9 [default: 5]
    #[arg(long, short = 'p', value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,

    /// Idempotency key: the same key, type and payload give the same task
    #[arg(long)]
    key: Option<String>,

    /// How to read the payload, such as application/json
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// Wait this long before the task may run
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    delay: Option<Duration>,

    /// When the whole task must have ended: an RFC 3339 time, or a duration from now
    #[arg(long, value_name = "TIME", value_parser = parse_deadline)]
    deadline: Option<Deadline>,

    /// How long one attempt may run [default: the coordinator's, 5m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,

    /// How long the whole task may take, retries included [default: the coordinator's, 24h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    total_timeout: Option<Duration>,

    /// How long it may wait for its first start [default: as long as it lives]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    queue_timeout: Option<Duration>,

    /// How long an attempt may make no progress before it is stopped as hung; at least 1s [default: as long as it may run]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    progress_timeout: Option<Duration>,

    /// How many attempts there may be [default: the coordinator's, 5]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_attempts: Option<i32>,

    /// Never start it a second time: unless it is known not to have been started, the loss of its worker ends it as a dead
    /// letter, and so does its first failure
    #[arg(long)]
    at_most_once: bool,

    /// Do not wait for a worker that does not stop: once its kill grace is over another one may run the task beside it
    #[arg(long)]
    best_effort: bool,

    /// What becomes of a task that is unlikely to be over by its deadline: `best-effort` accepts it and says so, `strict` refuses
    /// it [default: best-effort]
    #[arg(long, value_name = "HOW", value_parser = parse_admission)]
    admission: Option<Admission>,

    /// Inside of a handler: do not bound the task by the time that is left to the handler's own, and begin a trace of its own
    #[arg(long)]
    no_inherit: bool,

    /// What the payload looks like: the fingerprint of its schema. Only a worker that reads it is given the task
    #[arg(long, value_name = "FINGERPRINT")]
    payload_schema: Option<String>,

    /// Run no more tasks with this key at a time than the coordinator's `concurrency` says, one unless that says otherwise;
    /// give it several times for several
    #[arg(long = "concurrency-key", value_name = "KEY")]
    concurrency_keys: Vec<String>,

    /// Take so many tokens [default: 1] of a key of the coordinator's `rates` when it is leased; give it several times for
    /// several
    #[arg(long = "rate", value_name = "KEY=TOKENS", value_parser = parse_charge)]
    rate_charges: Vec<(String, i32)>,

    /// Something that the work calls, a key of the coordinator's `breakers.dependencies`: while its circuit is open the task is
    /// not run, and keeps its attempts; give it several times for several
    #[arg(long = "dependency", value_name = "NAME")]
    dependencies: Vec<String>,

    /// Be refused while a circuit is open that the task would have to pass, instead of letting it wait
    #[arg(long)]
    fail_fast: bool,

    /// A label for people and filters; give it several times for several
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,

    /// With which tasks of its queue it shares what the queue gets, such as a customer's id
    #[arg(long, value_name = "KEY")]
    fairness_key: Option<String>,

    /// A label that its worker must have; give it several times for several
    #[arg(long = "selector", value_name = "KEY=VALUE", value_parser = parse_label)]
    selector: Vec<(String, String)>,

    /// How many of its worker's slots it takes while it runs [default: 1]
    #[arg(long, value_name = "N")]
    slots: Option<i32>,

    /// What else of its worker it takes while it runs, such as gpu=1; give it several times for several
    #[arg(long = "resource", value_name = "NAME=AMOUNT", value_parser = parse_resource)]
    resources: Vec<(String, i64)>,

    /// Wait until the task has ended, at most this long if a duration is given; exit code 1 if it did
    /// not succeed
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = FOREVER,
        value_parser = parse_wait
    )]
    wait: Option<Wait>,

    /// Only ask whether the task would be accepted
    #[arg(long, conflicts_with = "wait")]
    check: bool,
}

/// Submits what the arguments say.
pub(super) async fn run(args: SubmitArgs, client: &Client, output: Output) -> Done {
    if let Some(path) = args.jsonl.clone() {
        return many::run(&args, &path, client, output).await;
    }
    let payload = read_payload(&args).await?;
    let spec = args.spec()?.task_type(args.task_type.clone().unwrap_or_default()).payload(payload);
    if args.check {
        let late = client.validate(spec).await?;
        say("the task would be accepted");
        warn_if_late(late, "but");
        return Ok(Exit::Ok);
    }
    let receipt = client.submit(spec).await?;
    if receipt.deduplicated {
        say("the key names a task that existed already");
    }
    warn_if_late(receipt.expected_finish, "accepted, but");
    if let Some(wait) = args.wait {
        say(&receipt.task_id);
        return wait::run(client, output, vec![receipt.task_id], wait.timeout()).await;
    }
    match output.format() {
        Format::Json => output.document(&ReceiptJson::from(&receipt))?,
        Format::Table => output.line(&receipt.task_id)?,
    }
    Ok(Exit::Ok)
}

impl SubmitArgs {
    /// Everything but the task type and the payload.
    fn spec(&self) -> Result<TaskSpec, Failure> {
        let mut spec = TaskSpec::new("");
        if let Some(queue) = &self.queue {
            spec = spec.queue(queue);
        }
        if let Some(priority) = self.priority {
            spec = spec.priority(priority);
        }
        if let Some(key) = &self.key {
            spec = spec.idempotency_key(key);
        }
        if let Some(content_type) = &self.content_type {
            spec = spec.content_type(content_type);
        }
        if let Some(attempts) = self.max_attempts {
            spec = spec.max_attempts(attempts);
        }
        if self.at_most_once {
            spec = spec.guarantee(Guarantee::AtMostOnce);
        }
        if self.best_effort {
            spec = spec.exclusivity(Exclusivity::BestEffort);
        }
        if let Some(admission) = self.admission {
            spec = spec.admission(admission);
        }
        if let Some(schema) = &self.payload_schema {
            spec = spec.payload_schema(schema);
        }
        for (key, value) in &self.labels {
            spec = spec.label(key, value);
        }
        if let Some(key) = &self.fairness_key {
            spec = spec.fairness_key(key);
        }
        for (key, value) in &self.selector {
            spec = spec.worker_label(key, value);
        }
        if let Some(slots) = self.slots {
            spec = spec.slots(slots);
        }
        for (name, amount) in &self.resources {
            spec = spec.resource(name, *amount);
        }
        for key in &self.concurrency_keys {
            spec = spec.concurrency_key(key);
        }
        for (key, tokens) in &self.rate_charges {
            spec = spec.rate_charge(key, *tokens);
        }
        for name in &self.dependencies {
            spec = spec.dependency(name);
        }
        if self.fail_fast {
            spec = spec.fail_fast();
        }
        self.inherit(self.add_times(spec)?)
    }

    /// What a handler submits ends no later than its own task, and belongs to its trace.
    fn inherit(&self, spec: TaskSpec) -> Result<TaskSpec, Failure> {
        if self.no_inherit {
            return Ok(spec.traceparent(TraceContext::generate().traceparent()));
        }
        Ok(match budget::of_environment()? {
            Some(left) => spec.within(left),
            None => spec,
        })
    }

    fn add_times(&self, mut spec: TaskSpec) -> Result<TaskSpec, Failure> {
        if let Some(delay) = self.delay {
            spec = spec.delay(delay);
        }
        if let Some(timeout) = self.timeout {
            spec = spec.attempt_timeout(timeout);
        }
        if let Some(timeout) = self.total_timeout {
            spec = spec.total_timeout(timeout);
        }
        if let Some(timeout) = self.queue_timeout {
            spec = spec.queue_timeout(timeout);
        }
        if let Some(timeout) = self.progress_timeout {
            spec = spec.progress_timeout(timeout);
        }
        if let Some(deadline) = self.deadline {
            let time = deadline.from(SystemTime::now());
            let time = time.ok_or_else(|| Failure::Usage("--deadline is too far ahead".to_owned()));
            spec = spec.deadline(time?);
        }
        Ok(spec)
    }
}

/// Says of a task that was or would be accepted that it is likely to be over too late.
fn warn_if_late(expected: Option<SystemTime>, what_but: &str) {
    let left = expected.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    if let Some(left) = left {
        say(&format!(
            "{what_but} it is likely to be over in {} only, after its deadline",
            brief(left)
        ));
    }
}

/// The payload: from the argument, a file or stdin; empty when none is given.
async fn read_payload(args: &SubmitArgs) -> Result<Vec<u8>, Failure> {
    match (&args.payload, &args.file) {
        (None, Some(path)) if path != Path::new("-") => {
            let (name, path) = (path.display().to_string(), path.clone());
            blocking(move || read_bounded(&name, open(&path)?)).await
        }
        (Some(text), None) if text != "-" => Ok(text.clone().into_bytes()),
        (None, None) => Ok(Vec::new()),
        (Some(_) | None, _) => blocking(|| read_bounded("stdin", io::stdin().lock())).await,
    }
}

/// Does what a pipe or a terminal may block for as long as it likes, on a thread that an interrupted command
/// leaves behind.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(Failure::Runtime { source: io::Error::other(cancelled) }),
        },
    }
}

fn open(path: &Path) -> Result<fs::File, Failure> {
    let name = || path.display().to_string();
    fs::File::open(path).map_err(|source| Failure::Read { name: name(), source })
}

fn read_bounded(name: &str, input: impl io::Read) -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    input
        .take(PAYLOAD_BYTES_MAX)
        .read_to_end(&mut payload)
        .map_err(|source| Failure::Read { name: name.to_owned(), source })?;
    if payload.len() as u64 == PAYLOAD_BYTES_MAX {
        let reason =
            format!("{name} holds {PAYLOAD_BYTES_MAX} bytes or more: no task carries that");
        return Err(Failure::Usage(reason));
    }
    Ok(payload)
}

impl Wait {
    fn timeout(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::AtMost(timeout) => Some(timeout),
        }
    }
}

fn parse_wait(text: &str) -> Result<Wait, String> {
    if text == FOREVER { Ok(Wait::Forever) } else { parse_duration(text).map(Wait::AtMost) }
}

fn parse_charge(text: &str) -> Result<(String, i32), String> {
    let (key, tokens) = text.rsplit_once('=').unwrap_or((text, "1"));
    let tokens = tokens.parse().map_err(|_| {
        format!("{text:?} is not of the form key or key=tokens, with a whole number of tokens")
    })?;
    Ok((key.to_owned(), tokens))
}

fn parse_resource(text: &str) -> Result<(String, i64), String> {
    let parts = text.split_once('=').and_then(|(name, amount)| Some((name, amount.parse().ok()?)));
    let (name, amount) =
        parts.ok_or_else(|| format!("{text:?} is not of the form name=amount, such as gpu=1"))?;
    Ok((name.to_owned(), amount))
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}
