//! Whose a queue is.

use std::collections::BTreeMap;

use super::{DEFAULT, anywhere, elsewhere, join, of, setting, split};

#[test]
fn a_queue_is_known_by_one_text() {
    for (namespace, queue, known) in [
        (DEFAULT, "mail", "mail"),
        ("team", "mail", "team/mail"),
        ("team", "default", "team/default"),
        ("a.b-c_d", "x.y", "a.b-c_d/x.y"),
    ] {
        assert_eq!(join(namespace, queue), known);
        assert_eq!((split(known), of(known)), ((namespace, queue), namespace));
    }
}

#[test]
fn what_is_set_anywhere_holds_where_nothing_else_is() {
    let settings: BTreeMap<String, u8> =
        [("mail".to_owned(), 1), (anywhere("mail"), 2), ("team/mail".to_owned(), 3)].into();
    for (queue, found) in [
        ("mail", Some(1)),
        ("team/mail", Some(3)),
        ("other/mail", Some(2)),
        ("other/x", None),
        ("x", None),
    ] {
        assert_eq!(setting(&settings, queue).copied(), found, "{queue}");
    }
    assert_eq!((elsewhere("mail"), elsewhere("team/mail")), (None, Some("/mail")));
}
