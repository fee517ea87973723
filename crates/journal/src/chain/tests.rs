//! The checksums are in files: these values never change.

use super::*;

#[test]
fn a_chain_is_what_an_independent_computation_says() {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let batches: [(u32, &[u8], u32); 3] =
        [(7, b"", 0x6a01_f610), (7, b"one", 0x9803_e206), (u32::MAX, &every_byte, 0x2370_5d22)];
    let mut link = Link::default();
    for (position, (epoch, body, crc)) in (1..).zip(batches) {
        link = link.next(Epoch(epoch), body);
        assert_eq!(link, Link { position: Position(position), crc }, "batch {position}");
    }
}

#[test]
fn everything_a_batch_says_is_in_its_checksum() {
    let before = Link { position: Position(41), crc: 0x1234_5678 };
    let link = before.next(Epoch(7), b"body");
    let other_position = Link { position: Position(42), ..before };
    let other_past = Link { crc: 0x1234_5679, ..before };
    for (what, other) in [
        ("body", before.next(Epoch(7), b"bodz")),
        ("length", before.next(Epoch(7), b"body\0")),
        ("epoch", before.next(Epoch(8), b"body")),
        ("position", other_position.next(Epoch(7), b"body")),
        ("past", other_past.next(Epoch(7), b"body")),
    ] {
        assert_ne!(link.crc, other.crc, "another {what}");
    }
}
