//! Logs: one line an event, to standard error, as text or JSON.

use std::io::{IsTerminal, stderr};

use tracing::field::{Field, Value, Visit, display};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

use crate::config::{Format, Log};

/// Starts logging. Once a process; a second time is an error.
pub fn init(log: &Log) -> Result<(), TryInitError> {
    let lines = fmt::layer().with_writer(stderr);
    let lines = match log.format {
        // Colours only for eyes: not in a file, and not against a stated wish (no-color.org).
        Format::Text => {
            let colours = stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|wish| wish.is_empty());
            lines.with_ansi(colours).map_event_format(Brief).boxed()
        }
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .map_event_format(Brief)
            .boxed(),
    };
    // `config` has checked the directives.
    registry()
        .with(lines.with_filter(EnvFilter::new(&log.level)))
        .try_init()?;
    log_panics();
    Ok(())
}

/// Sends panics where the logs go, so that a collector of JSON lines never meets a bare one.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a value that is no text");
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(
            panic.message = message,
            panic.location = location,
            "panicked"
        );
    }));
}

/// A format in which a statement is told by its name: sqlx logs the whole of it, migrations included.
struct Brief<F>(F);

impl<S, N, F> FormatEvent<S, N> for Brief<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        if event.metadata().target() != "sqlx::query" {
            return self.0.format_event(context, writer, event);
        }
        let mut told = Statement::default();
        event.record(&mut told);
        // Those that are told below a warning are all statements, by a wish in `log.level`.
        let message = display(if *event.metadata().level() <= Level::WARN {
            "slow statement"
        } else {
            "statement"
        });
        let values: [(&str, &dyn Value); 4] = [
            ("message", &message),
            ("summary", &told.name),
            ("elapsed_secs", &told.elapsed_s),
            ("rows_affected", &told.rows_affected),
        ];
        let fields = event.metadata().fields();
        let [Some(message), Some(summary), Some(elapsed), Some(rows)] =
            values.map(|(name, value)| Some((fields.field(name)?, Some(value))))
        else {
            return Ok(());
        };
        let kept = [message, summary, elapsed, rows];
        let kept = kept.each_ref().map(|(field, value)| (field, *value));
        let kept = fields.value_set(&kept);
        self.0
            .format_event(context, writer, &Event::new(event.metadata(), &kept))
    }
}

/// What is told of a statement.
#[derive(Default)]
struct Statement {
    name: String,
    elapsed_s: f64,
    rows_affected: u64,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            // Ours begin with a comment that names them: "-- queue.claim: …".
            let named = value
                .strip_prefix("-- ")
                .and_then(|rest| rest.split_once(':'));
            value.clone_into(&mut self.name);
            if let Some((name, _)) = named {
                name.clone_into(&mut self.name);
            }
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.elapsed_s = value;
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_affected" {
            self.rows_affected = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{fmt, registry};

    use super::Brief;

    /// Where lines are kept.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// As sqlx does, 0.9.
    fn slow() {
        tracing::warn!(
            target: "sqlx::query",
            summary = "-- queue.claim: lease due …",
            db.statement = "\n\nselect secret_of_a_statement\n",
            rows_affected = 7_u64,
            rows_returned = 0_u64,
            elapsed = ?std::time::Duration::from_secs(2),
            elapsed_secs = 2.0,
            slow_threshold = ?std::time::Duration::from_secs(1),
            "slow statement: execution time exceeded alert threshold"
        );
    }

    fn told(json: bool) -> String {
        let lines = Lines::default();
        let kept = lines.clone();
        let layer = fmt::layer().with_writer(move || kept.clone());
        if json {
            let layer = layer.json().flatten_event(true).map_event_format(Brief);
            tracing::subscriber::with_default(registry().with(layer), slow);
        } else {
            let layer = layer.with_ansi(false).map_event_format(Brief);
            tracing::subscriber::with_default(registry().with(layer), slow);
        }
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_slow_statement_is_told_in_a_line_by_its_name_and_never_as_a_whole() {
        let text = told(false);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("slow statement summary=\"queue.claim\" elapsed_secs=2"),
            "{text}"
        );
        assert!(!text.contains("secret_of_a_statement"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&told(true)).unwrap();
        assert_eq!(
            (
                &json["summary"],
                &json["elapsed_secs"],
                &json["rows_affected"]
            ),
            (&"queue.claim".into(), &2.0.into(), &7.into())
        );
        assert_eq!(json["db.statement"], serde_json::Value::Null);
    }
}
