//! A full disk, in every way it can be had: a bound on the database, a file system, a limit on file sizes.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::*;

/// Appends batches of 100 kB until one is refused: the batch.
fn fill(journal: &mut Journal, epoch: Epoch) -> Batch {
    for number in 0_u64..10_000 {
        let batch = Batch {
            finished: vec![sample::finished(100 + number.cast_signed())],
            ..sample::batch(number.to_string().repeat(100_000))
        };
        let (extent, counts) = (journal.extent, journal.counts());
        match journal.append(epoch, &batch) {
            Ok(_) => {}
            Err(AppendError::Full) => {
                assert_eq!((journal.extent, journal.counts()), (extent, counts));
                return batch;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the disk was never full");
}

/// The same batch, once there is room.
fn append_again(journal: &mut Journal, epoch: Epoch, batch: &Batch) {
    let next = journal.head().0 + 1;
    assert_eq!(journal.append(epoch, batch).expect("there is room"), Position(next));
    let last = rows(journal, Position(next));
    assert_eq!(last.first().map(|row| &row.body), Some(&batch.body));
}

#[test]
fn a_database_at_its_bound_takes_the_same_batch_later() {
    let (dir, mut journal, epoch) = journal_of(&["one"]);
    let bound = |journal: &Journal, pages: u32| {
        let set = |_: &rusqlite::Row<'_>| Ok(());
        journal.connection.pragma_update_and_check(None, "max_page_count", pages, set)
    };
    bound(&journal, 200).expect("it is set");
    let batch = fill(&mut journal, epoch);
    let before = contents(&journal.connection);
    for _ in 0..3 {
        assert!(matches!(journal.append(epoch, &batch), Err(AppendError::Full)));
        assert_eq!(contents(&journal.connection), before);
    }
    bound(&journal, 100_000).expect("it is set");
    append_again(&mut journal, epoch, &batch);
    let kept = bodies(&journal);
    assert_eq!(bodies(&reopen(&dir, journal)), kept);
}

/// A small file system of its own, for those who may mount one.
struct Volume(TempDir);

impl Volume {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        let is_mounted = mount.is_ok_and(|status| status.success());
        if !is_mounted {
            eprintln!("skipped: this user cannot mount a file system");
        }
        is_mounted.then(|| Self(dir))
    }

    /// Leaves not a block free.
    fn brim(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = File::create(&path).expect("it is made");
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{:?} stays mounted", self.0);
    }
}

#[test]
fn a_full_volume_completes_from_the_ballast_and_resumes() {
    let Some(volume) = Volume::mount("24m") else { return };
    let at = volume.0.path().join("data");
    let options = || Options { ballast_bytes: 8 * 1024 * 1024, ..options() };
    let mut journal = Journal::open(&at, options()).expect("it opens");
    let epoch = journal.claim(1).expect("it is claimed");
    let batch = fill(&mut journal, epoch);
    assert!(matches!(journal.append(epoch, &batch), Err(AppendError::Full)));
    assert!(!journal.restore_ballast().is_ok_and(|held| !held), "it is still there");
    assert!(journal.release_ballast().expect("it goes"));
    append_again(&mut journal, epoch, &batch);
    assert!(!journal.restore_ballast().expect("it says so"), "there is no room for it yet");
    // What is kept shrinks, as when tasks complete; the room comes back without a restart.
    let trim = Batch { drop_before: Some(Position(journal.head().0 + 1)), ..sample::batch("end") };
    journal.append(epoch, &trim).expect("the ballast left room for it");
    while journal.shrink().expect("it shrinks") {}
    assert!(journal.restore_ballast().expect("there is room"));
    append_again(&mut journal, epoch, &sample::batch("more"));
    drop(journal);
    assert_eq!(bodies(&Journal::open(&at, options()).expect("it opens")), ["end", "more"]);
}

#[test]
fn a_full_volume_opens_from_the_ballast() {
    let Some(volume) = Volume::mount("16m") else { return };
    let at = volume.0.path().join("data");
    let options = || Options { ballast_bytes: 1024 * 1024, ..options() };
    drop(Journal::open(&at, options()).expect("it opens"));
    let filler = volume.brim();
    let mut journal = Journal::open(&at, options()).expect("it opens from the ballast");
    journal.claim(1).expect("there is room for it");
    drop(journal);
    volume.brim();
    assert!(matches!(Journal::open(&at, options()), Err(OpenError::Full)), "none is left");
    fs::remove_file(filler).expect("it goes");
    Journal::open(&at, options()).expect("there is room");
}

/// Names the directory in which the child of the next test works.
const CHILD_DIR: &str = "LEASEHOLD_TEST_FILE_SIZE_LIMIT_DIR";

/// A limit on file sizes is of a whole process: the test runs itself again under one.
#[test]
fn a_limit_on_file_sizes_is_a_full_disk() {
    if let Some(dir) = env::var_os(CHILD_DIR) {
        return under_a_limit(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" \"$@\""])
        .arg(env::current_exe().expect("it is this test"))
        .args(["--exact", "journal::tests::full::a_limit_on_file_sizes_is_a_full_disk"])
        .env(CHILD_DIR, dir.path())
        .output()
        .expect("it runs");
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

fn under_a_limit(dir: &Path) {
    let mut journal = Journal::open(dir, options()).expect("it opens");
    let epoch = journal.claim(1).expect("it is claimed");
    let limit = getrlimit(Resource::Fsize);
    assert!(limit.current.is_some(), "the limit is set");
    let batch = fill(&mut journal, epoch);
    let unlimited = rustix::process::Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Fsize, unlimited).expect("it is lifted");
    append_again(&mut journal, epoch, &batch);
}
