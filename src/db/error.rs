//! What can go wrong between us and the database.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError};
use tokio::time::timeout;

use crate::metrics::DatabaseFailure;

/// The server ends a statement after 30 s, and a connection is waited for 10 s.
const ANSWER_MAX: Duration = Duration::from_secs(45);

/// Waits for statements, but not for ever: on a connection that was cut without a word they never end, and TCP itself would
/// notice after a quarter of an hour.
pub async fn answered<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match timeout(ANSWER_MAX, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Silent(ANSWER_MAX)),
    }
}

/// An error of the database layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The driver or the server said no.
    #[error("{doing}")]
    Driver {
        /// What was being tried.
        doing: Cow<'static, str>,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// No answer, long after the server would have ended the statement: the connection is gone and nobody said so.
    #[error("the database has not answered for {0:?}; the connection is given up")]
    Silent(Duration),
    /// A value in a table that our own code cannot have put there.
    #[error("{table}.{column} of row {id} is not what it should be: {problem}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row.
        id: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// The database refused, and said what is wrong and what to do.
    #[error("{message}{}", hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
    Refused {
        /// Its SQLSTATE.
        code: String,
        /// What is wrong, in the words of our own functions.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// As many endpoints are enabled as the dialect allows.
    #[error("at most {0} endpoints of an instance may be enabled")]
    EnabledMax(i64),
    /// Another endpoint of the instance has this URL, and the dialect wants it once.
    #[error("another endpoint of this instance has the same url")]
    UrlInUse,
    /// It was to be made, and is there already.
    #[error("the instance has an endpoint of this label, channel and dialect already")]
    EndpointExists,
    /// It was to be changed, and is not there any more.
    #[error("the endpoint is not there any more")]
    EndpointGone,
    /// A newer program has been here.
    #[error(
        "the database is ahead of this program: it has migration {applied}, and this program knows up to {known}. Use a newer postrider; going back is not possible"
    )]
    SchemaTooNew {
        /// The latest migration in the database.
        applied: i64,
        /// The latest one we know.
        known: i64,
    },
    /// Another build has been here.
    #[error(
        "migration {0} in the database is not the one of this program: another build of postrider made this schema. Start that build, or give this one a database of its own"
    )]
    SchemaOfAnother(i64),
    /// The migrations could not be applied.
    #[error("the schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

impl Error {
    /// For `map_err`: the driver's error with what was being tried.
    pub(crate) fn doing(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Driver {
            doing: doing.into(),
            source,
        }
    }

    /// The same where it was to connect: the driver does not say where to. No password is told.
    pub(crate) fn connecting(to: &PgConnectOptions) -> impl FnOnce(sqlx::Error) -> Self {
        let server = match to.get_socket() {
            Some(directory) => directory.display().to_string(),
            None => to.get_host().to_owned(),
        };
        let doing = match to.get_database() {
            Some(name) => format!(
                "connect to database {name} at {server}, port {}",
                to.get_port()
            ),
            None => format!(
                "connect to the database at {server}, port {}",
                to.get_port()
            ),
        };
        move |source| Self::Driver {
            doing: doing.into(),
            source,
        }
    }

    /// The same where our own SQL functions may refuse: they say it better than we could, so their words stand alone.
    pub(crate) fn refusal_or_doing(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            let Some(refusal) = source
                .as_database_error()
                .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
            else {
                return Self::Driver {
                    doing: doing.into(),
                    source,
                };
            };
            let message = match refusal.message().strip_prefix("postrider") {
                Some(rest) => rest
                    .strip_prefix(": ")
                    .unwrap_or(refusal.message())
                    .to_owned(),
                None => format!("cannot {doing}: {}", refusal.message()),
            };
            Self::Refused {
                code: refusal.code().to_owned(),
                message,
                hint: refusal.hint().map(str::to_owned),
            }
        }
    }

    /// Whether the database says that we may not.
    pub fn is_forbidden(&self) -> bool {
        /// `insufficient_privilege`.
        const INSUFFICIENT_PRIVILEGE: &str = "42501";
        self.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE)
    }

    /// Whether the server gave up on the statement, for it took too long.
    pub fn is_canceled(&self) -> bool {
        /// `query_canceled`.
        const QUERY_CANCELED: &str = "57014";
        self.code().as_deref() == Some(QUERY_CANCELED)
    }

    /// Whether a pooler did not let us in because of what we asked to be set.
    pub(super) fn is_refused_at_the_door(&self) -> bool {
        /// `protocol_violation`, with which `PgBouncer` answers a start-up parameter that it does not know.
        const PROTOCOL_VIOLATION: &str = "08P01";
        self.code().as_deref() == Some(PROTOCOL_VIOLATION)
    }

    /// Whether it only took too long.
    pub(super) fn is_timeout(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Driver { source, .. } => match source {
                sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
                sqlx::Error::PoolTimedOut => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// The server's code for what went wrong.
    fn code(&self) -> Option<Cow<'_, str>> {
        let (Self::Driver { source, .. }
        | Self::Migrate(
            sqlx::migrate::MigrateError::Execute(source)
            | sqlx::migrate::MigrateError::ExecuteMigration(source, _),
        )) = self
        else {
            return None;
        };
        source
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
    }

    /// Whether the server takes no writes on this connection.
    pub(super) fn is_read_only(&self) -> bool {
        self.code().as_deref() == Some("25006")
    }

    /// Whether waiting and trying again may help: the connection, not the statement, is at fault.
    pub fn is_transient(&self) -> bool {
        let source = match self {
            Self::Silent(_) => return true,
            Self::Driver { source, .. } => source,
            _ => return false,
        };
        match source {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                // Connection, resources, operator intervention (shutdown, restart), serialisation, deadlock, read-only.
                ["08", "53", "57", "40", "25", "55"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }),
            _ => false,
        }
    }
}

impl From<&Error> for DatabaseFailure {
    fn from(error: &Error) -> Self {
        if let Error::Silent(_) = error {
            return Self::Connection;
        }
        let Error::Driver { source, .. } = error else {
            return Self::Other;
        };
        match source {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::Connection
            }
            sqlx::Error::PoolTimedOut => Self::Timeout,
            sqlx::Error::Database(error) => match error.code().as_deref() {
                Some("57014" | "55P03") => Self::Timeout,
                Some(code) if code.starts_with("40") => Self::Conflict,
                Some(code) if code.starts_with("08") || code.starts_with("57P") => Self::Connection,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}
