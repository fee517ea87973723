//! Where packages are, and what the ends say.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{DRIVER, Library, delays, histogram};
use crate::server::Program;

const LIBRARIES: [Library; 2] = [Library::Amqplib, Library::GraphileWorker];

#[test]
fn what_is_not_installed_is_named() -> Result<()> {
    let prefix = tempfile::tempdir()?;
    for library in LIBRARIES {
        let missing = |prefix| match library.installed(prefix) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(missing(None).contains("--npm-prefix"));
        for package in library.packages() {
            let said = missing(Some(prefix.path()));
            assert!(said.starts_with(&format!("{package} is not installed in ")), "{said}");
            let directory = prefix.path().join("node_modules").join(package);
            fs::create_dir_all(&directory)?;
            fs::write(directory.join("package.json"), "{}")?;
        }
        assert_eq!(library.installed(Some(prefix.path()))?, prefix.path());
    }
    Ok(())
}

#[test]
fn the_driver_knows_every_peer_and_each_of_its_packages() {
    for library in LIBRARIES {
        assert!(DRIVER.contains(&format!("\n  {}: {{\n", library.peer())), "{library:?}");
        for package in library.packages() {
            assert!(DRIVER.contains(&format!("require('{package}')")), "{package}");
        }
    }
}

#[test]
fn an_end_says_delays_or_something_is_wrong() -> Result<()> {
    for (line, expected) in [("[]", vec![]), ("[7,1200]", vec![7, 1_200])] {
        assert_eq!(delays(line)?, expected);
    }
    for line in ["", "ready", "[-1]", "[1.5]"] {
        assert!(delays(line).is_err(), "{line:?}");
    }
    assert_eq!(histogram(&[7, 1_200], 2)?.max(), 1_200);
    assert!(histogram(&[7], 2).is_err(), "a task was not started");
    Ok(())
}

#[test]
fn a_program_ends_with_its_guard() -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$; read go"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = Program::start(&mut command)?;
    let (told, said) = program.pipes().context("its pipes")?;
    let mut pid = String::new();
    BufReader::new(said).read_line(&mut pid)?;
    let process = std::path::Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    drop(program);
    assert!(!process.exists(), "it was waited for, with its input open");
    drop(told);
    Ok(())
}
