//! What a configuration file may say, and what is said back where it is wrong.

use std::{collections::BTreeSet, path::Path, time::Duration};

use leasehold_policy::ParseDurationError as Malformed;

use super::{
    Config, ConfigError, Contents, FILE_BYTES_MAX, Hash, LateResults, Look, ParseDurationError,
    QueueLimit, Session, Sight, Watch, changes,
    duration::{self, parse as parse_duration},
    is_blank, is_limit_key,
    rate::{Per, RateLimit},
    size,
};

mod schema;

const SAMPLE: &str = include_str!("../../../config/coordinator.yaml");

fn read(text: &str) -> Result<Config, ConfigError> {
    let config = Config::parse(text, Path::new("c.yaml"))?;
    config.check()?;
    Ok(config)
}

#[test]
fn the_sample_is_exactly_the_defaults() {
    assert_eq!(read(SAMPLE).unwrap(), Config::default());
}

#[test]
fn the_sample_names_every_key() {
    let sample = serde_saphyr::from_str(SAMPLE).unwrap();
    let defaults = serde_json::to_value(Config::default()).unwrap();
    assert_eq!(keys(&sample), keys(&defaults));
}

/// The paths of all keys.
fn keys(value: &serde_json::Value) -> BTreeSet<String> {
    let Some(map) = value.as_object() else { return BTreeSet::new() };
    map.iter()
        .flat_map(|(key, value)| {
            let below = keys(value).into_iter().map(move |path| format!("{key}.{path}"));
            below.chain([key.clone()])
        })
        .collect()
}

#[test]
fn what_is_printed_reads_the_same() {
    let mut config = read(
        "queues: {settings: {thumbs: {retention: {finished: 0s}, concurrency: 4, rate: 1/s}}}\n\
         session: {ttl: 2500ms}\nlimits: {payload_bytes: 300001, submit_rate: 5/m burst 2}\n\
         concurrency: {default: 2, keys: {a: 1}, prefixes: {b/: 3}}\n\
         rates: {mail: 10/s, sms: 1/m burst 5}\n\
         namespaces: {team: {open_tasks: 5, open_bytes: 1KiB, submit_rate: 1/s, defaults: {retry: {factor: 3.0}}, \
         queues: {a: {weight: 2, weights: {k: 3}, rate: 1/s, admission: strict, retention: {failed: 1h}}, \
         b: {rate: unlimited}}}}\n\
         breakers: {task_types: {mail: {slow_after: 2s}}, dependencies: {db: {retry_budget: {burst: 3}}}}\n",
    )
    .unwrap();
    config.telemetry.otlp_endpoint = "http://[::1]:4317".to_owned();
    assert_eq!(read(&config.to_yaml().unwrap()).unwrap(), config);
}

#[test]
fn nothing_said_is_the_default() {
    for text in ["", "\n\n", "# only a comment\n", "---\n{}\n", "limits: {}\n"] {
        assert_eq!(read(text).unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn a_ttl_alone_brings_its_heartbeats() {
    let config = read("session: {ttl: 2s}\n").unwrap();
    assert_eq!(config.session, Session::lasting(Duration::from_secs(2)));
    assert_eq!(config.session.heartbeat_interval, Duration::from_millis(500));
}

#[test]
fn a_queue_may_want_late_results() {
    let config = read(
        "queues: {settings: {a: {late_results: accept-if-newest}, b: {late_results: reject}, c: {}}}\n",
    )
    .unwrap();
    let wanted = |name: &str| config.queues.settings.get(name).map(|it| it.late_results);
    assert_eq!(wanted("a"), Some(LateResults::AcceptIfNewest));
    assert_eq!((wanted("b"), wanted("c")), (Some(LateResults::Reject), Some(LateResults::Reject)));
}

#[test]
fn queues_and_their_keys_have_weights() {
    let config =
        read("queues: {aging_every: 9, settings: {a: {weight: 3, weights: {red: 2}}}}\n").unwrap();
    let own = &config.queues.settings["a"];
    assert_eq!((config.queues.aging_every, own.weight, own.weights["red"]), (9, 3, 2));
    let cases = [
        ("aging_every: 0", "must be at least 1"),
        ("cull_after_runs: 401", "must be at most 400"),
        ("settings: {b: {weight: 0}}", "weight of queue \"b\": 0 is not 1 to 1000"),
        ("settings: {c: {weights: {x: 1001}}}", "weights.x of queue \"c\": 1001 is not 1 to 1000"),
    ];
    for (text, expected) in cases {
        let said = format!("{:?}", read(&format!("queues: {{{text}}}\n")).unwrap_err());
        assert!(said.replace('\\', "").contains(expected), "{said}");
    }
}

/// What a namespace says goes before what is said of queues of that name, key by key.
#[test]
fn a_namespace_has_settings_of_its_own() {
    let config = read(
        "queues: {settings: {mail: {weight: 3, rate: 5/s, weights: {a: 1, b: 1}, retention: {failed: 1h}}}}\n\
         namespaces: {team: {defaults: {kill_grace: 1s}, queues: {mail: {weight: 2, weights: {b: 9}, \
         retention: {finished: 1m}}, own: {}}}, free: {queues: {mail: {rate: unlimited}}}, \
         default: {queues: {mail: {weight: 7}}}}\n",
    )
    .unwrap();
    let weight = |queue: &str| config.queue(queue).map(|it| it.weight);
    let weights = ["mail", "team/mail", "other/mail", "team/own", "other/own"].map(weight);
    assert_eq!(weights, [Some(7), Some(2), Some(3), Some(1), None]);
    let own = config.queue("team/mail").unwrap();
    assert_eq!((own.weights["a"], own.weights["b"], own.rate.is_some()), (1, 9, true));
    let is_limited = |queue: &str| config.queue(queue).is_some_and(|it| it.rate.is_some());
    let limited = ["mail", "team/mail", "free/mail", "other/mail"].map(is_limited);
    assert_eq!(limited, [true, true, false, true]);
    let own = |queue| config.is_own_limit(queue, QueueLimit::Rate);
    assert_eq!(["mail", "team/mail", "free/mail", "x"].map(own), [false, false, true, false]);
    let (finished, failed) = (Duration::from_mins(1), Duration::from_hours(1));
    assert_eq!(config.finished_retention("team/mail"), finished);
    assert_eq!(config.failed_retention("team/mail"), failed);
    assert_eq!(config.finished_retention("other/mail"), config.retention.finished);
    assert_eq!(config.defaults_of("team").kill_grace, Duration::from_secs(1));
    assert_eq!(config.defaults_of("team").retry, config.defaults.retry);
    assert_eq!(*config.defaults_of("other"), config.defaults);
    let declared: Vec<_> = config.declared().collect();
    assert_eq!(declared, ["mail", "mail", "free/mail", "team/mail", "team/own"]);
}

#[test]
fn a_queue_may_keep_its_tasks_longer() {
    let config = read("queues: {settings: {a: {retention: {finished: 0s}}}}\n").unwrap();
    assert_eq!(config.finished_retention("a"), Duration::ZERO);
    assert_eq!(config.failed_retention("a"), config.retention.failed);
    assert_eq!(config.finished_retention("b"), config.retention.finished);
}

/// Texts that are no configuration, and the beginning of what is said.
#[test]
fn malformed_files_are_refused_with_their_place() {
    let cases = [
        ("lisen: 127.0.0.1:1\n", "c.yaml:1:1: unknown field `lisen`"),
        ("session:\n  tll: 2s\n", "c.yaml:2:3: unknown field `tll`"),
        ("limits:\n  open_tasks: many\n", "c.yaml:2:15: a whole number"),
        ("limits:\n  open_tasks: -1\n", "c.yaml:2:15: a whole number"),
        ("session:\n  ttl: 20\n", "c.yaml:2:8: "),
        ("session:\n  ttl: -5s\n", "c.yaml:2:8: \"-5s\": a duration needs a number"),
        ("session:\n  ttl: 2y\n", "c.yaml:2:8: \"2y\": a duration needs a unit"),
        ("session:\n  ttl: 366d\n", "c.yaml:2:8: \"366d\": a duration is longer than one year"),
        ("listen: localhost:7171\n", "c.yaml:1:9: \"localhost:7171\" is no address to listen on"),
        ("limits:\n  payload_bytes: 1MB\n", "c.yaml:2:18: \"1MB\" is no size"),
        ("insecure: perhaps\n", "c.yaml:1:11: true or false is expected here"),
        ("defaults:\n  retry:\n    factor: x\n", "c.yaml:3:13: a number is expected here"),
        ("defaults:\n  retry:\n    jitter: some\n", "c.yaml:3:13: unknown variant `some`"),
        ("data: a\ndata: b\n", "c.yaml:2:1: duplicate mapping key `data`"),
        ("limits:\n  submit_rate: 10\n", "c.yaml:2:16: \"10\" is no rate"),
        ("data: [a\n", "c.yaml:"),
        ("data:\n\t- a\n", "c.yaml:"),
    ];
    for (text, expected) in cases {
        let said = read(text).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{text:?}: {said:?} does not start with {expected:?}");
        assert!(!said.contains('\n'), "one line: {said:?}");
    }
}

/// Values that do not fit together, and the keys that are named.
#[test]
fn rules_between_values_are_all_reported() {
    let cases: [(&str, &[&str]); 44] = [
        ("listen: 0.0.0.0:7171\n", &["listen"]),
        ("{listen: 0.0.0.0:7172, insecure: true}\n", &["ops_listen"]),
        ("{listen: 127.0.0.2:7172}\n", &[]),
        ("ops_listen: 192.0.2.1:1\n", &["ops_listen"]),
        ("listen: '[::1]:7172'\nops_listen: '[::1]:7172'\n", &["ops_listen"]),
        ("data: ''\n", &["data"]),
        ("session: {heartbeat_interval: 99ms}\n", &["session.heartbeat_interval"]),
        ("session: {heartbeat_interval: 7450ms}\n", &[]),
        ("session: {heartbeat_interval: 7451ms}\n", &["session.ttl"]),
        ("session: {ttl: 0s}\n", &["session.heartbeat_interval", "session.ttl"]),
        ("defaults: {kill_grace: 0s}\n", &["defaults.kill_grace"]),
        ("defaults: {retry: {max_attempts: 0}}\n", &["defaults.retry.max_attempts"]),
        ("defaults: {retry: {max_attempts: 1001}}\n", &["defaults.retry.max_attempts"]),
        ("defaults: {retry: {factor: .nan}}\n", &["defaults.retry.factor"]),
        ("defaults: {retry: {initial: 6m}}\n", &["defaults.retry.initial"]),
        (
            "limits: {payload_bytes: 5MiB, open_tasks: 0}\n",
            &["limits.open_tasks", "limits.payload_bytes"],
        ),
        ("limits: {attempt_timeout: 0s}\n", &["limits.attempt_timeout"]),
        ("limits: {checkpoint_bytes: 0}\n", &[]),
        ("limits: {checkpoint_bytes: 1025KiB}\n", &["limits.checkpoint_bytes"]),
        ("retention: {failed: 0s}\n", &["retention.failed"]),
        ("concurrency: {default: 0}\n", &["concurrency.default"]),
        (
            "concurrency: {keys: {a: 0, b: 1}, prefixes: {'': 2}}\n",
            &["concurrency.keys", "concurrency.prefixes"],
        ),
        ("rates: {'': 1/s, b: 2/s}\n", &["rates"]),
        (
            "queues: {settings: {a: {concurrency: 0, concurrency_per_key: 0, rate: 1/s}}}\n",
            &["queues.settings.a", "queues.settings.a"],
        ),
        ("breakers: {task_types: {mail: {}}, dependencies: {db: {retry_budget: {}}}}\n", &[]),
        (
            "breakers: {task_types: {'a b': {probes: 0}}}\n",
            &["breakers.task_types", "breakers.task_types"],
        ),
        (
            "breakers: {dependencies: {'': {failure_share: 0, slow_share: 1.1, min_calls: 0}}}\n",
            &["breakers.dependencies"; 4],
        ),
        (
            "breakers: {dependencies: {db: {window: 2s, open_for: 1m, open_for_max: 59s}}}\n",
            &["breakers.dependencies"; 2],
        ),
        ("breakers: {dependencies: {db: {failure_share: .nan}}}\n", &["breakers.dependencies"]),
        (
            "breakers: {dependencies: {db: {retry_budget: {share: 2, per_second: 0, burst: 0}}}}\n",
            &["breakers.dependencies"; 3],
        ),
        ("reload: {interval: 99ms}\n", &["reload.interval"]),
        ("reload: {interval: 61m}\n", &["reload.interval"]),
        (
            "queues: {settings: {'a b': {retention: {failed: 0s}}}}\n",
            &["queues.settings.a b", "queues.settings.a b"],
        ),
        ("scaling: {interval: 99ms, cooldown: 0s}\n", &["scaling.interval", "scaling.cooldown"]),
        ("scaling: {cpu_low: 76}\n", &["scaling.cpu_low"]),
        ("scaling: {cpu_high: 101}\n", &["scaling.cpu_high"]),
        ("namespaces: {'a b': {}}\n", &["namespaces.a b"]),
        ("namespaces: {default: {}, a.b-c_d: {open_tasks: 1}}\n", &[]),
        (
            "namespaces: {a: {open_tasks: 0, open_bytes: 0B, queues: {'x y': {concurrency: 0}}}}\n",
            &[
                "namespaces.a.open_tasks",
                "namespaces.a.open_bytes",
                "namespaces.a.queues.x y",
                "namespaces.a.queues.x y",
            ],
        ),
        (
            "namespaces: {a: {defaults: {retry: {max_attempts: 0}}}}\n",
            &["namespaces.a.defaults.retry.max_attempts"],
        ),
        ("scaling: {min_workers: 17}\n", &["scaling.max_workers"]),
        ("scaling: {min_workers: 0, max_workers: 10000}\n", &[]),
        ("scaling: {pools: {p: {max_workers: 0}}}\n", &["scaling.pools"]),
        (
            "scaling: {pools: {'a b': {task_types: ['t t'], min_workers: 20}}}\n",
            &["scaling.pools", "scaling.pools", "scaling.pools"],
        ),
    ];
    for (text, expected) in cases {
        let named: Vec<_> = match read(text) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Invalid { violations, .. }) => {
                violations.iter().map(|v| v.key.to_string()).collect()
            }
            Err(error) => panic!("{text:?}: {error}"),
        };
        assert_eq!(named, expected, "{text:?}");
    }
}

#[test]
fn a_bind_beyond_loopback_says_how() {
    let said = read("listen: 0.0.0.0:7171\n").unwrap_err().to_string();
    assert!(said.contains("--insecure"), "{said}");
    assert!(read("listen: 0.0.0.0:7171\ninsecure: true\n").is_ok());
}

#[test]
fn durations() {
    let cases = [
        ("0s", Ok(0)),
        ("5s", Ok(5_000_000_000)),
        ("1.5s", Ok(1_500_000_000)),
        ("200ms", Ok(200_000_000)),
        ("1h30m", Ok(5_400_000_000_000)),
        (" 10us ", Ok(10_000)),
        ("365d", Ok(31_536_000_000_000_000)),
        ("365d1ns", Err(ParseDurationError::TooLong)),
        ("99999999999999999999d", Err(ParseDurationError::TooLong)),
        ("", Err(ParseDurationError::Malformed(Malformed::Empty))),
        ("5", Err(ParseDurationError::Malformed(Malformed::Unit))),
        ("5 s", Err(ParseDurationError::Malformed(Malformed::Unit))),
        ("s", Err(ParseDurationError::Malformed(Malformed::Number))),
        ("-5s", Err(ParseDurationError::Malformed(Malformed::Number))),
        ("1.2.3s", Err(ParseDurationError::Malformed(Malformed::Number))),
        (".5s", Err(ParseDurationError::Malformed(Malformed::Number))),
        ("5.s", Err(ParseDurationError::Malformed(Malformed::Number))),
        ("1h30", Err(ParseDurationError::Malformed(Malformed::Unit))),
        ("5S", Err(ParseDurationError::Malformed(Malformed::Unit))),
        ("5µs", Err(ParseDurationError::Malformed(Malformed::Unit))),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_duration(text), expected.map(Duration::from_nanos), "{text:?}");
    }
}

#[test]
fn sizes() {
    let cases = [
        ("1MiB", Some(1 << 20)),
        ("4 GiB", Some(4 << 30)),
        ("64KiB", Some(64 << 10)),
        ("7B", Some(7)),
        ("1MB", None),
        ("-1MiB", None),
        ("1.5MiB", None),
        ("MiB", None),
        ("17179869184GiB", None),
    ];
    for (text, expected) in cases {
        assert_eq!(size::parse(text), expected, "{text:?}");
    }
}

#[test]
fn rates() {
    let rate = |tokens, per, burst| Some(RateLimit { tokens, per, burst });
    let cases = [
        ("10/s", rate(10, Per::Second, 10)),
        (" 500/m ", rate(500, Per::Minute, 500)),
        ("1000/h burst 50", rate(1_000, Per::Hour, 50)),
        ("1/d  burst  1000000", rate(1, Per::Day, 1_000_000)),
        ("10", None),
        ("10/", None),
        ("/s", None),
        ("0/s", None),
        ("+1/s", None),
        ("-1/s", None),
        ("1.5/s", None),
        ("1000001/s", None),
        ("10/ms", None),
        ("10/S", None),
        ("10/s burst", None),
        ("10/s burst 0", None),
        ("10/s, burst 5", None),
        ("10/sburst 5", None),
        ("unlimited", None),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse().ok(), expected, "{text:?}");
        if let Some(rate) = expected {
            assert_eq!(rate.to_string().parse(), Ok(rate), "{text:?}");
        }
    }
    let third = leasehold_policy::Rate::from("3/s".parse::<RateLimit>().unwrap());
    assert_eq!((third.interval, third.burst), (Duration::from_nanos(333_333_334), 3));
    assert_eq!(read("limits: {submit_rate: unlimited}\n").unwrap().limits.submit_rate, None);
}

/// The place of a rule that is broken between values is that of its key, or the nearest one around it.
#[test]
fn broken_rules_are_told_with_their_place() {
    let cases = [
        ("limits:\n  open_tasks: 0\n", "c.yaml:2:3: limits.open_tasks: "),
        ("{limits: {open_tasks: 0}}\n", "c.yaml:1:11: limits.open_tasks: "),
        ("session:\n  ttl: 1s\n  heartbeat_interval: 800ms\n", "c.yaml:2:3: session.ttl: "),
        ("# nothing\nsession:\n  heartbeat_interval: 19s\n", "c.yaml:2:1: session.ttl: "),
        (
            "retention:\n  finished: 1h\nqueues:\n  settings:\n    'a b': {}\n",
            "c.yaml:5:5: queues.settings.a b: ",
        ),
        (
            "namespaces:\n  a.b:\n    queues:\n      c.d:\n        weight: 0\n",
            "c.yaml:4:7: namespaces.a.b.queues.c.d: weight of queue \"c.d\": 0 ",
        ),
        (
            "namespaces:\n  a:\n    defaults: {retry: {initial: 1h}}\n",
            "c.yaml:3:24: namespaces.a.defaults.retry.initial: is more than",
        ),
    ];
    for (text, expected) in cases {
        let path = Path::new("c.yaml");
        let error = Config::parse(text, path).unwrap().check().unwrap_err().placed(text, path);
        assert!(error.to_string().starts_with(expected), "{text:?}: {error}");
    }
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

/// Texts that are made to be expensive: each is refused, and says so.
#[test]
fn no_text_is_too_much() {
    let laughs = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let of = format!("*a{}, ", n - 1).repeat(8);
        format!("{text}a{n}: &a{n} [{of}]\n")
    });
    let cases = [
        ("aliases of aliases", laughs),
        ("deep lists", "[".repeat(100_000)),
        ("deep maps", "{a: ".repeat(50_000)),
        ("a deep block", lines(500, |n| format!("{}a:", " ".repeat(n)))),
        ("many keys", lines(100_000, |n| format!("k{n}: 1"))),
        ("a long key", format!("{}: 1\n", "k".repeat(1 << 20))),
        ("a huge number", format!("limits: {{open_tasks: {}}}\n", "9".repeat(100_000))),
        ("a huge size", format!("limits: {{payload_bytes: {}GiB}}\n", "9".repeat(1_000))),
        ("a huge duration", format!("session: {{ttl: {}s}}\n", "9".repeat(100_000))),
        ("one key twice", "limits: {queues: 1, queues: 2}\n".to_owned()),
        ("two documents", "limits: {}\n---\nlimits: {}\n".to_owned()),
        ("a cycle", "a: &a\n  b: *a\n".to_owned()),
        ("a tag", "data: !!binary aGVsbG8=\nlimits: !!python/object x\n".to_owned()),
        ("a merge of itself", "limits: &l\n  <<: *l\n  queues: 1\n".to_owned()),
    ];
    for (what, text) in cases {
        let error = read(&text).expect_err(what).to_string();
        assert!(!error.contains('\n') && error.len() < 2_000, "{what}: {}", error.len());
    }
}

/// A key, what it was, what it is, and whether only a restart brings it.
type Differs = (&'static str, &'static str, &'static str, bool);

/// Each key with another value than its default, and whether it can hold without a restart.
#[test]
fn what_differs_is_told_key_by_key() {
    let cases: [(&str, &[Differs]); 11] = [
        ("{}", &[]),
        ("limits: {open_tasks: 7}", &[("limits.open_tasks", "10000000", "7", false)]),
        ("limits: {connections: 7}", &[("limits.connections", "10000", "7", true)]),
        ("listen: 127.0.0.1:1", &[("listen", "127.0.0.1:7171", "127.0.0.1:1", true)]),
        ("data: elsewhere", &[("data", "leasehold-data", "elsewhere", true)]),
        ("insecure: true", &[("insecure", "false", "true", true)]),
        ("telemetry: {log_filter: debug}", &[("telemetry.log_filter", "info", "debug", true)]),
        (
            "session: {ttl: 40s}",
            &[
                ("session.heartbeat_interval", "5s", "10s", false),
                ("session.ttl", "20s", "40s", false),
            ],
        ),
        (
            "queues: {settings: {a.b: {exclusivity: best-effort}}}",
            &[
                ("queues.settings.\"a.b\".admission", "unset", "best-effort", false),
                ("queues.settings.\"a.b\".exclusivity", "unset", "best-effort", false),
                ("queues.settings.\"a.b\".late_results", "unset", "reject", false),
                ("queues.settings.\"a.b\".rate", "unset", "unlimited", false),
                ("queues.settings.\"a.b\".weight", "unset", "1", false),
            ],
        ),
        (
            "namespaces: {a.b: {open_tasks: 7, queues: {c: {weight: 2}}}}",
            &[
                ("namespaces.\"a.b\".open_tasks", "unset", "7", false),
                ("namespaces.\"a.b\".queues.c.weight", "unset", "2", false),
            ],
        ),
        (
            "retention: {keys: 1m}\ndefaults: {retry: {jitter: none}}",
            &[
                ("defaults.retry.jitter", "full", "none", false),
                ("retention.keys", "1h", "1m", false),
            ],
        ),
    ];
    for (text, expected) in cases {
        let (before, after) = (Config::default(), read(text).unwrap());
        let told = |from, to| -> Vec<_> {
            let changes = changes(from, to).unwrap();
            changes.into_iter().map(|it| (it.key, it.from, it.to, it.needs_restart)).collect()
        };
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, from, to, restart)| {
                ((*key).to_owned(), (*from).to_owned(), (*to).to_owned(), *restart)
            })
            .collect();
        assert_eq!(told(&before, &after), expected, "{text:?}");
        // And back, where what needs a restart has not been applied.
        let applied = before.without_restart(&after);
        let left: Vec<_> = told(&applied, &after).into_iter().map(|it| it.0).collect();
        let restarts = expected.iter().filter(|it| it.3).map(|it| it.0.clone());
        assert_eq!(left, restarts.collect::<Vec<_>>(), "{text:?}");
    }
}

#[test]
fn a_long_value_is_cut() {
    let mut config = Config::default();
    config.telemetry.log_filter = "x".repeat(1_000);
    let told = changes(&Config::default(), &config).unwrap();
    assert!(told.iter().all(|it| it.to.len() < 100), "{told:?}");
}

/// What a row of looks sees, a letter for each content, and what each look means.
#[test]
fn only_what_two_looks_have_seen_is_news() {
    let cases = [
        ("aaa", "===", "nothing is new"),
        ("abb", "=?!", "twice the same"),
        ("abbb", "=?!=", "told once"),
        ("abcc", "=??!", "half of it is seen by one look only"),
        ("abab", "=?=?", "back to what was, and not settled"),
        ("abbaa", "=?!?!", "back to an older content"),
        ("a--", "=?!", "a file that is gone is a content too"),
        ("a---", "=?!=", "which is told once"),
        ("a-b-", "=???", "gone and back"),
    ];
    for (looks, expected, what) in cases {
        let contents = |text: String| Contents { hash: Hash::of(text.as_bytes()), text };
        let mut watch = Watch::new(Hash::of(b"a"));
        let seen: String = looks
            .chars()
            .map(|letter| {
                let gone = || ConfigError::NoFile { path: "c.yaml".into() };
                let seen = (letter != '-').then(|| contents(letter.to_string())).ok_or_else(gone);
                match watch.look(&Look::new(seen)) {
                    Sight::Known => '=',
                    Sight::Unsettled => '?',
                    Sight::Settled => '!',
                }
            })
            .collect();
        assert_eq!(seen, expected, "{what}");
    }
}

#[test]
fn a_file_is_read_whole_or_not_at_all() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("c.yaml");
    let error = || Contents::read_again(&path).unwrap_err();
    assert!(matches!(error(), ConfigError::Unreadable { .. }), "it is not there");
    std::fs::write(&path, b"data: a\n").unwrap();
    let read = Contents::read_again(&path).unwrap();
    assert_eq!(read.text, "data: a\n");
    assert_eq!(read.hash.short(), "46f9fd1d5add");
    std::fs::write(&path, b"data: \xff\n").unwrap();
    assert!(matches!(error(), ConfigError::Unreadable { .. }), "it is no text");
    let full = usize::try_from(FILE_BYTES_MAX).unwrap();
    std::fs::write(&path, vec![b'#'; full]).unwrap();
    assert!(is_blank(&Contents::read_again(&path).unwrap().text));
    std::fs::write(&path, vec![b'#'; full + 1]).unwrap();
    assert!(matches!(error(), ConfigError::TooLarge { .. }), "a byte too many");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(error(), ConfigError::NoFile { .. }), "a directory");
}

proptest::proptest! {
    #[test]
    fn every_duration_reads_as_it_was_printed(nanos in 0_u64..=31_536_000_000_000_000) {
        let duration = Duration::from_nanos(nanos);
        assert_eq!(parse_duration(&duration::print(duration)), Ok(duration));
    }

    #[test]
    fn every_size_reads_as_it_was_printed(bytes in proptest::num::u64::ANY) {
        assert_eq!(size::parse(&size::print(bytes)), Some(bytes));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let too_long = parse_duration(&text).is_ok_and(|duration| duration > super::DURATION_MAX);
        assert!(!too_long);
        assert_eq!(size::parse(&text).map(size::print).and_then(|text| size::parse(&text)), size::parse(&text));
        if let Err(error) = read(&text) {
            assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn keys_of_limits() {
    let cases = [
        ("a", true),
        ("tenant/ü 7", true),
        (&*"x".repeat(128), true),
        (&*"x".repeat(129), false),
        ("", false),
        ("a\tb", false),
    ];
    for (text, is_key) in cases {
        assert_eq!(is_limit_key(text), is_key, "{text:?}");
    }
}
