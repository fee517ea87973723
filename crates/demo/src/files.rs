//! Which files the demo works on.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The regular, readable files below `dir`, in the order of their paths within each folder, `max` at
/// the most. Links are not followed; what cannot be read is left out.
///
/// Left out, too, is a name that ends in a line end: the demo's program reads its file's name with a
/// shell's `$(cat)`, which drops it.
pub(crate) fn below(dir: &Path, max: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> =
            fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut inner = Vec::new();
        for entry in entries {
            let kind = entry.file_type();
            if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
                inner.push(entry.path());
            } else if kind.is_ok_and(|kind| kind.is_file()) && is_usable(&entry.path()) {
                files.push(entry.path());
            }
            if files.len() == max {
                return files;
            }
        }
        // The stack gives back the last first.
        folders.extend(inner.into_iter().rev());
    }
    files
}

fn is_usable(path: &Path) -> bool {
    !path.as_os_str().as_bytes().ends_with(b"\n") && File::open(path).is_ok()
}

#[cfg(test)]
mod tests;
