//! Which files are found, and in which order.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::below;

fn names(dir: &Path, max: usize) -> Vec<String> {
    let relative = |path: &Path| path.strip_prefix(dir).expect("below").display().to_string();
    below(dir, max).iter().map(|path| relative(path)).collect()
}

#[test]
fn regular_files_are_found_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path();
    for inner in ["b", "b/z", "a", "empty"] {
        std::fs::create_dir(dir.join(inner)).expect("a folder");
    }
    for file in ["c", "b/2", "b/1", "b/z/3", "a/4", "0", "ends\n"] {
        std::fs::write(dir.join(file), file).expect("a file");
    }
    symlink(dir.join("c"), dir.join("link")).expect("a link");
    symlink(dir, dir.join("loop")).expect("a link");
    assert_eq!(names(dir, 100), ["0", "c", "a/4", "b/1", "b/2", "b/z/3"]);
    assert_eq!(names(dir, 3), ["0", "c", "a/4"]);
    assert_eq!(names(&dir.join("empty"), 3), [""; 0]);
    assert_eq!(names(&dir.join("missing"), 3), [""; 0]);
}
