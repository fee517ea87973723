//! `leasehold config`: the configuration of a coordinator, as it runs and as a file.
//!
//! What a file means is the business of the crate that the coordinator reads it with; what would change is the
//! coordinator's.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use leasehold_client::{
    Client,
    v1::{ConfigChange, GetConfigResponse},
};
use leasehold_config::{Config, ConfigError, Contents, Place, Telemetry, Violation};
use leasehold_telemetry::Settings;

use crate::{
    Done,
    args::Format,
    exit::Exit,
    failure::{Failure, say},
    json::{ChangesJson, ConfigJson, ViolationsJson},
    output::Output,
    table::{Cell, Column, Table, Tone},
    words,
};

/// What to do with configurations.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a coordinator's file is right, with line and column of what is not; asks no coordinator
    ///
    /// Exit codes: 0 it is right; 2 it is not, or cannot be read.
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the JSON Schema of a coordinator's file, for editors; asks no coordinator
    Schema,
    /// Print the configuration that the coordinator runs with, every key named
    Show,
    /// Show what the coordinator's file, or another one in its place, would change
    Diff {
        /// A file to compare with [default: the coordinator's own, as it stands]
        file: Option<PathBuf>,
    },
    /// Let the coordinator read its file now, and say what has changed
    Reload,
}

/// What needs no coordinator. None: the command does.
pub(crate) fn offline(command: &ConfigCommand, output: Output) -> Option<Done> {
    match command {
        ConfigCommand::Check { file } => Some(check(file, output)),
        ConfigCommand::Schema => {
            Some(output.document(&leasehold_config::schema()).map(|()| Exit::Ok))
        }
        ConfigCommand::Show | ConfigCommand::Diff { .. } | ConfigCommand::Reload => None,
    }
}

pub(crate) async fn run(command: ConfigCommand, client: &Client, output: Output) -> Done {
    match command {
        ConfigCommand::Show => show(&client.config().await?, output),
        ConfigCommand::Diff { file } => {
            let text = file.as_deref().map(read).transpose()?;
            let diff = client.diff_config(text).await?;
            match output.format() {
                Format::Json => output.document(&ChangesJson::from(&diff))?,
                Format::Table => {
                    let (from, to) = (words::hash(&diff.from_hash), words::hash(&diff.to_hash));
                    say(&format!(
                        "from {} to {to}",
                        if from.is_empty() { "no file" } else { from }
                    ));
                    list(&diff.changes, diff.omitted_change_count, output)?;
                }
            }
            Ok(Exit::Ok)
        }
        ConfigCommand::Reload => {
            let reloaded = client.reload_config().await?;
            match output.format() {
                Format::Json => output.document(&ChangesJson::from(&reloaded))?,
                Format::Table => {
                    say(&format!("{} holds", words::hash(&reloaded.hash)));
                    list(&reloaded.changes, reloaded.omitted_change_count, output)?;
                }
            }
            Ok(Exit::Ok)
        }
        // Handled before anything is started.
        ConfigCommand::Check { .. } | ConfigCommand::Schema => Ok(Exit::Ok),
    }
}

fn check(file: &Path, output: Output) -> Done {
    let checked = Contents::read(file).and_then(|Contents { text, .. }| {
        let config = Config::parse(&text, file)?;
        let mut violations = config.check().err().map_or_else(Vec::new, |it| it.violations());
        violations.extend(telemetry(&config));
        if violations.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Invalid { path: None, violations }.placed(&text, file))
    });
    let violations = checked.as_ref().err().map(ConfigError::violations).unwrap_or_default();
    let name = file.display().to_string();
    match output.format() {
        Format::Json => output.document(&ViolationsJson::new(&name, &violations))?,
        Format::Table => {
            for violation in &violations {
                output.line(&line(&name, violation))?;
            }
        }
    }
    Ok(if checked.is_ok() { Exit::Ok } else { Exit::Usage })
}

/// What of logs and traces the next start would refuse.
fn telemetry(config: &Config) -> impl Iterator<Item = Violation> {
    let Telemetry { otlp_endpoint, log_filter, .. } = &config.telemetry;
    let (endpoint, filter) = (Some(otlp_endpoint.clone()), Some(log_filter.clone()));
    let of_spans = Settings { otlp_endpoint: endpoint, ..Settings::new("leasehold") };
    let of_lines = Settings { log_filter: filter, ..Settings::new("leasehold") };
    let checks = [("telemetry.otlp_endpoint", of_spans), ("telemetry.log_filter", of_lines)];
    checks.into_iter().filter_map(|(key, settings)| {
        let problem = leasehold_telemetry::check(&settings).err()?.to_string();
        Some(Violation { key: key.into(), place: None, problem })
    })
}

/// As compilers write it, so that editors find the place.
fn line(name: &str, Violation { key, place, problem }: &Violation) -> String {
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    match place {
        Some(Place { line, column }) => format!("{name}:{line}:{column}: {key}{problem}"),
        // What is said of a file as a whole names it.
        None if key.is_empty() => problem.clone(),
        None => format!("{name}: {key}{problem}"),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let contents = Contents::read(file);
    contents.map(|it| it.text).map_err(|error| Failure::Config { error })
}

fn show(config: &GetConfigResponse, output: Output) -> Done {
    match output.format() {
        Format::Json => output.document(&ConfigJson::from(config))?,
        Format::Table => {
            output.bytes(config.yaml.as_bytes())?;
            if !config.pending_changes.is_empty() {
                let keys = config.pending_changes.iter().map(|change| change.key.as_str());
                let keys = keys.collect::<Vec<_>>().join(", ");
                say(&format!("the file says otherwise, and a restart applies it: {keys}"));
            }
            if let Some(refusal) = &config.refusal {
                say(&format!("the file is refused: {}", refusal.message));
            }
        }
    }
    Ok(Exit::Ok)
}

fn list(changes: &[ConfigChange], omitted: i32, output: Output) -> Result<(), Failure> {
    let mut table = Table::new([
        Column::Left("KEY"),
        Column::Left("FROM"),
        Column::Left("TO"),
        Column::Left("HOLDS"),
    ]);
    for change in changes {
        let holds = if change.needs_restart {
            Cell::toned("after a restart", Tone::Busy)
        } else {
            Cell::from("at once")
        };
        table.row([
            change.key.as_str().into(),
            change.from_value.as_str().into(),
            change.to_value.as_str().into(),
            holds,
        ]);
    }
    output.table(&table)?;
    if 0 < omitted {
        say(&format!("and {omitted} more"));
    }
    Ok(())
}
