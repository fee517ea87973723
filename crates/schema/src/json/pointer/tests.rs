//! Pointers, as they are written and as they are kept.

use super::Pointer;

#[test]
fn one_text_for_each_place() {
    let cases = [
        ("", Some("#")),
        ("/$defs/a", Some("#/$defs/a")),
        ("/%24defs/a%20b", Some("#/$defs/a b")),
        ("/a~1b/c~0d", Some("#/a~1b/c~0d")),
        ("/~01", Some("#/~01")),
        ("/", Some("#/")),
        ("anchor", None),
        ("/%zz", None),
        ("/%f", None),
        ("/%ff", None),
    ];
    for (text, expected) in cases {
        let pointer = Pointer::read(text).map(|it| it.to_string());
        assert_eq!(pointer.as_deref(), expected, "{text}");
    }
}
