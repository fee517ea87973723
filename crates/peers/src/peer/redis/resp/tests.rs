//! Commands and replies as bytes.

use super::{Reply, command, parse};

#[test]
fn a_command_is_a_list_of_counted_words() {
    let mut commands = Vec::new();
    command(&mut commands, &[b"XADD", b"", b"a\r\nb"]);
    assert_eq!(commands, b"*3\r\n$4\r\nXADD\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
}

#[test]
fn a_reply_is_taken_when_it_is_whole() -> anyhow::Result<()> {
    let bytes = |text: &str| Reply::Bytes(Some(text.as_bytes().to_vec()));
    let cases = [
        ("+OK\r\n", Reply::Line(b"OK".to_vec())),
        ("-ERR no such key\r\n", Reply::Error("ERR no such key".to_owned())),
        (":-7\r\n", Reply::Number(-7)),
        ("$4\r\na\r\nb\r\n", bytes("a\r\nb")),
        ("$-1\r\n", Reply::Bytes(None)),
        ("*-1\r\n", Reply::List(None)),
        (
            "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
            Reply::List(Some(vec![Reply::Number(1), Reply::List(Some(vec![bytes("x")]))])),
        ),
    ];
    for (text, reply) in cases {
        let followed = format!("{text}+NEXT\r\n");
        assert_eq!(parse(followed.as_bytes())?, Some((reply, text.len())), "{text:?}");
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut])?, None, "{text:?} cut at {cut}");
        }
    }
    Ok(())
}

#[test]
fn what_is_no_reply_is_an_error() {
    for text in ["\r\n", "?1\r\n", ":x\r\n", "$x\r\n"] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn a_read_gives_ids_and_values_or_nothing() -> anyhow::Result<()> {
    let read = "*1\r\n*2\r\n$5\r\ntasks\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\np\r\n$1\r\na\r\n\
                *2\r\n$3\r\n2-0\r\n*2\r\n$1\r\np\r\n$1\r\nb\r\n";
    let entries = [("1-0", "a"), ("2-0", "b")];
    let entries = entries.map(|(id, value)| (id.as_bytes().to_vec(), value.as_bytes().to_vec()));
    for (text, expected) in [(read, entries.to_vec()), ("*-1\r\n", Vec::new())] {
        let (reply, _length) = parse(text.as_bytes())?.unwrap_or((Reply::Number(0), 0));
        assert_eq!(reply.entries()?, expected, "{text:?}");
    }
    Ok(())
}
