//! Fingerprints as text, and who reads what.

use super::{SchemaPrint, SchemasRead};

#[test]
fn a_fingerprint_is_64_lower_case_digits() {
    let text = "00ff".repeat(16);
    let print = SchemaPrint::read(&text).expect("a print");
    assert_eq!(print.0[..2], [0, 255]);
    assert_eq!(print.to_string(), text);
    let long = "0".repeat(65);
    let wrong =
        ["", "00", &"0".repeat(63), &long, &"00FF".repeat(16), &"0g".repeat(32), &"é".repeat(32)];
    for wrong in wrong {
        assert_eq!(SchemaPrint::read(wrong), None, "{wrong}");
    }
}

#[test]
fn who_names_no_schema_of_a_type_reads_every_one() {
    let (a, b) = (SchemaPrint([1; 32]), SchemaPrint([2; 32]));
    let read: SchemasRead = [("t".into(), [a].into())].into_iter().collect();
    let cases = [
        ("t", None, true),
        ("t", Some(a), true),
        ("t", Some(b), false),
        ("u", None, true),
        ("u", Some(b), true),
    ];
    for (task_type, schema, expected) in cases {
        assert_eq!(read.reads(&task_type.into(), schema), expected, "{task_type} {schema:?}");
    }
}
