//! Defaults, as descriptors write them and as the canonical form does.

use super::{Scalar, scalar_default, unescaped};

#[test]
fn one_text_for_each_value() {
    let cases = [
        (Scalar::Double, "1e3", Some("408f400000000000")),
        (Scalar::Double, "1000", Some("408f400000000000")),
        (Scalar::Double, "inf", Some("7ff0000000000000")),
        (Scalar::Double, "nan", Some("7ff8000000000000")),
        (Scalar::Double, "-nan", Some("7ff8000000000000")),
        (Scalar::Float, "0.5", Some("3f000000")),
        (Scalar::Float, "half", None),
        (Scalar::Int32, "-7", Some("-7")),
        (Scalar::Int32, "2147483648", None),
        (Scalar::Uint64, "18446744073709551615", Some("18446744073709551615")),
        (Scalar::Bool, "true", Some("1")),
        (Scalar::String, "a b\n", Some("6120620a")),
        (Scalar::Bytes, "a\\000\\xff", Some("6100ff")),
    ];
    for (scalar, text, expected) in cases {
        assert_eq!(scalar_default(scalar, text).as_deref(), expected, "{scalar:?} {text}");
    }
}

#[test]
fn bytes_in_the_escapes_of_c() {
    let cases: [(&str, Option<&[u8]>); 9] = [
        ("", Some(b"")),
        ("plain", Some(b"plain")),
        ("\\n\\r\\t\\\"\\'\\\\", Some(b"\n\r\t\"'\\")),
        ("\\0", Some(b"\0")),
        ("\\1018", Some(b"A8")),
        ("\\377", Some(b"\xff")),
        ("\\400", None),
        ("\\x4a\\x4", Some(b"J\x04")),
        ("\\", None),
    ];
    for (text, expected) in cases {
        assert_eq!(unescaped(text).as_deref(), expected, "{text}");
    }
}
