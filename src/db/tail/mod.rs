//! The tail: every event of the log, as it is committed. Nothing lost, nothing twice, nothing waiting.
//!
//! # Why not by id
//!
//! Ids are handed out before commit: whoever has seen 8 may yet be shown a 7. A reader by `id > last` lost 26 % of the
//! events beside 12 writers. To wait for the oldest transaction loses nothing, but one long transaction, anywhere in the
//! cluster, stalls everybody.
//!
//! # Snapshot difference
//!
//! Each event carries the id of its top-level transaction, `xid`. The tail remembers the snapshot A of its last step. A
//! step is one statement; with its own snapshot B, it takes the events of transactions that B sees and A does not, by id.
//! Then B is the next A.
//!
//! *Every event comes in exactly one step.* On one primary, what snapshots see only grows. A committed event is seen by
//! some first snapshot of ours: the one before did not see it, this one does, so this step takes it; all later steps have
//! it in their A, and all earlier ones not in their B. Savepoints do not matter: snapshots list top-level ids, and those
//! are what events carry. A transaction that rolls back shows nothing to any snapshot.
//!
//! *A producer's own order is kept.* An event committed before another's insert began has the lower id, and whoever sees
//! the second sees the first: it comes in an earlier step, or earlier in the same one.
//!
//! The rows of B that are not its own (`xid >= xmax`) are left out: a logical restore brings transaction ids of another
//! cluster, and higher ones would be new in every step. (They are rewritten by `epoch::arrive` besides.) A standby
//! reports no running transactions, so the tail refuses one.
//!
//! # Without an index on the xid
//!
//! Such an index would be one more right edge for every writer of the application to contend for. The primary key is
//! there already, so ids bound the search from below. A *mark* `(N, L)` is the pair of the last event id drawn, L, and,
//! read later, the next transaction id, N.
//!
//! *Transactions from N on have only events above L.* A writer draws the event's id after it was given its xid: in
//! `postrider.events` the column `xid` stands before `id`, and defaults are evaluated in the order of columns; where our
//! functions draw ids themselves they ask for the xid first. (`tail::steps::an_xid_is_assigned_before_an_id_is_drawn` watches
//! over both.) Sequences hand out ids one by one and rising (`cache 1`, which `arrive` checks). Now and then, while it writes
//! to the log, `nextval` may show whoever looks a number 32 ahead of what it hands out, so L is what was read less 33. So an
//! id at or below L was drawn before L was read, by a transaction that had its xid by then, which is below N, for N was read
//! later. And `xmax`
//! would not do for N: it is the first id that no *finished* transaction has, and running ones may be past it; the next
//! id is `xmax + age(xmax)`.
//!
//! A step looks for transactions that A does not see and B does. The oldest of those is the least that was running in A
//! and has finished in B, or, where there is none, A's xmax. The mark with the highest N at or below it bounds them all
//! from below. So a step reads what has been written since the oldest transaction *that has just finished* began: not
//! what stands behind one that is still open (`tail::steps::rows_behind_an_open_transaction_cost_a_step_nothing`). A
//! transaction that was open for long costs one longer reading when it ends.
//!
//! Marks are kept in memory, and one a second in `tail_marks`, for whoever resumes and for the next process. They stay true
//! over a crash: the row of a mark is written only while the incarnation is the one it was made in, so by a transaction
//! at or above N; where it survived, ids below N do not recur; and WAL up to that row includes the sequence's record of L.
//!
//! # Crashes
//!
//! Postgres hands out transaction ids again whose WAL was not flushed (asynchronous commits suffice): a snapshot that
//! counts them as finished would hide their second life. That happened in 41 of 54 crashes, with system identifier,
//! timeline and start time unchanged. So an unlogged table holds an incarnation, which a crash or a promotion empties and a
//! clean restart keeps. Every step reads it, in the statement itself; and so does every page of what a reader missed: an epoch
//! that ended meanwhile is not read from any more.
//!
//! Let R be the first id after the crash. Everything that survived has an xid below R, everything new has one from R on.
//! So a snapshot S from before, cut off at R ([`Snapshot::before`]), sees exactly what it saw and what survived, and
//! stepping on from there loses nothing and repeats nothing. R itself is not to be had, but any bound `r <= R` will do: it
//! loses nothing either, and repeats only what was handed out, survived, and has an xid from r on. We take the highest
//! of two: N of the latest mark that survived, and one past the highest transaction of which an event that *we* handed out
//! is still there. After the second there is nothing left to repeat for us; and r is written down with the epoch, so that
//! cursors of clients are cut off at it as well.
//!
//! # Cursors
//!
//! After event i of the step from A to B the position is `(epoch, A, B, i)`. It denotes exactly what was read, the same for
//! every reader. To resume from it: the rest of its step, events that A does not see and B does, above i; then those that B does
//! not see and the present does. Each half is read like a step, with cursors of the same form.
//!
//! From an event of which only the id is known: what its transaction saw when it wrote it, S, was committed by then, so
//! whoever has been shown the event was shown that before, if its id is lower. So `(nothing, S and itself, its id)` is a
//! position from which nothing is skipped, and at most what was in flight beside it is repeated.
//!
//! Retention removes events. How far is noted by trigger, and read in the statement: a reader to whom some of them were
//! new is told of a gap.
//!
//! A step of thousands of events is read in pages, B and A fixed, by id; a cursor in between is as good as any.

mod cursor;
mod epoch;
mod marks;
mod read;
mod resume;
mod snapshot;

pub use cursor::{Cursor, Epoch, NotACursor, Stem};
pub use marks::{DatedMark, Mark};
pub use read::{Event, PAGE_ROWS};
pub use resume::{Gap, Origin, Page, earliest};
pub use snapshot::{NotASnapshot, Snapshot};

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row, SqlStr};
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use self::epoch::{NOT_NOW, Place, arrive, enter, standby};
use self::marks::Marks;
use self::read::{Read, Stretch, parse, read, xid};
use super::statements::begin_with;
use super::{Error, Line, Route};

/// How many events handed out are remembered, to know after a crash what survived it.
const HANDED_OUT_MAX: usize = 16_384;
/// Whoever connects to a server that is just being killed may never be answered.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A step takes milliseconds, so a connection that is silent for this long was most likely cut without a word …
const PATIENCE_FIRST: Duration = Duration::from_secs(5);
/// … or the step is a long one, behind a long transaction: each time it is given twice as long, up to more than the server
/// gives it.
const PATIENCE_MAX: Duration = Duration::from_secs(45);
/// A step is tried so often; each time a crash may have come between.
const TRIES_MAX: usize = 4;

/// What its connection is set to.
const SETTINGS: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    // A generic plan scanned the whole log.
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("statement_timeout", "30s"),
    ("default_transaction_isolation", "read committed"),
];

/// What came of a step.
#[derive(Debug, Clone)]
pub struct Step {
    /// The history it belongs to.
    pub epoch: Epoch,
    /// Snapshot A.
    pub before: Arc<Snapshot>,
    /// Snapshot B.
    pub after: Arc<Snapshot>,
    /// The events, by id.
    pub events: Vec<Event>,
    /// Whether the next step goes on with the same A and B.
    pub more: bool,
    /// When the server read it, by its clock.
    pub read_at: OffsetDateTime,
    /// Whether events may have been removed before the tail read them.
    pub gap: bool,
}

/// Where the tail is.
#[derive(Debug, Clone)]
struct Position {
    before: Arc<Snapshot>,
    after: Arc<Snapshot>,
    /// The last id read between them; none where all has been.
    id: Option<i64>,
}

/// The epoch we are in.
#[derive(Debug, Clone, Copy)]
struct Present {
    incarnation: Uuid,
    epoch: Epoch,
}

/// A reader of the whole log.
#[derive(Debug)]
pub struct Tail {
    options: PgConnectOptions,
    /// What opens the transaction of a step, where settings do not last longer.
    begin: Option<SqlStr>,
    line: Option<Connected>,
    present: Option<Present>,
    position: Option<Position>,
    marks: Marks,
    /// The last event id at the last reading.
    last_id: Option<i64>,
    /// The latest mark, to be kept.
    latest_mark: Option<DatedMark>,
    /// The last events handed out: id, nonce, transaction.
    handed_out: VecDeque<(i64, i32, u64)>,
    /// How long the next step may take.
    patience: Duration,
}

/// A connection, and where it leads.
#[derive(Debug)]
struct Connected {
    connection: PgConnection,
    place: Place,
}

impl Tail {
    /// A tail that begins with the present. Nothing happens before the first step.
    pub fn new(route: impl Into<Route>) -> Self {
        let route = route.into();
        let options = route.options.application_name("postrider tail");
        let (options, begin) = match route.line {
            Line::Direct => (options.options(SETTINGS), None),
            Line::Guarded | Line::Pooled => {
                let options = options.extra_float_digits(None).statement_cache_capacity(0);
                (options, Some(begin_with(&SETTINGS)))
            }
        };
        Self {
            options,
            begin,
            line: None,
            present: None,
            position: None,
            marks: Marks::default(),
            last_id: None,
            latest_mark: None,
            handed_out: VecDeque::new(),
            patience: PATIENCE_FIRST,
        }
    }

    /// The next step. After an error, the next one goes on from where the last good one ended.
    pub async fn step(&mut self) -> Result<Step, Error> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => connect(&self.options).await?,
        };
        // Not put back when it fails: a new connection knows no half-read answer.
        let patience = self.patience;
        let step = timeout(patience, Box::pin(self.step_on(&mut line))).await;
        let Ok(step) = step else {
            self.patience = (patience * 2).min(PATIENCE_MAX);
            return Err(Error::Silent(patience));
        };
        let step = step?;
        self.patience = PATIENCE_FIRST;
        self.line = Some(line);
        Ok(step)
    }

    /// All that has been handed out, once there was a step.
    pub fn position(&self) -> Option<Cursor> {
        let (present, position) = (self.present?, self.position.as_ref()?);
        Some(Cursor {
            epoch: present.epoch,
            before: (*position.before).clone(),
            after: (*position.after).clone(),
            // Where all of the step has been read, both snapshots are the same.
            id: position.id.unwrap_or(0),
        })
    }

    /// The latest mark, if there is a new one since this was last asked.
    pub fn take_mark(&mut self) -> Option<DatedMark> {
        self.latest_mark.take()
    }

    /// Forgets where it was: the next step begins with the present.
    pub fn skip_to_present(&mut self) {
        self.position = None;
    }

    /// One step on this connection.
    async fn step_on(&mut self, line: &mut Connected) -> Result<Step, Error> {
        for _ in 0..TRIES_MAX {
            let position = match &self.position {
                Some(position) => position.clone(),
                // Not kept before it has been read from: it may be of before a crash that comes now.
                None => self.begin(&mut line.connection).await?,
            };
            let stretch = Stretch {
                earlier: &position.before,
                later: position.id.map(|_| &*position.after),
                after: position.id.unwrap_or(0),
                instance: None,
            };
            let read = self.read(&mut line.connection, stretch).await?;
            if read.is_standby {
                return Err(standby());
            }
            match self.present {
                Some(present) if read.incarnation == Some(present.incarnation) => {
                    return Ok(self.take_in(present, &position, read));
                }
                _ => self.enter(line).await?,
            }
        }
        Err(Error::Refused {
            code: NOT_NOW.to_owned(),
            message: "the server keeps crashing: no step of the tail could be finished".to_owned(),
            hint: None,
        })
    }

    /// One reading, with the settings it needs.
    async fn read(
        &self,
        connection: &mut PgConnection,
        stretch: Stretch<'_>,
    ) -> Result<Read, Error> {
        let Some(begin) = &self.begin else {
            return read(connection, stretch, &self.marks, true).await;
        };
        let doing = "read the event log";
        let mut transaction = connection
            .begin_with(begin.clone())
            .await
            .map_err(Error::doing(doing))?;
        let read = read(&mut *transaction, stretch, &self.marks, false).await?;
        transaction.commit().await.map_err(Error::doing(doing))?;
        Ok(read)
    }

    /// The first position: the present.
    async fn begin(&mut self, connection: &mut PgConnection) -> Result<Position, Error> {
        let doing = "begin to tail the event log";
        let mut transaction = connection.begin().await.map_err(Error::doing(doing))?;
        let row = sqlx::query(
            "-- tail.begin: the present
            select pg_current_snapshot()::text as snapshot
              , (select greatest(sequence.last_value - 33, 0) from postrider.events_id_seq sequence) as last_id",
        )
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await
        .map_err(Error::doing(doing))?;
        transaction.commit().await.map_err(Error::doing(doing))?;
        let snapshot: Snapshot = parse(&row, "snapshot").map_err(Error::doing(doing))?;
        self.last_id = Some(row.try_get("last_id").map_err(Error::doing(doing))?);
        let snapshot = Arc::new(snapshot);
        Ok(Position {
            before: Arc::clone(&snapshot),
            after: snapshot,
            id: None,
        })
    }

    /// A reading in the epoch we know becomes a step.
    fn take_in(&mut self, present: Present, position: &Position, read: Read) -> Step {
        if let Some(last_id) = self.last_id.replace(read.last_id) {
            let mark = read.mark(last_id);
            self.marks.add(mark, position.before.xmin());
            self.latest_mark = Some(DatedMark {
                mark,
                incarnation: present.incarnation,
            });
        }
        let before = Arc::clone(&position.before);
        let after = if position.id.is_some() {
            Arc::clone(&position.after)
        } else if read.later == *before {
            Arc::clone(&before)
        } else {
            Arc::new(read.later)
        };
        let last = read.events.last().map(|event| event.id);
        self.position = Some(match last.filter(|_| read.more) {
            Some(id) => Position {
                before: Arc::clone(&before),
                after: Arc::clone(&after),
                id: Some(id),
            },
            None => Position {
                before: Arc::clone(&after),
                after: Arc::clone(&after),
                id: None,
            },
        });
        let handed_out = read.events.iter();
        self.handed_out
            .extend(handed_out.map(|event| (event.id, event.nonce, event.xid)));
        let excess = self.handed_out.len().saturating_sub(HANDED_OUT_MAX);
        self.handed_out.drain(..excess);
        Step {
            epoch: present.epoch,
            before,
            after,
            events: read.events,
            more: read.more,
            read_at: read.taken_at,
            gap: read.gap,
        }
    }

    /// Another incarnation than we knew, or the first: takes out of our position what may recur.
    async fn enter(&mut self, line: &mut Connected) -> Result<(), Error> {
        let survived = if self.present.is_some() {
            self.survived(&mut line.connection).await?
        } else {
            None
        };
        let began = enter(&mut line.connection, &line.place, survived).await?;
        if self.present.is_some() {
            tracing::warn!(
                xid = began.first_xid,
                "Postgres has crashed, or another server has taken over: going on from what survived"
            );
            let cut = |snapshot: &Arc<Snapshot>| {
                Arc::new(Snapshot::clone(snapshot).before(began.first_xid))
            };
            self.position = self.position.take().map(|position| Position {
                before: cut(&position.before),
                after: cut(&position.after),
                id: position.id,
            });
        }
        self.marks.clear();
        self.last_id = None;
        self.latest_mark = None;
        self.present = Some(Present {
            incarnation: began.incarnation,
            epoch: began.epoch,
        });
        Ok(())
    }

    /// The highest transaction of which an event we handed out is still there.
    async fn survived(&self, connection: &mut PgConnection) -> Result<Option<u64>, Error> {
        let doing = "look for what survived a crash";
        let ids: Vec<i64> = self.handed_out.iter().map(|handed| handed.0).collect();
        let nonces: Vec<i32> = self.handed_out.iter().map(|handed| handed.1).collect();
        let xids: Vec<String> = self
            .handed_out
            .iter()
            .map(|handed| handed.2.to_string())
            .collect();
        let mut transaction = connection.begin().await.map_err(Error::doing(doing))?;
        let row = sqlx::query(
            "-- tail.survived: the highest transaction of the events handed out that are still there
            select event.xid::text as xid
            from unnest($1::bigint[], $2::integer[], $3::text[]) as handed(id, nonce, xid)
            join postrider.events event on event.id = handed.id and event.nonce = handed.nonce and event.xid = handed.xid::xid8
            order by event.xid desc limit 1",
        )
        .persistent(false)
        .bind(ids)
        .bind(nonces)
        .bind(xids)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Error::doing(doing))?;
        transaction.commit().await.map_err(Error::doing(doing))?;
        row.map(|row| xid(&row, "xid"))
            .transpose()
            .map_err(Error::doing(doing))
    }
}

/// Connects, and finds out whereto.
async fn connect(options: &PgConnectOptions) -> Result<Connected, Error> {
    // Boxed: connecting is a large future.
    let mut connection = timeout(CONNECT_MAX, Box::pin(options.connect()))
        .await
        .map_err(|_| Error::Silent(CONNECT_MAX))?
        .map_err(Error::doing("connect to tail the event log"))?;
    let place = arrive(&mut connection).await?;
    Ok(Connected { connection, place })
}
