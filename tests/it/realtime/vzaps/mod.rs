//! `GET /events/ws`: the realtime part of the SDK from the Python package index, and a raw client for what it never sends.

mod alone;
mod sdk;
mod slow;

use std::net::TcpListener;

use sqlx::Row;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::worker::Process;

/// The public half of the account's client credentials.
const CLIENT: &str = "vz_client";

/// The secret half.
const SECRET: &str = "the-client-secret-of-the-tests";

/// The real program, with the roles that the SDK needs, on a port that stays the same when it is started again.
pub(in crate::realtime) struct Server {
    pub(in crate::realtime) port: u16,
    process: Option<Process>,
}

impl Server {
    /// Starts it.
    pub(in crate::realtime) async fn start(app: &TestApp) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = Self {
            port,
            process: None,
        };
        server.start_again(app).await;
        server
    }

    /// After it was killed or stopped.
    pub(in crate::realtime) async fn start_again(&mut self, app: &TestApp) {
        let worker = app
            .worker()
            .set("http.listen", format!("'127.0.0.1:{}'", self.port))
            .set("api.account_token", format!("'{ACCOUNT}'"));
        let mut process = worker.spawn_as("api,realtime");
        process.ready().await;
        self.process = Some(process);
    }

    /// `kill -9`.
    pub(in crate::realtime) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// SIGTERM.
    async fn stop(&mut self) {
        self.process.take().unwrap().stop().await;
    }
}

/// Client credentials of the account `default`.
async fn credentials(app: &TestApp) {
    sqlx::query(
        "insert into postrider.tokens (account_id, kind, client_id, digest)
         select id, 'client', $1, sha256(convert_to($2, 'UTF8')) from postrider.accounts where name = 'default'",
    )
    .bind(CLIENT)
    .bind(SECRET)
    .execute(app.pool())
    .await
    .unwrap();
}

/// The `VZ…` id and the token of an instance.
async fn ids(app: &TestApp, instance: &str) -> (String, String) {
    let row = sqlx::query("select vzaps_id, token from postrider.instances where name = $1")
        .bind(instance)
        .fetch_one(app.pool())
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

/// Emits a message with a number; answers with its id.
async fn emit(app: &TestApp, number: i64) -> String {
    app.emit("Message", &format!(r#"{{"n":{number}}}"#)).await
}
