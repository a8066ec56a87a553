//! Work that one process does at a time, held by a lease row. Every duty is also safe when two do it.

use std::time::Duration;

use super::{Database, Error};

/// A duty, by its name.
#[derive(Debug)]
pub struct Duty;

impl Duty {
    /// Takes or renews a duty. Answers whether it is ours until `ttl` from now.
    pub async fn hold(
        database: &Database,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<bool, Error> {
        let held: Option<bool> = sqlx::query_scalar(
            "-- duties.hold: take a duty that is free or ours
            insert into postrider.duties as duty (name, holder, until) values ($1, $2, now() + make_interval(secs => $3))
            on conflict (name) do update set holder = excluded.holder, until = excluded.until
              where duty.holder = excluded.holder or duty.until < now()
            returning true",
        )
        .bind(name)
        .bind(holder)
        .bind(ttl.as_secs_f64())
        .fetch_optional(database.pool())
        .await
        .map_err(Error::doing("take a duty"))?;
        Ok(held.unwrap_or(false))
    }

    /// Gives a duty up, so that another process takes it at once.
    pub async fn release(database: &Database, name: &str, holder: &str) -> Result<(), Error> {
        sqlx::query("-- duties.release: give a duty up\n delete from postrider.duties where name = $1 and holder = $2")
            .bind(name)
            .bind(holder)
            .execute(database.pool())
            .await
            .map_err(Error::doing("give a duty up"))?;
        Ok(())
    }
}
