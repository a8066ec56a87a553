//! An error for a log line: with all its causes, in both formats. (tracing's JSON would show the outermost only.)

use std::error::Error;
use std::fmt::{self, Display};

/// Shows an error and its causes, outermost first: `tracing::error!(error = %Causes(&error), "…")`.
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl Display for Causes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = words(self.0);
        formatter.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            // Many errors already end with their cause.
            let text = words(cause);
            if !includes(&said, &text) {
                write!(formatter, ": {text}")?;
            }
            said = text;
            next = cause.source();
        }
        Ok(())
    }
}

/// What one error of a chain says; of an answer of Postgres without the line of Postgres's own sources that the driver puts
/// behind it.
pub fn words(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    if text.contains("error returned from database: ") {
        without_line(&text).to_owned()
    } else {
        text
    }
}

/// Whether what was said includes this.
pub fn includes(said: &str, text: &str) -> bool {
    said.contains(text) || said.contains(without_line(text))
}

fn without_line(text: &str) -> &str {
    match text.rsplit_once(" at line ") {
        Some((words, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => words,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::Causes;

    #[test]
    fn causes_follow_the_error_and_are_not_repeated() {
        let cause = io::Error::other("no such host");
        let error = Err::<(), _>(cause)
            .context("resolving db: no such host")
            .context("connecting")
            .unwrap_err();
        assert_eq!(
            Causes(error.as_ref()).to_string(),
            "connecting: resolving db: no such host"
        );
    }
}
