//! Who is connected to the realtime sidecars: each tells what is new, and anybody may look, and end one.

use serde::Serialize;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;

use super::{Database, Error, answered};
use crate::model::Reach;

/// Connections of one sidecar, as parallel lists.
#[derive(Debug, Default)]
pub struct News {
    /// Numbers of those that are over.
    pub gone: Vec<i64>,
    /// Numbers of those that are new; the rest is about them.
    pub numbers: Vec<i64>,
    /// Whose tokens let them in.
    pub accounts: Vec<i64>,
    /// What they follow; none: all of the account, or nothing.
    pub instances: Vec<Option<i64>>,
    /// Through which door.
    pub doors: Vec<String>,
    /// Where from.
    pub addresses: Vec<Option<String>>,
    /// By which token.
    pub tokens: Vec<String>,
    /// For how many seconds they have been there.
    pub ages: Vec<f64>,
}

/// What a sidecar is told in return.
#[derive(Debug, Default)]
pub struct Told {
    /// It was not known: what it told before is forgotten.
    pub is_new: bool,
    /// Numbers of those that are to be ended.
    pub kicked: Vec<i64>,
}

/// A connection as it is listed.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct OpenConnection {
    /// To name it by.
    pub id: i64,
    /// What it follows; none: all of its account, or nothing.
    pub instance: Option<String>,
    /// Through which door.
    pub door: String,
    /// Where from.
    pub address: Option<String>,
    /// By which token.
    pub token: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub connected_at: OffsetDateTime,
    /// At which sidecar.
    pub sidecar: String,
}

impl Database {
    /// A sidecar is alive, and says who came and who left.
    pub async fn tell_connections(&self, sidecar: &str, news: &News) -> Result<Told, Error> {
        let telling = async {
            let row = sqlx::query(
                "-- connections.tell: who came, who left, and who is to be ended
                with sidecar as (
                  insert into postrider.realtime_processes as known (name) values ($1)
                  on conflict (name) do update set seen_at = now()
                  returning known.xmax = 0 as is_new
                ), gone as (
                  delete from postrider.sockets socket where socket.sidecar = $1 and socket.number = any ($2)
                ), come as (
                  insert into postrider.sockets (sidecar, number, account_id, instance_id, door, address, token, connected_at)
                  select $1, given.number, given.account_id, given.instance_id, given.door, given.address, given.token, now() - make_interval(secs => given.age)
                  from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::float8[])
                    as given(number, account_id, instance_id, door, address, token, age)
                  on conflict on constraint sockets_are_told_once do nothing
                )
                select sidecar.is_new
                  , array(select socket.number from postrider.sockets socket where socket.sidecar = $1 and socket.kicked) as kicked
                from sidecar",
            )
            .bind(sidecar)
            .bind(&news.gone)
            .bind(&news.numbers)
            .bind(&news.accounts)
            .bind(&news.instances)
            .bind(&news.doors)
            .bind(&news.addresses)
            .bind(&news.tokens)
            .bind(&news.ages)
            .fetch_one(self.pool())
            .await?;
            Ok(Told {
                is_new: row.try_get("is_new")?,
                kicked: row.try_get("kicked")?,
            })
        };
        answered(async { telling.await.map_err(Error::doing("tell who is connected")) }).await
    }

    /// Nobody is connected to a sidecar any more; those that have not been heard of for long are forgotten as well.
    pub async fn forget_sidecar(&self, sidecar: &str) -> Result<(), Error> {
        sqlx::query(
            "-- connections.forget: of sidecars that nobody is connected to, or that are gone
            with gone as (
              delete from postrider.realtime_processes sidecar where sidecar.name = $1 or sidecar.seen_at < now() - interval '1 minute'
            )
            delete from postrider.sockets socket
            where socket.sidecar = $1
               or not exists (select from postrider.realtime_processes sidecar where sidecar.name = socket.sidecar and sidecar.seen_at >= now() - interval '1 minute')",
        )
        .bind(sidecar)
        .execute(self.pool())
        .await
        .map_err(Error::doing("forget who was connected"))?;
        Ok(())
    }

    /// Connections within reach, of one instance or of all, by id, above one.
    pub async fn connections_within(
        &self,
        reach: Reach,
        instance: Option<i64>,
        (after, count): (i64, i64),
    ) -> Result<Vec<OpenConnection>, Error> {
        sqlx::query_as(
            "-- connections.list: within reach
            select connection.* from postrider.connections connection
            join postrider.sockets socket on socket.id = connection.id
            where socket.account_id = $1 and ($2::bigint is null or socket.instance_id = $2) and ($3::bigint is null or socket.instance_id = $3)
              and connection.id > $4
            order by connection.id limit $5",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(instance)
        .bind(after)
        .bind(count)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("list connections"))
    }

    /// Has a connection within reach ended, wherever it is. False where there is none.
    pub async fn kick(&self, reach: Reach, connection: i64) -> Result<bool, Error> {
        sqlx::query_scalar(
            "-- connections.kick: within reach
            select coalesce((select postrider.kick(socket.id) from postrider.sockets socket
              where socket.id = $3 and socket.account_id = $1 and ($2::bigint is null or socket.instance_id = $2)), false)",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(connection)
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("end a connection"))
    }
}
