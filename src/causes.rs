//! An error for a log line: with all its causes, in both formats. (tracing's JSON would show the outermost only.)

use std::error::Error;
use std::fmt::{self, Display};

/// Shows an error and its causes, outermost first: `tracing::error!(error = %Causes(&error), "…")`.
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl Display for Causes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut said = self.0.to_string();
        let mut next = self.0.source();
        while let Some(cause) = next {
            // Many errors already end with their cause.
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(formatter, ": {text}")?;
            }
            said = text;
            next = cause.source();
        }
        Ok(())
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
