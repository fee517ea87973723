//! What is read of a program that has ended.

use std::io::Write as _;

use rustix::pipe::fcntl_setpipe_size;

use super::*;

/// More than a pipe holds by itself, and less than anybody may make it hold.
const LARGE: usize = 500_000;

#[tokio::test]
async fn all_that_an_enlarged_pipe_holds_is_the_result() {
    for (keep, length, rest) in
        [(Keep::All(LARGE), LARGE, Rest::Whole), (Keep::Last(8_000), 8_000, Rest::Whole)]
    {
        let (pipe, mut program) = std::io::pipe().expect("a pipe");
        fcntl_setpipe_size(&program, LARGE).expect("it can be enlarged");
        program.write_all(&vec![b'x'; LARGE]).expect("it holds that");
        let capture = Capture::new(pipe, keep).expect("it can be read");
        // Somebody may have escaped with the other end: it is still open.
        let (bytes, was) = capture.finish();
        assert_eq!((bytes.len(), was), (length, rest));
    }
}

#[tokio::test]
async fn the_last_line_is_that_of_the_last_words() {
    let cases = [
        ("", ""),
        ("one\n", "one"),
        ("one\ntwo", "two"),
        ("one\n two \r\n\n \n", "two"),
        ("\n", ""),
    ];
    for (written, expected) in cases {
        let (pipe, mut program) = std::io::pipe().expect("a pipe");
        let mut capture = Capture::new(pipe, Keep::Last(8_000)).expect("it can be read");
        program.write_all(format!("{written}.").as_bytes()).expect("it holds that");
        assert_eq!(capture.fill().await, Heard::Some);
        capture.bytes.truncate(written.len());
        assert_eq!(capture.last_line(), expected, "{written:?}");
    }
}

#[test]
fn what_does_not_end_or_is_too_much_is_told() {
    for (held, keep, rest) in [
        (10_000, Keep::All(10_000), Rest::Whole),
        (20_000, Keep::All(10_000), Rest::Whole),
        (10_000, Keep::All(9_999), Rest::Overflow),
        // More is there than the program can have left.
        (5_000, Keep::All(10_000), Rest::Unread),
    ] {
        let (pipe, mut program) = std::io::pipe().expect("a pipe");
        program.write_all(&[b'x'; 10_000]).expect("it holds that");
        rustix::io::ioctl_fionbio(&pipe, true).expect("it need not block");
        let was = drained(pipe.as_fd(), held, &mut BytesMut::new(), &keep);
        assert_eq!(was, rest, "{held} {keep:?}");
    }
}
