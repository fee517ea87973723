//! Which limits a task may name.

use leasehold_proto::v1;

use super::{super::field::Fields, Claimed, Claims};
use crate::config::{Breaker, Config};

fn config() -> Config {
    let rates = [("mail", "10/s burst 20"), ("sms", "1/m")];
    let rates = rates.map(|(key, rate)| (key.to_owned(), rate.parse().unwrap())).into();
    let mut config = Config { rates, ..Config::default() };
    config.breakers.dependencies =
        ["db", "api"].map(|name| (name.to_owned(), Breaker::default())).into();
    config
}

fn charge(key: &str, tokens: impl Into<Option<i32>>) -> v1::RateCharge {
    v1::RateCharge { key: key.to_owned(), tokens: tokens.into() }
}

#[test]
fn what_is_named_is_taken_in_order_and_once() {
    let cases = [
        (vec![], vec![], None),
        (vec!["b", "a", "b"], vec![], Some((vec!["a", "b"], vec![]))),
        (vec![], vec![charge("mail", None)], Some((vec![], vec![("mail", 1)]))),
        (
            vec!["tenant/7"],
            vec![charge("sms", 1), charge("mail", 20)],
            Some((vec!["tenant/7"], vec![("mail", 20), ("sms", 1)])),
        ),
    ];
    for (keys, charges, expected) in cases {
        let keys: Vec<_> = keys.into_iter().map(str::to_owned).collect();
        let mut fields = Fields::default();
        let claimed = Claimed { keys: &keys, charges: &charges, ..Claimed::default() };
        let claims = fields.claims(claimed, &config());
        let expected = expected.map(|(keys, charges)| Claims {
            keys: keys.into_iter().map(Into::into).collect(),
            charges: charges.into_iter().map(|(key, tokens)| (key.into(), tokens)).collect(),
            ..Claims::default()
        });
        assert_eq!(fields.finish(claims.as_deref().cloned()), Ok(expected), "{keys:?} {charges:?}");
    }
}

/// What breaks one rule, the field that is named and a part of what is said.
#[test]
fn broken_rules_are_named() {
    let long = "x".repeat(129);
    let cases: Vec<(Vec<&str>, Vec<v1::RateCharge>, &str, &str)> = vec![
        (vec!["a"; 9], vec![], "spec.concurrency_keys", "9 keys: at most 8"),
        (vec!["a", ""], vec![], "spec.concurrency_keys[1]", "is empty"),
        (vec!["a\nb"], vec![], "spec.concurrency_keys[0]", "control characters"),
        (vec![&long], vec![], "spec.concurrency_keys[0]", "129 bytes: at most 128"),
        (vec![], vec![charge("mial", 1)], "spec.rate_charges[0].key", "no rate \"mial\""),
        (vec![], vec![charge("", 1)], "spec.rate_charges[0].key", "no rate \"\""),
        (
            vec![],
            vec![charge("sms", 2)],
            "spec.rate_charges[0].tokens",
            "1 to 1, the burst of rates.sms (1/m)",
        ),
        (vec![], vec![charge("mail", 0)], "spec.rate_charges[0].tokens", "0 is not 1 to 20"),
        (vec![], vec![charge("mail", -1)], "spec.rate_charges[0].tokens", "-1 is not 1 to 20"),
        (
            vec![],
            vec![charge("mail", 1), charge("mail", 1)],
            "spec.rate_charges[1]",
            "names \"mail\" again",
        ),
    ];
    for (keys, charges, field, part) in cases {
        let keys: Vec<_> = keys.into_iter().map(str::to_owned).collect();
        let mut fields = Fields::default();
        fields.claims(Claimed { keys: &keys, charges: &charges, ..Claimed::default() }, &config());
        let refusal = fields.finish(()).unwrap_err();
        let [violation] = refusal.violations.as_slice() else { panic!("{refusal:?}") };
        assert_eq!(violation.field, field);
        assert!(violation.description.contains(part), "{field}: {}", violation.description);
    }
    let mut fields = Fields::default();
    let charges = vec![charge("mail", 1); 9];
    fields.claims(Claimed { charges: &charges, ..Claimed::default() }, &config());
    assert!(fields.finish(()).unwrap_err().message.starts_with("spec.rate_charges: has 9 charges"));
}

/// What a task says that it calls, and what becomes of it, or which field is wrong.
#[test]
fn dependencies_are_those_of_the_configuration() {
    let nine = vec!["db"; 9];
    let cases = [
        (vec![], Ok(vec![])),
        (vec!["db", "api", "db"], Ok(vec!["api", "db"])),
        (vec!["db", "stripe"], Err("spec.dependencies[1]")),
        (vec![""], Err("spec.dependencies[0]")),
        (nine, Err("spec.dependencies")),
    ];
    for (names, expected) in cases {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut fields = Fields::default();
        let claimed = Claimed { dependencies: &names, fails_fast: true, ..Claimed::default() };
        let claims = fields.claims(claimed, &config()).unwrap();
        assert!(claims.fails_fast);
        let read = fields.finish(claims.dependencies.clone());
        let read = read.map_err(|refusal| refusal.violations[0].field.clone());
        let expected = expected.map(|names| names.into_iter().map(Into::into).collect());
        assert_eq!(read, expected.map_err(str::to_owned), "{names:?}");
    }
}
