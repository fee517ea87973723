//! Lines through a real pipe, read and unread.

use std::io::Read as _;

use super::*;

/// A line that fills a pipe by itself.
const LINE_BYTES: usize = 64 << 10;

#[test]
fn a_reader_that_has_stopped_stops_nobody() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let dropped = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&dropped);
    let (sink, drained) = Sink::start(3, writer, move |lines| {
        count.fetch_add(lines, Ordering::Relaxed);
    });
    for _ in 0..20 {
        // Would it wait for the pipe, it would wait for ever.
        sink.make_writer().write_all(&vec![b'x'; LINE_BYTES]).expect("it is taken or dropped");
    }
    let reading = thread::spawn(move || {
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("it ends");
        read.len() / LINE_BYTES
    });
    drained.wait(Duration::from_secs(20));
    let written = reading.join().expect("it read") as u64;
    let dropped = dropped.load(Ordering::Relaxed);
    assert!((3..=6).contains(&written), "{written} written");
    assert_eq!(written + dropped, 20, "what is not written is counted");
}

#[test]
fn everything_said_before_the_end_is_written_in_order() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let (sink, drained) = Sink::start(LINES_MAX, writer, |lines| panic!("{lines} dropped"));
    let expected = "a line\nand one more\n".repeat(500);
    for line in expected.split_inclusive('\n') {
        sink.make_writer().write_all(line.as_bytes()).expect("it is taken");
    }
    drained.wait(Duration::from_secs(20));
    let mut read = String::new();
    reader.read_to_string(&mut read).expect("it is text");
    assert_eq!(read, expected);
}
