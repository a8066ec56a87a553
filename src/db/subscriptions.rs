//! Subscriptions whose clients acknowledge event by event: what each has yet to acknowledge, and which process holds it.
//!
//! A process that holds any says every second that it is alive. So a row is free as soon as its client has left, or a few
//! seconds after its process was killed.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::FromRow;

use super::{Database, Error};
use crate::db::tail::Event;

/// A process that has not said for so long that it is alive is not.
pub const LEASE: Duration = Duration::from_secs(5);

/// One that is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRow)]
pub struct Subscription {
    /// Its private key.
    pub id: i64,
    /// Rises with each connection: an earlier one has no say any more.
    pub claim: i64,
}

/// Where one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Everything up to here has been acknowledged …
    pub cursor: String,
    /// … except these.
    pub unacknowledged: Vec<i64>,
}

/// One of those that are alike.
#[derive(Debug, Clone, FromRow)]
pub struct Known {
    /// Which, and its present claim.
    #[sqlx(flatten)]
    pub subscription: Subscription,
    /// Everything up to here has been acknowledged …
    pub cursor: String,
    /// … except these.
    pub unacknowledged: Vec<i64>,
    /// Somebody is connected.
    pub is_held: bool,
    /// In a process that is not this one; and till when that is alive, as a word that changes.
    pub elsewhere: Option<String>,
}

impl Database {
    /// This process is alive.
    pub async fn keep_sidecar_alive(&self, name: &str) -> Result<(), Error> {
        sqlx::query(
            "-- sidecars.alive: for a few seconds more; those that are long gone are forgotten
            with gone as (
              delete from postrider.sidecars where alive_until < now() - interval '1 day'
            )
            insert into postrider.sidecars (name, alive_until) values ($1, now() + make_interval(secs => $2))
            on conflict (name) do update set alive_until = excluded.alive_until",
        )
        .bind(name)
        .bind(LEASE.as_secs_f64())
        .execute(self.pool())
        .await
        .map_err(Error::doing("say that this process is alive"))?;
        Ok(())
    }

    /// The subscriptions of an instance that are alike. One that nobody came back for, although somebody else did since, is
    /// given up after ten minutes.
    pub async fn subscriptions(
        &self,
        instance: i64,
        key: &str,
        sidecar: &str,
    ) -> Result<Vec<Known>, Error> {
        sqlx::query_as(
            "-- subscriptions.known: those that are alike, and who holds them
            with alike as materialized (
              select subscription.*
                , coalesce(subscription.holder = $3 or sidecar.alive_until > now(), false) as is_held
                , case when subscription.holder <> $3 and sidecar.alive_until > now() then sidecar.name || ' ' || sidecar.alive_until end as elsewhere
                , greatest(subscription.taken_at, subscription.left_at, sidecar.alive_until) as heard_at
              from postrider.subscriptions subscription left join postrider.sidecars sidecar on sidecar.name = subscription.holder
              where subscription.instance_id = $1 and subscription.key = $2
            ), given_up as (
              delete from postrider.subscriptions subscription using alike
              where subscription.id = alike.id and subscription.claim = alike.claim and not alike.is_held and alike.heard_at < now() - interval '10 minutes'
                and exists (select from alike other where other.id <> alike.id and other.taken_at > alike.heard_at)
              returning subscription.id
            )
            select alike.id, alike.claim, alike.cursor, alike.unacknowledged, alike.is_held, alike.elsewhere
            from alike where alike.id not in (select given_up.id from given_up) order by alike.id",
        )
        .bind(instance)
        .bind(key)
        .bind(sidecar)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("look for the subscription"))
    }

    /// One more, held by this process.
    pub async fn add_subscription(
        &self,
        (instance, key): (i64, &str),
        place: &Place,
        sidecar: &str,
    ) -> Result<Subscription, Error> {
        sqlx::query_as(
            "-- subscriptions.add: one more
            insert into postrider.subscriptions (instance_id, key, cursor, unacknowledged, holder) values ($1, $2, $3, $4, $5)
            returning id, claim",
        )
        .bind(instance)
        .bind(key)
        .bind(&place.cursor)
        .bind(&place.unacknowledged)
        .bind(sidecar)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("remember the subscription"))
    }

    /// Puts all of these, which are free, at a place, and takes one of them. None where others have taken them meanwhile.
    pub async fn take_subscription(
        &self,
        free: &[Subscription],
        place: &Place,
        sidecar: &str,
    ) -> Result<Option<Subscription>, Error> {
        let (ids, claims): (Vec<i64>, Vec<i64>) =
            free.iter().map(|free| (free.id, free.claim)).unzip();
        sqlx::query_as(
            "-- subscriptions.take: whoever comes may be the client of any of them, so all are put where none of them has missed anything
            with free as materialized (
              select subscription.id from postrider.subscriptions subscription
              join unnest($1::bigint[], $2::bigint[]) as given(id, claim) on given.id = subscription.id and given.claim = subscription.claim
              order by subscription.id for update of subscription
            ), numbered as (
              select free.id, free.id = min(free.id) over () as is_first from free
            ), taken as (
              update postrider.subscriptions subscription
              set cursor = $3, unacknowledged = $4, claim = subscription.claim + 1
                , holder = case when numbered.is_first then $5 end
                , taken_at = case when numbered.is_first then now() else subscription.taken_at end
              from numbered where subscription.id = numbered.id
              returning subscription.id, subscription.claim, subscription.holder
            )
            select taken.id, taken.claim from taken where taken.holder is not null",
        )
        .bind(ids)
        .bind(claims)
        .bind(&place.cursor)
        .bind(&place.unacknowledged)
        .bind(sidecar)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::doing("take the subscription"))
    }

    /// Writes where some are; those whose client has left (`true`) are free from then on. Answers with those of which it could
    /// be written: another connection has the others.
    pub async fn save_subscriptions(
        &self,
        places: &[(Subscription, Place, bool)],
    ) -> Result<HashSet<i64>, Error> {
        let (mut ids, mut claims, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let (mut cursors, mut lists) = (Vec::new(), Vec::new());
        for (subscription, place, has_left) in places {
            ids.push(subscription.id);
            claims.push(subscription.claim);
            left.push(*has_left);
            cursors.push(place.cursor.as_str());
            let list: Vec<String> = place.unacknowledged.iter().map(i64::to_string).collect();
            lists.push(list.join(","));
        }
        let saved: Vec<i64> = sqlx::query_scalar(
            "-- subscriptions.save: by whom holds them
            with given as materialized (
              select known.id, given.cursor, string_to_array(given.list, ',')::bigint[] as unacknowledged, given.has_left
              from unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::text[], $5::text[]) as given(id, claim, has_left, cursor, list)
              join postrider.subscriptions known on known.id = given.id and known.claim = given.claim
              order by known.id for update of known
            )
            update postrider.subscriptions subscription
            set cursor = given.cursor, unacknowledged = given.unacknowledged
              , holder = case when given.has_left then null else subscription.holder end
              , left_at = case when given.has_left then now() else subscription.left_at end
            from given where subscription.id = given.id
            returning subscription.id",
        )
        .bind(ids)
        .bind(claims)
        .bind(left)
        .bind(cursors)
        .bind(lists)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("write what subscriptions have acknowledged"))?;
        Ok(saved.into_iter().collect())
    }

    /// Events of an instance by id, in that order; those that are no longer kept are left out.
    pub async fn events_by_id(&self, instance: i64, ids: &[i64]) -> Result<Vec<Event>, Error> {
        sqlx::query_as(
            "-- subscriptions.events: what has yet to be acknowledged
            select event.id, event.nonce, event.instance_id, event.type, event.data::text as data, event.created_at, event.xid::text as xid
              , (select sender.sender from postrider.event_senders sender where sender.event_id = event.id) as sender
            from postrider.events event where event.id = any($1) and event.instance_id = $2 order by event.id",
        )
        .bind(ids)
        .bind(instance)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("read what has yet to be acknowledged"))
    }
}
