//! A disk that can be stopped: a file system in a file, which the kernel freezes. Nothing of it is done for the process
//! that writes; its writes and syncs hang as they would on a disk that does not answer.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::failure::Failure;

/// How much fits on it; the file holds only what was written.
const BYTES: u64 = 16 << 30;

/// Freezes a file system and thaws it after some seconds. One process does both: whatever becomes of the benchmark, nothing
/// stays frozen.
const STALL: &str = r#"fsfreeze --freeze "$0" && { sleep "$1"; fsfreeze --unfreeze "$0"; }"#;

/// It goes when this is dropped, with all that is on it.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    _image: TempDir,
}

impl Disk {
    /// Makes one in a directory, or in the present one. Only root may.
    pub(super) fn mount(parent: Option<&Path>) -> Result<Self, Failure> {
        let (root, image) = make(parent.unwrap_or(Path::new("."))).map_err(|error| {
            Failure::Bench(format!("cannot make a disk that can be stopped: {error}"))
        })?;
        let file = image.path().join("image");
        run("mkfs.ext4", [OsStr::new("-q"), "-F".as_ref(), "-m0".as_ref(), file.as_ref()])?;
        run("mount", [OsStr::new("-o"), "loop".as_ref(), file.as_ref(), root.as_ref()])?;
        Ok(Self { root, _image: image })
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// Lets it stand still for that long.
    pub(super) async fn stall(&self, time: Duration) -> Result<(), Failure> {
        let mut sh = tokio::process::Command::new("sh");
        sh.args(["-c", STALL]).arg(&self.root).arg(time.as_secs_f64().to_string());
        // Ctrl-C goes to the group of the terminal.
        let status = sh.process_group(0).status().await;
        let status = status.map_err(|error| failed("sh", &error))?;
        if status.success() { Ok(()) } else { Err(failed("fsfreeze", &status)) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a coordinator that was killed may still be on its way out. Where it fails, it says so itself.
        let _done = run("umount", ["--lazy".as_ref(), self.root.as_os_str()]);
    }
}

/// The file it is in, and where it is mounted.
fn make(parent: &Path) -> io::Result<(PathBuf, TempDir)> {
    let image = tempfile::Builder::new().prefix("leasehold-bench-disk-").tempdir_in(parent)?;
    File::create(image.path().join("image"))?.set_len(BYTES)?;
    let root = image.path().canonicalize()?.join("root");
    fs::create_dir(&root)?;
    Ok((root, image))
}

fn run<const N: usize>(program: &str, args: [&OsStr; N]) -> Result<(), Failure> {
    let status = Command::new(program).args(args).status();
    let status = status.map_err(|error| failed(program, &error))?;
    if status.success() { Ok(()) } else { Err(failed(program, &status)) }
}

fn failed(program: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::Bench(format!("{program} failed, which only root may use: {why}"))
}
