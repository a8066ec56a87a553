//! The connection that holds the bell's lock, and does nothing else.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::time::timeout;

/// No statement of the bell takes longer; a connection on which one does is given up. The longest, a slice of asking,
/// ends after 0.9 s.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a connection is touched. Far less than the 10 s after which the server ends the one with the lock.
pub(super) const TOUCH_INTERVAL: Duration = Duration::from_secs(2);

/// The answer to one slice of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nobody had it.
    GrantedAtOnce,
    /// Somebody had it, in whichever mode.
    GrantedAfterWait,
    /// Not in this slice.
    NotYet,
}

/// A connection of its own: whoever waits for the lock can do nothing else.
#[derive(Debug)]
pub(super) struct Lock {
    /// Dropping it gives the lock back.
    connection: PgConnection,
    /// The server's process.
    backend: i32,
}

impl Lock {
    /// Connects.
    pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<Self> {
        let mut connection = within(options.connect()).await?;
        let backend = backend_of(&mut connection).await?;
        Ok(Self {
            connection,
            backend,
        })
    }

    /// The server's process.
    pub(super) fn backend(&self) -> i32 {
        self.backend
    }

    /// Settings of the session; only to be changed once the session is known to be ours.
    pub(super) async fn prepare(&mut self) -> sqlx::Result<()> {
        // A stopped process must not hold the lock; and what an administrator set for the role must not end our wait.
        // Older servers do not have all of these.
        let settings = "select set_config(wanted.name, wanted.setting, false)
            from (values ('idle_session_timeout', '10s'), ('statement_timeout', '0'), ('transaction_timeout', '0'))
                 as wanted (name, setting)
            join pg_settings as known on known.name = wanted.name";
        within(sqlx::raw_sql(settings).execute(&mut self.connection)).await?;
        Ok(())
    }

    /// Asks for the lock, for a slice of time.
    pub(super) async fn ask(&mut self) -> sqlx::Result<Answer> {
        let ask = sqlx::raw_sql("select postrider.ask()").fetch_one(&mut self.connection);
        let answer: Option<String> = match within(ask).await {
            Ok(row) => row.try_get(0)?,
            // It was cancelled before the function could catch that.
            Err(error) if is_cancel(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(match answer.as_deref() {
            Some("at once") => Answer::GrantedAtOnce,
            Some(_) => Answer::GrantedAfterWait,
            None => Answer::NotYet,
        })
    }

    /// Gives back whatever is held. After a cancelled request that may be the lock, whatever the answer was.
    pub(super) async fn release(&mut self) -> sqlx::Result<()> {
        // A cancel may arrive late and hit this instead; there are no more cancels than slices of asking.
        let mut tries_left = 3;
        loop {
            let unlock = sqlx::raw_sql("select pg_advisory_unlock_all()");
            let result = within(unlock.execute(&mut self.connection)).await;
            tries_left -= 1;
            if tries_left == 0 || !result.as_ref().is_err_and(is_cancel) {
                return result.map(drop);
            }
        }
    }

    /// Shows the server that we live.
    pub(super) async fn touch(&mut self) -> sqlx::Result<()> {
        within(sqlx::raw_sql("select 1").execute(&mut self.connection)).await?;
        Ok(())
    }

    /// Notifies.
    pub(super) async fn notify(&mut self, topic: &str) -> sqlx::Result<()> {
        let notify = AssertSqlSafe(format!("notify {topic}"));
        within(sqlx::raw_sql(notify).execute(&mut self.connection)).await?;
        Ok(())
    }

    /// Opens a transaction and says who answers in it: a pooler keeps that server for us until it ends.
    pub(super) async fn begin(&mut self) -> sqlx::Result<i32> {
        within(sqlx::raw_sql("begin").execute(&mut self.connection)).await?;
        backend_of(&mut self.connection).await
    }

    /// Ends it.
    pub(super) async fn commit(&mut self) -> sqlx::Result<()> {
        within(sqlx::raw_sql("commit").execute(&mut self.connection)).await?;
        Ok(())
    }
}

/// Whether a statement ended because it was cancelled.
fn is_cancel(error: &sqlx::Error) -> bool {
    /// `query_canceled`.
    const QUERY_CANCELED: &str = "57014";
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(QUERY_CANCELED)
}

/// Who answers.
async fn backend_of(connection: &mut PgConnection) -> sqlx::Result<i32> {
    within(sqlx::raw_sql("select pg_backend_pid()").fetch_one(connection))
        .await?
        .try_get(0)
}

/// A statement's result, or an error when it takes too long: a half-open connection answers nothing for many minutes.
pub(super) async fn within<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match timeout(COMMAND_TIMEOUT, statement).await {
        Ok(result) => result,
        Err(elapsed) => Err(sqlx::Error::Io(elapsed.into())),
    }
}
