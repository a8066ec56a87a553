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
            if !said.contains(&text) {
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
    #[cfg_attr(
        not(feature = "server"),
        expect(
            unused_mut,
            reason = "without the driver there is nothing to leave out"
        )
    )]
    let mut text = error.to_string();
    #[cfg(feature = "server")]
    if is_of_postgres(error)
        && let Some((words, line)) = text.rsplit_once(" at line ")
        && line.bytes().all(|byte| byte.is_ascii_digit())
    {
        text.truncate(words.len());
    }
    text
}

/// Whether it is an answer of Postgres, or comes of one.
#[cfg(feature = "server")]
fn is_of_postgres(error: &(dyn Error + 'static)) -> bool {
    use sqlx::error::DatabaseError;
    use sqlx::postgres::PgDatabaseError;
    error.is::<PgDatabaseError>()
        || error.is::<Box<dyn DatabaseError>>()
        || matches!(error.downcast_ref(), Some(sqlx::Error::Database(_)))
        || error.source().is_some_and(is_of_postgres)
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
