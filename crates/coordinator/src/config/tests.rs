//! What a configuration file may say, and what is said back where it is wrong.

use std::{collections::BTreeSet, path::Path, time::Duration};

use leasehold_policy::ParseDurationError as Malformed;

use super::{
    Config, ConfigError, ParseDurationError, Session,
    duration::{self, parse as parse_duration},
    rate::{Per, RateLimit},
    size,
};

const SAMPLE: &str = include_str!("../../../../config/coordinator.yaml");

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
        "queues: {settings: {thumbs: {retention: {finished: 0s}}}}\nsession: {ttl: 2500ms}\n\
         limits: {payload_bytes: 300001}\n",
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
    assert_eq!(config.queue().late_results, ["a".into()].into());
}

#[test]
fn queues_and_their_keys_have_weights() {
    let config =
        read("queues: {aging_every: 9, settings: {a: {weight: 3, weights: {red: 2}}}}\n").unwrap();
    let queue = config.queue();
    assert_eq!((queue.valve, queue.weights["a"].queue, queue.weights["a"].keys["red"]), (9, 3, 2));
    let cases = [
        ("aging_every: 0", "must be at least 1"),
        ("settings: {b: {weight: 0}}", "weight of queue \"b\": 0 is not 1 to 1000"),
        ("settings: {c: {weights: {x: 1001}}}", "weights.x of queue \"c\": 1001 is not 1 to 1000"),
    ];
    for (text, expected) in cases {
        let said = format!("{:?}", read(&format!("queues: {{{text}}}\n")).unwrap_err());
        assert!(said.replace('\\', "").contains(expected), "{said}");
    }
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
    let cases: [(&str, &[&str]); 26] = [
        ("listen: 0.0.0.0:7171\n", &["listen"]),
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
        (
            "queues: {settings: {'a b': {retention: {failed: 0s}}}}\n",
            &["queues.settings", "queues.settings"],
        ),
        ("scaling: {interval: 99ms, cooldown: 0s}\n", &["scaling.interval", "scaling.cooldown"]),
        ("scaling: {cpu_low: 76}\n", &["scaling.cpu_low"]),
        ("scaling: {cpu_high: 101}\n", &["scaling.cpu_high"]),
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
            Err(ConfigError::Invalid { violations }) => violations.iter().map(|v| v.key).collect(),
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
