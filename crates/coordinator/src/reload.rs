//! The configuration file, looked at again while the coordinator runs.
//!
//! What it says is read whole, twice the same, checked as at the start and handed to the engine as one configuration. What
//! is wrong with it changes nothing and is told once. It knows neither the engine's turns nor the wire contract.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use leasehold_policy::Time;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    args::Args,
    clock::wall,
    config::{
        Change, Config, ConfigError, Contents, FILE_BYTES_MAX, Hash, Look, Sight, Violation, Watch,
        changes, is_blank,
    },
    coordinator::chain,
    handle::{Handle, Unavailable},
    metrics::{Metrics, ReloadResult},
    signals::Hangups,
    status::Applied,
};

#[cfg(test)]
mod tests;

/// How long after a look that has seen something new the next one follows, at most: nobody who writes a file in one go pauses
/// for so long in the middle of it.
const SETTLE: Duration = Duration::from_secs(1);

/// The same where somebody asks: then the file is written already.
const SETTLE_ASKED: Duration = Duration::from_millis(20);

/// How often a file may be something else each time before whoever asked is told so: a second.
const LOOKS_MAX: usize = 50;

/// How many broken rules are told: the message travels in headers, of which a client takes 16 KiB.
const VIOLATIONS_MAX: usize = 16;

/// How many changes a line of the log names; a file may change thousands of queues.
const LOGGED_MAX: usize = 50;

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file, if one is named.
    pub file: Option<Known>,
    /// What is laid over it.
    pub args: Args,
}

/// A file that was read at the start.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where it is.
    pub path: PathBuf,
    /// What it held.
    pub hash: Hash,
    /// Whether it said nothing.
    pub is_blank: bool,
}

/// Somebody who looks at the file. Cheap to clone; there is one watch behind all clones.
#[derive(Clone, Debug)]
pub struct Reloader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    handle: Handle,
    metrics: Metrics,
    /// Held while a look is taken up, so that there is one at a time and the last one wins.
    eye: tokio::sync::Mutex<Eye>,
    refused: Mutex<Option<Arc<Refused>>>,
    /// A configuration holds that may want another pause between two looks.
    taken: Notify,
}

#[derive(Debug)]
struct Eye {
    watch: Watch,
    /// Whether the file said nothing when it was taken last.
    was_blank: bool,
}

impl Eye {
    /// A content, unless it says nothing where the file said something before.
    fn said(&self, contents: Contents, path: &Path) -> Result<Contents, ConfigError> {
        if is_blank(&contents.text) && !self.was_blank {
            return Err(ConfigError::Emptied { path: path.to_owned() });
        }
        Ok(contents)
    }
}

/// Why the file as it stands does not hold.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What the file held, if it could be read.
    pub hash: Option<Hash>,
    /// When that was seen.
    pub time: Time,
    /// In one line: file, line, column, what, and the way out.
    pub message: String,
    /// Everything that is wrong.
    pub violations: Vec<Violation>,
}

/// The file holds.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// Its hash.
    pub hash: Hash,
    /// What has changed, and what changes with the next start.
    pub changes: Vec<Change>,
}

/// What would change.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What holds now.
    pub from: Option<Hash>,
    /// What would.
    pub to: Hash,
    /// The difference.
    pub changes: Vec<Change>,
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is wrong.
    #[error("the configuration is refused")]
    Refused(Arc<Refused>),
    /// The engine cannot be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Reloader {
    /// Somebody who looks at this file; without one, who says so.
    pub fn new(handle: Handle, metrics: Metrics, source: Source) -> Self {
        let known = source.file.as_ref();
        metrics.configured(known.map(|known| known.hash), SystemTime::now());
        if let Some(Known { path, .. }) = known.filter(|known| is_mounted(&known.path)) {
            let path = path.display();
            tracing::warn!(%path, "the file is mounted by itself, so that no change will be seen: mount its directory");
        }
        let watch = Watch::new(known.map_or(Hash::of(b""), |known| known.hash));
        let was_blank = known.is_some_and(|known| known.is_blank);
        let eye = tokio::sync::Mutex::new(Eye { watch, was_blank });
        let refused = Mutex::new(None);
        let taken = Notify::new();
        Self { shared: Arc::new(Shared { source, handle, metrics, eye, refused, taken }) }
    }

    /// Looks again and again, and at once with each SIGHUP, until the end.
    pub(crate) async fn run(self, mut hangups: Hangups, ending: CancellationToken) {
        let mut pause = self.interval();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = self.look().await,
                () = hangups.next() => {
                    tracing::info!("SIGHUP: the configuration file is looked at");
                    // The log says what else became of it.
                    if let Err(ReloadError::Unavailable(error)) = self.at_once().await {
                        tracing::warn!(%error, "the configuration file is looked at again later");
                    }
                }
                () = self.shared.taken.notified() => pause = self.interval(),
                () = ending.cancelled() => return,
            }
        }
    }

    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.shared.source.file.as_ref().map(|known| known.path.as_path())
    }

    /// Why the file as it was seen last does not hold, if it does not.
    pub fn refused(&self) -> Option<Arc<Refused>> {
        self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One look of many; how long until the next.
    async fn look(&self) -> Duration {
        let Some(path) = self.file() else { return self.interval() };
        let mut eye = self.shared.eye.lock().await;
        let look = see(path).await;
        match eye.watch.look(&look) {
            Sight::Known => self.interval(),
            Sight::Unsettled => self.interval().min(SETTLE),
            Sight::Settled => {
                if matches!(self.take(&mut eye, path, look).await, Err(ReloadError::Unavailable(_)))
                {
                    eye.watch.forget();
                }
                self.interval()
            }
        }
    }

    /// Looks at once, as somebody asked for.
    pub async fn at_once(&self) -> Result<Reloaded, ReloadError> {
        let Some(path) = self.file() else {
            return Err(ReloadError::Refused(self.refuse(None, &ConfigError::Absent)));
        };
        let mut eye = self.shared.eye.lock().await;
        let look = settled(path).await;
        // Whoever asked may go away in the middle of it: then it is not known, and the looks that follow take it up.
        let mut watch = eye.watch;
        watch.know(&look);
        eye.watch.forget();
        let taken = self.take(&mut eye, path, look).await;
        if !matches!(taken, Err(ReloadError::Unavailable(_))) {
            eye.watch = watch;
        }
        taken
    }

    /// What the file, or a text in its place, would change. Nothing is changed, nor told to anybody else.
    pub async fn compare(&self, text: Option<String>) -> Result<Compared, Refused> {
        let (contents, path) = match (text, self.file()) {
            (Some(text), _) => {
                (Ok(Contents { hash: Hash::of(text.as_bytes()), text }), Path::new("FILE"))
            }
            (None, Some(path)) => {
                let seen = settled(path).await.seen;
                let eye = self.shared.eye.lock().await;
                (seen.and_then(|contents| eye.said(contents, path)), path)
            }
            (None, None) => (Err(ConfigError::Absent), Path::new("FILE")),
        };
        let hash = contents.as_ref().ok().map(|contents| contents.hash);
        let applied = self.shared.handle.applied();
        let compared = contents.and_then(|contents| {
            if FILE_BYTES_MAX < contents.text.len() as u64 {
                return Err(ConfigError::TooLarge { path: path.to_owned(), max: FILE_BYTES_MAX });
            }
            let wanted = self.shared.source.args.over(&contents.text, path)?;
            let (from, to) = (applied.hash, contents.hash);
            Ok(Compared { from, to, changes: changes(&applied.config, &wanted)? })
        });
        compared.map_err(|error| Refused::new(hash, &error))
    }

    fn interval(&self) -> Duration {
        self.shared.handle.config().reload.interval
    }

    /// Lets what a look has seen hold, if it is right.
    async fn take(&self, eye: &mut Eye, path: &Path, look: Look) -> Result<Reloaded, ReloadError> {
        let hash = look.seen.as_ref().ok().map(|contents| contents.hash);
        let before = self.shared.handle.applied();
        let wanted = look.seen.and_then(|contents| {
            let contents = eye.said(contents, path)?;
            let is_blank = is_blank(&contents.text);
            let wanted = self.shared.source.args.over(&contents.text, path)?;
            let config = before.config.without_restart(&wanted);
            config.check()?;
            let pending = changes(&config, &wanted)?;
            let all = changes(&before.config, &wanted)?;
            let (config, hash) = (Arc::new(config), Some(contents.hash));
            let since = if before.hash == hash { before.since } else { wall() };
            let applied = Applied { config, hash, since, pending };
            Ok((applied, Reloaded { hash: contents.hash, changes: all }, is_blank))
        });
        let (applied, reloaded, is_blank) = match wanted {
            Ok(wanted) => wanted,
            Err(error) => return Err(ReloadError::Refused(self.refuse(hash, &error))),
        };
        self.shared.handle.configure(Arc::new(applied)).await?;
        eye.was_blank = is_blank;
        self.shared.taken.notify_one();
        *self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.tell(before.hash, &reloaded);
        Ok(reloaded)
    }

    fn refuse(&self, hash: Option<Hash>, error: &ConfigError) -> Arc<Refused> {
        let refused = Arc::new(Refused::new(hash, error));
        let hash = hash.map(Hash::short);
        tracing::warn!(hash, error = refused.message, "configuration refused: what runs is kept");
        self.shared.metrics.reloaded(ReloadResult::Refused);
        *self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&refused));
        refused
    }

    fn tell(&self, from: Option<Hash>, reloaded: &Reloaded) {
        let (from, to) = (from.map(Hash::short), reloaded.hash.short());
        let (waits, holds): (Vec<_>, Vec<_>) =
            reloaded.changes.iter().partition(|change| change.needs_restart);
        let result = if holds.is_empty() {
            tracing::info!(from, to, "configuration read: nothing that runs is changed");
            ReloadResult::Unchanged
        } else {
            let changes = line(&holds);
            tracing::info!(from, to, changes, "configuration applied");
            ReloadResult::Applied
        };
        if !waits.is_empty() {
            let changes = line(&waits);
            tracing::warn!(changes, "these keys are read at the start only: restart to apply them");
        }
        self.shared.metrics.reloaded(result);
        self.shared.metrics.configured(Some(reloaded.hash), SystemTime::now());
    }
}

impl Refused {
    /// A file may have thousands of queues that are wrong in the same way.
    fn new(hash: Option<Hash>, error: &ConfigError) -> Self {
        let mut violations = error.violations();
        let more = violations.len().saturating_sub(VIOLATIONS_MAX);
        violations.truncate(VIOLATIONS_MAX);
        let message = if let ConfigError::Invalid { path, .. } = error
            && 0 < more
        {
            let (path, violations) = (path.clone(), violations.clone());
            let told = ConfigError::Invalid { path, violations };
            format!("{told}; and {more} more: leasehold config check names them all")
        } else {
            chain(error)
        };
        Self { hash, time: wall(), message, violations }
    }
}

/// Every change in one line.
fn line(changes: &[&Change]) -> String {
    let named = changes.iter().take(LOGGED_MAX);
    let named = named.map(|Change { key, from, to, .. }| format!("{key}: {from} -> {to}"));
    let more = changes.len().saturating_sub(LOGGED_MAX);
    let more = (0 < more).then(|| format!("and {more} more"));
    named.chain(more).collect::<Vec<_>>().join(", ")
}

/// What two looks in a row have seen.
async fn settled(path: &Path) -> Look {
    let mut look = see(path).await;
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(SETTLE_ASKED).await;
        let again = see(path).await;
        if again.is_same(&look) {
            return again;
        }
        look = again;
    }
    Look::new(Err(ConfigError::Unsettled { path: path.to_owned() }))
}

/// One look. A file system may be slow, or far away.
async fn see(path: &Path) -> Look {
    let (path, unread) = (path.to_owned(), path.to_owned());
    let read = tokio::task::spawn_blocking(move || Contents::read_again(&path)).await;
    let unread =
        |error| ConfigError::Unreadable { path: unread, source: std::io::Error::other(error) };
    Look::new(read.unwrap_or_else(|error| Err(unread(error))))
}

/// Whether the file is a mount of its own, as with a `subPath` of Kubernetes: whatever replaces it in its directory is then not
/// seen through it.
fn is_mounted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let device = |about: std::io::Result<std::fs::Metadata>| about.ok().map(|about| about.dev());
    device(std::fs::symlink_metadata(path)) != device(std::fs::metadata(parent))
}

impl Known {
    /// A file that held this.
    pub fn new(path: PathBuf, contents: &Contents) -> Self {
        Self { path, hash: contents.hash, is_blank: is_blank(&contents.text) }
    }
}

/// What a coordinator begins with.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, checked.
    pub config: Config,
    /// Where it came from.
    pub source: Source,
}
