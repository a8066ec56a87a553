//! The application's side of a benchmark: it commits, and so has connections of its own, without our settings.

use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{ConnectOptions, Error, connect, payload};
use crate::db::Database;

/// The rows that capture writes beside the application's, and nothing that is not needed for them.
const BY_HAND: &str = "with wanting as (
    select endpoint.id, endpoint.instance_id, endpoint.url, endpoint.attempts_max, endpoint.channel, endpoint.lane from postrider.endpoints endpoint
  ), event as (
    insert into postrider.events (instance_id, type, data)
    select wanting.instance_id, 'message.exchange', to_json($1::text) from wanting limit 1
    returning id, nonce
  ), delivery as (
    insert into postrider.webhook_queue (instance_name, url, payload, event_type, max_attempts, channel, endpoint_id, event_id, event_nonce, target, lane)
    select 'bench', wanting.url, convert_to($1, 'UTF8'), 'message.exchange', wanting.attempts_max, wanting.channel, wanting.id, event.id, event.nonce
      , wanting.id, wanting.lane
    from event, wanting
  )
  insert into public.bench_plain (account, body) values ('bench', $1)";

/// What no trigger of a statement could do without.
const LOOK: &str = "create function public.bench_look() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
  declare
    instance text;
    event json;
  begin
    select row.account, to_jsonb(row) into instance, event from new_rows row;
    return null;
  end $$;
  create trigger look after insert on public.bench_looked referencing new table as new_rows
    for each statement execute function public.bench_look()";

/// How a table of the application is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// Not at all.
    Plain,
    /// By capture.
    Captured,
    /// Not by us: the application writes the event and its deliveries, in the same statement as the row.
    ByHand,
    /// By a trigger that makes an event's data of the row, with the rights and the search path of a capture, and writes nothing.
    Looked,
}

impl Following {
    /// The table that is followed so.
    fn table(self) -> &'static str {
        match self {
            Self::Plain | Self::ByHand => "public.bench_plain",
            Self::Captured => "public.bench_captured",
            Self::Looked => "public.bench_looked",
        }
    }
}

/// A connection of the application.
#[derive(Debug)]
pub struct Application {
    connection: PgConnection,
}

impl Application {
    /// Connects.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, Error> {
        Ok(Self {
            connection: connect(options).await?,
        })
    }

    /// Begins a transaction and emits an event in it.
    pub async fn emit(&mut self, instance: &str, number: u64, bytes: usize) -> Result<(), Error> {
        let doing = "emit an event";
        sqlx::raw_sql("begin")
            .execute(&mut self.connection)
            .await
            .map_err(Error::doing(doing))?;
        sqlx::query("select postrider.emit($1, 'message.exchange', $2::text)")
            .bind(instance)
            .bind(payload(number, bytes))
            .execute(&mut self.connection)
            .await
            .map_err(Error::doing(doing))?;
        Ok(())
    }

    /// Emits an event in a transaction of its own.
    pub async fn publish(&mut self, instance: &str, data: &str) -> Result<(), Error> {
        sqlx::query("select postrider.emit($1, 'message.exchange', $2::text)")
            .bind(instance)
            .bind(data)
            .execute(&mut self.connection)
            .await
            .map_err(Error::doing("emit an event"))?;
        Ok(())
    }

    /// Emits so many events of the same data, in a transaction of their own.
    pub async fn publish_many(
        &mut self,
        instance: &str,
        data: &str,
        count: u64,
    ) -> Result<(), Error> {
        sqlx::query(
            "select postrider.emit_rows(array_fill($1, array[$3]), array_fill('message.exchange'::text, array[$3]), array_fill($2::json, array[$3]))",
        )
        .bind(instance)
        .bind(data)
        .bind(i32::try_from(count).unwrap_or(i32::MAX))
        .execute(&mut self.connection)
        .await
        .map_err(Error::doing("emit events"))?;
        Ok(())
    }

    /// Commits it.
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.run("commit").await
    }

    /// Inserts one row, in a transaction of its own.
    pub async fn insert(&mut self, following: Following, text: &str) -> Result<(), Error> {
        let statement = match following {
            Following::Plain => {
                "insert into public.bench_plain (account, body) values ('bench', $1)"
            }
            Following::Captured => {
                "insert into public.bench_captured (account, body) values ('bench', $1)"
            }
            Following::ByHand => BY_HAND,
            Following::Looked => {
                "insert into public.bench_looked (account, body) values ('bench', $1)"
            }
        };
        sqlx::query(statement)
            .bind(text)
            .execute(&mut self.connection)
            .await
            .map_err(Error::doing("insert a row"))?;
        Ok(())
    }

    /// Takes a snapshot and a transaction id, and keeps both until dropped: what vacuum cannot clean up behind.
    pub async fn hold_a_transaction(&mut self) -> Result<(), Error> {
        self.run("begin isolation level repeatable read; select pg_current_xact_id()")
            .await
    }

    /// Begins a transaction that writes a row and notifies: its commit is flushed as that of an event is.
    pub async fn notify(&mut self) -> Result<(), Error> {
        self.run("begin; insert into public.bench_plain (account, body) values ('bench', ''); notify bench")
            .await
    }

    /// Runs a statement.
    async fn run(&mut self, statement: &'static str) -> Result<(), Error> {
        sqlx::raw_sql(statement)
            .execute(&mut self.connection)
            .await
            .map_err(Error::doing("run a statement of the application"))?;
        Ok(())
    }

    /// Closes the connection in order.
    pub async fn close(self) -> Result<(), Error> {
        super::close(self.connection).await
    }
}

/// Hears what [`Application::notify`] says.
#[derive(Debug)]
pub struct Ear(PgListener);

impl Ear {
    /// Listens.
    pub async fn open(options: &ConnectOptions) -> Result<Self, Error> {
        let doing = "listen";
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(Error::doing(doing))?;
        let mut listener = PgListener::connect_with(&pool)
            .await
            .map_err(Error::doing(doing))?;
        listener
            .listen("bench")
            .await
            .map_err(Error::doing(doing))?;
        Ok(Self(listener))
    }

    /// Waits for the next one.
    pub async fn hear(&mut self) -> Result<(), Error> {
        self.0.recv().await.map_err(Error::doing("listen"))?;
        Ok(())
    }
}

impl Database {
    /// Makes the application's tables, one of them captured.
    pub async fn bench_tables(&self) -> Result<(), Error> {
        for following in [Following::Plain, Following::Captured, Following::Looked] {
            let table = following.table();
            let statement = format!(
                "create table {table} (id bigint generated always as identity primary key, account text not null, body text not null
                 , created_at timestamptz not null default now())"
            );
            self.bench_run(statement).await?;
        }
        self.bench_run(LOOK.to_owned()).await?;
        self.bench_run(
            "select postrider.capture('public.bench_captured', type => 'message.exchange', instance => 'new.account')"
                .to_owned(),
        )
        .await
    }

    /// Empties them.
    pub async fn bench_empty_tables(&self) -> Result<(), Error> {
        self.bench_run(
            "truncate public.bench_plain, public.bench_captured, public.bench_looked".to_owned(),
        )
        .await
    }

    /// Runs a statement of ours.
    async fn bench_run(&self, statement: String) -> Result<(), Error> {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(self.pool())
            .await
            .map_err(Error::doing("prepare the application's tables"))?;
        Ok(())
    }

    /// The events after this one, at most a thousand: how many, and the last of them.
    pub async fn bench_follow(&self, after: i64) -> Result<(i64, i64), Error> {
        sqlx::query_as(
            "select count(*), coalesce(max(id), $1) from (select id from postrider.events where id > $1 order by id limit 1000) news",
        )
        .bind(after)
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("follow the events"))
    }
}
