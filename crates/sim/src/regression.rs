//! The plans that once broke a promise: a file of each, run for ever.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    judge::Violation,
    plan::Plan,
    run,
    stored::{Malformed, Stored},
    trace::Detail,
};

/// How files of plans are called.
pub const EXTENSION: &str = "plan";

/// With how many other seeds than its own a plan is run: what the run itself draws, such as the delay of each message,
/// changes with every change of the simulator, and the trouble should not depend on that alone.
const OTHERS: u64 = 7;

/// A plan, and where it is from.
#[derive(Clone, Debug)]
pub struct Regression {
    /// Its name.
    pub name: String,
    /// It.
    pub stored: Stored,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A file or the folder cannot be read.
    #[error("{} cannot be read", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A file is no plan.
    #[error("{} is no plan", .0.display())]
    Plan(PathBuf, #[source] Malformed),
}

impl Regression {
    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).map_err(|it| Unreadable::File(path.to_owned(), it))?;
        let stored = Stored::of(&text).map_err(|it| Unreadable::Plan(path.to_owned(), it))?;
        Ok(Self { name, stored })
    }

    /// Runs it with its own seed and a few others. The first promise that is broken.
    pub fn replay(&self) -> Option<Violation> {
        let plan = &self.stored.plan;
        let seeds = (0..=OTHERS).map(|nth| plan.seed.wrapping_add(nth));
        let mut plans = seeds.map(|seed| Plan { seed, ..plan.clone() });
        plans.find_map(|plan| run::plan(plan, Detail::Silent).violation)
    }
}

/// Every one of a folder, by name.
pub fn regressions(folder: &Path) -> Result<Vec<Regression>, Unreadable> {
    let unreadable = |error| Unreadable::File(folder.to_owned(), error);
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let paths = entries.map(|entry| entry.map(|it| it.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
    paths.retain(|path| path.extension() == Some(OsStr::new(EXTENSION)));
    paths.sort();
    paths.iter().map(|path| Regression::read(path)).collect()
}
