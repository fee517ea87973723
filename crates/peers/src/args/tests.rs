//! Who takes turns.

use anyhow::Result;
use clap::Parser as _;

use super::{Args, Case, Command};

fn contenders(line: &str) -> Result<Vec<String>> {
    let args = Args::try_parse_from(line.split(' '))?;
    let Command::Measure(case) = args.command else { return Ok(Vec::new()) };
    Ok(args.contenders(case)?.iter().map(ToString::to_string).collect())
}

#[test]
fn each_peer_takes_turns_with_what_suits_it() -> Result<()> {
    let at_rest = ["leasehold, 2000 slots", "leasehold, retention 0, 2000 slots"];
    let in_flow = [
        "leasehold, 2000 slots",
        "leasehold, 10000 slots",
        "leasehold, retention 0, 2000 slots",
        "leasehold, retention 0, 10000 slots",
    ];
    let cases: [(&str, &[&str]); 4] = [
        ("flow --peer echo", &["echo: the transport alone"]),
        (
            "flow --peer rabbitmq",
            &["rabbitmq quorum, prefetch 500", "rabbitmq quorum, prefetch 2000"],
        ),
        ("latency --peer graphile", &["graphile-worker, local queue 500"]),
        (
            "latency --peer postgres --peer echo",
            &["postgres skip locked, reads of 500", "echo: the transport alone"],
        ),
    ];
    for (line, theirs) in cases {
        let ours = if line.starts_with("flow") { &in_flow[..] } else { &at_rest };
        let all: Vec<_> = ours.iter().chain(theirs).copied().collect();
        assert_eq!(contenders(&format!("leasehold-peers {line}"))?, all, "{line}");
    }
    assert_eq!(contenders("leasehold-peers flow")?.len(), in_flow.len() + 6 * 2 + 1);
    Ok(())
}

#[test]
fn a_server_of_ours_is_no_case() -> Result<()> {
    let args = Args::try_parse_from(["leasehold-peers", "serve-echo", "4711"])?;
    assert!(matches!(args.command, Command::ServeEcho { port: 4_711 }));
    assert!(Args::try_parse_from(["leasehold-peers", "serve-echo"]).is_err());
    let zero = Args::try_parse_from(["leasehold-peers", "flow", "--rounds", "0"])?;
    assert!(zero.contenders(Case::Flow { tasks: 1 }).is_err());
    Ok(())
}
