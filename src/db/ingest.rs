//! Notifications become events: in one transaction the events, the refusals, and the word that both are done.

use std::ops::Range;

use sqlx::postgres::PgDatabaseError;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::notices::tell_readers_in;
use super::{Database, Error};

/// Refusals kept: enough to see what is wrong, not enough for a broken sender to fill the disk.
const REJECTED_MAX: i64 = 10_000;

/// An event as a notification asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestEvent {
    /// Whose.
    pub instance: String,
    /// Which type.
    pub event_type: String,
    /// JSON, as it arrived.
    pub data: String,
    /// Against duplicates.
    pub idempotency_key: Option<String>,
    /// Told in place of the instance's own.
    pub sender: Option<String>,
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestItem {
    /// As it arrived.
    pub payload: String,
    /// The event, or what is wrong with it.
    pub event: Result<IngestEvent, String>,
}

/// Who reads, by which duty, and how the others are told.
#[derive(Debug, Clone, Copy)]
pub struct IngestReader<'a> {
    /// The duty's name.
    pub duty: &'a str,
    /// Its holder.
    pub holder: &'a str,
    /// What to tell all readers when the batch is committed.
    pub aside: &'a str,
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingested {
    /// Committed.
    Done {
        /// Those that became events.
        events: usize,
        /// Those that are kept for an operator.
        rejected: usize,
    },
    /// Nothing happened: the duty is another's.
    NotOurs,
}

impl Database {
    /// Emits a batch, in its order. One that cannot be emitted is kept for an operator and disturbs no other.
    pub async fn ingest(
        &self,
        reader: IngestReader<'_>,
        batch: &[IngestItem],
    ) -> Result<Ingested, Error> {
        let doing = "turn notifications into events";
        let transaction = self.pool().begin().await.map_err(Error::doing(doing))?;
        let result = ingest(transaction, reader, batch).await;
        result.map_err(Error::doing(doing))
    }
}

/// The transaction. There is one a batch, so its statements are not worth preparing for the next one.
async fn ingest(
    mut transaction: Transaction<'static, Postgres>,
    reader: IngestReader<'_>,
    batch: &[IngestItem],
) -> sqlx::Result<Ingested> {
    // Whoever takes the duty over waits here for our commit, so that what we tell the readers comes before.
    let ours: Option<bool> = sqlx::query_scalar(
        "select true from postrider.duties where name = $1 and holder = $2 for share",
    )
    .bind(reader.duty)
    .bind(reader.holder)
    .persistent(false)
    .fetch_optional(&mut *transaction)
    .await?;
    if ours.is_none() {
        return Ok(Ingested::NotOurs);
    }
    let events: Vec<&IngestEvent> = batch
        .iter()
        .filter_map(|item| item.event.as_ref().ok())
        .collect();
    let refusals = emit_all(&mut transaction, &events).await?;
    let mut refusals = refusals.into_iter();
    // In the order of arrival: those that could not be read, and those that could not be emitted.
    let rejected: Vec<(&str, String)> = batch
        .iter()
        .filter_map(|item| {
            let error = match &item.event {
                Ok(_) => refusals.next().flatten()?,
                Err(error) => error.clone(),
            };
            Some((item.payload.as_str(), error))
        })
        .collect();
    if !rejected.is_empty() {
        keep(&mut transaction, &rejected).await?;
    }
    tell_readers_in(&mut transaction, reader.aside).await?;
    transaction.commit().await?;
    Ok(Ingested::Done {
        events: batch.len() - rejected.len(),
        rejected: rejected.len(),
    })
}

/// Emits them set-wise; where that fails, by halves, until those at fault stand alone. Per event, why it was refused.
async fn emit_all(
    transaction: &mut PgConnection,
    events: &[&IngestEvent],
) -> sqlx::Result<Vec<Option<String>>> {
    let mut refusals = vec![None; events.len()];
    // What is left to do, the first last. Each range is taken out once and put back as two halves, so this ends.
    let mut left = Vec::from([Range {
        start: 0,
        end: events.len(),
    }]);
    while let Some(range) = left.pop() {
        if range.is_empty() {
            continue;
        }
        let mut savepoint = transaction.begin().await?;
        match emit_rows(&mut savepoint, &events[range.clone()]).await {
            Ok(()) => savepoint.commit().await?,
            Err(error) => {
                let refusal = refusal(&error).ok_or(error)?;
                savepoint.rollback().await?;
                if range.len() == 1 {
                    refusals[range.start] = Some(refusal);
                } else {
                    let middle = usize::midpoint(range.start, range.end);
                    left.push(middle..range.end);
                    left.push(range.start..middle);
                }
            }
        }
    }
    Ok(refusals)
}

/// One call.
async fn emit_rows(connection: &mut PgConnection, events: &[&IngestEvent]) -> sqlx::Result<()> {
    let column = |of: fn(&IngestEvent) -> &str| events.iter().map(|event| of(event)).collect();
    let instances: Vec<&str> = column(|event| &event.instance);
    let types: Vec<&str> = column(|event| &event.event_type);
    let data: Vec<&str> = column(|event| &event.data);
    let keys: Vec<Option<&str>> = events
        .iter()
        .map(|event| event.idempotency_key.as_deref())
        .collect();
    let senders: Vec<Option<&str>> = events.iter().map(|event| event.sender.as_deref()).collect();
    let senders = senders.iter().any(Option::is_some).then_some(senders);
    sqlx::query("select postrider.emit_rows($1, $2, $3::text[]::json[], $4, $5)")
        .bind(instances)
        .bind(types)
        .bind(data)
        .bind(keys)
        .bind(senders)
        .persistent(false)
        .execute(connection)
        .await
        .map(drop)
}

/// What is wrong with an event, if it is the event that is at fault and not the server, the schema or the connection.
fn refusal(error: &sqlx::Error) -> Option<String> {
    let error = error
        .as_database_error()?
        .try_downcast_ref::<PgDatabaseError>()?;
    // Bad data, a broken constraint, a limit, and what our own functions raise.
    let at_fault = ["22", "23", "54", "P0"]
        .iter()
        .any(|class| error.code().starts_with(class));
    at_fault.then(|| match error.hint() {
        Some(hint) => format!("{}. {hint}", error.message()),
        None => error.message().to_owned(),
    })
}

/// Keeps refusals, and forgets the oldest.
async fn keep(connection: &mut PgConnection, rejected: &[(&str, String)]) -> sqlx::Result<()> {
    let (payloads, errors): (Vec<&str>, Vec<&str>) = rejected
        .iter()
        .map(|(payload, error)| (*payload, error.as_str()))
        .unzip();
    sqlx::query(
        "insert into postrider.rejected_notifications (payload, error)
         select payload, error from unnest($1::text[], $2::text[]) as given (payload, error)",
    )
    .bind(payloads)
    .bind(errors)
    .persistent(false)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "delete from postrider.rejected_notifications
         where id <= (select max(id) from postrider.rejected_notifications) - $1",
    )
    .bind(REJECTED_MAX)
    .persistent(false)
    .execute(connection)
    .await?;
    Ok(())
}
