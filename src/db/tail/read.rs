//! One page of the log between two snapshots.

use bytes::Bytes;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Executor, FromRow, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cursor::Epoch;
use super::marks::{Mark, Marks};
use super::snapshot::Snapshot;
use crate::db::Error;

/// The statement; read it with the proof at the head of the module.
const READ: &str = include_str!("../../../sql/tail/read.sql");
/// Rows of one page.
pub const PAGE_ROWS: i64 = 512;
/// Where the data of a page has come to so many bytes, as they are stored, the page ends.
const PAGE_BYTES: i64 = 8 << 20;

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The first half of its public id.
    pub id: i64,
    /// The second half.
    pub nonce: i32,
    /// Its owner's private key.
    pub instance: i64,
    /// As it was emitted.
    pub event_type: Box<str>,
    /// Byte for byte as it was given.
    pub data: Bytes,
    /// When the transaction that emitted it began.
    pub occurred_at: OffsetDateTime,
    /// That transaction.
    pub xid: u64,
    /// Who sent it, where it is not the instance's own sender.
    pub sender: Option<Box<str>>,
}

impl Event {
    /// Its id, as everybody sees it.
    pub fn public_id(&self) -> String {
        format!("evt_{}_{:x}", self.id, self.nonce.cast_unsigned())
    }
}

/// What is to be read: what `later` sees and `earlier` does not, above id `after`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a> {
    /// All that this one sees has been read.
    pub(super) earlier: &'a Snapshot,
    /// The end; none: the present.
    pub(super) later: Option<&'a Snapshot>,
    /// Up to this id it has been read.
    pub(super) after: i64,
    /// Of one instance, or of all.
    pub(super) instance: Option<i64>,
}

/// A page, and how things stood when it was read.
#[derive(Debug)]
pub(super) struct Read {
    /// The events, by id.
    pub(super) events: Vec<Event>,
    /// Whether there are more.
    pub(super) more: bool,
    /// Whether events of the stretch may have been removed before they were read.
    pub(super) gap: bool,
    /// The end of the stretch.
    pub(super) later: Snapshot,
    /// The transaction id to be handed out next.
    pub(super) next_xid: u64,
    /// The event id drawn last.
    pub(super) last_id: i64,
    /// When it was read.
    pub(super) taken_at: OffsetDateTime,
    /// The incarnation; none after a crash, until somebody writes it down.
    pub(super) incarnation: Option<Uuid>,
    /// The epoch entered last.
    pub(super) epoch: Option<Epoch>,
    /// Whether the server only follows another one, and so knows no running transactions.
    pub(super) is_standby: bool,
}

/// Reads a page. A `named` statement is prepared once and stays with the session; behind a pooler it would be met by others.
pub(super) async fn read<'e>(
    executor: impl Executor<'e, Database = Postgres>,
    stretch: Stretch<'_>,
    marks: &Marks,
    named: bool,
) -> Result<Read, Error> {
    let (xids_of_marks, ids_of_marks) = marks.lists();
    let rows = sqlx::query(READ)
        .persistent(named)
        .bind(stretch.earlier.to_string())
        .bind(stretch.later.map(Snapshot::to_string))
        .bind(stretch.after)
        .bind(xids_of_marks)
        .bind(ids_of_marks)
        .bind(stretch.instance)
        .bind(PAGE_ROWS)
        .bind(PAGE_BYTES)
        .fetch_all(executor)
        .await
        .map_err(Error::doing("read the event log"))?;
    let first = rows.first().ok_or_else(|| broken("no row"))?;
    let mut page = Read::from_row(first).map_err(Error::doing("read the event log"))?;
    // A left join without a match: one row, and no event on it.
    let found: Option<i64> = column(first, "found")?;
    if let Some(found) = found {
        let events = rows.iter().map(Event::from_row);
        page.events = events
            .collect::<sqlx::Result<_>>()
            .map_err(Error::doing("read the event log"))?;
        page.more = found > i64::try_from(rows.len()).unwrap_or(i64::MAX);
    }
    let removed: Option<i64> = column(first, "removed_id")?;
    let removed_xid = xid(first, "removed_xid").unwrap_or(0);
    // Whoever begins before everything asks for what there is.
    let from_the_start = stretch.after == 0 && *stretch.earlier == Snapshot::of_nothing();
    page.gap = !from_the_start
        && removed.unwrap_or(0) > column::<i64>(first, "low_id")?
        && removed_xid >= xid(first, "oldest_xid").map_err(Error::doing("read the event log"))?;
    Ok(page)
}

impl Read {
    /// The mark that this reading makes with the last id of an earlier one.
    pub(super) fn mark(&self, last_id_before: i64) -> Mark {
        Mark {
            xid: self.next_xid,
            id: last_id_before,
        }
    }
}

impl FromRow<'_, PgRow> for Read {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let later: Snapshot = parse(row, "snapshot")?;
        let begun_since: i32 = row.try_get("begun_since")?;
        Ok(Self {
            events: Vec::new(),
            more: false,
            gap: false,
            next_xid: later.xmax + u64::try_from(begun_since).unwrap_or(0),
            later,
            last_id: row.try_get("last_id")?,
            taken_at: row.try_get("read_at")?,
            incarnation: row.try_get("incarnation")?,
            epoch: row.try_get::<Option<i64>, _>("epoch")?.map(Epoch),
            is_standby: row.try_get("is_standby")?,
        })
    }
}

impl FromRow<'_, PgRow> for Event {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            nonce: row.try_get("nonce")?,
            instance: row.try_get("instance_id")?,
            event_type: row.try_get::<&str, _>("type")?.into(),
            data: Bytes::copy_from_slice(row.try_get::<&str, _>("data")?.as_bytes()),
            occurred_at: row.try_get("created_at")?,
            xid: xid(row, "xid")?,
            sender: row.try_get::<Option<&str>, _>("sender")?.map(Into::into),
        })
    }
}

/// An `xid8`, which comes as text.
pub(super) fn xid(row: &PgRow, name: &'static str) -> sqlx::Result<u64> {
    parse(row, name)
}

/// Something that comes as text.
pub(super) fn parse<T>(row: &PgRow, name: &'static str) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<&str, _>(name)?
        .parse()
        .map_err(|error| sqlx::Error::ColumnDecode {
            index: name.to_owned(),
            source: Box::new(error),
        })
}

/// A column.
fn column<'r, T>(row: &'r PgRow, name: &'static str) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(name)
        .map_err(Error::doing("read the event log"))
}

/// What cannot be.
fn broken(problem: &str) -> Error {
    Error::Inconsistent {
        table: "events",
        column: "xid",
        id: 0,
        problem: problem.to_owned(),
    }
}
