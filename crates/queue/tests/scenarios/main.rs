//! The rules, one scenario each: a line at the margin is a command, the indented lines below it are everything it
//! answers and sends.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a script that cannot be played has to stop the test"
)]

mod stage;

mod admission;
mod attempts;
mod breakers;
mod checkpoint;
mod doom;
mod estimate;
mod eviction;
mod exclusivity;
mod explain;
mod extension;
mod feasibility;
mod guarantee;
mod late;
mod ledger;
mod limits;
mod namespaces;
mod order;
mod prefetch;
mod progress;
mod recovery;
mod revocation;
mod schema;
mod sessions;
mod sizes;
mod turns;

/// Plays the commands of a script and compares all that happens with what the script says.
fn check(script: &str) {
    let script: Vec<&str> = script.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let margin = script.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let script: Vec<&str> = script.iter().map(|line| &line[margin..]).collect();
    let mut stage = stage::Stage::new();
    let mut transcript = Vec::new();
    for command in script.iter().filter(|line| !line.starts_with(' ')) {
        transcript.push((*command).to_owned());
        transcript.extend(stage.play(command).iter().map(|line| format!("    {line}")));
    }
    let (is, should_be) = (transcript.join("\n"), script.join("\n"));
    assert!(is == should_be, "this happened:\n{is}\n\nthis should have:\n{should_be}\n");
}
