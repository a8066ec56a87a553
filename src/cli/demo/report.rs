//! What the demo shows: plain lines, colours only for eyes.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Where the lines go.
#[derive(Debug)]
pub(super) struct Report {
    out: io::Stdout,
    /// Whether a line can be written over.
    terminal: bool,
    colours: bool,
    /// Whether the last line is one that is written over.
    open_line: bool,
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// Headings.
    Bold,
    /// What was typed.
    Typed,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
}

impl Look {
    /// The terminal's code.
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Typed => "36",
            Self::Good => "32",
            Self::Bad => "31",
        }
    }
}

impl Report {
    /// To standard output.
    pub(super) fn new() -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        // A stated wish (no-color.org).
        let plain = std::env::var_os("NO_COLOR").is_some_and(|wish| !wish.is_empty());
        Self {
            out,
            terminal,
            colours: terminal && !plain,
            open_line: false,
        }
    }

    /// Whether a person is looking.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// One line.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        if std::mem::take(&mut self.open_line) {
            self.out.write_all(b"\r\x1b[K")?;
        }
        writeln!(self.out, "{text}")
    }

    /// The heading of a part.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.looking(Look::Bold, text);
        self.line(&format!("\n{text}"))
    }

    /// A statement, as it runs.
    pub(super) fn statement(&mut self, statement: &str) -> io::Result<()> {
        let mut prompt = "=> ";
        for line in statement.lines() {
            let line = self.looking(Look::Typed, &format!("{prompt}{line}"));
            self.line(&format!("  {line}"))?;
            prompt = "   ";
        }
        Ok(())
    }

    /// What came of it.
    pub(super) fn outcome(&mut self, text: &str) -> io::Result<()> {
        self.line(&format!("     {text}"))
    }

    /// Writes over the last line of this kind, where a person is looking; else one line more.
    pub(super) fn progress(&mut self, text: &str) -> io::Result<()> {
        if !self.terminal {
            return self.line(text);
        }
        self.open_line = true;
        write!(self.out, "\r\x1b[K{text}")?;
        self.out.flush()
    }

    /// Text with a look.
    pub(super) fn looking(&self, look: Look, text: &str) -> String {
        if self.colours {
            format!("\x1b[{}m{text}\x1b[0m", look.code())
        } else {
            text.to_owned()
        }
    }
}

/// `1,234`.
pub(super) fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 event`, `2 events`, `3 deliveries`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = match noun.strip_suffix('y') {
        _ if count == 1 => noun.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{noun}s"),
    };
    format!("{} {plural}", number(count))
}

/// `3.1 ms`.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// The value below which this share of the sorted values lies.
pub(super) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{counted, number, percentile};

    #[test]
    fn numbers_are_grouped_and_counted() {
        let numbers = [0, 999, 1000, 1_234_567].map(number);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "delivery"), "1 delivery");
        assert_eq!(counted(2, "delivery"), "2 deliveries");
        assert_eq!(counted(0, "event"), "0 events");
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        let values = [0.5, 0.99, 1.0].map(|share| percentile(&sorted, share).as_millis());
        assert_eq!(values, [50, 99, 100]);
        assert_eq!(percentile(&sorted[..1], 0.5).as_millis(), 1);
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
