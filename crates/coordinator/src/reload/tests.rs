//! A file that is changed in every way, and what holds after each look.

use std::fs;

use clap::Parser as _;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::coordinator::{Running, start};

/// A coordinator that serves nobody, and who looks at its file.
struct Stage {
    dir: TempDir,
    running: Running,
    reloader: Reloader,
    metrics: Metrics,
}

impl Stage {
    async fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        fs::write(&path, text).unwrap();
        let data = dir.path().join("data");
        let flags = ["c", "--config", path.to_str().unwrap(), "--data", data.to_str().unwrap()];
        let Loaded { config, source } = Args::try_parse_from(flags).unwrap().config().unwrap();
        let hash = source.file.as_ref().map(|known| known.hash);
        let (applied, metrics) = (Applied { hash, ..config.into() }, Metrics::default());
        let address = "127.0.0.1:1".parse().unwrap();
        let running = start(applied, metrics.clone(), address).await.unwrap();
        let reloader = Reloader::new(running.handle.clone(), metrics.clone(), source);
        Self { dir, running, reloader, metrics }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("c.yaml")
    }

    /// Puts it there in one go. None: takes the file away.
    fn put(&self, text: Option<&str>) {
        let Some(text) = text else { return fs::remove_file(self.path()).unwrap() };
        let beside = self.dir.path().join("next");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path()).unwrap();
    }

    fn open_tasks(&self) -> u64 {
        self.running.handle.config().limits.open_tasks
    }

    /// How often a look came to this.
    fn count(&self, result: &str) -> u64 {
        let page = self.metrics.render().unwrap();
        let name = format!("leasehold_config_reloads_total{{result=\"{result}\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        value.parse().unwrap()
    }

    async fn stop(self) {
        self.running.stop(CancellationToken::new()).await.unwrap();
    }
}

/// What a look comes to.
#[derive(Clone, Copy, Debug)]
enum Comes {
    /// These keys hold anew, and these wait for a restart.
    Applied(&'static [&'static str], &'static [&'static str]),
    /// What is said begins so behind the path.
    Refused(&'static str),
}

#[tokio::test]
async fn what_is_right_holds_and_what_is_wrong_changes_nothing() {
    use Comes::{Applied, Refused};
    let stage = Stage::new("limits: {open_tasks: 1}\n").await;
    let cases = [
        (Some("limits: {open_tasks: 2}\n"), Applied(&["limits.open_tasks"], &[])),
        (Some("limits: {open_tasks: 2} # the same\n"), Applied(&[], &[])),
        (Some("limits: {open_task: 3}\n"), Refused(":1:10: unknown field `open_task`")),
        (Some("limits: {open_tasks: 0}\n"), Refused(":1:10: limits.open_tasks: must be at")),
        (Some("limits: {open_tasks: 3"), Refused(":")),
        (Some(""), Refused(" is empty")),
        (Some("# limits: {open_tasks: 3}\n"), Refused(" is empty")),
        (None, Refused(": No such file")),
        (Some("limits: {open_tasks: 3}\n"), Applied(&["limits.open_tasks"], &[])),
        (
            Some("limits: {open_tasks: 4, connections: 7}\nlisten: 127.0.0.1:9\n"),
            Applied(&["limits.open_tasks"], &["limits.connections", "listen"]),
        ),
        (
            Some("limits: {open_tasks: 5, connections: 7}\n"),
            Applied(&["limits.open_tasks"], &["limits.connections"]),
        ),
        (Some("listen: 0.0.0.0:9\n"), Refused(":1:1: listen: 0.0.0.0:9 is open")),
        (Some("{}\n"), Applied(&["limits.open_tasks"], &[])),
        (Some("# nothing\n"), Refused(" is empty")),
    ];
    let mut refused = 0;
    for (text, comes) in cases {
        let before = stage.open_tasks();
        stage.put(text);
        match (stage.reloader.at_once().await, comes) {
            (Ok(reloaded), Applied(holds, waits)) => {
                let keys = |needs_restart| {
                    let some = reloaded.changes.iter();
                    let some = some.filter(move |change| change.needs_restart == needs_restart);
                    some.map(|change| change.key.as_str()).collect::<Vec<_>>()
                };
                assert_eq!((keys(false), keys(true)), (holds.to_vec(), waits.to_vec()), "{text:?}");
                let applied = stage.running.handle.applied();
                assert_eq!(applied.hash, Some(Hash::of(text.unwrap().as_bytes())), "{text:?}");
                assert_eq!(applied.pending.len(), waits.len(), "{text:?}");
                assert_eq!(applied.config.limits.connections, 10_000, "only a restart changes it");
                assert!(stage.reloader.refused().is_none(), "{text:?}");
            }
            (Err(ReloadError::Refused(why)), Refused(said)) => {
                refused += 1;
                let tail = why.message.split_once("c.yaml").unwrap().1;
                assert!(tail.starts_with(said), "{text:?}: {tail:?} does not begin with {said:?}");
                assert_eq!(stage.open_tasks(), before, "{text:?} changes nothing");
                assert!(stage.reloader.refused().is_some(), "{text:?}");
            }
            (came, _) => panic!("{text:?}: {came:?} instead of {comes:?}"),
        }
        assert_eq!(stage.count("refused"), refused, "{text:?}");
    }
    stage.stop().await;
}

/// Somebody who looks again and again takes nothing that only one look has seen, and tells what is wrong once.
#[tokio::test]
async fn a_file_that_is_still_being_written_is_not_taken() {
    let stage = Stage::new("limits: {open_tasks: 1}\n").await;
    let looks = async |times: usize| {
        for _ in 0..times {
            stage.reloader.look().await;
        }
    };
    stage.put(Some("limits: {open_tasks: 2}\n"));
    looks(1).await;
    assert_eq!(stage.open_tasks(), 1, "it was seen once");
    // The beginning of a longer file is a file as well.
    stage.put(Some("limits: {open_tasks: 20}\n"));
    looks(1).await;
    assert_eq!(stage.open_tasks(), 1, "it was something else the last time");
    looks(1).await;
    assert_eq!((stage.open_tasks(), stage.count("applied")), (20, 1));
    stage.put(Some("limits: {open_tasks: no}\n"));
    looks(5).await;
    assert_eq!((stage.open_tasks(), stage.count("refused")), (20, 1), "told once");
    stage.put(Some("limits: {open_tasks: 20}\n"));
    looks(2).await;
    assert!(stage.reloader.refused().is_none(), "the file says again what holds");
    assert_eq!((stage.count("applied"), stage.count("unchanged")), (1, 1));
    stage.stop().await;
}

/// The way Kubernetes replaces a `ConfigMap`: the file is a link into a folder, which is a link that is moved.
#[tokio::test]
async fn a_link_that_is_moved_is_followed() {
    use std::os::unix::fs::symlink;

    let stage = Stage::new("limits: {open_tasks: 1}\n").await;
    let place = |name: &str| stage.dir.path().join(name);
    let flip = |version: &str, text: &str| {
        fs::create_dir(place(version)).unwrap();
        fs::write(place(version).join("c.yaml"), text).unwrap();
        symlink(version, place("..data_tmp")).unwrap();
        fs::rename(place("..data_tmp"), place("..data")).unwrap();
    };
    flip("..1", "limits: {open_tasks: 10}\n");
    fs::remove_file(stage.path()).unwrap();
    symlink("..data/c.yaml", stage.path()).unwrap();
    stage.reloader.at_once().await.unwrap();
    assert_eq!(stage.open_tasks(), 10);
    flip("..2", "limits: {open_tasks: 11}\n");
    stage.reloader.look().await;
    stage.reloader.look().await;
    assert_eq!(stage.open_tasks(), 11);
    stage.stop().await;
}

#[tokio::test]
async fn of_many_broken_rules_the_first_ones_are_told() {
    let stage = Stage::new("{}").await;
    let queues: Vec<String> = (0..5_000).map(|n| format!("q{n}: {{weight: 0}}")).collect();
    let text = format!("queues: {{settings: {{{}}}}}\n", queues.join(", "));
    let refused = stage.reloader.compare(Some(text)).await.unwrap_err();
    assert_eq!(refused.violations.len(), VIOLATIONS_MAX);
    assert!(refused.message.len() < 4_000, "{}", refused.message.len());
    assert!(refused.message.contains("and 4984 more"), "{}", refused.message);
    stage.stop().await;
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_reload() {
    let stage = Stage::new("{}").await;
    let fixed =
        Reloader::new(stage.running.handle.clone(), stage.metrics.clone(), Source::default());
    let refused = fixed.at_once().await.unwrap_err();
    assert!(matches!(&refused, ReloadError::Refused(why) if why.message.contains("--config")));
    let compared = fixed.compare(Some("limits: {open_tasks: 3}\n".to_owned())).await.unwrap();
    let keys: Vec<_> = compared.changes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["data", "limits.open_tasks"], "no flag is laid over it");
    stage.stop().await;
}

/// A difference is that of what would be taken.
#[tokio::test]
async fn a_file_that_says_nothing_any_more_differs_in_nothing() {
    let stage = Stage::new("limits: {open_tasks: 1}\n").await;
    stage.put(Some("# limits: {open_tasks: 1}\n"));
    let refused = stage.reloader.compare(None).await.unwrap_err();
    assert!(refused.message.contains("is empty"), "{}", refused.message);
    stage.put(Some("{}\n"));
    let compared = stage.reloader.compare(None).await.unwrap();
    assert_eq!(compared.changes.len(), 1);
    stage.stop().await;
}

/// Whoever looks once an hour is told by the call that it is more often from here on.
#[tokio::test]
async fn an_interval_holds_as_soon_as_its_file_does() {
    let stage = Stage::new("reload: {interval: 1h}\n").await;
    let ending = CancellationToken::new();
    let mut looks = JoinSet::new();
    looks.spawn(stage.reloader.clone().run(Hangups::listen().unwrap(), ending.clone()));
    stage.put(Some("reload: {interval: 100ms}\n"));
    stage.reloader.at_once().await.unwrap();
    stage.put(Some("reload: {interval: 100ms}\nlimits: {open_tasks: 5}\n"));
    let seen = async {
        while stage.open_tasks() != 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), seen).await.expect("it is looked at again");
    ending.cancel();
    looks.join_next().await.unwrap().unwrap();
    stage.stop().await;
}
