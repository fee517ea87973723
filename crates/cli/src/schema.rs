//! `leasehold schema`: fingerprints of payload schemas, and whether readers of two of them read each other's payloads.
//!
//! It talks to no coordinator: CI runs it before anything is deployed.

use std::path::PathBuf;

use clap::Subcommand;
use leasehold_schema::{Change, Report, Verdict, Version};
use serde::Serialize;

use self::source::read;
use crate::{
    Done,
    args::Format,
    exit::Exit,
    failure::say,
    output::Output,
    payload::printable,
    table::{Cell, Column, Table, Tone},
};

mod source;

/// What to do with payload schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Print the fingerprint of a schema
    #[command(disable_version_flag = true)]
    Fingerprint(FingerprintArgs),
    /// Say whether readers of two schemas still read each other's payloads
    ///
    /// Exits with 0 if both do, and with 6 if one may not: what cannot be decided counts as breaking.
    Check(CheckArgs),
}

/// What `schema fingerprint` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct FingerprintArgs {
    /// The schema: NAME.proto, NAME.json (JSON Schema), or an encoded `FileDescriptorSet` under any other name
    file: PathBuf,

    #[command(flatten)]
    protobuf: ProtobufArgs,

    /// A version that is hashed too, so that payloads of two versions are kept apart
    #[arg(id = "schema-version", long = "version", value_name = "VERSION")]
    version: Option<Version>,

    /// Print the canonical form, of which the fingerprint is the SHA-256
    #[arg(long)]
    canonical: bool,
}

/// What `schema check` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The schema that was
    old: PathBuf,

    /// The schema that is to be
    new: PathBuf,

    #[command(flatten)]
    protobuf: ProtobufArgs,
}

/// What protobuf needs to be told.
#[derive(Debug, clap::Args)]
struct ProtobufArgs {
    /// The full name of the payload's message [default: the only one that is not nested]
    #[arg(long, value_name = "NAME")]
    message: Option<String>,

    /// Where imports of a .proto are looked for, several times if need be [default: the directory it is in]
    #[arg(long, short = 'I', value_name = "DIR")]
    include: Vec<PathBuf>,
}

pub(crate) fn run(command: &SchemaCommand, output: Output) -> Done {
    match command {
        SchemaCommand::Fingerprint(args) => fingerprint(args, output),
        SchemaCommand::Check(args) => check(args, output),
    }
}

fn fingerprint(args: &FingerprintArgs, output: Output) -> Done {
    let schema = read(&args.file, &args.protobuf)?;
    let version = args.version.as_ref();
    let canonical = schema.canonical(version);
    let print = schema.fingerprint(version).to_string();
    match output.format() {
        Format::Json => output.document(&FingerprintJson {
            fingerprint: &print,
            language: schema.language(),
            message: schema.message(),
            version: version.map(ToString::to_string),
            canonical_bytes: canonical.len(),
            canonical: args.canonical.then_some(canonical.as_str()),
        })?,
        Format::Table if args.canonical => output.bytes(canonical.as_bytes())?,
        Format::Table => output.line(&print)?,
    }
    Ok(Exit::Ok)
}

fn check(args: &CheckArgs, output: Output) -> Done {
    let old = read(&args.old, &args.protobuf)?;
    let new = read(&args.new, &args.protobuf)?;
    let report = old.changes(&new);
    match output.format() {
        Format::Json => output.document(&ReportJson::of(&report))?,
        Format::Table if report.changes().is_empty() => output.line("the same schema")?,
        Format::Table => output.table(&table(&report))?,
    }
    for change in report.changes().iter().filter(|it| it.is_breaking()) {
        say(&printable(&breaking(change)));
    }
    let worst = report.new_reads_old().max(report.old_reads_new());
    Ok(if worst == Verdict::Reads { Exit::Ok } else { Exit::Conflict })
}

/// Who does not read what, in one line.
fn breaking(change: &Change) -> String {
    let side = |reader: &str, writer: &str, verdict| match verdict {
        Verdict::Reads => None,
        Verdict::Undecided => Some(format!("{reader} may not read {writer}")),
        Verdict::Breaks => Some(format!("{reader} does not read {writer}")),
    };
    let sides =
        [side("NEW", "OLD", change.new_reads_old), side("OLD", "NEW", change.old_reads_new)];
    let sides = sides.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("breaking: {}: {} ({sides})", change.place, change.what)
}

fn table(report: &Report) -> Table {
    let mut table = Table::new([
        Column::Left("PLACE"),
        Column::Left("NEW READS OLD"),
        Column::Left("OLD READS NEW"),
        Column::Left("CHANGE"),
    ]);
    for change in report.changes() {
        table.row([
            change.place.as_str().into(),
            cell(change.new_reads_old),
            cell(change.old_reads_new),
            change.what.as_str().into(),
        ]);
    }
    table
}

fn cell(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Reads => Cell::toned("yes", Tone::Good),
        Verdict::Undecided => Cell::toned("undecided", Tone::Bad),
        Verdict::Breaks => Cell::toned("no", Tone::Bad),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FingerprintJson<'a> {
    fingerprint: &'a str,
    language: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    canonical_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportJson<'a> {
    new_reads_old: &'static str,
    old_reads_new: &'static str,
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeJson<'a> {
    place: &'a str,
    change: &'a str,
    new_reads_old: &'static str,
    old_reads_new: &'static str,
}

impl<'a> ReportJson<'a> {
    fn of(report: &'a Report) -> Self {
        let change = |it: &'a Change| ChangeJson {
            place: &it.place,
            change: &it.what,
            new_reads_old: word(it.new_reads_old),
            old_reads_new: word(it.old_reads_new),
        };
        Self {
            new_reads_old: word(report.new_reads_old()),
            old_reads_new: word(report.old_reads_new()),
            changes: report.changes().iter().map(change).collect(),
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reads => "READS",
        Verdict::Undecided => "UNDECIDED",
        Verdict::Breaks => "BREAKS",
    }
}
