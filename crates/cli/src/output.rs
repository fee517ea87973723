//! Stdout: where data goes, in the format that was asked for.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::{
    args::Format,
    failure::Failure,
    table::{Colour, Details, Table},
};

/// Stdout, and how to write to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    colour: Colour,
}

impl Output {
    /// Colours only a terminal, and only while `NO_COLOR` is unset or empty.
    pub(crate) fn new(format: Format) -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour =
            if io::stdout().is_terminal() && !is_unwanted { Colour::On } else { Colour::Off };
        Self { format, colour }
    }

    pub(crate) fn format(self) -> Format {
        self.format
    }

    pub(crate) fn table(self, table: &Table) -> Result<(), Failure> {
        write(table.render(self.colour).as_bytes())
    }

    pub(crate) fn details(self, details: &Details) -> Result<(), Failure> {
        write(details.render(self.colour).as_bytes())
    }

    /// One document, indented for people.
    pub(crate) fn document(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(unwritable)?;
        self.line(&text)
    }

    /// One document of many, on a line of its own.
    pub(crate) fn json_line(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(unwritable)?;
        self.line(&text)
    }

    /// Bytes as they are.
    #[expect(clippy::unused_self, reason = "only who was given an output writes data")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        write(bytes)
    }

    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|source| Failure::Write { source })
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::Write { source: error.into() }
}
