//! The connection that hears rings. Between them it runs what must not run on the lock's connection.

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::lock::{COMMAND_TIMEOUT, within};

/// What `postrider.ring()` notifies.
const TOPIC: &str = "postrider";
/// What one listener tells the others: poll once, but stay asleep.
const LOOK: &str = "look";

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A writer: there are rows.
    Ring,
    /// A listener: there may be rows that nobody rings for.
    Look,
}

/// A connection that LISTENs.
#[derive(Debug)]
pub(super) struct Ears {
    /// The driver's listener; it would connect anew by itself, but we must know when it does.
    listener: PgListener,
    /// The server's process.
    backend: i32,
}

impl Ears {
    /// Connects. It does not LISTEN yet.
    pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(COMMAND_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.clone());
        let mut listener = within(PgListener::connect_with(&pool)).await?;
        listener.eager_reconnect(false);
        let mut ears = Self {
            listener,
            backend: 0,
        };
        ears.backend = ears.ask_backend().await?;
        Ok(ears)
    }

    /// The server's process that answered at first.
    pub(super) fn backend(&self) -> i32 {
        self.backend
    }

    /// The server's process that answers now: another one only behind a pooler.
    pub(super) async fn ask_backend(&mut self) -> sqlx::Result<i32> {
        self.row("select pg_backend_pid()").await?.try_get(0)
    }

    /// Hears rings from now on.
    pub(super) async fn listen(&mut self) -> sqlx::Result<()> {
        within(self.listener.listen(TOPIC)).await
    }

    /// Waits until a notification arrives on a topic of its own, after `send` is done.
    pub(super) async fn hears(
        &mut self,
        topic: &str,
        send: impl Future<Output = sqlx::Result<()>>,
    ) -> sqlx::Result<()> {
        within(self.listener.listen(topic)).await?;
        send.await?;
        within(self.notification()).await?;
        within(self.listener.unlisten(topic)).await
    }

    /// Waits for the next sound. Dropping the future loses nothing.
    pub(super) async fn hear(&mut self) -> sqlx::Result<Heard> {
        loop {
            let notification = self.notification().await?;
            let own = notification.process_id().cast_signed() == self.backend;
            match notification.payload() {
                LOOK if own => {}
                LOOK => return Ok(Heard::Look),
                _ => return Ok(Heard::Ring),
            }
        }
    }

    /// Tells the other listeners to look.
    pub(super) async fn tell_others_to_look(&mut self) -> sqlx::Result<()> {
        let notify = AssertSqlSafe(format!("notify {TOPIC}, '{LOOK}'"));
        within(sqlx::raw_sql(notify).execute(&mut self.listener)).await?;
        Ok(())
    }

    /// Ends what another backend is doing.
    pub(super) async fn cancel(&mut self, backend: i32) -> sqlx::Result<()> {
        let cancel = AssertSqlSafe(format!("select pg_cancel_backend({backend})"));
        within(sqlx::raw_sql(cancel).execute(&mut self.listener)).await?;
        Ok(())
    }

    /// How many rows have been begun, ever, by anybody: it moves while somebody writes, seen or not.
    pub(super) async fn rows_begun(&mut self) -> sqlx::Result<i64> {
        self.row(
            "select (select last_value from postrider.events_id_seq)
                  + (select last_value from postrider.webhook_queue_id_seq)",
        )
        .await?
        .try_get(0)
    }

    /// Finds out whether the connection still lives.
    pub(super) async fn touch(&mut self) -> sqlx::Result<()> {
        self.row("select 1").await?;
        Ok(())
    }

    /// One row of a statement, by the simple protocol: a pooler cannot tear it apart.
    async fn row(&mut self, statement: &'static str) -> sqlx::Result<PgRow> {
        within(sqlx::raw_sql(statement).fetch_one(&mut self.listener)).await
    }

    /// The next notification; an error when the connection is gone, and with it what was said meanwhile.
    async fn notification(&mut self) -> sqlx::Result<PgNotification> {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into());
        self.listener.try_recv().await?.ok_or_else(lost)
    }
}
