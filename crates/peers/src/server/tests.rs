//! Where servers are, and as whom they run.

use super::{User, program};

#[test]
fn a_user_is_found_by_name() {
    let users = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nbroken\n";
    assert_eq!(User::named("nobody", users), Some(User { uid: 65_534, gid: 65_533 }));
    assert_eq!(User::named("broken", users), None);
    assert_eq!(User::named("bod", users), None);
}

#[test]
fn a_program_is_found_or_named() {
    assert!(program("sh").is_ok());
    let missing = program("leasehold-no-such-server").map_err(|error| error.to_string());
    assert_eq!(missing, Err("leasehold-no-such-server is not installed".to_owned()));
}
