//! The directory everything is written down in.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::ledger::Ledger;

/// The variable that names the directory.
const DIR: &str = "WITNESS_DIR";

/// The directory, its ledger open.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) ledger: Ledger,
    presences: PathBuf,
    resources: PathBuf,
}

impl Place {
    /// The place the environment names.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let dir = env::var_os(DIR).with_context(|| format!("{DIR} must name a directory"))?;
        let dir = Path::new(&dir);
        Self::open(dir).with_context(|| format!("{} cannot be used", dir.display()))
    }

    /// A place in this directory, which need not exist.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let (presences, resources) = (dir.join("presences"), dir.join("resources"));
        fs::create_dir_all(&presences)?;
        fs::create_dir_all(&resources)?;
        Ok(Self { ledger: Ledger::open(&dir.join("ledger"))?, presences, resources })
    }

    /// Where the executions of a task show that they live.
    pub(crate) fn presences(&self, task: &str) -> PathBuf {
        self.presences.join(task)
    }

    /// The file a task writes to.
    pub(crate) fn resource(&self, task: &str) -> PathBuf {
        self.resources.join(task)
    }
}
