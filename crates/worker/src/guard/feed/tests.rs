//! A payload gets through whatever the sizes are, and a program that does not read it stops nothing.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use rustix::io::ioctl_fionbio;

use super::{Feed, Source};
use crate::guard::link::header;

/// A feed, the worker's end of it and the program's.
fn feed() -> (Feed, UnixStream, io::PipeReader) {
    let (worker, guard) = UnixStream::pair().expect("a socket pair");
    worker.set_nonblocking(true).expect("it does not block");
    guard.set_nonblocking(true).expect("it does not block");
    let (stdin, sink) = io::pipe().expect("a pipe");
    ioctl_fionbio(&sink, true).expect("it does not block");
    ioctl_fionbio(&stdin, true).expect("it does not block");
    (Feed::new(guard, File::from(OwnedFd::from(sink))), worker, stdin)
}

/// Sends a payload in pieces of `piece` bytes, and returns what the program reads until the end of its input.
fn carry(payload: &[u8], piece: usize) -> Vec<u8> {
    let (mut feed, mut worker, mut stdin) = feed();
    let message = [&header(payload)[..], payload].concat();
    let mut unsent = message.as_slice();
    let mut got = Vec::new();
    loop {
        let sent = worker.write(&unsent[..unsent.len().min(piece)]).unwrap_or(0);
        unsent = &unsent[sent..];
        assert_eq!(feed.read().expect("the socket works"), Source::Open);
        feed.write();
        let mut chunk = [0; 1000];
        match stdin.read(&mut chunk) {
            Ok(0) => return got,
            Ok(read) => got.extend_from_slice(&chunk[..read]),
            Err(_empty) => {}
        }
    }
}

#[test]
fn a_payload_arrives_whole_and_ends() {
    for size in [0, 1, 7, 8, 9, 65_535, 65_536, 65_537, 300_000] {
        for piece in [1_000, 100_000].into_iter().chain((size < 10).then_some(1)) {
            let payload: Vec<u8> = (0..=255).cycle().take(size).collect();
            assert_eq!(carry(&payload, piece), payload, "{size} bytes in pieces of {piece}");
        }
    }
}

#[test]
fn a_program_that_reads_nothing_holds_up_nobody() {
    let (mut feed, mut worker, stdin) = feed();
    let payload = vec![0; 1 << 20];
    let message = [&header(&payload)[..], &payload].concat();
    let mut sent = 0;
    for _ in 0..100 {
        sent += worker.write(&message[sent..]).unwrap_or(0);
        assert_eq!(feed.read().expect("the socket works"), Source::Open);
        feed.write();
    }
    assert!(sent < message.len(), "the pipe is full, so the payload waits");
    assert!(!feed.wants_input(), "the guard holds no more than its buffer");
    // The program closes its stdin: the rest is taken and thrown away.
    drop(stdin);
    while sent < message.len() {
        sent += worker.write(&message[sent..]).unwrap_or(0);
        feed.write();
        assert_eq!(feed.read().expect("the socket works"), Source::Open);
    }
}

#[test]
fn a_worker_that_goes_is_noticed_at_every_point() {
    for said in [0, 3, 8, 12] {
        let (mut feed, mut worker, _stdin) = feed();
        let message = [&header(&[7; 10])[..], &[7; 10]].concat();
        worker.write_all(&message[..said]).expect("it fits");
        drop(worker);
        let gone = (0..10).any(|_| {
            let read = feed.read().expect("the socket works");
            feed.write();
            read == Source::Closed
        });
        assert!(gone, "after {said} bytes");
    }
}
