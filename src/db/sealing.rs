//! Secrets at rest: those given in plain are sealed, those sealed with a former key are sealed anew.
//!
//! Keys never come near Postgres, so texts are read, sealed here and written back, a batch at a time; a text that changed
//! meanwhile is left to the next round.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use tokio::time::sleep;

use super::{Database, Error};
use crate::crypto::Keyring;

/// Texts looked at by one statement.
const BATCH: i64 = 2000;
/// How often a place is walked again for what changed or was locked meanwhile.
const ROUNDS_MAX: u32 = 10;
/// Between two walks, for whoever held a lock to be done.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// What became of the secrets in one place.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resealed {
    /// Where they are.
    pub place: &'static str,
    /// Sealed now with the current key.
    pub sealed: u64,
    /// Sealed with the current key already.
    pub current: u64,
    /// Locked or changed by others each time they were tried.
    pub busy: u64,
    /// Not opened: how many, by what is the matter with them.
    pub shut: BTreeMap<String, u64>,
}

impl Database {
    /// Seals secrets that rest in plain, a batch of each kind. Answers with how many.
    pub async fn seal_secrets(&self, keyring: &Keyring) -> Result<u64, Error> {
        let mut sealed = 0;
        for place in &PLACES {
            let plain: Vec<(i64, String)> = sqlx::query_as(place.plain)
                .bind(BATCH)
                .fetch_all(self.pool())
                .await
                .map_err(Error::doing("look for secrets in plain"))?;
            let changes = plain
                .into_iter()
                .map(|(id, text)| {
                    let sealed = keyring.seal(&SecretString::from(text.as_str()), &mut rand::rng());
                    (id, text, sealed)
                })
                .collect();
            sealed += self.replace_secrets(place, changes).await?;
        }
        Ok(sealed)
    }

    /// Seals everything with the current key that is not: what a former key sealed, and what rests in plain. In batches, so
    /// that no lock is held for long.
    pub async fn reseal_secrets(&self, keyring: &Keyring) -> Result<Vec<Resealed>, Error> {
        let mut all = Vec::new();
        for place in &PLACES {
            let mut done = self.reseal_place(place, keyring).await?;
            for _ in 1..ROUNDS_MAX {
                if done.busy == 0 {
                    break;
                }
                sleep(ROUND_PAUSE).await;
                let again = self.reseal_place(place, keyring).await?;
                done = Resealed {
                    sealed: done.sealed + again.sealed,
                    current: again.current - done.sealed.min(again.current),
                    ..again
                };
            }
            all.push(done);
        }
        Ok(all)
    }

    /// One walk through a place, by id.
    async fn reseal_place(&self, place: &Place, keyring: &Keyring) -> Result<Resealed, Error> {
        let mut done = Resealed {
            place: place.name,
            ..Resealed::default()
        };
        let mut after = 0;
        loop {
            let page: Vec<(i64, Option<String>)> = sqlx::query_as(place.page)
                .bind(after)
                .bind(BATCH)
                .fetch_all(self.pool())
                .await
                .map_err(Error::doing("read secrets to seal them anew"))?;
            let Some((last, _)) = page.last() else {
                return Ok(done);
            };
            after = *last;
            let changes = changes(page, keyring, &mut done);
            let wanted = changes.len() as u64;
            let sealed = self.replace_secrets(place, changes).await?;
            done.sealed += sealed;
            done.busy += wanted - sealed;
        }
    }

    /// Writes sealed texts where the former ones still stand. Answers with how many.
    async fn replace_secrets(
        &self,
        place: &Place,
        changes: Vec<(i64, String, String)>,
    ) -> Result<u64, Error> {
        if changes.is_empty() {
            return Ok(0);
        }
        let ids: Vec<i64> = changes.iter().map(|(id, _, _)| *id).collect();
        let (before, after): (Vec<String>, Vec<String>) = changes
            .into_iter()
            .map(|(_, before, after)| (before, after))
            .unzip();
        let replaced = sqlx::query(place.replace)
            .bind(ids)
            .bind(before)
            .bind(after)
            .execute(self.pool())
            .await
            .map_err(Error::doing("seal secrets"))?;
        Ok(replaced.rows_affected())
    }
}

/// Of a page what has to be written: id, former and new text. What needs none, or cannot, is counted.
fn changes(
    page: Vec<(i64, Option<String>)>,
    keyring: &Keyring,
    done: &mut Resealed,
) -> Vec<(i64, String, String)> {
    let mut changes = Vec::new();
    for (id, text) in page {
        let Some(text) = text else { continue };
        match keyring.open(&text) {
            Err(error) => *done.shut.entry(error.to_string()).or_default() += 1,
            Ok(_) if !keyring.needs_sealing(&text) => done.current += 1,
            Ok(plain) => {
                let sealed = keyring.seal(&plain, &mut rand::rng());
                changes.push((id, text, sealed));
            }
        }
    }
    changes
}

/// A column that holds secrets.
struct Place {
    /// As people call it.
    name: &'static str,
    /// Some that rest in plain, by an index.
    plain: &'static str,
    /// The next rows after an id, those without a secret included.
    page: &'static str,
    /// Writes new texts where the former ones still stand.
    replace: &'static str,
}

/// A column of a table with few rows, known by their `id`.
macro_rules! column {
    ($name:literal, $table:literal, $column:literal) => {
        Place {
            name: $name,
            plain: concat!("select id, ", $column, " from ", $table, " where ", $column, " is not null and ", $column, " not like 'sealed:%' limit $1"),
            page: concat!("select id, ", $column, " from ", $table, " where id > $1 order by id limit $2"),
            replace: concat!(
                "update ", $table, " held set ", $column, " = given.closed from unnest($1::bigint[], $2::text[], $3::text[]) as given(id, open, closed)
                 where held.id = given.id and held.", $column, " = given.open"
            ),
        }
    };
}

/// All of them.
const PLACES: [Place; 7] = [
    column!("instance tokens", "postrider.instances", "token"),
    column!("endpoint authorization", "postrider.endpoints", "authorization_header"),
    column!("endpoint headers", "postrider.endpoints", "headers"),
    column!("endpoint settings", "postrider.endpoints", "settings"),
    // They are only kept sealed: none rests in plain.
    column!("tokens that are shown", "postrider.tokens", "sealed"),
    column!("signing secrets", "postrider.signing_secrets", "secret"),
    Place {
        name: "rows of webhook_queue",
        plain: "select queue.id, queue.auth_header from postrider.unsealed_rows unsealed join postrider.webhook_queue queue on queue.id = unsealed.delivery_id
            where queue.auth_header is not null and queue.auth_header not like 'sealed:%' limit $1",
        page: "select id, auth_header from postrider.webhook_queue where id > $1 order by id limit $2",
        // In the order of ids and past what is locked, so that it never stands in a deadlock with an operator's bulk UPDATE.
        replace: "with held as materialized (
              select queue.id, given.closed from postrider.webhook_queue queue
              join unnest($1::bigint[], $2::text[], $3::text[]) as given(id, open, closed) on queue.id = given.id and queue.auth_header = given.open
              order by queue.id for no key update of queue skip locked
            ), noted as (
              delete from postrider.unsealed_rows unsealed where unsealed.delivery_id in (select held.id from held)
            )
            update postrider.webhook_queue queue set auth_header = held.closed from held where queue.id = held.id",
    },
];
