//! What a benchmark prints: where it was measured, figures, and ratios against a baseline of the same run.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde::Serialize;

use super::machine::Machine;

/// Everything a benchmark says.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Which one.
    pub bench: &'static str,
    /// The command line that repeats it.
    pub command: String,
    /// Postrider's version.
    pub version: &'static str,
    /// Where it ran.
    pub machine: Machine,
    /// The database server: version and settings.
    pub postgres: Vec<(String, String)>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What is to be judged.
    pub ratios: Vec<Ratio>,
}

/// One measured value.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// One value against its target.
#[derive(Debug, Serialize)]
pub(super) struct Ratio {
    /// What is compared with what.
    pub name: String,
    /// The outcome.
    pub value: f64,
    /// What it should be; none where it is only reported.
    pub target: Option<Target>,
}

/// What a ratio should be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

impl Target {
    /// Whether it is reached.
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Report {
    /// Notes a measured value.
    pub(super) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure {
            name: name.into(),
            value,
            unit,
        });
    }

    /// Notes a comparison.
    pub(super) fn ratio(&mut self, name: impl Into<String>, value: f64, target: Option<Target>) {
        self.ratios.push(Ratio {
            name: name.into(),
            value,
            target,
        });
    }

    /// Writes it to standard output.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let text = if json {
            serde_json::to_string_pretty(self)? + "\n"
        } else {
            self.text()
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }

    /// For people.
    fn text(&self) -> String {
        let mut text = String::new();
        let machine = &self.machine;
        let _ = writeln!(text, "command   {}", self.command);
        let _ = writeln!(text, "version   postrider {}", self.version);
        let _ = writeln!(
            text,
            "machine   {} cores, {}, {} GiB, Linux {}",
            machine.cores, machine.processor, machine.memory_gib, machine.kernel
        );
        let settings: Vec<String> = self
            .postgres
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let _ = writeln!(text, "postgres  {}", settings.join(", "));
        let width = self
            .figures
            .iter()
            .map(|figure| figure.name.chars().count())
            .chain(self.ratios.iter().map(|ratio| ratio.name.chars().count()))
            .max()
            .unwrap_or(0);
        let _ = writeln!(text);
        for Figure { name, value, unit } in &self.figures {
            let _ = writeln!(text, "{name:<width$}  {:>10} {unit}", number(*value));
        }
        let _ = writeln!(text);
        for Ratio {
            name,
            value,
            target,
        } in &self.ratios
        {
            let judged = match target {
                None => String::new(),
                Some(target) => {
                    let (word, bound) = match target {
                        Target::AtLeast(bound) => ("at least", bound),
                        Target::AtMost(bound) => ("at most", bound),
                    };
                    let met = if target.is_met_by(*value) {
                        "met"
                    } else {
                        "MISSED"
                    };
                    format!("({word} {}: {met})", number(*bound))
                }
            };
            let _ = writeln!(text, "{name:<width$}  {:>10} {judged}", number(*value));
        }
        text
    }
}

/// Four digits that matter.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        format!("{value:.0}")
    } else if magnitude >= 100.0 {
        format!("{value:.1}")
    } else if magnitude >= 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

/// The middle one; of an even number the mean of the middle two.
pub(super) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which that share of all lies, interpolated.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    #[expect(clippy::cast_precision_loss, reason = "a number of measurements")]
    let place = share * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the last index"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], share: f64, expected: f64) {
        assert!(
            (quantile(values, share) - expected).abs() < 1e-9,
            "{values:?}"
        );
    }

    #[test]
    fn quantiles_are_interpolated_and_do_not_depend_on_order() {
        check(&[3.0, 1.0, 2.0], 0.5, 2.0);
        check(&[4.0, 1.0, 2.0, 3.0], 0.5, 2.5);
        check(&[1.0], 0.99, 1.0);
        check(&[0.0, 100.0], 0.95, 95.0);
        assert!(median(&[]).is_nan());
    }
}
