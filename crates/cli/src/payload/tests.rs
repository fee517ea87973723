//! Bytes and foreign text for people.

use super::{SHOWN_CHARS_MAX, decode, encode, printable, printable_lines, shown};

#[test]
fn text_is_text_and_the_rest_is_base64() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "(empty)"),
        (b"hello", "hello"),
        ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
        (b"two\n\tlines", "two\n\tlines"),
        (b"\xff\x00", "2 bytes, base64 /wA="),
        (b"a\x1b[2J", "5 bytes, base64 YRtbMko="),
        (b"bell\x07", "5 bytes, base64 YmVsbAc="),
        ("\u{202e}ok".as_bytes(), "5 bytes, base64 4oCub2s="),
    ];
    for (bytes, text) in cases {
        assert_eq!(shown(bytes), text);
    }
}

#[test]
fn long_payloads_are_cut_between_characters() {
    let text = "\u{fc}".repeat(SHOWN_CHARS_MAX + 1);
    let shown = shown(text.as_bytes());
    assert!(shown.starts_with(&"\u{fc}".repeat(SHOWN_CHARS_MAX)));
    assert!(shown.ends_with("... (4002 bytes; -o json shows all)"), "{shown}");
    assert_eq!(super::shown(&vec![b'a'; SHOWN_CHARS_MAX]), "a".repeat(SHOWN_CHARS_MAX));
}

#[test]
fn base64_goes_both_ways() {
    for bytes in [&b""[..], b"a", b"ab", b"abc", b"\x00\xff"] {
        assert_eq!(decode(&encode(bytes)).as_deref(), Ok(bytes));
    }
    assert!(decode("not base64!").is_err());
}

#[test]
fn foreign_text_cannot_steer_a_terminal() {
    assert_eq!(printable("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    assert_eq!(printable("\u{202e}deliaf\u{2066}\u{2028}"), "\\u{202e}deliaf\\u{2066}\\u{2028}");
    assert_eq!(printable("gr\u{fc}n \u{5e9}\u{1f980}"), "gr\u{fc}n \u{5e9}\u{1f980}");
    assert_eq!(printable_lines("a\tb\r\nc\u{7}"), "a\tb\nc\\u{7}");
}
