//! The ballast, measured by what the file system says it takes.

use super::*;

/// What the file takes of the disk; none if it is not there.
fn taken(ballast: &Ballast) -> Option<u64> {
    fs::metadata(&ballast.path).ok().map(|file| file.blocks() * BLOCK_BYTES)
}

#[test]
fn it_takes_its_room_until_it_is_released() {
    let dir = tempfile::tempdir().expect("a directory");
    let ballast = Ballast::new(dir.path(), 1_000_000);
    assert_eq!(taken(&ballast), None);
    assert!(!ballast.release().expect("nothing to do"));
    for _ in 0..2 {
        assert!(ballast.restore(dir.path()).expect("there is room"));
        assert!(Some(1_000_000) <= taken(&ballast), "{:?}", taken(&ballast));
        assert!(ballast.restore(dir.path()).expect("it is there"), "again changes nothing");
        assert!(ballast.release().expect("it goes"));
        assert_eq!(taken(&ballast), None);
    }
}

#[test]
fn one_that_takes_no_room_is_made_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let ballast = Ballast::new(dir.path(), 1 << 20);
    let hollow = File::create(&ballast.path).and_then(|file| file.set_len(1 << 20));
    hollow.expect("it is made");
    assert_eq!(taken(&ballast), Some(0), "this file system has holes");
    assert!(ballast.restore(dir.path()).expect("there is room"));
    assert!(Some(1 << 20) <= taken(&ballast));
}

#[test]
fn more_than_there_is_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let ballast = Ballast::new(dir.path(), u64::MAX / 2);
    assert!(!ballast.restore(dir.path()).expect("it says so"));
    assert_eq!(taken(&ballast), None);
}

#[test]
fn none_is_always_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let ballast = Ballast::new(dir.path(), 0);
    assert!(ballast.restore(dir.path()).expect("nothing to do"));
    assert_eq!(taken(&ballast), None);
}

#[test]
fn written_noise_has_the_exact_size_and_does_not_repeat() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("noise");
    for bytes in [1, CHUNK_BYTES as u64, CHUNK_BYTES as u64 * 2 + 17] {
        write_noise(&File::create(&path).expect("it is made"), bytes).expect("it is written");
        let noise = fs::read(&path).expect("it is read");
        assert_eq!(noise.len() as u64, bytes);
        let mut words: Vec<_> = noise.chunks_exact(8).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), noise.len() / 8, "{bytes} bytes repeat themselves");
    }
}
