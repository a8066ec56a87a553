//! Logs: one line an event, to standard error, as text or JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
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
            lines.with_ansi(colours).boxed()
        }
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
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
