//! What is configured for a queue reaches it.

use std::path::Path;

use leasehold_policy::{CircuitTerms, Rate, SlowTerms};

use super::*;

#[test]
fn what_is_configured_reaches_the_queue() {
    let text = "queues: {aging_every: 9, cull_after_runs: 0, create: false, settings: {a: {weight: 3, weights: {red: 2}}, \
                b: {late_results: accept-if-newest}}}\nlimits: {worker_losses: 7, attempt_timeout: 5m}\n\
                retention: {keys: 2h}\nsession: {ttl: 8s}\n";
    let told = queue(&Config::parse(text, Path::new("c.yaml")).unwrap());
    assert_eq!((told.valve, told.weights["a"].queue, told.weights["a"].keys["red"]), (9, 3, 2));
    assert_eq!(told.declared_queues, ["a".into(), "b".into()].into());
    assert_eq!(told.late_results, ["b".into(), "/b".into()].into());
    assert_eq!((told.create_queues, told.worker_losses_max, told.cull_runs), (false, 7, None));
    assert_eq!(queue(&Config::default()).cull_runs, Some(20));
    let seconds = [told.attempt_max, told.key_retention, told.session_ttl].map(|it| it.as_secs());
    assert_eq!(seconds, [300, 7_200, 8]);
}

#[test]
fn limits_reach_the_queue() {
    let text = "concurrency: {default: 2, keys: {a/b: 7}, prefixes: {a/: 3, a/b/: 4}}\n\
                rates: {mail: 10/s burst 20}\n\
                queues: {settings: {q: {concurrency: 5, rate: 2/m}, r: {concurrency_per_key: 6}, s: {}}}\n";
    let throttles = queue(&Config::parse(text, Path::new("c.yaml")).unwrap()).throttles;
    let caps = [("x", 2), ("a/b", 7), ("a/", 3), ("a/c", 3), ("a/b/c", 4), ("a/bc", 3), ("a", 2)];
    for (key, cap) in caps {
        assert_eq!(throttles.caps.of(key), cap, "{key}");
    }
    let rate = |ms, burst| Rate { interval: Duration::from_millis(ms), burst };
    assert_eq!(throttles.rates, [("mail".into(), rate(100, 20))].into());
    let q = QueueLimits { leases: Some(5), leases_per_key: None, rate: Some(rate(30_000, 2)) };
    let r = QueueLimits { leases_per_key: Some(6), ..QueueLimits::default() };
    let anywhere = [("/q".into(), q), ("/r".into(), r)];
    assert_eq!(
        throttles.queues,
        [("q".into(), q), ("r".into(), r)].into_iter().chain(anywhere).collect()
    );
}

/// A queue that a namespace names has settings of its own; every other one of its name goes by what is said of that.
#[test]
fn namespaces_reach_the_queue() {
    let text = "queues: {settings: {q: {weight: 3, concurrency: 5, late_results: accept-if-newest}}}\n\
                namespaces: {team: {open_tasks: 7, queues: {q: {weight: 2, late_results: reject}, own: {rate: 1/s}}}, \
                default: {open_bytes: 1KiB, queues: {q: {concurrency: 6}}}, free: {submit_rate: 1/s}}\n";
    let told = queue(&Config::parse(text, Path::new("c.yaml")).unwrap());
    assert_eq!(told.declared_queues, ["q".into(), "team/q".into(), "team/own".into()].into());
    let weights = ["q", "/q", "team/q", "team/own"].map(|name| told.weights[name].queue);
    assert_eq!((weights, told.weights.len()), ([3, 3, 2, 1], 4));
    let leases = ["q", "/q", "team/q"].map(|name| told.throttles.queues[name].leases);
    assert_eq!(leases, [Some(6), Some(5), Some(5)]);
    assert_eq!(told.throttles.queues.len(), 4);
    assert_eq!(told.late_results, ["q".into(), "/q".into()].into());
    let quota = |open_tasks, open_bytes| Quota { open_tasks, open_bytes };
    let quotas =
        [("team".into(), quota(Some(7), None)), ("default".into(), quota(None, Some(1_024)))];
    assert_eq!(told.quotas, quotas.into());
}

/// What is said of queues of a name does not come back where a namespace lifts all of it.
#[test]
fn a_namespace_may_lift_a_limit() {
    let text = "queues: {settings: {q: {rate: 1/s}}}\n\
                namespaces: {team: {queues: {q: {rate: unlimited}, own: {rate: unlimited}}}}\n";
    let told = queue(&Config::parse(text, Path::new("c.yaml")).unwrap());
    let queues = &told.throttles.queues;
    let rates = ["q", "/q", "team/q"].map(|name| queues[name].rate.is_some());
    assert_eq!((rates, queues.len()), ([true, true, false], 3));
}

#[test]
fn breakers_reach_the_queue() {
    let text = "breakers:\n  \
                  task_types: {mail: {window: 1m, min_calls: 5, failure_share: 0.0001, probes: 1}}\n  \
                  dependencies:\n    \
                    db: {slow_after: 2s, slow_share: 0.8, retry_budget: {per_second: 0.5, burst: 3}}\n";
    let throttles = queue(&Config::parse(text, Path::new("c.yaml")).unwrap()).throttles;
    let default = CircuitTerms {
        window: Duration::from_mins(5),
        calls_min: 20,
        failure_share: 500,
        slow: None,
        open_for: Duration::from_secs(30),
        open_for_max: Duration::from_mins(10),
        probes: 3,
    };
    let mail = CircuitTerms {
        window: Duration::from_mins(1),
        calls_min: 5,
        failure_share: 1,
        probes: 1,
        ..default
    };
    let slow = Some(SlowTerms { after: Duration::from_secs(2), share: 800 });
    let rate = Rate { interval: Duration::from_secs(2), burst: 3 };
    let db = BreakerTerms {
        circuit: CircuitTerms { slow, ..default },
        retries: Some(RetryBudget { rate, share: 200 }),
    };
    let expected = [
        (Guarded::TaskType("mail".into()), BreakerTerms { circuit: mail, retries: None }),
        (Guarded::Dependency("db".into()), db),
    ];
    assert_eq!(throttles.breakers, expected.into());
}
