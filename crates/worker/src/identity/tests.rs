//! What a worker takes, whatever it is sent.

use leasehold_proto::v1;

use super::Identity;
use crate::{assignment::Assignment, size::Size};

#[test]
fn tasks_of_other_types_and_namespaces_are_not_served() {
    for (namespaces, namespace, task_type, is_served) in [
        (&[][..], "team", "work", true),
        (&[], "", "work", true),
        (&[], "team", "other", false),
        (&["team", "crew"], "team", "work", true),
        (&["team"], "team", "other", false),
        (&["team"], "default", "work", false),
        // As a coordinator says it that knows no namespaces.
        (&["team"], "", "work", false),
        (&["default"], "", "work", true),
        (&["default"], "default", "work", true),
    ] {
        let identity = Identity {
            worker_id: String::new(),
            instance_id: String::new(),
            process_start: None,
            replaces: Vec::new(),
            labels: [].into(),
            task_types: ["work".to_owned()].into(),
            namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect(),
            schemas: [].into(),
            whole: Size { slots: 1, resources: [].into() },
            prefetch: 0,
            software: String::new(),
        };
        let assignment = Assignment::parse(v1::Assignment {
            namespace: namespace.to_owned(),
            task_type: task_type.to_owned(),
            ..v1::Assignment::default()
        });
        assert_eq!(identity.serves(&assignment), is_served, "{namespaces:?} {namespace:?}");
    }
}
