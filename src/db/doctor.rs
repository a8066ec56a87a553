//! What `doctor` looks at. Facts only: what they mean is for the command to say. The statements are in `sql/ops`, which
//! Grafana and people use too.

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::{Database, Error};

/// The server.
#[derive(Debug, Clone, FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "a row of facts")]
pub struct Server {
    /// As `server_version_num` has it.
    pub version: i32,
    /// As people write it.
    pub version_text: String,
    /// Whether it is a standby, which cannot be written to.
    pub is_standby: bool,
    /// Connections that ordinary roles may open in all.
    pub connections_max: i32,
    /// Connections that are open.
    pub connections: i32,
    /// Whether autovacuum runs.
    pub autovacuums: bool,
    /// Whether a commit survives a power cut.
    pub fsyncs: bool,
    /// Whether we see what other roles' sessions do.
    pub sees_all_sessions: bool,
}

/// What we may do.
#[derive(Debug, Clone, FromRow)]
pub struct Rights {
    /// Who we are.
    pub role: String,
    /// Whether we may make the schema.
    pub may_create_schema: bool,
    /// Whose the schema is; empty where there is none.
    pub owner: String,
    /// What a worker must do and we may not.
    pub missing: Vec<String>,
}

/// What is there under our names.
#[derive(Debug, Clone, FromRow)]
pub struct Schema {
    /// Whether there is a `public.webhook_queue`.
    pub has_public_queue: bool,
    /// Whether that is our view.
    pub public_queue_is_ours: bool,
    /// Whether the database is a copy; none while nothing has delivered from it.
    pub is_copy: Option<bool>,
}

/// A table that changes much.
#[derive(Debug, Clone, FromRow)]
pub struct Table {
    /// Its name.
    pub table_name: String,
    /// Rows.
    pub live: i64,
    /// Dead rows that vacuum has not removed.
    pub dead: i64,
    /// When vacuum last came by.
    pub last_autovacuum: Option<OffsetDateTime>,
    /// Whether it does at all.
    pub autovacuums: bool,
    /// With indexes.
    pub bytes: i64,
}

/// A transaction that is open.
#[derive(Debug, Clone, FromRow)]
pub struct Transaction {
    /// The server's process; none for a prepared one.
    pub pid: Option<i32>,
    /// The application, or the prepared transaction's name.
    pub name: String,
    /// Whose.
    pub role: String,
    /// Where.
    pub database: String,
    /// active, idle in transaction, prepared …
    pub state: String,
    /// How old it is.
    pub age_s: f64,
}

/// A replication slot.
#[derive(Debug, Clone, FromRow)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether somebody reads it.
    pub active: bool,
    /// Whether it keeps vacuum from removing rows.
    pub holds_rows: bool,
    /// How much of the log it holds.
    pub bytes: i64,
    /// How far it is behind, in transactions.
    pub transactions: i32,
}

/// Who works here now.
#[derive(Debug, Clone, FromRow)]
pub struct Presence {
    /// Whether any worker is connected.
    pub has_workers: bool,
    /// Duties that are held, with their holders.
    pub duties: Vec<String>,
    /// How old the last depth of the queue is.
    pub depth_age_s: Option<f64>,
    /// How long the oldest due delivery has waited.
    pub oldest_due_s: Option<f64>,
    /// Endpoints that have not answered since they last failed.
    pub failing_endpoints: i64,
    /// Endpoints that are paused.
    pub paused_endpoints: i64,
    /// Deliveries that have failed for good.
    pub dead_letters: i64,
}

/// A capture.
#[derive(Debug, Clone, FromRow)]
pub struct Capture {
    /// The table.
    pub relation: String,
    /// The capture's name.
    pub name: String,
    /// Whether its triggers are.
    pub enabled: bool,
    /// The table that this one has become a partition or a child of since.
    pub attached_to: Option<String>,
}

/// Secrets of one kind.
#[derive(Clone, FromRow)]
pub struct Secrets {
    /// Where they are.
    pub place: String,
    /// One of them, sealed; none where they rest in plain.
    pub text: Option<String>,
    /// How many.
    pub rows: i64,
}

impl Database {
    /// About the server.
    pub async fn doctor_server(&self) -> Result<Server, Error> {
        self.look_once(
            include_str!("../../sql/ops/server.sql"),
            "ask about the server",
        )
        .await
    }

    /// About our rights.
    pub async fn doctor_rights(&self) -> Result<Rights, Error> {
        self.look_once(
            include_str!("../../sql/ops/rights.sql"),
            "ask about our rights",
        )
        .await
    }

    /// About the schema.
    pub async fn doctor_schema(&self) -> Result<Schema, Error> {
        self.look_once(
            include_str!("../../sql/ops/schema.sql"),
            "ask about the schema",
        )
        .await
    }

    /// About who works here.
    pub async fn doctor_presence(&self) -> Result<Presence, Error> {
        self.look_once(
            include_str!("../../sql/ops/presence.sql"),
            "ask who works here",
        )
        .await
    }

    /// About the tables.
    pub async fn doctor_tables(&self) -> Result<Vec<Table>, Error> {
        self.look(
            include_str!("../../sql/ops/tables.sql"),
            "ask about the tables",
        )
        .await
    }

    /// About captures.
    pub async fn doctor_captures(&self) -> Result<Vec<Capture>, Error> {
        self.look(
            include_str!("../../sql/ops/captures.sql"),
            "ask about captures",
        )
        .await
    }

    /// About open transactions, the oldest first.
    pub async fn doctor_transactions(&self) -> Result<Vec<Transaction>, Error> {
        self.look(
            include_str!("../../sql/ops/transactions.sql"),
            "ask about transactions",
        )
        .await
    }

    /// About replication slots, the largest first.
    pub async fn doctor_slots(&self) -> Result<Vec<Slot>, Error> {
        self.look(
            include_str!("../../sql/ops/slots.sql"),
            "ask about replication slots",
        )
        .await
    }

    /// About secrets at rest.
    pub async fn doctor_secrets(&self) -> Result<Vec<Secrets>, Error> {
        self.look(
            include_str!("../../sql/ops/secrets.sql"),
            "look at secrets at rest",
        )
        .await
    }

    /// All rows.
    async fn look<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &self,
        statement: &'static str,
        doing: &'static str,
    ) -> Result<Vec<T>, Error> {
        sqlx::query_as(statement)
            .fetch_all(self.pool())
            .await
            .map_err(Error::doing(doing))
    }

    /// The one row.
    async fn look_once<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &self,
        statement: &'static str,
        doing: &'static str,
    ) -> Result<T, Error> {
        sqlx::query_as(statement)
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing(doing))
    }
}
