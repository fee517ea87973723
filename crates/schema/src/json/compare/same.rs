//! Whether two schemas are the same, whatever their definitions are called.

use std::collections::BTreeSet;

use super::{Comparison, Node, Value};

impl Comparison<'_> {
    /// Whether two values are the same, with what they refer to.
    pub(super) fn same(&self, old: &Node, new: &Node) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending = vec![(old, new)];
        while let Some((old, new)) = pending.pop() {
            let (old, new) = (self.old.behind(old), self.new.behind(new));
            if !seen.insert((std::ptr::from_ref(old), std::ptr::from_ref(new))) {
                continue;
            }
            match (&old.value, &new.value) {
                (Value::Object(before), Value::Object(after)) => {
                    if !before.keys().eq(after.keys()) {
                        return false;
                    }
                    for ((name, old_member), new_member) in before.iter().zip(after.values()) {
                        match (name == "$ref", self.old.target(old), self.new.target(new)) {
                            (true, Some(old), Some(new)) => pending.push((old, new)),
                            _ => pending.push((old_member, new_member)),
                        }
                    }
                }
                (Value::List(before), Value::List(after)) => {
                    if before.len() != after.len() {
                        return false;
                    }
                    pending.extend(before.iter().zip(after));
                }
                (old, new) if old == new => {}
                _ => return false,
            }
        }
        true
    }
}
