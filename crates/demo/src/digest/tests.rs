//! Known answers, both ways of computing them.

use std::io::{self, Read};

use super::{BLOCK_BYTES, Digest};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[track_caller]
fn check(content: &[u8], lines: u64) -> Digest {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, content).expect("the file is written");
    let digest = Digest::of_file(&path).expect("the file is read");
    assert_eq!(digest, Digest::recomputed(&path).expect("the file is read"));
    assert_eq!((digest.lines, digest.bytes), (lines, content.len() as u64));
    digest
}

#[test]
fn known_files_have_known_digests() {
    assert_eq!(check(b"", 0).to_string(), format!("{EMPTY} 0 0"));
    assert_eq!(check(b"abc", 0).to_string(), format!("{ABC} 0 3"));
    check(b"\n", 1);
    check(b"one\ntwo", 1);
    check(b"one\ntwo\n", 2);
    check(&vec![b'\n'; 3 * BLOCK_BYTES + 1], 3 * BLOCK_BYTES as u64 + 1);
}

#[test]
fn how_a_file_is_read_does_not_matter() {
    /// Gives a byte at a time, each after an interruption.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                self.0.read(&mut buffer[..1])
            }
        }
    }

    let whole = Digest::of(b"a\nb\nc".as_slice()).expect("memory is read");
    assert_eq!(Digest::of(Trickle(b"a\nb\nc", false)).expect("memory is read"), whole);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in [folder.path(), &folder.path().join("missing")] {
        assert!(Digest::of_file(path).is_err());
        assert!(Digest::recomputed(path).is_err());
    }
}
