//! Notifications as a stream: everything said on one topic, and what those who read it tell one another.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use tokio::time::timeout;

use super::Error;

/// The topic on which readers talk about what they have read. All topics share one order: that of commits.
const READERS: &str = "postrider_ingested";

/// No statement here takes longer on a connection that lives.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// Where notifications come from: a topic at a database, past any pooler in transaction mode.
#[derive(Debug, Clone)]
pub struct NoticeSource {
    /// How to connect.
    options: PgConnectOptions,
    /// What to LISTEN to.
    topic: String,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// On the topic itself.
    Said(String),
    /// By a reader, about reading.
    Aside(String),
}

/// An open stream.
#[derive(Debug)]
pub struct Notices {
    /// The driver's listener.
    listener: PgListener,
}

impl NoticeSource {
    /// A topic there.
    pub fn new(options: PgConnectOptions, topic: &str) -> Self {
        Self {
            options: options
                .application_name("postrider ingest listener")
                .extra_float_digits(None),
            topic: topic.to_owned(),
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Connects and LISTENs: everything committed from then on is heard.
    pub async fn connect(&self) -> Result<Notices, Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(COMMAND_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(self.options.clone());
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen_all([&self.topic, READERS]).await?;
            Ok(listener)
        };
        let listener = within(listening).await?;
        Ok(Notices { listener })
    }
}

impl Notices {
    /// The next one. An error says that the connection is gone, and with it what was said meanwhile. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> Result<Notice, Error> {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into());
        let notification = self.listener.try_recv().await;
        notification
            .and_then(|notification| notification.ok_or_else(lost))
            .map(|notification| Notice::from(&notification))
            .map_err(Error::doing("hear notifications"))
    }

    /// Finds out whether the connection still lives.
    pub async fn touch(&mut self) -> Result<(), Error> {
        within(async {
            sqlx::raw_sql("select 1")
                .execute(&mut self.listener)
                .await
                .map(drop)
        })
        .await
    }
}

impl From<&PgNotification> for Notice {
    fn from(notification: &PgNotification) -> Self {
        let payload = notification.payload().to_owned();
        if notification.channel() == READERS {
            Self::Aside(payload)
        } else {
            Self::Said(payload)
        }
    }
}

impl super::Database {
    /// Says something to all readers.
    pub async fn tell_readers(&self, aside: &str) -> Result<(), Error> {
        sqlx::query("select pg_notify($1, $2)")
            .bind(READERS)
            .bind(aside)
            .execute(self.pool())
            .await
            .map_err(Error::doing("tell other readers"))?;
        Ok(())
    }
}

/// The same, in a transaction: said when it commits.
pub(super) async fn tell_readers_in(
    transaction: &mut sqlx::PgConnection,
    aside: &str,
) -> sqlx::Result<()> {
    sqlx::query("select pg_notify($1, $2)")
        .bind(READERS)
        .bind(aside)
        .persistent(false)
        .execute(transaction)
        .await
        .map(drop)
}

/// A result, or an error when it takes too long.
async fn within<T>(statement: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    timeout(COMMAND_TIMEOUT, statement)
        .await
        .unwrap_or_else(|elapsed| Err(sqlx::Error::Io(elapsed.into())))
        .map_err(Error::doing("listen for notifications"))
}
