//! Which log line says where a coordinator listens.

use super::addresses;

#[track_caller]
fn check(line: &str, expected: Option<(&str, &str)>) {
    let found = addresses(line).map(|it| (it.grpc.to_string(), it.operations.to_string()));
    let found = found.as_ref().map(|(grpc, operations)| (grpc.as_str(), operations.as_str()));
    assert_eq!(found, expected, "{line}");
}

#[test]
fn only_the_line_that_names_both_addresses_counts() {
    check(
        r#"{"message":"listening","address":"127.0.0.1:7171","ops_address":"127.0.0.1:7172"}"#,
        Some(("127.0.0.1:7171", "127.0.0.1:7172")),
    );
    check(r#"{"message":"listening","address":"127.0.0.1:7171"}"#, None);
    check(r#"{"message":"stopping","address":"127.0.0.1:1","ops_address":"127.0.0.1:2"}"#, None);
    // A line that is still being written.
    check(r#"{"message":"listening","address":"127.0.0.1:7171","ops_addr"#, None);
    check("", None);
}
