//! The whole main job by roles without any right but those over their own database: no superuser, nobody who makes roles.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::program::{KEY, Program, poll};
use crate::support::postgres::{self, TestDatabase};
use crate::support::receiver::{Answer, Receiver};

/// Runs statements; they must succeed.
async fn run(connection: &mut PgConnection, statements: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await;
    done.unwrap_or_else(|error| panic!("{statements}: {error}"));
}

/// A database, who is to run Postrider in it, and an application with tables of its own.
struct Ground {
    database: TestDatabase,
    owner: String,
    application: String,
}

impl Ground {
    /// With these rights of the owner's; `OWNER` and `DATABASE` stand for the names.
    async fn new(rights: &str) -> Self {
        let database = postgres::empty_database().await;
        let number: u32 = rand::random();
        let owner = format!("owner_{number:08x}");
        let application = format!("application_{number:08x}");
        let options = database.options();
        let name = options.get_database().unwrap();
        let rights = rights.replace("OWNER", &owner).replace("DATABASE", name);
        let mut superuser = database.connection().await;
        run(
            &mut superuser,
            &format!(
                "create role {owner} login nosuperuser nocreaterole nocreatedb;
                 create role {application} login nosuperuser nocreaterole nocreatedb;
                 create schema application authorization {application};
                 {rights}"
            ),
        )
        .await;
        superuser.close().await.unwrap();
        Self {
            database,
            owner,
            application,
        }
    }

    /// A session of a role's.
    async fn session_of(&self, role: &str) -> PgConnection {
        let options = self.database.options().username(role);
        options.connect().await.unwrap()
    }

    /// The program as the owner runs it.
    fn program(&self) -> Program {
        Program::alone()
            .variable("DATABASE_URL", &self.database.url_as(&self.owner))
            .variable("ENCRYPTION_KEY", KEY)
            .variable("POSTRIDER_EGRESS__ALLOW", "127.0.0.0/8")
    }
}

/// Everybody at work: Postrider as its owner runs it, a receiver, and two who write tables that are captured.
struct Job {
    program: Program,
    receiver: Receiver,
    owner: PgConnection,
    application: PgConnection,
}

impl Job {
    /// From an empty database to captured tables, by the owner and by somebody else.
    async fn prepared(ground: &Ground) -> Self {
        let program = ground.program();
        program.run(&["migrate"]).await.ok();
        program.run(&["instance", "create", "shop"]).await.ok();
        let receiver = Receiver::start().await;
        let url = receiver.url();
        let set = ["endpoint", "set", "shop", &url, "--sign", "--max-attempts"];
        program.run(&[&set[..], &["1"]].concat()).await.ok();

        let mut owner = ground.session_of(&ground.owner).await;
        let mut application = ground.session_of(&ground.application).await;
        let capture = |table: &str| {
            format!(
                "create table {table} (id int);
                 select postrider.capture('{table}', type => 'order.made', instance => '''shop''')"
            )
        };
        run(&mut owner, "create schema owned").await;
        run(&mut owner, &capture("owned.orders")).await;
        let allow = format!(
            "select postrider.allow('{}', 'capture')",
            ground.application
        );
        run(&mut owner, &allow).await;
        run(&mut application, &capture("application.orders")).await;
        Self {
            program,
            receiver,
            owner,
            application,
        }
    }

    /// What both write and emit is delivered.
    async fn delivers(&mut self) {
        run(&mut self.owner, "insert into owned.orders values (1), (2)").await;
        run(
            &mut self.owner,
            "select postrider.emit('shop', 'order.made', '{\"id\": 3}')",
        )
        .await;
        run(
            &mut self.application,
            "insert into application.orders values (4); select postrider.emit('shop', 'order.made', '{\"id\": 5}')",
        )
        .await;
        let requests = self.receiver.wait_for(5).await;
        let ids = requests
            .iter()
            .map(|request| request.json()["data"]["id"].as_i64().unwrap());
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4, 5]);
    }

    /// A dead letter is re-queued, and delivered.
    async fn requeues(&mut self) {
        let program = &self.program;
        let dead = async || program.run(&["queue", "dead", "--json"]).await.json();
        self.receiver.answer(Answer::status(500));
        run(
            &mut self.application,
            "insert into application.orders values (6)",
        )
        .await;
        poll("a dead letter", async || {
            dead().await.as_array().unwrap().len() == 1
        })
        .await;
        self.receiver.answer(Answer::ok());
        let requeue = ["queue", "requeue", "--all", "--json"];
        let requeued = program.run(&requeue).await.json();
        assert_eq!(requeued["requeued"], 1);
        self.receiver.wait_for(7).await;
        assert_eq!(dead().await, serde_json::json!([]));
    }

    /// The doctor finds no failure. Maintenance begins a moment after the worker is ready.
    async fn is_well(&self) {
        poll("a doctor without complaints", async || {
            let said = self.program.run(&["doctor"]).await;
            said.status == Some(0) && said.out.contains("maintenance: ")
        })
        .await;
    }

    /// Both end their captures: what they write is no event any more.
    async fn ends(&mut self) {
        for (session, table) in [
            (&mut self.owner, "owned.orders"),
            (&mut self.application, "application.orders"),
        ] {
            let uncapture =
                format!("select postrider.uncapture('{table}'); insert into {table} values (7)");
            run(session, &uncapture).await;
        }
        let events: i64 =
            sqlx::query_scalar("select count(*) from postrider.events where type = 'order.made'")
                .fetch_one(&mut self.owner)
                .await
                .unwrap();
        assert_eq!(events, 6);
    }
}

/// From an empty database to the end.
async fn the_main_job(rights: &str) {
    let ground = Ground::new(rights).await;
    let mut job = Job::prepared(&ground).await;
    let serving = job.program.serve().await;
    serving.until_ready().await;
    job.delivers().await;
    job.requeues().await;
    job.is_well().await;
    job.ends().await;
    for sign in ["\"ERROR\"", "permission denied", "must be owner"] {
        let logged = serving.logged(sign);
        assert!(logged.is_empty(), "{logged:?}");
    }
    serving.stop().await;
}

#[tokio::test]
async fn an_owner_of_the_database_without_other_rights_does_the_whole_main_job() {
    the_main_job("alter database DATABASE owner to OWNER").await;
}

#[tokio::test]
async fn a_role_that_may_create_in_the_database_and_nothing_else_does_the_whole_main_job() {
    the_main_job(
        "revoke all on database DATABASE from public; grant connect on database DATABASE to public;
         revoke create on schema public from public; grant create on database DATABASE to OWNER",
    )
    .await;
}
