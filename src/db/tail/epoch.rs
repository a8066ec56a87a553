//! Whose transaction ids these are: the cluster, and the time since its last crash.

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use super::cursor::Epoch;
use super::read::xid;
use crate::db::{Error, answered};

/// `object_not_in_prerequisite_state`.
pub(super) const NOT_NOW: &str = "55000";
/// Rows rewritten by one statement.
const BATCH: i64 = 10_000;

/// The database at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The cluster's identifier.
    system: String,
    /// The database within it.
    database: String,
}

impl Place {
    /// The epoch of one incarnation of it.
    fn epoch(&self, incarnation: Uuid) -> Epoch {
        let name = format!("{}/{}/{incarnation}", self.system, self.database);
        let hash = Sha256::digest(name.as_bytes());
        let (start, _) = hash
            .split_first_chunk()
            .expect("a hash is longer than 8 bytes");
        Epoch(i64::from_le_bytes(*start))
    }
}

/// Finds out where we are, and makes sure that the events carry transaction ids of this cluster. After a restore elsewhere
/// they do not: such ids are replaced by one that every snapshot sees.
pub(super) async fn arrive(connection: &mut PgConnection) -> Result<Place, Error> {
    let seen = answered(look(connection)).await?;
    if seen.drawn_ahead != 1 {
        return Err(Error::Refused {
            code: NOT_NOW.to_owned(),
            message: format!(
                "the sequence postrider.events_id_seq hands out {} ids at a time; events could be missed so",
                seen.drawn_ahead
            ),
            hint: Some("alter sequence postrider.events_id_seq cache 1;".to_owned()),
        });
    }
    if seen.is_standby {
        return Err(standby());
    }
    if seen.home.as_ref() != Some(&seen.place.system) {
        settle(connection, &seen.place, seen.home.is_some()).await?;
    }
    Ok(seen.place)
}

/// What is seen on arrival.
struct Seen {
    place: Place,
    /// The cluster whose ids the events carry.
    home: Option<String>,
    /// How many ids the sequence of events hands out at a time.
    drawn_ahead: i64,
    is_standby: bool,
}

/// Looks around.
async fn look(connection: &mut PgConnection) -> Result<Seen, Error> {
    let looking = async {
        // In a transaction, as all that is not prepared by name: behind a pooler, the second half of a statement may come to
        // another server.
        let mut transaction = connection.begin().await?;
        let row = sqlx::query(
            "-- tail.arrive: the cluster, and whose ids the events carry
            select (select system_identifier from pg_control_system())::text as system
              , (select oid from pg_database where datname = current_database())::text as database
              , (select home.system_identifier from postrider.tail_home home) as home
              , (select seqcache from pg_sequence where seqrelid = 'postrider.events_id_seq'::regclass) as drawn_ahead
              , pg_is_in_recovery() as is_standby",
        )
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Seen {
            place: Place {
                system: row.try_get("system")?,
                database: row.try_get("database")?,
            },
            home: row.try_get("home")?,
            drawn_ahead: row.try_get("drawn_ahead")?,
            is_standby: row.try_get("is_standby")?,
        })
    };
    looking
        .await
        .map_err(Error::doing("find out which cluster this is"))
}

/// The server only follows another.
pub(super) fn standby() -> Error {
    Error::Refused {
        code: NOT_NOW.to_owned(),
        message: "this server is a standby, which does not know what transactions are running on its primary".to_owned(),
        hint: Some("Point database.url at the primary.".to_owned()),
    }
}

/// Writes down that this cluster is home. Where another one was, its transaction ids are taken out of the log first. Two may
/// do so at once: what is done twice is the same.
async fn settle(
    connection: &mut PgConnection,
    place: &Place,
    was_elsewhere: bool,
) -> Result<(), Error> {
    let settling = async {
        if was_elsewhere {
            tracing::warn!(
                "this event log was restored from another cluster: its transaction ids are rewritten, and cursors from there are no longer valid"
            );
            rewrite(connection).await?;
        }
        let mut transaction = connection.begin().await?;
        sqlx::query("lock table postrider.tail_home in exclusive mode")
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
        let ours = sqlx::query(
            "-- tail.settle: the events carry ids of this cluster from now on
            insert into postrider.tail_home as home (system_identifier) values ($1)
            on conflict (one) do update set system_identifier = excluded.system_identifier
              where home.system_identifier <> excluded.system_identifier",
        )
        .persistent(false)
        .bind(&place.system)
        .execute(&mut *transaction)
        .await?;
        if was_elsewhere && ours.rows_affected() > 0 {
            for statement in [
                "delete from postrider.tail_marks",
                "delete from postrider.epochs",
                "update postrider.removed_events set xid = '3' where xid > '3'",
            ] {
                sqlx::query(statement)
                    .persistent(false)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        transaction.commit().await
    };
    settling.await.map_err(Error::doing(
        "rewrite the transaction ids of a restored event log",
    ))
}

/// Gives every event that is there transaction id 3, which every snapshot sees.
async fn rewrite(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    let last: i64 = sqlx::query_scalar("select last_value from postrider.events_id_seq")
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let mut after = 0_i64;
    while after < last {
        // From id to id over whatever gaps there are.
        let mut transaction = connection.begin().await?;
        let reached: Option<i64> = sqlx::query_scalar(
            "with batch as materialized (
              select event.id from postrider.events event where event.id > $1 and event.id <= $2 order by event.id limit $3
            ), rewritten as (
              update postrider.events event set xid = '3', snap = '4:4:' from batch where event.id = batch.id and event.xid <> '3'
            )
            select max(batch.id) from batch",
        )
        .persistent(false)
        .bind(after)
        .bind(last)
        .bind(BATCH)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        after = reached.unwrap_or(last);
    }
    Ok(())
}

/// What is known of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Began {
    /// The epoch.
    pub(super) epoch: Epoch,
    /// Its incarnation.
    pub(super) incarnation: Uuid,
    /// No id below this one was handed out again when it began.
    pub(super) first_xid: u64,
}

/// The epoch that this incarnation is; the first to find none writes it down. `survived` is the highest transaction of
/// which an event we handed out outlived the crash.
pub(super) async fn enter(
    connection: &mut PgConnection,
    place: &Place,
    survived: Option<u64>,
) -> Result<Began, Error> {
    let doing = "write down a new incarnation";
    let entering = async {
        let mut transaction = connection.begin().await?;
        // Two of us: the second waits for the first here, and inserts nothing.
        sqlx::query(
            "insert into postrider.incarnation default values on conflict (one) do nothing",
        )
        .persistent(false)
        .execute(&mut *transaction)
        .await?;
        let incarnation: Uuid = sqlx::query_scalar("select id from postrider.incarnation")
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await?;
        let epoch = place.epoch(incarnation);
        // Marks count for whoever is first only: later there are marks of the new epoch.
        let row = sqlx::query(
            "-- tail.enter: where an epoch began, at the least
            insert into postrider.epochs as known (epoch, first_xid)
            select $1, greatest('3'::xid8, $2::text::xid8, (select mark.next_xid from postrider.tail_marks mark order by mark.next_xid desc limit 1))
            on conflict (epoch) do update set first_xid = greatest(known.first_xid, $2::text::xid8)
            returning first_xid::text as first_xid",
        )
        .persistent(false)
        .bind(epoch.0)
        .bind(survived.map(|xid| (xid + 1).to_string()))
        .fetch_one(&mut *transaction)
        .await?;
        let first_xid = xid(&row, "first_xid")?;
        transaction.commit().await?;
        Ok(Began {
            epoch,
            incarnation,
            first_xid,
        })
    };
    entering.await.map_err(Error::doing(doing))
}
