//! The limits that a task says it counts against, and what it says that its work calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use leasehold_proto::v1;
use leasehold_queue::{Claims, Name};

use super::field::{Fields, shown};
use crate::config::{Config, NAME_BYTES_MAX, RateLimit};

/// How many keys of each kind a task may name: each is looked at with every grant.
const KEYS_MAX: usize = 8;

/// What a task says of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claimed<'a> {
    pub(super) keys: &'a [String],
    pub(super) charges: &'a [v1::RateCharge],
    pub(super) dependencies: &'a [String],
    pub(super) fails_fast: bool,
}

impl Fields {
    /// What the leases of the task take and pass; none: nothing.
    pub(super) fn claims(&mut self, claimed: Claimed<'_>, config: &Config) -> Option<Arc<Claims>> {
        let claims = Claims {
            keys: self.concurrency_keys(claimed.keys),
            charges: self.rate_charges(claimed.charges, &config.rates),
            dependencies: self.dependencies(claimed.dependencies, config),
            fails_fast: claimed.fails_fast,
        };
        (!claims.is_empty()).then(|| Arc::new(claims))
    }

    /// A dependency without a breaker is a mistake of somebody: whoever names one means to spare it.
    fn dependencies(&mut self, names: &[String], config: &Config) -> Vec<Name> {
        if KEYS_MAX < names.len() {
            let problem = format!("has {} names: at most {KEYS_MAX} are allowed", names.len());
            self.broken("spec.dependencies", problem);
        }
        for (place, name) in names.iter().take(KEYS_MAX).enumerate() {
            if !config.breakers.dependencies.contains_key(name) {
                let problem = format!(
                    "no dependency {} is configured: correct it, or add it to `breakers.dependencies` of the coordinator",
                    shown(name)
                );
                self.broken(&format!("spec.dependencies[{place}]"), problem);
            }
        }
        let names: BTreeSet<Name> = names.iter().map(|name| Name::from(name.as_str())).collect();
        names.into_iter().collect()
    }

    fn concurrency_keys(&mut self, keys: &[String]) -> Vec<Name> {
        if KEYS_MAX < keys.len() {
            let problem = format!("has {} keys: at most {KEYS_MAX} are allowed", keys.len());
            self.broken("spec.concurrency_keys", problem);
        }
        for (place, key) in keys.iter().take(KEYS_MAX).enumerate() {
            self.limit_key(&format!("spec.concurrency_keys[{place}]"), key);
        }
        let keys: BTreeSet<Name> = keys.iter().map(|key| Name::from(key.as_str())).collect();
        keys.into_iter().collect()
    }

    fn rate_charges(
        &mut self,
        charges: &[v1::RateCharge],
        rates: &BTreeMap<String, RateLimit>,
    ) -> Vec<(Name, u32)> {
        if KEYS_MAX < charges.len() {
            let problem = format!("has {} charges: at most {KEYS_MAX} are allowed", charges.len());
            self.broken("spec.rate_charges", problem);
        }
        let mut read = BTreeMap::new();
        for (place, charge) in charges.iter().take(KEYS_MAX).enumerate() {
            let field = format!("spec.rate_charges[{place}]");
            let tokens = self.tokens(&field, charge, rates.get(&charge.key));
            if read.insert(Name::from(charge.key.as_str()), tokens).is_some() {
                self.broken(
                    &field,
                    format!("names {} again: add its tokens up", shown(&charge.key)),
                );
            }
        }
        read.into_iter().collect()
    }

    /// A rate that is not there is a mistake of somebody, and the task that goes without would be the last to notice.
    fn tokens(&mut self, field: &str, charge: &v1::RateCharge, rate: Option<&RateLimit>) -> u32 {
        let key = shown(&charge.key);
        let Some(rate) = rate else {
            self.broken(
                &format!("{field}.key"),
                format!("no rate {key} is configured: correct it, or add it to `rates` of the coordinator"),
            );
            return 1;
        };
        let tokens = charge.tokens.unwrap_or(1);
        match u32::try_from(tokens) {
            Ok(tokens) if (1..=rate.burst).contains(&tokens) => tokens,
            Ok(_) | Err(_) => {
                self.broken(
                    &format!("{field}.tokens"),
                    format!(
                        "{tokens} is not 1 to {}, the burst of rates.{} ({rate}): a charge beyond it could never be taken",
                        rate.burst, charge.key
                    ),
                );
                1
            }
        }
    }

    fn limit_key(&mut self, field: &str, key: &str) {
        if key.is_empty() {
            self.broken(field, "is empty: name what is to be limited".to_owned());
        }
        self.text(field, key, NAME_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests;
