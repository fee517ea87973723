//! Handlers that have said that they run, and the moments they end at.

mod functions;
mod programs;

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use self::{
    functions::Functions,
    programs::{Programs, Watched},
};
use super::Kind;

/// Where handlers come in.
#[derive(Debug)]
pub(super) struct Door {
    path: PathBuf,
    behind: Behind,
}

#[derive(Debug)]
enum Behind {
    Programs(programs::Door),
    Functions(functions::Door),
}

/// Handlers that run.
pub(super) enum Crowd<'a> {
    Programs(Programs<'a>),
    Functions(Functions<'a>),
}

impl Door {
    /// Opens it in a directory.
    pub(super) fn open(directory: &Path, kind: Kind) -> io::Result<Self> {
        let path = directory.join("door");
        let behind = match kind {
            Kind::Program => Behind::Programs(programs::Door::open(&path)?),
            Kind::Async => Behind::Functions(functions::Door::open(&path)?),
        };
        Ok(Self { path, behind })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Nobody yet.
    pub(super) fn crowd(&self) -> Crowd<'_> {
        match &self.behind {
            Behind::Programs(door) => Crowd::Programs(Programs::behind(door)),
            Behind::Functions(door) => Crowd::Functions(Functions::behind(door)),
        }
    }
}

impl Crowd<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Programs(programs) => programs.len(),
            Self::Functions(functions) => functions.len(),
        }
    }

    /// Lets one more handler in.
    pub(super) async fn admit(&mut self) -> io::Result<()> {
        match self {
            Self::Programs(programs) => programs.admit().await,
            Self::Functions(functions) => functions.admit().await,
        }
    }

    /// Waits until all have died, or nobody has for as long as `patience`. The watch begins at once; the moments are in their
    /// order.
    pub(super) fn deaths(
        self,
        patience: Duration,
    ) -> impl Future<Output = io::Result<Vec<Instant>>> {
        let watch = match self {
            Self::Programs(programs) => Watch::Programs(programs.watch(patience)),
            Self::Functions(functions) => Watch::Functions(functions),
        };
        async move {
            match watch {
                Watch::Programs(watched) => watched?.end().await,
                Watch::Functions(functions) => functions.deaths(patience).await,
            }
        }
    }
}

/// Handlers whose ends are watched.
enum Watch<'a> {
    Programs(io::Result<Watched>),
    Functions(Functions<'a>),
}
