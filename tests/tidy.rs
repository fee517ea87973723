//! The house rules that no compiler knows: who may depend on whom, what the core must not know, what nobody writes.
//!
//! It reads the files that git knows or would add, and runs in milliseconds. What clippy already refuses is not
//! repeated here, except where a rule must hold in tests or in other languages too.
#![expect(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::{fs, path::Path, process::Command};

#[path = "tidy/manifest.rs"]
mod manifest;
#[path = "tidy/source.rs"]
mod source;

/// Which of our packages each package may depend on. A package that is missing here may not exist.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    (".", &[]),
    ("crates/policy", &[]),
    ("crates/queue", &["policy"]),
    ("crates/journal", &[]),
    ("crates/schema", &[]),
    ("crates/telemetry", &[]),
    ("crates/config", &["policy"]),
    ("crates/coordinator", &["config", "journal", "policy", "proto", "queue", "telemetry"]),
    ("crates/client", &["policy", "proto", "telemetry"]),
    ("crates/worker", &["config", "policy", "proto", "telemetry"]),
    ("crates/cli", &["client", "config", "proto", "schema", "telemetry", "worker"]),
    ("crates/demo", &["client", "proto", "telemetry", "worker"]),
    ("crates/instructions", &["coordinator", "journal", "policy", "proto", "queue"]),
    ("crates/model", &["policy", "queue"]),
    ("crates/peers", &["proto"]),
    ("crates/witness", &["telemetry", "worker"]),
    ("crates/net-sim", &["client", "coordinator", "policy", "worker"]),
    ("crates/sim", &["coordinator", "journal", "policy", "proto", "queue", "worker"]),
];

/// Everything the pure crates may be built from, and tested with.
const CORE_DEPENDENCIES: &[(&str, &[&str])] = &[
    ("crates/policy", &["proptest"]),
    ("crates/queue", &["bytes", "hashbrown", "leasehold-policy", "proptest", "thiserror"]),
];

/// What code of the pure crates must not say: clocks, disks, networks, processes, runtimes, formats, chance. A map
/// of std with hashing is chance as well: its order differs from run to run.
const CORE_FORBIDDEN: &[&str] = &[
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::sync::mpsc",
    "Mutex",
    "RwLock",
    "tokio",
    "prost",
    "tonic",
    "serde",
    "async fn",
    ".await",
    "HashMap",
    "HashSet",
    "RandomState",
    "fastrand",
    "println!",
    "static mut",
];

/// Packages that have a known flaw or no maintainer.
const BANNED_PACKAGES: &[&str] =
    &["backoff", "bincode", "openssl", "openssl-sys", "rustls-pemfile", "serde_yml"];

/// The least version of a package that has an older, flawed one.
const LEAST_VERSIONS: &[(&str, [u64; 3])] =
    &[("h2", [0, 4, 20]), ("lru", [0, 18, 2]), ("tracing-subscriber", [0, 3, 20])];

/// Names that say nothing about what a file defines.
const EMPTY_NAMES: &[&str] = &[
    "common",
    "handler",
    "handlers",
    "helper",
    "helpers",
    "manager",
    "misc",
    "mod",
    "processor",
    "shared",
    "util",
    "utils",
];

#[test]
fn packages_depend_inwards() {
    let mut wrong = Vec::new();
    for (dir, manifest) in manifests() {
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| *name == dir) else {
            wrong.push(format!("{dir} has no row in MAY_DEPEND_ON"));
            continue;
        };
        let ours = manifest::dependencies(&manifest)
            .into_iter()
            .filter_map(|it| it.name.strip_prefix("leasehold-").map(str::to_owned));
        wrong.extend(
            ours.filter(|it| !allowed.contains(&it.as_str()))
                .map(|it| format!("{dir} depends on {it}")),
        );
    }
    nothing(&wrong);
}

/// Tested by itself: with it, everything would be built with a clock that can be paused.
const NO_DEFAULT_MEMBERS: &[&str] = &["crates/net-sim"];

#[test]
fn a_plain_cargo_builds_all_but_what_changes_the_rest() {
    let root = read("Cargo.toml");
    let listed = root.split_once("default-members = [").and_then(|(_, rest)| rest.split_once(']'));
    let listed = listed.map(|(list, _)| list).expect("a list of default members");
    let is_listed = |dir: &str| listed.contains(&format!("{dir:?}"));
    let wrong: Vec<String> = manifests()
        .into_iter()
        .map(|(dir, _)| dir)
        .filter(|dir| is_listed(dir) == NO_DEFAULT_MEMBERS.contains(&dir.as_str()))
        .collect();
    nothing(&wrong);
}

#[test]
fn features_and_versions_are_named_once() {
    let mut wrong = Vec::new();
    for (dir, manifest) in manifests() {
        let own = manifest::dependencies(&manifest).into_iter().filter(|it| !it.from_workspace);
        wrong.extend(
            own.map(|it| format!("{dir}: {} is not taken from the workspace as it is", it.name)),
        );
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{dir} does not take the lints of the workspace"));
        }
    }
    nothing(&wrong);
}

#[test]
fn the_core_is_pure() {
    let mut wrong = Vec::new();
    for (dir, allowed) in CORE_DEPENDENCIES {
        let manifest = read(&format!("{dir}/Cargo.toml"));
        let extra = manifest::dependencies(&manifest)
            .into_iter()
            .filter(|it| !allowed.contains(&it.name.as_str()));
        wrong.extend(extra.map(|it| format!("{dir} depends on {}", it.name)));
        let within = |path: &str| path.starts_with(dir) && is_shipped(path);
        wrong.extend(mentions(CORE_FORBIDDEN, within, shipped));
    }
    nothing(&wrong);
}

#[test]
fn only_the_journal_knows_the_database() {
    let outside = |path: &str| !path.starts_with("crates/journal/");
    let mut wrong = mentions(&["rusqlite"], |path| is_rust(path) && outside(path), source::code);
    let manifests = |path: &str| path.ends_with("/Cargo.toml") && outside(path);
    wrong.extend(mentions(&["rusqlite", "libsqlite3"], manifests, str::to_owned));
    nothing(&wrong);
}

#[test]
fn only_the_engine_moves_the_queue() {
    let outside = |path: &str| {
        is_shipped(path)
            && path.starts_with("crates/coordinator/")
            && !path.starts_with("crates/coordinator/src/engine")
            // Explores what a queue does when it is driven in every possible way.
            && !path.starts_with("crates/model/")
    };
    let calls = ["queue.apply(", "queue.take_output("];
    nothing(&mentions(&calls, outside, shipped));
}

#[test]
fn protobuf_stays_at_the_edges() {
    // The engine and what it is made of speak the core's language; translation happens in parse and view.
    let nouns = ["engine", "gate", "keeper", "clock", "writer", "archive", "handle"];
    let inside = |path: &str| {
        let is_part = |it: &&str| path.starts_with(&format!("crates/coordinator/src/{it}"));
        is_shipped(path) && nouns.iter().any(is_part)
    };
    nothing(&mentions(&["leasehold_proto", "tonic"], inside, shipped));
}

#[test]
fn every_file_says_what_it_is() {
    let silent = |path: &String| is_rust(path) && !read(path).starts_with("//! ");
    let wrong: Vec<String> = files().into_iter().filter(silent).collect();
    nothing(&wrong);
}

#[test]
fn every_file_is_named_after_what_it_defines() {
    let empty = |path: &String| {
        let stem = Path::new(path).file_stem().and_then(|it| it.to_str()).unwrap_or_default();
        is_rust(path) && stem.split('_').any(|word| EMPTY_NAMES.contains(&word))
    };
    let wrong: Vec<String> = files().into_iter().filter(empty).collect();
    nothing(&wrong);
}

#[test]
fn shipped_code_neither_gives_up_nor_grows_without_bound() {
    let words =
        [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unbounded", "#[allow("];
    nothing(&mentions(&words, is_shipped, shipped));
}

#[test]
fn tests_wait_for_conditions_and_are_never_skipped() {
    let words = ["sleep(", "#[ignore", "unbounded_channel"];
    nothing(&mentions(&words, |path| is_rust(path) && is_test(path), source::code));
}

#[test]
fn nothing_is_left_for_later() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    // Prose may name the words in order to forbid them.
    let prose = ["Cargo.lock", "LICENSE", "CONTRIBUTING.md"];
    nothing(&mentions(&words, |path| !prose.contains(&path), str::to_owned));
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let homes = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    let mut wrong = mentions(&homes, |_| true, str::to_owned);
    let ships = |path: &str| is_rust(path) && !is_test(path);
    wrong.extend(mentions(&[concat!("\"/t", "mp")], ships, str::to_owned));
    nothing(&wrong);
}

#[test]
fn the_lock_file_holds_safe_packages_from_the_public_registry() {
    let packages = manifest::locked(&read("Cargo.lock"));
    assert!(packages.iter().any(|it| it.name == "tokio"), "the lock file was not understood");
    let mut wrong = Vec::new();
    for package in &packages {
        if BANNED_PACKAGES.contains(&package.name.as_str()) {
            wrong.push(format!("{} is banned", package.name));
        }
        let least = LEAST_VERSIONS.iter().find(|(name, _)| *name == package.name);
        if let Some((name, least)) = least.filter(|(_, least)| package.version < *least) {
            wrong.push(format!("{name} {:?} is older than {least:?}", package.version));
        }
        let foreign = package.source.iter().filter(|it| *it != manifest::PUBLIC_REGISTRY);
        wrong.extend(foreign.map(|it| format!("{} comes from {it}", package.name)));
    }
    nothing(&wrong);
}

#[test]
fn the_readme_shows_the_worker_that_ci_compiles() {
    let example = read("crates/worker/examples/hello.rs");
    let body: Vec<&str> =
        example.lines().skip_while(|it| it.starts_with("//!") || it.is_empty()).collect();
    let block = format!("```rust\n{}\n```", body.join("\n").trim_end());
    assert!(read("README.md").contains(&block), "README.md does not contain\n{block}");
}

#[test]
fn the_makefile_is_an_index() {
    let makefile = read("Makefile");
    let targets: Vec<&str> = makefile
        .lines()
        .filter(|it| {
            !it.starts_with(['.', '#', '\t', ' ']) && it.contains(':') && !it.contains(":=")
        })
        .collect();
    assert!((1..=8).contains(&targets.len()), "between one and eight targets: {targets:#?}");
    let long: Vec<&&str> = targets.iter().filter(|it| !it.contains(';')).collect();
    assert!(long.is_empty(), "a target is one line: {long:#?}");
}

#[test]
fn code_is_told_from_prose_and_literals() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b\nb */ c", "a     \n     c"),
        ("f(\"b \\\" b\") c", "f(        ) c"),
        ("r#\"b \" b\"# c", "           c"),
        ("for x in y", "for x in y"),
        ("fn f<'a>(c: &'a str) { '\"' }", "fn f<'a>(c: &'a str) {     }"),
        ("'\\n' c", "     c"),
    ];
    for (text, code) in cases {
        assert_eq!(source::code(text), code, "{text}");
    }
    let module = "a\n#[cfg(test)]\nmod tests {\n    b\n}\nc\n#[cfg(test)]\nmod tests;\nd\n";
    assert_eq!(source::production(module), "a\nc\nd\n");
}

#[test]
fn sizes_are_measured_and_reported() {
    let sample = "fn one() {}\nimpl A {\n    fn two(\n        a: B,\n    ) {\n        c();\n    }\n    fn none();\n}\n";
    assert_eq!(source::function_lines(sample), [1, 5]);
    let (mut functions, mut files) = (Vec::new(), Vec::new());
    for path in self::files().into_iter().filter(|it| is_rust(it)) {
        let text = read(&path);
        let lengths = source::function_lines(&source::code(&text));
        functions.extend(lengths.into_iter().map(|it| (it, path.clone())));
        files.push((text.lines().count(), path));
    }
    println!("functions: {}", spread(functions));
    println!("files: {}", spread(files));
}

/// The count, the median, the 95th percentile and the largest of some numbers, with the place of the largest.
fn spread(mut sizes: Vec<(usize, String)>) -> String {
    sizes.sort();
    let at = |percent: usize| sizes.get(sizes.len().saturating_sub(1) * percent / 100);
    let size = |percent| at(percent).map_or(0, |it| it.0);
    let largest = at(100).map_or("", |it| it.1.as_str());
    let (count, median, p95, max) = (sizes.len(), size(50), size(95), size(100));
    format!("{count}, median {median}, p95 {p95}, max {max} in {largest}")
}

/// The code of a file that ends up in a program.
fn shipped(text: &str) -> String {
    source::production(&source::code(text))
}

/// Where the files a rule is about say one of these words, once `view` has taken away what does not count.
fn mentions(
    words: &[&str],
    about: impl Fn(&str) -> bool,
    view: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| about(path)) {
        for (line, text) in (1..).zip(view(&read(&path)).lines()) {
            let hits = words.iter().filter(|word| says(text, word));
            found.extend(hits.map(|word| format!("{path}:{line}: {word}")));
        }
    }
    found
}

/// Whether a line contains a word, and not just as a part of a longer one.
fn says(line: &str, word: &str) -> bool {
    let joins = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let after = rest.strip_prefix(word).unwrap_or_default();
        let left = joins(word.chars().next()) && joins(before.chars().next_back());
        let right = joins(word.chars().next_back()) && joins(after.chars().next());
        !left && !right
    })
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == "rs")
}

/// Whether a file ends up in a program.
fn is_shipped(path: &str) -> bool {
    is_rust(path) && path.starts_with("crates/") && path.contains("/src/") && !is_test(path)
}

/// Whether a file exists for tests alone.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Fails with the list of what breaks a rule.
#[track_caller]
fn nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// The directory and the text of every manifest.
fn manifests() -> Vec<(String, String)> {
    let manifests: Vec<(String, String)> = files()
        .into_iter()
        .filter_map(|path| match path.strip_suffix("/Cargo.toml") {
            Some(dir) => Some((dir.to_owned(), read(&path))),
            None => (path == "Cargo.toml").then(|| (".".to_owned(), read(&path))),
        })
        .collect();
    assert!(manifests.len() > 1, "the workspace has members");
    manifests
}

/// Every text file that git knows or would add, relative to the root.
fn files() -> Vec<String> {
    let list = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("git runs");
    assert!(list.status.success(), "git: {}", String::from_utf8_lossy(&list.stderr));
    let names = String::from_utf8(list.stdout).expect("names are UTF-8");
    names.lines().filter(|it| root().join(it).is_file()).map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    let bytes = fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
