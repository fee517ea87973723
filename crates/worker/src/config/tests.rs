//! The file: every key, every mistake with its place.

use std::{path::Path, time::Duration};

use super::{Command, Config, Drain};

/// The file that lists every key, as it is shipped.
const SHIPPED: &str = include_str!("../../../../config/worker.yaml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("w.yaml")).map_err(|error| error.to_string())
}

/// The shipped file with what is commented out put in force.
fn uncommented() -> String {
    let is_example = |rest: &str| {
        let key = rest.trim_start().split(':').next().unwrap_or_default();
        rest.contains(':') && key.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
    };
    let line = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix("# ").filter(|_| indent.is_empty() || indent == "  ") {
            Some(key) if is_example(key) && !key.contains(". ") => format!("{indent}{key}"),
            _ => match rest.strip_prefix('#').filter(|it| it.starts_with("  ") && is_example(it)) {
                Some(key) => key.to_owned(),
                None => line.replace(" {}", ""),
            },
        }
    };
    SHIPPED.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let shipped = parse(SHIPPED).expect("it is taken");
    let address = "http://127.0.0.1:7171".to_owned();
    let expected = Config {
        address: Some(address),
        drain_grace: Some(Drain(Duration::from_secs(30))),
        telemetry: super::Telemetry {
            log_filter: Some("info".to_owned()),
            ..super::Telemetry::default()
        },
        ..Config::default()
    };
    assert_eq!(shipped, expected);
}

#[test]
fn the_shipped_file_names_every_key() {
    let config = parse(&uncommented()).unwrap_or_else(|error| panic!("{error}\n{}", uncommented()));
    assert!(config.id.is_some() && config.slots.is_some() && !config.labels.is_empty());
    assert!(config.state_dir.is_some() && config.pool.min.is_some() && config.pool.max.is_some());
    assert!(config.pool.poll.is_some());
    assert!(config.lost_slots_max.is_some() && config.on_session_lost.is_some());
    assert!(config.telemetry.otlp_endpoint.is_some());
    let words = |words: &[&str]| Command(words.iter().map(|it| (*it).to_owned()).collect());
    assert_eq!(config.programs["sha"].command, words(&["sha256sum"]));
    let thumbnail = &config.programs["thumbnail"];
    assert_eq!(thumbnail.command, words(&["convert", "-", "-resize", "200x200", "png:-"]));
    assert!(thumbnail.directory.is_some() && !thumbnail.env.is_empty());
    assert_eq!(thumbnail.schemas.len(), 1);
    assert_eq!((config.resources["gpu"], config.resources["memory_mb"]), (2, 65_536));
    config.worker().check().expect("it can be used");
}

#[test]
fn a_file_of_comments_changes_nothing() {
    for text in ["", "# nothing\n\n  # at all\n"] {
        assert_eq!(parse(text), Ok(Config::default()));
    }
}

#[test]
fn a_mistake_is_named_with_its_place() {
    for (text, error) in [
        (
            "slots: 2\nslotz: 3\n",
            "w.yaml:2:1: unknown field `slotz`, expected one of address, id, slots, resources, prefetch, labels, \
             namespaces, drain_grace, on_session_lost, lost_slots_max, state_dir, programs, pool, telemetry",
        ),
        ("slots: 2\nslots: 3\n", "w.yaml:2:1: duplicate mapping key: slots"),
        ("slots: many\n", "w.yaml:1:8: invalid u32"),
        (
            "drain_grace: 30\n",
            "w.yaml:1:14: a duration needs a unit after each number: d, h, m, s, ms, us or ns",
        ),
        ("programs:\n  t:\n    command: ''\n", "w.yaml:3:14: the command is empty"),
        ("programs:\n  t:\n    command: \"a 'b\"\n", "w.yaml:3:14: the command has an open quote"),
        ("programs:\n  t:\n    command: []\n", "w.yaml:3:14: the command is empty"),
    ] {
        assert_eq!(parse(text).expect_err("it is refused"), error, "{text}");
    }
}

#[test]
fn durations_are_numbers_with_units() {
    let ms = |ms| Some(Duration::from_millis(ms));
    for (text, duration) in [
        ("500ms", ms(500)),
        ("30s", ms(30_000)),
        ("5m", ms(300_000)),
        ("1h", ms(3_600_000)),
        ("0s", ms(0)),
        ("5", None),
        ("s", None),
        ("-5s", None),
        ("1.5s", ms(1_500)),
        ("1h30m", ms(5_400_000)),
        ("5 s", None),
        ("5d", ms(432_000_000)),
        ("", None),
    ] {
        assert_eq!(text.parse().ok().map(|Drain(it)| it), duration, "{text:?}");
    }
}
