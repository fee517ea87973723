//! As much of Cargo's files as the rules need: which packages a manifest names, which the lock file holds.
//!
//! It knows the layout that `cargo` and this repository write, not TOML: one dependency a line.

/// Where every package that is not ours must come from.
pub(crate) const PUBLIC_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A line of a manifest's dependency tables.
pub(crate) struct Dependency {
    /// The package.
    pub(crate) name: String,
    /// Whether the workspace says its version and features, all of them.
    pub(crate) from_workspace: bool,
}

/// Everything a manifest depends on to build, run or test; not what a workspace merely names.
pub(crate) fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut counts = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            counts = section.ends_with("dependencies]") && !section.starts_with("workspace");
        } else if let Some((name, value)) = line.split_once('=').filter(|_| counts) {
            let name = name.trim().trim_end_matches(".workspace");
            let from_workspace = line.ends_with("{ workspace = true }")
                || line.ends_with("{ workspace = true, optional = true }")
                || line.contains(".workspace") && value.trim() == "true";
            found.push(Dependency { name: name.to_owned(), from_workspace });
        }
    }
    found
}

/// A package of the lock file.
#[derive(Default)]
pub(crate) struct Locked {
    /// Its name.
    pub(crate) name: String,
    /// Major, minor, patch.
    pub(crate) version: [u64; 3],
    /// Where it comes from; none: it is ours.
    pub(crate) source: Option<String>,
}

/// Every package of a lock file.
pub(crate) fn locked(lock: &str) -> Vec<Locked> {
    lock.split("[[package]]").skip(1).map(package).collect()
}

fn package(table: &str) -> Locked {
    let value = |key: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|it| it.trim_matches('"').to_owned())
    };
    Locked {
        name: value("name").unwrap_or_default(),
        version: version(&value("version").unwrap_or_default()),
        source: value("source"),
    }
}

fn version(text: &str) -> [u64; 3] {
    let release = text.split(['-', '+']).next().unwrap_or_default();
    let mut parts = release.split('.').map(|it| it.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}
