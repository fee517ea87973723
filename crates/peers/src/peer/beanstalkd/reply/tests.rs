//! Replies as bytes.

use super::{Reply, parse};

#[test]
fn a_reply_is_taken_when_it_is_whole() -> anyhow::Result<()> {
    let cases = [
        ("INSERTED 7\r\n", Reply::Inserted),
        ("DELETED\r\n", Reply::Deleted),
        ("RESERVED 7 4\r\na\r\nb\r\n", Reply::Reserved { id: 7, payload: b"a\r\nb".to_vec() }),
        ("RESERVED 8 0\r\n\r\n", Reply::Reserved { id: 8, payload: Vec::new() }),
    ];
    for (text, reply) in cases {
        let followed = format!("{text}DELETED\r\n");
        assert_eq!(parse(followed.as_bytes())?, Some((reply, text.len())), "{text:?}");
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut])?, None, "{text:?} cut at {cut}");
        }
    }
    Ok(())
}

#[test]
fn what_says_that_something_is_wrong_is_an_error() {
    for text in ["OUT_OF_MEMORY\r\n", "NOT_FOUND\r\n", "RESERVED x 4\r\n", "RESERVED 1\r\n", "\r\n"]
    {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
}
