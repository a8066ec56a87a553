//! Going on from where a reader was: by cursor, by an event's id, by time, or from the start.

use sqlx::Row;
use time::OffsetDateTime;

use super::cursor::{Cursor, Epoch};
use super::epoch::NOT_NOW;
use super::marks::{DatedMark, Marks};
use super::read::{Event, Stretch, parse, read, xid};
use super::snapshot::Snapshot;
use crate::db::{Database, Error, answered};

/// From where a reader wants to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// After this.
    Cursor(Cursor),
    /// After this event, the two halves of its public id.
    Event {
        /// The first.
        id: i64,
        /// The second.
        nonce: i32,
    },
    /// With the first event of this time.
    Since(OffsetDateTime),
    /// With the oldest that is kept.
    Earliest,
}

/// Why a reader cannot go on without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Retention, or somebody, has removed events it has not read.
    Removed,
    /// The cursor is of another database, or of a time this one knows nothing of.
    Foreign,
    /// There is no such event, or no more.
    UnknownEvent,
}

impl Gap {
    /// The word for it in protocols.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Foreign => "foreign",
            Self::UnknownEvent => "unknown_event",
        }
    }
}

/// A page of what a reader missed.
#[derive(Debug)]
pub struct Page {
    /// The events, by id.
    pub events: Vec<Event>,
    /// Whether there are more.
    pub more: bool,
}

impl Origin {
    /// A public event id, if it is one.
    pub fn of_event_id(text: &str) -> Option<Self> {
        let (id, nonce) = text.strip_prefix("evt_")?.split_once('_')?;
        Some(Self::Event {
            id: id.parse().ok()?,
            nonce: u32::from_str_radix(nonce, 16).ok()?.cast_signed(),
        })
    }
}

impl Database {
    /// Where that is, as a cursor of the present epoch. `present` is where the tail is.
    pub async fn locate(
        &self,
        origin: &Origin,
        present: &Cursor,
    ) -> Result<Result<Cursor, Gap>, Error> {
        Ok(match origin {
            Origin::Cursor(cursor) if cursor.epoch == present.epoch => Ok(cursor.clone()),
            Origin::Cursor(cursor) => self.translated(cursor, present.epoch).await?,
            Origin::Event { id, nonce } => self.after_event((*id, *nonce), present.epoch).await?,
            Origin::Since(at) => self.since(*at, present).await?,
            Origin::Earliest => Ok(earliest(present)),
        })
    }

    /// A cursor of an earlier epoch. Ids that were handed out again since are taken out of its snapshots: what they did
    /// before the crash is gone, and what they do now has not been read.
    async fn translated(
        &self,
        cursor: &Cursor,
        present: Epoch,
    ) -> Result<Result<Cursor, Gap>, Error> {
        let first_xid: Option<String> = sqlx::query_scalar(
            "-- tail.translate: the lowest id that may have recurred since an epoch
            select later.first_xid::text from postrider.epochs later
            where later.number > (select own.number from postrider.epochs own where own.epoch = $1)
              and later.number <= (select own.number from postrider.epochs own where own.epoch = $2)
            order by later.first_xid limit 1",
        )
        .bind(cursor.epoch.0)
        .bind(present.0)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::doing("translate a cursor"))?;
        let Some(first_xid) = first_xid.and_then(|text| text.parse().ok()) else {
            return Ok(Err(Gap::Foreign));
        };
        Ok(Ok(Cursor {
            epoch: present,
            before: cursor.before.clone().before(first_xid),
            after: cursor.after.clone().before(first_xid),
            id: cursor.id,
        }))
    }

    /// After an event of which only the id is known.
    async fn after_event(
        &self,
        (id, nonce): (i64, i32),
        present: Epoch,
    ) -> Result<Result<Cursor, Gap>, Error> {
        let row = sqlx::query(
            "-- tail.event: what the transaction of an event saw when it wrote it
            select event.xid::text as xid, event.snap::text as snap from postrider.events event where event.id = $1 and event.nonce = $2",
        )
        .bind(id)
        .bind(nonce)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::doing("look for an event"))?;
        let Some(row) = row else {
            return Ok(Err(Gap::UnknownEvent));
        };
        let parsed = (|| Ok((parse::<Snapshot>(&row, "snap")?, xid(&row, "xid")?)))();
        let (snap, xid) = parsed.map_err(Error::doing("look for an event"))?;
        Ok(Ok(Cursor {
            epoch: present,
            before: Snapshot::of_nothing(),
            after: snap.and_sees(xid),
            id,
        }))
    }

    /// With the first event that is not older. One whose transaction began earlier, and wrote later, comes as well.
    async fn since(
        &self,
        at: OffsetDateTime,
        present: &Cursor,
    ) -> Result<Result<Cursor, Gap>, Error> {
        let row = sqlx::query(
            "-- tail.since: the last event before a time, by the mark of a minute before
            with low as materialized (
              select coalesce((select mark.event_id from postrider.tail_marks mark
                where mark.at <= $1 - interval '1 minute' order by mark.at desc limit 1), 0) as id
            )
            select coalesce((select event.id - 1 from postrider.events event
                where event.id > (select low.id from low) and event.created_at >= $1 order by event.id limit 1)
              , (select last_value from postrider.events_id_seq)) as after
              , exists (select from postrider.removed_events removed, low where removed.event_id > low.id) as gap
            from low",
        )
        .bind(at)
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("look for the first event since"))?;
        let decoded = (|| Ok((row.try_get("after")?, row.try_get("gap")?)))();
        let (after, gap): (i64, bool) =
            decoded.map_err(Error::doing("look for the first event since"))?;
        Ok(if gap {
            Err(Gap::Removed)
        } else {
            Ok(Cursor {
                id: after,
                ..earliest(present)
            })
        })
    }

    /// A page of what `after` sees and `before` does not, above the cursor's id, of one instance or of all; or an honest word
    /// that some of it is gone. An error where the cursor's epoch has ended: its transaction ids may mean others now, and
    /// whoever reads has to [`locate`](Self::locate) it anew.
    pub async fn missed(
        &self,
        from: &Cursor,
        instance: Option<i64>,
    ) -> Result<Result<Page, Gap>, Error> {
        let stretch = Stretch {
            earlier: &from.before,
            later: Some(&from.after),
            after: from.id,
            instance,
        };
        let read = answered(read(self.pool(), stretch, &Marks::default(), true)).await?;
        // Without an incarnation there was a crash of which nobody has taken note yet.
        if read.incarnation.is_none() || read.epoch != Some(from.epoch) {
            return Err(Error::Refused {
                code: NOT_NOW.to_owned(),
                message: "the server crashed or was replaced while what a reader missed was read"
                    .to_owned(),
                hint: Some("Resume again, with the last cursor.".to_owned()),
            });
        }
        Ok(if read.gap {
            Err(Gap::Removed)
        } else {
            Ok(Page {
                events: read.events,
                more: read.more,
            })
        })
    }

    /// Keeps a mark for those who resume, and for the tail of another process; not one from before a crash: it was true of ids
    /// that have been handed out again since.
    pub async fn keep_mark(&self, mark: DatedMark) -> Result<(), Error> {
        sqlx::query(
            "-- tail.mark: transactions from this one on have only events above this one
            insert into postrider.tail_marks (next_xid, event_id)
            select $1::text::xid8, $2 from postrider.incarnation where incarnation.id = $3
            on conflict (next_xid) do nothing",
        )
        .bind(mark.mark.xid.to_string())
        .bind(mark.mark.id)
        .bind(mark.incarnation)
        .execute(self.pool())
        .await
        .map_err(Error::doing("keep a mark of the tail"))?;
        Ok(())
    }

    /// Removes marks that no reader asks for: all but one a minute after an hour, and those below every event.
    pub async fn tidy_marks(&self) -> Result<(), Error> {
        sqlx::query(
            "-- tail.tidy: thin out old marks
            delete from postrider.tail_marks mark
            where mark.at < now() - interval '1 hour'
              and (exists (select from postrider.tail_marks sooner where sooner.at < mark.at and sooner.at >= date_trunc('minute', mark.at))
                or exists (select from postrider.tail_marks later where later.next_xid > mark.next_xid
                  and later.event_id < (select coalesce(min(event.id), 0) from postrider.events event)))",
        )
        .execute(self.pool())
        .await
        .map_err(Error::doing("thin out the marks of the tail"))?;
        Ok(())
    }
}

/// Before everything that is kept.
pub fn earliest(present: &Cursor) -> Cursor {
    Cursor {
        epoch: present.epoch,
        before: Snapshot::of_nothing(),
        after: present.after.clone(),
        id: 0,
    }
}
