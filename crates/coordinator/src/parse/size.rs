//! How much of its worker a task says that a lease takes.

use std::collections::{BTreeMap, HashMap};

use leasehold_queue::{Name, Size};

use super::field::{Fields, shown};
use crate::config::{RESOURCE_NAME_BYTES_MAX, is_resource};

/// The most slots that a worker may have, and a lease take.
const SLOTS_MAX: u32 = 10_000;

/// Resources that a task may name. Each is compared with what is left of each kind of worker.
const RESOURCES_MAX: usize = 8;

/// The largest amount of a resource, 2^53: up to there every number is the same in JSON.
pub const AMOUNT_MAX: u64 = 1 << 53;

impl Fields {
    pub(super) fn size(&mut self, slots: i32, resources: &HashMap<String, i64>) -> Size {
        Size { slots: self.slots(slots), resources: self.resources(resources) }
    }

    fn slots(&mut self, slots: i32) -> u32 {
        match u32::try_from(slots) {
            Ok(0) => 1,
            Ok(slots) if slots <= SLOTS_MAX => slots,
            Ok(_) | Err(_) => {
                let problem = format!("{slots} is not 1 to {SLOTS_MAX}; leave it out for 1");
                self.broken("spec.slots", problem);
                1
            }
        }
    }

    /// The amounts, in the order of their names.
    fn resources(&mut self, resources: &HashMap<String, i64>) -> Vec<(Name, u64)> {
        if RESOURCES_MAX < resources.len() {
            let problem =
                format!("has {} resources: at most {RESOURCES_MAX} are allowed", resources.len());
            self.broken("spec.resources", problem);
            return Vec::new();
        }
        let sorted: BTreeMap<&String, &i64> = resources.iter().collect();
        let mut amounts = Vec::with_capacity(sorted.len());
        for (name, amount) in sorted {
            let field = format!("spec.resources[{}]", shown(name));
            if !is_resource(name) {
                let rule =
                    format!("1 to {RESOURCE_NAME_BYTES_MAX} characters of A-Z a-z 0-9 . _ / -");
                self.broken(&field, format!("{} is no name of a resource: {rule}", shown(name)));
            }
            let amount = u64::try_from(*amount).ok().filter(|it| (1..=AMOUNT_MAX).contains(it));
            if amount.is_none() {
                self.broken(
                    &field,
                    format!("is not 1 to 2^53 ({AMOUNT_MAX}): leave it out for none"),
                );
            }
            amounts.push((Name::from(name.as_str()), amount.unwrap_or(1)));
        }
        amounts
    }
}
