//! A worker, built up and run.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Adjuster, Context, Error, OnSessionLost, Program, TaskResult,
    adjuster::{Room, Rooms},
    guard, identity,
    identity::Identity,
    isolated, open_files,
    run::{self, Plan},
    session::Leaving,
    size::Size,
    task::Task,
};

/// Where the coordinator listens unless somebody says otherwise.
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7171";

/// How long a drain waits for what runs, unless somebody says otherwise.
const DEFAULT_DRAIN_GRACE: Duration = Duration::from_secs(30);

/// The most tasks a worker may run at once, what it takes ahead included; the coordinator's limit.
const SLOTS_MAX: u32 = 10_000;

/// The most task types a worker may serve; the coordinator's limit.
const TASK_TYPES_MAX: usize = 1_000;

/// The most payload schemas it may read of one task type; the coordinator's limit.
const SCHEMAS_MAX: usize = 100;

/// The most namespaces a worker may name; the coordinator's limit.
const NAMESPACES_MAX: usize = 100;

/// The longest name of a namespace; the coordinator's limit.
const NAMESPACE_BYTES_MAX: usize = 63;

/// The most labels a worker may have; the coordinator's limit.
const LABELS_MAX: usize = 16;

/// The longest name of a label in bytes; the coordinator's limit.
const LABEL_NAME_BYTES_MAX: usize = 63;

/// The longest value of a label in bytes; the coordinator's limit.
const LABEL_VALUE_BYTES_MAX: usize = 255;

/// A worker: where its coordinator is, how much it can take, and a handler for each task type it serves.
///
/// # Design
///
/// [`run`](Self::run) may be called on a runtime of either flavor. The connection is on a thread where no handler
/// runs, so one that blocks never costs the worker its leases, and programs are watched from there. Workers of one process share such
/// threads once there are half as many as processors. Rust handlers run on
/// the caller's runtime: on a `current_thread` one they share one core, and one that blocks holds up the others.
#[derive(Clone)]
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    address: String,
    id: String,
    whole: Size,
    prefetch: u32,
    labels: BTreeMap<String, String>,
    drain_grace: Duration,
    on_session_lost: OnSessionLost,
    /// `None`: less than half of the slots.
    lost_slots_max: Option<u32>,
    state_dir: Option<PathBuf>,
    tasks: BTreeMap<String, Task>,
    namespaces: BTreeSet<String>,
    rooms: Option<Rooms>,
    schemas: BTreeMap<String, BTreeSet<String>>,
    /// A task type that was given twice: an error once the worker runs.
    served_twice: Option<String>,
}

impl Default for Worker {
    /// A worker for the coordinator on this machine, named after the machine, with a slot for each core.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            address: DEFAULT_ADDRESS.to_owned(),
            id: identity::hostname(),
            whole: Size { slots: u32::try_from(cores).unwrap_or(SLOTS_MAX), ..Size::default() },
            prefetch: 0,
            labels: BTreeMap::new(),
            drain_grace: DEFAULT_DRAIN_GRACE,
            on_session_lost: OnSessionLost::default(),
            lost_slots_max: None,
            state_dir: None,
            tasks: BTreeMap::new(),
            namespaces: BTreeSet::new(),
            rooms: None,
            schemas: BTreeMap::new(),
            served_twice: None,
        }
    }
}

impl Worker {
    /// The default worker, changed by `LEASEHOLD_ADDRESS`, `LEASEHOLD_WORKER_ID` and `LEASEHOLD_SLOTS` where they
    /// are set.
    pub fn from_env() -> Result<Self, Error> {
        let variable = |name| std::env::var(name).ok().filter(|it| !it.is_empty());
        let mut worker = Self::default();
        if let Some(address) = variable("LEASEHOLD_ADDRESS") {
            worker = worker.address(address);
        }
        if let Some(id) = variable("LEASEHOLD_WORKER_ID") {
            worker = worker.id(id);
        }
        if let Some(value) = variable("LEASEHOLD_SLOTS") {
            let Ok(slots) = value.parse() else {
                let problem = "must be a whole number from 1 to 10000";
                return Err(Error::Setting { name: "LEASEHOLD_SLOTS", value, problem });
            };
            worker = worker.slots(slots);
        }
        Ok(worker)
    }

    /// Where the coordinator listens: `http://host:port`, or `host:port`. Default `http://127.0.0.1:7171`.
    pub fn address(self, address: impl Into<String>) -> Self {
        Self { address: address.into(), ..self }
    }

    /// The worker's own name, stable over restarts and its alone: 1 to 128 characters of `[A-Za-z0-9._-]`. Default:
    /// the machine's name, so that a second worker on a machine needs an id of its own.
    pub fn id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// How many tasks of one slot may run at once: 1 to 10,000. Default: one for each core.
    pub fn slots(mut self, slots: u32) -> Self {
        self.whole.slots = slots;
        self
    }

    /// Has so much of something that tasks ask for, such as `gpu` or `memory_mb`, for all that runs at a time: 1 to 2^53. At most
    /// 32, with names of 1 to 63 bytes. The worker starts what fits into what is left; that what runs keeps to what it asked for
    /// is not enforced. A task that asks for what no worker names waits for one that does.
    pub fn resource(mut self, name: impl Into<String>, amount: u64) -> Self {
        self.whole.resources.insert(name.into(), amount);
        self
    }

    /// How many tasks the coordinator may hand over beyond the slots, so that the next one starts the moment a slot is free
    /// and not a round trip later. Worth it for tasks that take little longer than a round trip. They come only when no other
    /// worker has a slot, and go back at no cost when one has. Together with the slots at most 10,000. Default 0.
    pub fn prefetch(self, prefetch: u32) -> Self {
        Self { prefetch, ..self }
    }

    /// Says that slots and prefetch may change while the worker works, and who changes them. What they are at the start is as said
    /// by then.
    pub fn adjustable(self) -> (Self, Adjuster) {
        let room = Room { slots: self.whole.slots, prefetch: self.prefetch };
        let (adjuster, rooms) = Adjuster::new(room);
        (Self { rooms: Some(rooms), ..self }, adjuster)
    }

    /// Adds a label, for people and for tasks that ask for it in their selector. At most 16.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Takes tasks of this namespace: 1 to 63 characters of `[A-Za-z0-9._-]`. Give it once for each, at most 100. Default: it takes
    /// tasks of every namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespaces.insert(namespace.into());
        self
    }

    /// Reads payloads of this schema for a task type: its fingerprint, as `leasehold schema fingerprint` prints it. Give it
    /// once for each schema that the handler understands, the one before a deploy included; at most 100 for a type. A task that names another
    /// schema waits for another worker. A type for which nothing is said reads every schema, and a task that names none goes to everybody.
    pub fn reads_schema(
        mut self,
        task_type: impl Into<String>,
        fingerprint: impl Into<String>,
    ) -> Self {
        self.schemas.entry(task_type.into()).or_default().insert(fingerprint.into());
        self
    }

    /// How long a drain waits for what runs before it stops it and hands it back. Default 30 s.
    pub fn drain_grace(self, drain_grace: Duration) -> Self {
        Self { drain_grace, ..self }
    }

    /// What becomes of running work when the coordinator has not answered for so long that it may have given the session up.
    /// Default: it is stopped.
    pub fn on_session_lost(self, on_session_lost: OnSessionLost) -> Self {
        Self { on_session_lost, ..self }
    }

    /// How many slots may hold work that cannot be stopped, such as a handler that blocks its thread: with more, the
    /// worker drains and [`run`](Self::run) returns [`Error::SlotsLost`], so that its process can be started again.
    /// Default: less than half of the slots.
    pub fn lost_slots_max(self, lost_slots_max: u32) -> Self {
        Self { lost_slots_max: Some(lost_slots_max), ..self }
    }

    /// Keeps a lock in this directory, which is made if it is not there: the worker's own, on a local file system. A worker
    /// that is started there after another one has died can prove that nothing of that runs any more. What the dead one held is
    /// then leased again at once, and not only when its session ends. While another process has the directory, running fails.
    ///
    /// What a handler leaves running in its process when it returns is not looked at.
    pub fn state_dir(self, state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: Some(state_dir.into()), ..self }
    }

    /// Serves a task type with an async function of the payload and a [`Context`].
    pub fn task<F, Fut>(self, task_type: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Bytes, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: TaskResult> + Send + 'static,
    {
        self.serve(task_type.into(), Task::Function(Arc::new(handler)))
    }

    /// Serves a task type with a function that computes or blocks, on a thread of its own: one of the caller's runtime,
    /// which has 512 for it unless it was built otherwise. A thread cannot be stopped from outside: look at [`Context::is_cancelled`], and use
    /// [`isolated`](Self::isolated) for what may not return.
    pub fn blocking<F, R>(self, task_type: impl Into<String>, handler: F) -> Self
    where
        F: Fn(&[u8], &Context) -> R + Send + Sync + 'static,
        R: TaskResult,
    {
        let handler =
            move |payload: &[u8], context: &Context| handler(payload, context).into_result();
        self.serve(task_type.into(), Task::Blocking(Arc::new(handler)))
    }

    /// Serves a task type with a function in a process of its own, for what may hang, crash or call code that does.
    ///
    /// Each attempt is this executable started again: `main` runs as it does here, and [`run`](Self::run) calls the
    /// function and ends the process. So `main` must begin with [`guard::run_if_guard`], and what it does before `run`
    /// it does for each attempt; see `docs/worker.md`. The first worker that `main` runs is the one that is asked for the
    /// function: let a process run one worker that has isolated functions. The process can be killed at any time, and whatever happens in it
    /// ends one attempt: a panic, an abort, a segmentation fault.
    pub fn isolated<F, R>(self, task_type: impl Into<String>, handler: F) -> Self
    where
        F: Fn(&[u8], &Context) -> R + Send + Sync + 'static,
        R: TaskResult,
    {
        let handler =
            move |payload: &[u8], context: &Context| handler(payload, context).into_result();
        let task = Task::Isolated(Arc::new(isolated::program()), Arc::new(handler));
        self.serve(task_type.into(), task)
    }

    /// Serves a task type with a program. `main` must begin with [`guard::run_if_guard`].
    pub fn program(self, task_type: impl Into<String>, program: Program) -> Self {
        self.serve(task_type.into(), Task::Program(Arc::new(program)))
    }

    /// What the worker is called, whoever said so.
    pub fn worker_id(&self) -> &str {
        &self.id
    }

    /// Where its coordinator listens, whoever said so.
    pub fn coordinator(&self) -> &str {
        &self.address
    }

    /// How many tasks it runs at once, and how many it takes beyond them, whoever said so.
    pub fn size(&self) -> (u32, u32) {
        (self.whole.slots, self.prefetch)
    }

    /// The task types it serves, ascending.
    pub fn task_types(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// Whether everything said so far can be used. [`run`](Self::run) asks first.
    pub fn check(&self) -> Result<(), Error> {
        run::endpoint(&self.address)?;
        if !identity::is_worker_id(&self.id) {
            let problem = "must be 1 to 128 characters of [A-Za-z0-9._-]";
            return Err(Error::Setting { name: "worker id", value: self.id.clone(), problem });
        }
        check_size(self.whole.slots, self.prefetch)?;
        self.whole.check_resources()?;
        self.check_labels()?;
        self.check_namespaces()?;
        self.check_tasks()?;
        self.check_schemas()
    }

    /// Works until SIGTERM or SIGINT, then drains: takes nothing new, finishes what runs within the drain's grace,
    /// and returns when the coordinator has every outcome. A second signal ends it at once. However it ends, work that
    /// cannot be stopped must not outlive its lease: a process that still has some four seconds later is ended as SIGTERM
    /// would, and so is one that was told to end at once or gave up on a drain, whatever keeps it.
    ///
    /// # Errors
    ///
    /// Settings that cannot be used, a worker id in use elsewhere, a coordinator that refuses the worker. A
    /// coordinator that cannot be reached is none: the worker tries for as long as it lives.
    pub async fn run(self) -> Result<(), Error> {
        let plan = self.plan()?;
        run::until_signal(plan).await
    }

    /// Works until `shutdown` resolves, then drains as [`run`](Self::run) does. Signals are left to the caller.
    /// Dropping the returned future stops the worker at once.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let plan = self.plan()?;
        run::until(plan, shutdown).await
    }

    fn serve(mut self, task_type: String, task: Task) -> Self {
        if self.tasks.insert(task_type.clone(), task).is_some() {
            self.served_twice = Some(task_type);
        }
        self
    }

    fn check_labels(&self) -> Result<(), Error> {
        if self.labels.len() > LABELS_MAX {
            let problem = "at most 16 are allowed";
            let value = self.labels.len().to_string();
            return Err(Error::Setting { name: "number of labels", value, problem });
        }
        let is_name = |name: &String| (1..=LABEL_NAME_BYTES_MAX).contains(&name.len());
        if let Some(name) = self.labels.keys().find(|it| !is_name(it)) {
            let problem = "a label's name has 1 to 63 bytes";
            return Err(Error::Setting { name: "label", value: name.clone(), problem });
        }
        if let Some(value) = self.labels.values().find(|it| it.len() > LABEL_VALUE_BYTES_MAX) {
            let problem = "a label's value has at most 255 bytes";
            return Err(Error::Setting { name: "label", value: value.clone(), problem });
        }
        Ok(())
    }

    fn check_namespaces(&self) -> Result<(), Error> {
        if NAMESPACES_MAX < self.namespaces.len() {
            let (value, problem) = (self.namespaces.len().to_string(), "at most 100 are allowed");
            return Err(Error::Setting { name: "number of namespaces", value, problem });
        }
        let is_right = |name: &&String| {
            name.len() <= NAMESPACE_BYTES_MAX && identity::is_worker_id(name.as_str())
        };
        let Some(wrong) = self.namespaces.iter().find(|name| !is_right(name)) else {
            return Ok(());
        };
        let problem = "must be 1 to 63 characters of [A-Za-z0-9._-]";
        Err(Error::Setting { name: "namespace", value: wrong.clone(), problem })
    }

    fn check_tasks(&self) -> Result<(), Error> {
        if let Some(task_type) = &self.served_twice {
            return Err(Error::ServedTwice(task_type.clone()));
        }
        if self.tasks.is_empty() {
            return Err(Error::NoTaskType);
        }
        if self.tasks.len() > TASK_TYPES_MAX {
            let value = self.tasks.len().to_string();
            let problem = "at most 1000 are allowed";
            return Err(Error::Setting { name: "number of task types", value, problem });
        }
        if let Some(task_type) = self.tasks.keys().find(|it| !is_task_type(it)) {
            let problem = "must be 1 to 128 characters of [A-Za-z0-9._/-]";
            let value = task_type.clone();
            return Err(Error::Setting { name: "task type", value, problem });
        }
        self.check_programs()
    }

    fn check_schemas(&self) -> Result<(), Error> {
        let wrong = |name, value: &str, problem| {
            Err(Error::Setting { name, value: value.to_owned(), problem })
        };
        if let Some(stranger) = self.schemas.keys().find(|it| !self.tasks.contains_key(*it)) {
            return wrong(
                "task type of a payload schema",
                stranger,
                "the worker does not serve it",
            );
        }
        if let Some((task_type, _)) = self.schemas.iter().find(|(_, it)| SCHEMAS_MAX < it.len()) {
            return wrong(
                "task type",
                task_type,
                "at most 100 payload schemas are allowed for one",
            );
        }
        match self.schemas.values().flatten().find(|it| !is_fingerprint(it)) {
            Some(text) => wrong(
                "payload schema",
                text,
                "must be 64 lower-case hexadecimal digits, as leasehold schema fingerprint prints them",
            ),
            None => Ok(()),
        }
    }

    fn check_programs(&self) -> Result<(), Error> {
        let programs = self.tasks.values().filter_map(|task| match task {
            Task::Program(program) => Some(program),
            Task::Function(_) | Task::Blocking(_) | Task::Isolated(..) => None,
        });
        for name in programs.flat_map(|program| program.variables()) {
            if !is_variable(name) {
                let value = name.to_string_lossy().into_owned();
                let problem = "must not be empty, and have no equals sign or zero byte";
                return Err(Error::Setting { name: "environment variable", value, problem });
            }
        }
        Ok(())
    }

    pub(crate) fn plan(self) -> Result<Plan, Error> {
        if let Some(call) = isolated::call() {
            call.answer(&self.tasks);
        }
        self.check()?;
        let has_programs = self.tasks.values().any(Task::is_process);
        if has_programs && !guard::is_ready() {
            return Err(Error::GuardMissing);
        }
        if has_programs {
            open_files::provide(self.whole.slots);
        }
        let lost_slots_max = self.lost_slots_max.unwrap_or(self.whole.slots.saturating_sub(1) / 2);
        let task_types: BTreeSet<String> = self.tasks.keys().cloned().collect();
        Ok(Plan {
            endpoint: run::endpoint(&self.address)?,
            identity: Identity {
                worker_id: self.id,
                instance_id: identity::instance_id(),
                process_start: identity::process_start(),
                replaces: Vec::new(),
                labels: self.labels,
                task_types,
                namespaces: self.namespaces,
                schemas: self.schemas,
                whole: self.whole,
                prefetch: self.prefetch,
                software: concat!("leasehold-worker/", env!("CARGO_PKG_VERSION")).to_owned(),
            },
            leaving: Leaving {
                on_session_lost: self.on_session_lost,
                drain_grace: self.drain_grace,
                lost_slots_max: usize::try_from(lost_slots_max).unwrap_or(usize::MAX),
            },
            state_dir: self.state_dir,
            tasks: self.tasks,
            rooms: self.rooms.map(|it| if has_programs { it.of_programs() } else { it }),
        })
    }
}

/// Whether a worker can take so much.
pub(crate) fn check_size(slots: u32, prefetch: u32) -> Result<(), Error> {
    if !(1..=SLOTS_MAX).contains(&slots) {
        let problem = "must be from 1 to 10000";
        return Err(Error::Setting { name: "slots", value: slots.to_string(), problem });
    }
    if SLOTS_MAX < slots.saturating_add(prefetch) {
        let problem = "slots and prefetch are at most 10000 together";
        return Err(Error::Setting { name: "prefetch", value: prefetch.to_string(), problem });
    }
    Ok(())
}

/// Whether an environment can hold a variable of this name.
fn is_variable(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    !bytes.is_empty() && !bytes.contains(&b'=') && !bytes.contains(&0)
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_task_type(name: &str) -> bool {
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    (1..=128).contains(&name.len()) && name.chars().all(usable)
}

#[cfg(test)]
mod tests;
