//! Aligned columns. It knows widths and colours, not what it prints.

use crate::payload::printable;

/// The space between columns.
const GAP: &str = "  ";

/// How a cell is coloured, on a terminal that wants colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Not at all.
    #[default]
    Plain,
    /// As something good.
    Good,
    /// As something to look at.
    Bad,
    /// As something in progress.
    Busy,
    /// As something that matters less.
    Faint,
}

impl Tone {
    /// The escape sequence that starts it.
    fn start(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\u{1b}[32m",
            Self::Bad => "\u{1b}[31m",
            Self::Busy => "\u{1b}[33m",
            Self::Faint => "\u{1b}[2m",
        }
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub(crate) fn toned(text: &str, tone: Tone) -> Self {
        Self { text: printable(text), tone }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// On which side a column's cells begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Text.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Left(title) | Self::Right(title) => title,
        }
    }
}

/// Whether escape sequences are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// Rows under titled columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The table as text, its titles included; a line for each row.
    pub(crate) fn render(&self, colour: Colour) -> String {
        let titles: Vec<Cell> =
            self.columns.iter().map(|column| Cell::toned(column.title(), Tone::Faint)).collect();
        let widths = self.widths();
        let mut text = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            text.push_str(&self.line(row, &widths, colour));
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let width = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default();
            widest.max(column.title().len())
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], colour: Colour) -> String {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let padding = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let text = painted(cell, colour);
            let parts = match column {
                Column::Left(_) => [text, padding],
                Column::Right(_) => [padding, text],
            };
            line.extend(parts);
            line.push_str(GAP);
        }
        line.trim_end().to_owned()
    }
}

/// Names and values below each other, the values aligned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    lines: Vec<(&'static str, Cell)>,
}

impl Details {
    /// Adds a line.
    pub(crate) fn line(&mut self, name: &'static str, value: impl Into<Cell>) {
        self.lines.push((name, value.into()));
    }

    /// Adds a line if there is something to say.
    pub(crate) fn maybe(&mut self, name: &'static str, value: Option<impl Into<Cell>>) {
        if let Some(value) = value {
            self.line(name, value);
        }
    }

    /// The lines as text.
    pub(crate) fn render(&self, colour: Colour) -> String {
        let width = self.lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let line = |(name, value): &(&'static str, Cell)| {
            format!("{name:width$}{GAP}{}\n", painted(value, colour))
        };
        self.lines.iter().map(line).collect()
    }
}

fn painted(cell: &Cell, colour: Colour) -> String {
    let start = cell.tone.start();
    if colour == Colour::Off || start.is_empty() || cell.text.is_empty() {
        cell.text.clone()
    } else {
        format!("{start}{}\u{1b}[0m", cell.text)
    }
}

#[cfg(test)]
mod tests;
