//! Libraries that make a process meet what a test cannot cause otherwise: loaded with `LD_PRELOAD`, written in C.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles `tests/fault/<name>.c` into this directory.
pub(crate) fn library(name: &str, dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fault/{name}.c"));
    let library = dir.join(format!("lib{name}.so"));
    let mut compile = Command::new("cc");
    compile.args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-pthread", "-o"]);
    let status = compile.arg(&library).arg(source).status().expect("a C compiler is installed");
    assert!(status.success(), "tests/fault/{name}.c does not compile");
    library
}
