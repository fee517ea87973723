//! Flags, and how they lie over the file.

use clap::Parser as _;

use super::{CommandLine, File, Role};
use crate::config::{Command, Config};

fn config(flags: &[&str]) -> Result<Config, String> {
    let flags = std::iter::once(&"leasehold-worker").chain(flags);
    let line = CommandLine::try_parse_from(flags).map_err(|error| error.to_string())?;
    let config = match line.role {
        None => line.worker.file().and_then(|it| line.worker.over(it.as_ref().map(File::text))),
        Some(Role::Pool(pool)) => {
            pool.worker.file().and_then(|it| pool.over(it.as_ref().map(File::text)))
        }
    };
    config.map_err(|error| error.to_string())
}

fn command(flags: &[&str], task_type: &str) -> Vec<String> {
    let config = config(flags).expect("flags that are taken");
    let Command(words) = config.programs[task_type].command.clone();
    words
}

#[test]
fn a_command_is_split_like_a_shell_does_and_nothing_is_expanded() {
    let table: [(&[&str], &[&str]); 6] = [
        (&["--program", "t=sha256sum"], &["sha256sum"]),
        (&["--program", "t=sha256sum -b -"], &["sha256sum", "-b", "-"]),
        (&["--program", "t=sh -c 'echo \"$HOME\" > x'"], &["sh", "-c", "echo \"$HOME\" > x"]),
        (&["--program", "t=env A=B c"], &["env", "A=B", "c"]),
        (&["--program", "t", "--", "sh", "-c", "a  b"], &["sh", "-c", "a  b"]),
        (&["--program", "u=true", "--program", "t", "--", "--help"], &["--help"]),
    ];
    for (flags, words) in table {
        assert_eq!(command(flags, "t"), words, "{flags:?}");
    }
}

#[test]
fn resources_lie_over_those_of_the_file() {
    let resources = |flags: &[&str]| config(flags).map(|config| config.resources);
    let two = ["--resource", "gpu=2", "--resource", "memory_mb=4096"];
    let expected = [("gpu".to_owned(), 2), ("memory_mb".to_owned(), 4_096)];
    assert_eq!(resources(&two), Ok(expected.into()));
    for flag in ["gpu", "gpu=", "gpu=some", "gpu=-1", "gpu=1.5"] {
        let error = format!("--resource {flag}: write NAME=AMOUNT, a whole number such as gpu=2");
        assert_eq!(resources(&["--resource", flag]), Err(error));
    }
}

#[test]
fn a_command_that_is_none_is_named() {
    let table: [(&[&str], &str); 5] = [
        (&["--program", "t"], "--program t: no command: write TYPE=COMMAND"),
        (&["--program", "t="], "--program t=: the command is empty"),
        (&["--program", "t=''"], "--program t='': the command is empty"),
        (&["--program", "t='a"], "--program t='a: the command has an open quote"),
        (
            &["--program", "t=a", "--", "b"],
            "--program --: the command after -- needs one --program TYPE without a command",
        ),
    ];
    for (flags, error) in table {
        assert_eq!(config(flags).expect_err("it is refused"), error, "{flags:?}");
    }
}

#[test]
fn flags_win_over_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("worker.yaml");
    let text = "slots: 3\nid: file\nprograms: {t: {command: a}, u: {command: b}}\n";
    std::fs::write(&file, text).expect("it can be written");
    let file = file.to_str().expect("a plain name");
    let config =
        config(&["--config", file, "--id", "flag", "--program", "t=c"]).expect("it is taken");
    assert_eq!((config.slots, config.id.as_deref()), (Some(3), Some("flag")));
    let commands: Vec<&Command> = config.programs.values().map(|it| &it.command).collect();
    assert_eq!(commands, [&Command(vec!["c".to_owned()]), &Command(vec!["b".to_owned()])]);
}

#[test]
fn a_pool_takes_the_flags_of_a_worker_and_its_own() {
    let flags =
        ["pool", "--min", "2", "--max", "8", "--id", "p", "--program", "t", "--", "cat", "-"];
    let config = config(&flags).expect("it is taken");
    assert_eq!((config.pool.min, config.pool.max), (Some(2), Some(8)));
    assert_eq!(
        (config.id.as_deref(), command(&flags, "t")),
        (Some("p"), vec!["cat".to_owned(), "-".to_owned()])
    );
    // What is meant for one worker and stands before `pool` would be lost.
    let refused = ["--id", "p", "pool", "--program", "t=cat"];
    assert!(self::config(&refused).is_err());
}
