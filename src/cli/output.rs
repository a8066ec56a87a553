//! What commands print: tables for people, JSON for scripts.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

/// How to answer.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Format {
    /// Answer in JSON, for scripts
    #[arg(long, help_heading = "Options")]
    pub(super) json: bool,
}

impl Format {
    /// Prints one value: as JSON, or in the words that `say` makes of it.
    pub(super) fn print<T: Serialize>(
        self,
        value: &T,
        say: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, value)?;
            writeln!(out)
        } else {
            let words = say(value);
            writeln!(out, "{}", words.trim_end())
        }
    }
}

/// Rows under headings, each column as wide as its widest text.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub(super) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_uppercase).to_vec()],
        }
    }

    /// One more row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(one_line).to_vec());
    }

    /// The whole, or `otherwise` where there are no rows.
    pub(super) fn or(&self, otherwise: &str) -> String {
        if self.rows.len() == 1 {
            return otherwise.to_owned();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `name: value`, one a line, the values below each other.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let name = format!("{name}:");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<width$}{}", one_line(value.clone()));
    }
    text
}

/// To the second; scripts get all of it.
pub(super) fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (hour, minute, second) = at.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}Z", at.date())
}

/// `1 row`, `2 rows`.
pub(super) fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A table has lines; what a cell shows came from outside and must not make its own, nor speak to the terminal.
pub(super) fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, fields};

    #[test]
    fn columns_stand_below_each_other_and_control_characters_do_nothing() {
        let mut table = Table::new(["id", "label"]);
        table.row(["1".into(), "öö\u{1b}[2J".into()]);
        table.row(["100".into(), "x".into()]);
        assert_eq!(table.or(""), "ID   LABEL\n1    öö [2J\n100  x\n");
        assert_eq!(Table::new(["id"]).or("none yet"), "none yet");
    }

    #[test]
    fn empty_fields_are_left_out() {
        let text = fields(&[
            ("a", "1".into()),
            ("empty", String::new()),
            ("long", "2".into()),
        ]);
        assert_eq!(text, "a:     1\nlong:  2\n");
    }
}
