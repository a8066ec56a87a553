//! The way to the database, and what it is like.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::doorbell::{Verdict, probe_line};
use super::pool::Purpose;
use super::{Error, error};

/// What a way to the database is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Each connection has a server of its own: what is set and prepared there lasts.
    Direct,
    /// The same, but what is to be set is not let in at the door.
    Guarded,
    /// A pooler lends servers, transaction by transaction: nothing lasts longer, and no notification arrives.
    Pooled,
}

/// A way to the database. One that was never looked at is taken to be direct.
#[derive(Debug, Clone)]
pub struct Route {
    /// How to connect.
    pub options: PgConnectOptions,
    /// What the way is like.
    pub line: Line,
}

impl From<PgConnectOptions> for Route {
    fn from(options: PgConnectOptions) -> Self {
        Self {
            options,
            line: Line::Direct,
        }
    }
}

impl Route {
    /// Looks what the way is like. Where nothing answers it counts as direct: whoever goes it next says what is wrong.
    pub async fn explored(options: PgConnectOptions) -> Self {
        let line = match look(&options).await {
            Ok(line) => line,
            // The only server a pooler has was busy with the other half of our own question.
            Err(error) if error.is_timeout() && lets_in(&options).await => Line::Pooled,
            Err(error) => {
                tracing::debug!(error = %crate::causes::Causes(&error), "the way to the database could not be looked at");
                Line::Direct
            }
        };
        Self { options, line }
    }
}

/// Whether anything answers there at all.
async fn lets_in(options: &PgConnectOptions) -> bool {
    let connecting = async {
        // Boxed: connecting is a large future.
        let connection = Box::pin(options.connect()).await;
        connection.map_err(Error::connecting(options))
    };
    error::answered(connecting).await.is_ok()
}

/// Whether sessions stay whole, and our settings are let in.
async fn look(options: &PgConnectOptions) -> Result<Line, Error> {
    Ok(match Box::pin(probe_line(options)).await? {
        Verdict::Direct if lets_settings_in(options).await? => Line::Direct,
        Verdict::Direct => Line::Guarded,
        Verdict::Pooled | Verdict::Deaf => Line::Pooled,
    })
}

/// A pooler may refuse settings at the door, or swallow them; also one that keeps sessions whole.
async fn lets_settings_in(options: &PgConnectOptions) -> Result<bool, Error> {
    let connecting = Purpose::Worker.at_the_door(options.clone());
    let asked = error::answered(async {
        // Boxed: connecting is a large future.
        let mut connection = Box::pin(connecting.connect())
            .await
            .map_err(Error::connecting(options))?;
        let set = setting(&mut connection).await;
        drop(connection.close().await);
        set.map_err(Error::doing("ask for a setting of our own"))
    });
    match asked.await {
        Ok(set) => Ok(set == "force_generic_plan"),
        Err(error) if error.is_refused_at_the_door() => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the first of our settings is, by the simple protocol: a pooler cannot tear it apart.
async fn setting(connection: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::raw_sql("select current_setting('plan_cache_mode')")
        .fetch_one(connection)
        .await?
        .try_get(0)
}
