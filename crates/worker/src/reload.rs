//! The worker's own file, looked at again while it works: what can change does, and a file that wants more than that is refused.
//!
//! When a content is news is the library's business that the coordinator has it from, too; here is who looks, and what comes of
//! it. Nothing that runs is touched.

use std::{convert::Infallible, path::Path, time::Duration};

use leasehold_config::{ConfigError as FileError, Contents, Look, Sight, Watch, is_blank};
use leasehold_telemetry::Telemetry;
use leasehold_worker::Adjuster;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    args::File,
    config::{Config, ConfigError},
};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long after a look that has seen something new the next one follows.
const SETTLE: Duration = Duration::from_secs(1);

/// The same behind a SIGHUP: whoever sends it has written the file.
const SETTLE_ASKED: Duration = Duration::from_millis(20);

/// The configuration with another text of its file.
pub(crate) trait Again: Fn((&str, &Path)) -> Result<Config, ConfigError> {}

impl<T: Fn((&str, &Path)) -> Result<Config, ConfigError>> Again for T {}

/// Somebody who looks at the file.
pub(crate) struct Reload<'a, A> {
    file: File,
    again: A,
    running: Config,
    adjuster: Adjuster,
    telemetry: &'a Telemetry,
    watch: Watch,
    was_blank: bool,
}

impl<'a, A: Again> Reload<'a, A> {
    /// Somebody who knows what the file held at the start, and what came of it.
    pub(crate) fn new(
        file: File,
        again: A,
        running: Config,
        adjuster: Adjuster,
        telemetry: &'a Telemetry,
    ) -> Self {
        let (watch, was_blank) = (Watch::new(file.contents.hash), is_blank(&file.contents.text));
        Self { file, again, running, adjuster, telemetry, watch, was_blank }
    }

    /// Looks again and again, and soon after each SIGHUP.
    pub(crate) async fn run(mut self) -> Infallible {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => Some(hangups),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP cannot be heard: the file is looked at all the same");
                None
            }
        };
        let mut pause = INTERVAL;
        let mut settle = SETTLE;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = hung_up(&mut hangups) => {
                    tracing::info!("SIGHUP: the configuration file is looked at");
                    settle = SETTLE_ASKED;
                }
            }
            let look = see(&self.file.path).await;
            match self.watch.look(&look) {
                Sight::Unsettled => pause = settle,
                Sight::Known => (pause, settle) = (INTERVAL, SETTLE),
                Sight::Settled => {
                    (pause, settle) = (INTERVAL, SETTLE);
                    if let Err(error) = self.take(look) {
                        let error = chain(&error);
                        tracing::warn!(error, "configuration refused: what runs is kept");
                    }
                }
            }
        }
    }

    /// Lets what a look has seen hold, if all of it can.
    fn take(&mut self, look: Look) -> Result<(), ConfigError> {
        let contents = look.seen?;
        let blank = is_blank(&contents.text);
        if blank && !self.was_blank {
            return Err(FileError::Emptied { path: self.file.path.clone() }.into());
        }
        let wanted = (self.again)((&contents.text, &self.file.path))?;
        let keys = self.running.fixed(&wanted);
        if !keys.is_empty() {
            return Err(ConfigError::Fixed { keys });
        }
        let worker = wanted.worker();
        worker.check()?;
        let filter = &wanted.telemetry.log_filter;
        if *filter != self.running.telemetry.log_filter {
            self.telemetry.set_filter(filter.as_deref())?;
        }
        let (slots, prefetch) = worker.size();
        self.adjuster.set(slots, prefetch)?;
        let hash = contents.hash.short();
        tracing::info!(
            hash,
            slots,
            prefetch,
            log_filter = filter.as_deref(),
            "configuration applied"
        );
        (self.running, self.was_blank) = (wanted, blank);
        Ok(())
    }
}

async fn hung_up(hangups: &mut Option<Signal>) {
    let heard = match hangups {
        Some(hangups) => hangups.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}

/// One look. A file system may be slow, or far away.
async fn see(path: &Path) -> Look {
    let (path, unread) = (path.to_owned(), path.to_owned());
    let read = tokio::task::spawn_blocking(move || Contents::read_again(&path)).await;
    let unread =
        |error| FileError::Unreadable { path: unread, source: std::io::Error::other(error) };
    Look::new(read.unwrap_or_else(|error| Err(unread(error))))
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |it: &&dyn std::error::Error| (*it).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
