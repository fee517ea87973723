//! Numbers: one text for each, and the order they have.

use std::cmp::Ordering;

use super::Number;

fn number(text: &str) -> Number {
    Number::read(text).expect(text)
}

#[test]
fn one_text_for_each_number() {
    let cases = [
        ("0", "0"),
        ("-0.0e7", "0"),
        ("1.0", "1"),
        ("10e-1", "1"),
        ("100", "1e2"),
        ("1E+2", "1e2"),
        ("-1.50", "-15e-1"),
        ("0.001", "1e-3"),
        ("18446744073709551617", "18446744073709551617"),
        ("0.1000000000000000055511151231257827", "1000000000000000055511151231257827e-34"),
    ];
    for (text, canonical) in cases {
        assert_eq!(number(text).to_string(), canonical, "{text}");
        assert_eq!(number(canonical), number(text), "{text}");
    }
}

#[test]
fn what_is_out_of_bounds_is_no_number() {
    for text in ["1e1001", "1e-1001", "1e99999999999999999999", &"1".repeat(1_001)] {
        assert_eq!(Number::read(text), None, "{text}");
    }
}

#[test]
fn numbers_have_an_order() {
    let ascending = [
        "-100", "-11", "-2", "-1.5", "-0.1", "0", "0.09", "0.1", "0.11", "1", "9", "10", "10.5",
        "1e3",
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(number(a).cmp(&number(b)), i.cmp(&j), "{a} {b}");
        }
    }
    assert_eq!(number("1.0").cmp(&number("1")), Ordering::Equal);
}

#[test]
fn multiples() {
    let cases = [
        ("6", "3", Some(true)),
        ("6", "4", Some(false)),
        ("1", "0.1", Some(true)),
        ("0.25", "0.1", Some(false)),
        ("-6", "3", Some(true)),
        ("1e300", "1e-300", None),
    ];
    for (a, b, expected) in cases {
        assert_eq!(number(a).is_multiple_of(&number(b)), expected, "{a} {b}");
    }
}
