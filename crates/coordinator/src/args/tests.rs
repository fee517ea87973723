//! Flags over a file over defaults.

use std::{io::Write as _, time::Duration};

use clap::Parser as _;

use super::Args;
use crate::config::{Config, ConfigError, LogFormat};

fn args(flags: &[&str]) -> Result<Args, clap::Error> {
    Args::try_parse_from(["leasehold-coordinator"].iter().chain(flags))
}

#[test]
fn without_flags_everything_is_default() {
    assert_eq!(args(&[]).unwrap().config().unwrap().config, Config::default());
}

#[test]
fn flags_win_over_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"data: from-file\nlisten: 127.0.0.1:1\nsession: {ttl: 30s}\n").unwrap();
    let path = file.path().to_str().unwrap();
    let config =
        args(&["--config", path, "--listen", "127.0.0.1:0"]).unwrap().config().unwrap().config;
    assert_eq!(config.data.to_str(), Some("from-file"));
    assert_eq!(config.listen.port(), 0);
    assert_eq!(config.session.ttl, Duration::from_secs(30));
}

#[test]
fn every_flag_lands_in_its_key() {
    let flags = [
        "--listen=127.0.0.1:1",
        "--ops-listen=[::1]:2",
        "--data=d",
        "--insecure",
        "--session-ttl=2s",
        "--heartbeat-interval=400ms",
        "--otlp-endpoint=http://o",
        "--log-format=json",
        "--log-filter=debug",
    ];
    let config = args(&flags).unwrap().config().unwrap().config;
    assert_eq!(config.listen.to_string(), "127.0.0.1:1");
    assert_eq!(config.ops_listen.to_string(), "[::1]:2");
    assert_eq!(config.data.to_str(), Some("d"));
    assert!(config.insecure);
    assert_eq!(config.session.ttl, Duration::from_secs(2));
    assert_eq!(config.session.heartbeat_interval, Duration::from_millis(400));
    assert_eq!(config.telemetry.otlp_endpoint, "http://o");
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
    assert_eq!(config.telemetry.log_filter, "debug");
}

#[test]
fn a_ttl_alone_brings_its_heartbeats() {
    let config = args(&["--session-ttl=2s"]).unwrap().config().unwrap().config;
    assert_eq!(config.session.heartbeat_interval, Duration::from_millis(500));
}

#[test]
fn wrong_flags_say_what_is_wrong() {
    let cases = [
        (vec!["--session-ttl=5"], "needs a unit"),
        (vec!["--listen=localhost:1"], "invalid socket address"),
        (vec!["--log-format=xml"], "possible values"),
        (vec!["--check", "--print-config"], "cannot be used with"),
        (vec!["--nonsense"], "unexpected argument"),
    ];
    for (flags, expected) in cases {
        let said = args(&flags).unwrap_err().to_string();
        assert!(said.contains(expected), "{flags:?}: {said}");
    }
}

#[test]
fn flags_are_checked_like_the_file() {
    let said = args(&["--listen=0.0.0.0:7171"]).unwrap().config().unwrap_err().to_string();
    assert!(said.starts_with("listen: ") && said.contains("--insecure"), "{said}");
    assert!(args(&["--listen=0.0.0.0:7171", "--insecure"]).unwrap().config().is_ok());
}

#[test]
fn a_missing_file_is_named() {
    let error = args(&["--config=/nonexistent/c.yaml"]).unwrap().config().unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_eq!(error.to_string(), "cannot read /nonexistent/c.yaml");
}
