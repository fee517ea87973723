//! Which command lines are understood.

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use super::Args;

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(line.split(' '))
}

#[test]
fn the_definition_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn good_command_lines() {
    let lines = [
        "leasehold task submit --type a",
        "leasehold task submit --type a payload --queue q --priority 0 --key k --label a=b --label c=",
        "leasehold task submit --type a - --delay 1.5s --deadline 5m --timeout 1m --total-timeout 1h",
        "leasehold task submit --type a --deadline 2030-01-31T12:00:00Z --wait",
        "leasehold task submit --type a --wait=30s payload",
        "leasehold task submit --jsonl tasks.jsonl",
        "leasehold task submit --jsonl - --type a --wait",
        "leasehold task submit --type a --priority -1",
        "leasehold task get id -o json",
        "leasehold task explain id",
        "leasehold -o json task list --queue q --state queued --state running --limit 5",
        "leasehold task wait a b --timeout 5s --address http://127.0.0.1:7",
        "leasehold task watch",
        "leasehold task watch a b",
        "leasehold task watch --queue q",
        "leasehold task cancel a b",
        "leasehold dead list --queue q --type t",
        "leasehold dead show a",
        "leasehold dead replay a --generation 2",
        "leasehold queue list",
        "leasehold queue explain q",
        "leasehold queue pause q",
        "leasehold queue resume q",
        "leasehold worker list",
        "leasehold worker drain w1 w2 --grace 30s",
        "leasehold schema fingerprint a.proto --message p.M --version 2 -I protos --include more",
        "leasehold schema fingerprint a.json --canonical -o json",
        "leasehold schema check a.json b.json",
        "leasehold cluster",
        "leasehold bench flow --spawn --tasks 1000",
        "leasehold bench flow --spawn --retention-zero",
        "leasehold bench flow --payload-bytes 8",
        "leasehold bench prefill --payload-bytes 1048576",
        "leasehold bench latency --rate 1000 --secs 10 --coordinator-pid 7",
        "leasehold completion bash",
    ];
    for line in lines {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn bad_command_lines() {
    let cases = [
        ("leasehold", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("leasehold task", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("leasehold task submit", ErrorKind::MissingRequiredArgument),
        ("leasehold task submit --type a x --file y", ErrorKind::ArgumentConflict),
        ("leasehold task submit --jsonl x y", ErrorKind::ArgumentConflict),
        ("leasehold task submit --jsonl x --key k", ErrorKind::ArgumentConflict),
        ("leasehold task submit --type a --check --wait", ErrorKind::ArgumentConflict),
        ("leasehold task submit --type a --priority high", ErrorKind::ValueValidation),
        ("leasehold task submit --type a --delay 5", ErrorKind::ValueValidation),
        ("leasehold task submit --type a --deadline soon", ErrorKind::ValueValidation),
        ("leasehold task submit --type a --wait=soon", ErrorKind::ValueValidation),
        ("leasehold task submit --type a --label x", ErrorKind::ValueValidation),
        ("leasehold task get", ErrorKind::MissingRequiredArgument),
        ("leasehold task list --state lost", ErrorKind::InvalidValue),
        ("leasehold task watch a --queue q", ErrorKind::ArgumentConflict),
        ("leasehold task wait", ErrorKind::MissingRequiredArgument),
        ("leasehold worker drain", ErrorKind::MissingRequiredArgument),
        ("leasehold schema check a", ErrorKind::MissingRequiredArgument),
        ("leasehold schema fingerprint a --version @", ErrorKind::ValueValidation),
        ("leasehold cluster -o yaml", ErrorKind::InvalidValue),
        ("leasehold bench flow --tasks 0", ErrorKind::ValueValidation),
        ("leasehold bench flow --payload-bytes 7", ErrorKind::ValueValidation),
        ("leasehold bench prefill --payload-bytes 1048577", ErrorKind::ValueValidation),
        ("leasehold bench flow --retention-zero", ErrorKind::MissingRequiredArgument),
        ("leasehold bench flow --data-in x", ErrorKind::MissingRequiredArgument),
        ("leasehold bench flow --spawn --coordinator-pid 1", ErrorKind::ArgumentConflict),
        ("leasehold tasks", ErrorKind::InvalidSubcommand),
    ];
    for (line, kind) in cases {
        let error = parse(line).expect_err(line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
    }
}
