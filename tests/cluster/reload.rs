//! A configuration file that is replaced, cut off, mistyped and taken away while the coordinator works: what holds is always one of
//! the files that were whole, all of it, and the work never notices.
//!
//! `LEASEHOLD_ROUNDS` says how many rounds, `LEASEHOLD_SEED` repeats the ways of an earlier run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Output,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_proto::v1::{
    BatchSubmitTasksRequest, GetConfigRequest, GetConfigResponse, Reason, ReloadConfigRequest,
    ResultDisposition, SubmitTaskRequest, TaskSpec, submit_outcome::Outcome,
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};
use tonic_types::StatusExt as _;

use crate::{
    binary,
    client::{Client, is_terminal, spec},
    condition::{SOON, until},
    coordinator::{Coordinator, Options},
    crash::setting,
    crew::Crew,
    operations::{get, sample},
    script::{Script, hello},
};

/// How many rounds a test run does.
const ROUNDS: u64 = 60;

/// How many tasks are submitted at once.
const BATCH: usize = 20;

/// How often the flood is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What holds from the first moment. Every value of a version is made of its number, so that two versions cannot be mixed unseen.
fn version(number: u64) -> String {
    format!(
        "# version {number}\n{{\n  limits: {{open_tasks: {}, worker_losses: {}}},\n  \
         defaults: {{attempt_timeout: {}s, total_timeout: {}s, retry: {{max_attempts: 50, initial: 10ms, cap: 50ms}}}},\n  \
         retention: {{finished: {}s}},\n  session: {{ttl: {}s}},\n  reload: {{interval: 100ms}},\n  \
         queues: {{settings: {{v{number}: {{}}}}}}\n}}\n",
        100_000 + number,
        1_000 + number,
        600 + number,
        3_600 + number,
        7_200 + number,
        6 + number % 5,
    )
}

/// The number of the version that a configuration is, if all of it is of one.
fn number(config: &GetConfigResponse) -> Option<u64> {
    let value = |key: &str| {
        let mut lines = config.yaml.lines().map(str::trim);
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::to_owned)
    };
    let number = value("open_tasks")?.parse::<u64>().ok()?.checked_sub(100_000)?;
    let is_one = value("worker_losses")? == (1_000 + number).to_string()
        && seconds(&value("attempt_timeout")?)? == 600 + number
        && seconds(&value("total_timeout")?)? == 3_600 + number
        && seconds(&value("finished")?)? == 7_200 + number
        && seconds(&value("ttl")?)? == 6 + number % 5
        && config.yaml.contains(&format!("    v{number}:"));
    is_one.then_some(number)
}

/// A duration as the coordinator prints it, such as `1h2s`.
fn seconds(text: &str) -> Option<u64> {
    let (mut sum, mut digits) = (0, String::new());
    for c in text.chars() {
        let unit = match c {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => {
                digits.push(c);
                continue;
            }
        };
        sum += std::mem::take(&mut digits).parse::<u64>().ok()? * unit;
    }
    digits.is_empty().then_some(sum)
}

/// How the file comes to be what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Written beside and renamed into its place.
    Renamed,
    /// A folder beside, and the link to it moved: a `ConfigMap`.
    Flipped,
    /// Written over in place, in two pieces.
    Overwritten,
    /// Cut off anywhere.
    Truncated,
    /// A key that is none, a value that is none, a rule that is broken, something else than text.
    Mistyped,
    /// Nothing left in it.
    Emptied,
    /// Taken away.
    Removed,
}

impl Way {
    /// Whether what comes of it is a whole file.
    const fn is_whole(self) -> bool {
        matches!(self, Self::Renamed | Self::Flipped | Self::Overwritten)
    }
}

const WAYS: [Way; 7] = [
    Way::Renamed,
    Way::Flipped,
    Way::Overwritten,
    Way::Truncated,
    Way::Mistyped,
    Way::Emptied,
    Way::Removed,
];

/// A folder as Kubernetes mounts one: `c.yaml` leads through the link `..data`.
struct Mount {
    dir: TempDir,
    flips: u64,
}

impl Mount {
    fn new(text: &str) -> Self {
        let mut mount =
            Self { dir: TempDir::with_prefix("leasehold-").expect("a folder"), flips: 0 };
        mount.flip(text);
        symlink("..data/c.yaml", mount.path()).expect("a link");
        mount
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("c.yaml")
    }

    fn real(&self) -> PathBuf {
        self.dir.path().join("..data/c.yaml")
    }

    fn flip(&mut self, text: &str) {
        self.flips += 1;
        let (name, next) = (format!("..{}", self.flips), self.dir.path().join("..next"));
        let folder = self.dir.path().join(&name);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("c.yaml"), text).expect("a file");
        symlink(&name, &next).expect("a link");
        fs::rename(next, self.dir.path().join("..data")).expect("the link is moved");
    }

    /// Lets the file be this, or what the way makes of it.
    fn put(&mut self, way: Way, text: &str, rng: &mut fastrand::Rng) {
        match way {
            Way::Renamed => self.rename(text.as_bytes()),
            Way::Flipped => self.flip(text),
            Way::Overwritten => {
                let (head, tail) = text.split_at(cut(text, rng));
                fs::write(self.real(), head).expect("the first piece");
                let file = fs::OpenOptions::new().append(true).open(self.real());
                let mut file = file.expect("the file is there");
                std::io::Write::write_all(&mut file, tail.as_bytes()).expect("the second piece");
            }
            Way::Truncated => {
                let (head, _) = text.split_at(cut(text, rng));
                fs::write(self.real(), head).expect("a part of it");
            }
            Way::Mistyped => self.rename(&mistyped(text, rng)),
            Way::Emptied => self.rename(if rng.bool() { b"" } else { b"# nothing\n" }),
            // It may be gone since the last time.
            Way::Removed => drop(fs::remove_file(self.real())),
        }
    }

    fn rename(&self, bytes: &[u8]) {
        let beside = self.dir.path().join("beside");
        fs::write(&beside, bytes).expect("a file beside");
        fs::rename(beside, self.real()).expect("the file is replaced");
    }
}

/// Somewhere before the last brace: what is left is never a whole file.
fn cut(text: &str, rng: &mut fastrand::Rng) -> usize {
    rng.usize(1..text.trim_end().len())
}

fn mistyped(text: &str, rng: &mut fastrand::Rng) -> Vec<u8> {
    let replaced = |from: &str, to: &str| text.replacen(from, to, 1).into_bytes();
    match rng.u8(..8) {
        0 => replaced("open_tasks", "open_task"),
        1 => replaced("open_tasks: 1", "open_tasks: one"),
        2 => replaced("max_attempts: 50", "max_attempts: 0"),
        3 => replaced("initial: 10ms", "initial: 1h"),
        4 => replaced("cap: 50ms", "cap: 50ms, cap: 50ms"),
        5 => replaced("retention", "retention: {failed: 0s}, retentions"),
        6 => replaced("{settings", "{create: *nobody, settings"),
        _ => [b"\xff\xfe", text.as_bytes()].concat(),
    }
}

/// Looks at the configuration as fast as it can, and keeps whatever was not one of the whole files.
async fn observe(
    mut client: Client,
    known: Arc<Mutex<BTreeMap<String, u64>>>,
    seen: Arc<Mutex<Seen>>,
) {
    loop {
        let Ok(answer) = client.admin.get_config(GetConfigRequest {}).await else { return };
        let config = answer.into_inner();
        let (is, said) = (number(&config), locked(&known).get(&config.hash).copied());
        let mut seen = locked(&seen);
        seen.looks += 1;
        seen.versions.extend(is);
        if is.is_none() || is != said {
            seen.wrong.push(format!("{is:?} under the hash of {said:?}: {}", config.yaml));
        }
    }
}

#[derive(Default)]
struct Seen {
    looks: u64,
    versions: BTreeSet<u64>,
    wrong: Vec<String>,
}

/// The value, also after a panic elsewhere: that panic is the test's failure.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Submits batch after batch until it is told to end; the ids.
async fn flood(mut client: Client, mut end: tokio::sync::watch::Receiver<bool>) -> Vec<String> {
    let spec = TaskSpec { queue: "flood".to_owned(), ..spec("crew") };
    let requests = vec![SubmitTaskRequest { spec: Some(spec.into()), ..Default::default() }; BATCH];
    let (mut ids, mut ticks) = (Vec::new(), tokio::time::interval(LOOK));
    while !*end.borrow_and_update() {
        let batch = BatchSubmitTasksRequest { requests: requests.clone() };
        let answer = client.tasks.batch_submit_tasks(batch).await.expect("it is answered");
        ids.extend(answer.into_inner().outcomes.into_iter().map(|outcome| {
            match outcome.outcome.expect("an outcome") {
                Outcome::Accepted(accepted) => accepted.task_id,
                Outcome::Refused(refusal) => panic!("{refusal:?}"),
            }
        }));
        let wait = async {
            while !client.is_drained("flood").await {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(SOON * 3, wait).await.expect("the flood is worked off");
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_holds_whole_or_not_at_all() {
    let rounds = setting("LEASEHOLD_ROUNDS", ROUNDS);
    let seed = setting("LEASEHOLD_SEED", fastrand::u64(..));
    println!("to repeat this run: LEASEHOLD_SEED={seed} LEASEHOLD_ROUNDS={rounds}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut story = Story::begin(seed).await;
    let began = Instant::now();
    for round in 1..=rounds {
        // Each way in turn at first, so that a short run has them all.
        let at = usize::try_from(round).expect("a number of rounds") - 1;
        let way = WAYS.get(at).copied().unwrap_or_else(|| WAYS[rng.usize(..WAYS.len())]);
        story.round(round, way, &mut rng).await;
    }
    let took = began.elapsed();
    story.end(rounds, took).await;
}

/// A coordinator, its file, and everybody who looks.
struct Story {
    coordinator: Coordinator,
    mount: Mount,
    client: Client,
    crew: Crew,
    known: Arc<Mutex<BTreeMap<String, u64>>>,
    seen: Arc<Mutex<Seen>>,
    /// Which version holds.
    holds: u64,
    ways: BTreeMap<Way, u64>,
    refusals: u64,
    observers: JoinSet<()>,
    flood: JoinSet<Vec<String>>,
    end: tokio::sync::watch::Sender<bool>,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let mount = Mount::new(&version(0));
        let path = mount.path();
        let options = Options::with_args(&["--config", path.to_str().expect("a path")]);
        let coordinator = Coordinator::start_with(options).await;
        let client = coordinator.client();
        let crew = Crew::hire(coordinator.address, 4, "crew", 16, seed);
        let known = Arc::new(Mutex::new(BTreeMap::from([(sha256(&path), 0)])));
        let looks = Arc::default();
        let mut observers = JoinSet::new();
        observers.spawn(observe(client.clone(), Arc::clone(&known), Arc::clone(&looks)));
        let (end, ends) = tokio::sync::watch::channel(false);
        let mut floods = JoinSet::new();
        floods.spawn(flood(client.clone(), ends));
        let (holds, ways, refusals) = (0, BTreeMap::new(), 0);
        Self {
            coordinator,
            mount,
            client,
            crew,
            known,
            seen: looks,
            holds,
            ways,
            refusals,
            observers,
            flood: floods,
            end,
        }
    }

    /// Changes the file in one way, asks for it, and looks at what holds then.
    async fn round(&mut self, round: u64, way: Way, rng: &mut fastrand::Rng) {
        let text = version(round);
        *self.ways.entry(way).or_default() += 1;
        // Before anybody can see it.
        locked(&self.known).insert(hash_of(&text), round);
        self.mount.put(way, &text, rng);
        let is_whole = way.is_whole();
        if rng.u8(..3) == 0 {
            self.coordinator.process.signal(Signal::HUP);
        } else {
            self.ask(way).await;
        }
        if is_whole {
            self.holds = round;
            until(&format!("version {round} holds"), SOON, async || self.config().await.1 == round)
                .await;
        } else {
            self.refusals += 1;
            until(&format!("{way:?} is refused"), SOON, async || {
                self.client
                    .admin
                    .get_config(GetConfigRequest {})
                    .await
                    .is_ok_and(|answer| answer.into_inner().refusal.is_some())
            })
            .await;
            // So that the next refusal can be told from this one.
            let whole = version(self.holds);
            self.mount.put(Way::Flipped, &whole, rng);
            let answer = self.client.admin.reload_config(ReloadConfigRequest {}).await;
            answer.expect("what held is right");
        }
        assert_eq!(self.config().await.1, self.holds, "{way:?}");
        self.behaves().await;
    }

    /// Asks for the file to be read, and hears of each thing that is wrong with it.
    async fn ask(&mut self, way: Way) {
        let is_whole = way.is_whole();
        match self.client.admin.reload_config(ReloadConfigRequest {}).await {
            Ok(_) => assert!(is_whole, "{way:?} is taken"),
            Err(status) => {
                assert!(!is_whole, "{way:?} is refused: {status}");
                let info = status.get_details_error_info().expect("a reason");
                assert_eq!(info.reason, Reason::ConfigInvalid.name(), "{status}");
                let wrong = status.get_details_bad_request().expect("what is wrong");
                assert!(!wrong.field_violations.is_empty(), "{status}");
            }
        }
    }

    async fn config(&self) -> (String, u64) {
        let answer = self.client.clone().admin.get_config(GetConfigRequest {}).await;
        let config = answer.expect("it is shown").into_inner();
        let number = number(&config).expect("one version");
        (config.hash, number)
    }

    /// A task that is submitted now has the terms of what holds now, and of nothing else; so has a worker that comes.
    async fn behaves(&mut self) {
        let id = self.client.submit(spec("nobody")).await;
        let timeouts = self.client.task(&id).await.spec.expect("a spec").timeouts.expect("terms");
        let seconds = |it: Option<prost_types::Duration>| it.map(|it| it.seconds.unsigned_abs());
        let terms = (seconds(timeouts.attempt), seconds(timeouts.total));
        assert_eq!(terms, (Some(600 + self.holds), Some(3_600 + self.holds)));
        let (script, welcome) =
            Script::greet(self.coordinator.address, hello("visitor", "other", 1))
                .await
                .expect("a welcome");
        let settings = welcome.settings.expect("its terms");
        assert_eq!(seconds(settings.session_ttl), Some(6 + self.holds % 5));
        script.leave().await;
    }

    async fn end(mut self, rounds: u64, took: Duration) {
        self.end.send_replace(true);
        let ids = self.flood.join_next().await.expect("a flood").expect("it ends");
        self.observers.abort_all();
        self.check_work(&ids).await;
        let seen = std::mem::take(&mut *locked(&self.seen));
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        let metrics = get(self.coordinator.ops, "/metrics").await.body;
        let count = |result: &str| {
            sample(&metrics, &format!("leasehold_config_reloads_total{{result=\"{result}\"}}"))
        };
        let events = self.coordinator.process.events();
        let lines = |said: &str| {
            let is = |line: &&Value| {
                line.get("message").and_then(Value::as_str).is_some_and(|it| it.starts_with(said))
            };
            events.iter().filter(is).count()
        };
        let refused = lines("configuration refused");
        #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
        let told = Some(refused as f64);
        assert_eq!(count("refused"), told, "a count and a line for each refusal");
        assert!(self.refusals <= refused as u64, "{refused} lines for {} files", self.refusals);
        println!(
            "{rounds} files in {took:.1?} ({:?}): {} refused, told {refused} times, applied {:?}, unchanged {:?}; \
             {} looks saw {} versions and nothing else; {} tasks, no lease lost",
            self.ways,
            self.refusals,
            count("applied"),
            count("unchanged"),
            seen.looks,
            seen.versions.len(),
            ids.len(),
        );
    }

    /// Every task has ended, and no lease of any but by its worker's word.
    async fn check_work(&mut self, ids: &[String]) {
        let tasks = self.client.list("flood").await;
        let shown: BTreeSet<&str> = tasks.iter().map(|task| task.task_id.as_str()).collect();
        assert!(ids.iter().all(|id| shown.contains(id.as_str())), "a task is lost");
        let open = tasks.iter().find(|task| !is_terminal(task.state()));
        assert!(open.is_none(), "{open:?}");
        let metrics = get(self.coordinator.ops, "/metrics").await.body;
        let ends = metrics.lines().filter_map(|line| {
            let (outcome, count) = line
                .strip_prefix("leasehold_task_attempts_finished_total{outcome=")?
                .split_once("} ")?;
            (count != "0").then_some(outcome)
        });
        let ends: BTreeSet<&str> = ends.collect();
        assert!(ends.is_subset(&BTreeSet::from(["\"succeeded\"", "\"error\""])), "{ends:?}");
        let answers = self.crew.answers();
        let stale = answers.iter().find(|it| it.disposition == ResultDisposition::Stale);
        assert!(stale.is_none(), "{stale:?}");
    }
}

fn sha256(path: &Path) -> String {
    hash_of(&fs::read_to_string(path).expect("the file is there"))
}

fn hash_of(text: &str) -> String {
    use sha2::Digest as _;

    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// What an operator types, and what it comes to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_checks_compares_and_reloads() {
    let mount = Mount::new("limits: {open_tasks: 10}\n");
    let path = mount.path();
    let options = Options::with_args(&["--config", path.to_str().expect("a path")]);
    let coordinator = Coordinator::start_with(options).await;
    let address = format!("http://{}", coordinator.address);
    let file = mount.dir.path().join("next.yaml");
    let name = file.to_str().expect("a path");
    let leasehold = |args: &[&str]| -> Output {
        let mut command = binary::cli();
        command.args(["--address", &address]).args(args);
        command.output().expect("the client runs")
    };
    let check = |args: &[&str], code: i32, parts: &[&str]| {
        let output = leasehold(args);
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
        }
    };
    fs::write(&file, "limits:\n  open_tasks: 0\nretention:\n  failed: 0s\n").expect("a file");
    let wrong =
        ["next.yaml:2:3: limits.open_tasks: must be", "next.yaml:4:3: retention.failed: must be"];
    check(&["config", "check", name], 2, &wrong);
    check(&["-o", "json", "config", "check", name], 2, &["\"line\": 4", "\"column\": 3"]);
    check(&["config", "diff", name], 6, &["limits.open_tasks", "CONFIG_INVALID"]);
    fs::write(&file, "limits: {open_tasks: 11}\nlisten: 127.0.0.1:9\n").expect("a file");
    check(&["config", "check", name], 0, &[]);
    check(&["config", "diff", name], 0, &["limits.open_tasks", "11", "at once"]);
    check(&["config", "schema"], 0, &["https://json-schema.org/draft/2020-12/schema"]);
    check(&["config", "show"], 0, &["  open_tasks: 10\n"]);
    mount.rename(b"limits: {open_tasks: 12, connections: 20}\n");
    check(&["config", "reload"], 0, &["limits.open_tasks", "12", "after a restart"]);
    check(
        &["config", "show"],
        0,
        &["  open_tasks: 12\n", "a restart applies it: limits.connections"],
    );
    mount.rename(b"limits: {open_tasks: many}\n");
    check(&["config", "reload"], 6, &["c.yaml:1:22: a whole number"]);
    check(&["cluster"], 0, &["the file is refused: ", "c.yaml:1:22: a whole number"]);
    check(&["-o", "json", "config", "show"], 0, &["\"refusal\"", "\"needsRestart\": true"]);
}
