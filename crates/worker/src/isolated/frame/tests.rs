//! What one side says the other understands, in whatever pieces it arrives.

use bytes::{Bytes, BytesMut};
use leasehold_proto::v1;

use super::Frame;
use crate::outcome::Failure;

#[test]
fn frames_survive_the_way_in_any_pieces() {
    let progress = v1::Progress {
        fraction: Some(0.5),
        message: "half".to_owned(),
        checkpoint: Some("60".into()),
    };
    let said = [
        Frame::Progress(progress),
        Frame::Progress(v1::Progress::default()),
        Frame::of_outcome(Err(Failure::error("no luck"))),
        Frame::of_outcome(Ok(Bytes::new())),
        Frame::of_outcome(Ok(Bytes::from(vec![7; 100_000]))),
    ];
    let whole: Vec<u8> = said.iter().flat_map(|it| it.encode().to_vec()).collect();
    for piece in [1, 2, 5, 6, 1_000, whole.len()] {
        let mut heard = Vec::new();
        let mut bytes = BytesMut::new();
        for piece in whole.chunks(piece) {
            bytes.extend_from_slice(piece);
            heard.extend(std::iter::from_fn(|| Frame::take(&mut bytes)));
        }
        assert_eq!(heard, said, "in pieces of {piece}");
        assert!(bytes.is_empty());
    }
}

#[test]
fn what_is_no_frame_is_left_where_it_is() {
    for text in [&b""[..], b"\x02", b"\x02\x05\0\0\0four", b"hello, world", b"\x01\x01\0\0\0\xff"] {
        let mut bytes = BytesMut::from(text);
        assert_eq!(Frame::take(&mut bytes), None);
        assert_eq!(&bytes[..], text);
    }
}
