//! Tables as a source of events: `postrider.capture`, against a real Postgres.

mod arguments;
mod attaching;
mod errors;
mod names;
mod partitions;
mod replication;
mod safety;
mod writes;

use serde_json::Value;
use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::support::postgres::{TestDatabase, database};

/// What an SQL statement answered in place of success.
#[derive(Debug)]
struct Refusal {
    /// The five characters of its kind.
    code: String,
    /// What it says.
    message: String,
    /// What to do about it.
    hint: String,
}

/// A database with the instances `shop` and `bank`, and a session in it.
struct Ground {
    database: TestDatabase,
    connection: PgConnection,
}

impl Ground {
    /// A fresh one, in which `setup` has been run.
    async fn new(setup: &str) -> Ground {
        let database = database().await;
        // The role may be called as our schema is, and then new tables would land there.
        let mut connection = database.connection().await;
        run(
            &mut connection,
            "do $$ begin execute format('alter database %I set search_path = public', current_database()); end $$",
        )
        .await
        .unwrap();
        connection.close().await.unwrap();
        let connection = database.connection().await;
        let mut ground = Ground {
            database,
            connection,
        };
        ground
            .run("select postrider.create_instance('shop'); select postrider.create_instance('bank')")
            .await;
        ground.run(setup).await;
        ground
    }

    /// Runs statements that succeed.
    async fn run(&mut self, statements: &str) {
        if let Err(error) = run(&mut self.connection, statements).await {
            panic!("{statements}: {error}");
        }
    }

    /// Runs statements of which one is refused.
    async fn refused(&mut self, statements: &str) -> Refusal {
        let error = run(&mut self.connection, statements).await.unwrap_err();
        let error = error.as_database_error().unwrap();
        let error = error.downcast_ref::<PgDatabaseError>();
        Refusal {
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            hint: error.hint().unwrap_or_default().to_owned(),
        }
    }

    /// The one value a query yields, as text.
    async fn value(&mut self, query: &str) -> String {
        value(&mut self.connection, query).await
    }

    /// Every event so far: instance, type and data, in order.
    async fn events(&mut self) -> Vec<(String, String, Value)> {
        sqlx::query(
            "select i.name, e.type, e.data from postrider.events e
             join postrider.instances i on i.id = e.instance_id order by e.id",
        )
        .fetch_all(&mut self.connection)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
    }

    /// The data of every event so far, in order.
    async fn data(&mut self) -> Vec<Value> {
        self.events()
            .await
            .into_iter()
            .map(|event| event.2)
            .collect()
    }

    /// Another session, as another role.
    async fn session_of(&self, role: &str) -> PgConnection {
        let mut other = self.database.connection().await;
        run(&mut other, &format!("set session authorization {role}"))
            .await
            .unwrap();
        other
    }

    /// Ends the session; what it left open is rolled back.
    async fn reconnect(&mut self) {
        let fresh = self.database.connection().await;
        let old = std::mem::replace(&mut self.connection, fresh);
        old.close().await.unwrap();
    }
}

/// Runs statements.
async fn run(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(connection)
        .await
        .map(drop)
}

/// The one value a query yields, as text.
async fn value(connection: &mut PgConnection, query: &str) -> String {
    let query = AssertSqlSafe(format!("select ({query})::text"));
    let value: Option<String> = sqlx::query_scalar(query)
        .fetch_one(connection)
        .await
        .unwrap();
    value.unwrap_or_default()
}
