//! Long operations: they have no cap, say how many, and hold up nobody.

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;

/// Enough for each to take seconds.
const ROWS: i64 = 300_000;

#[tokio::test(flavor = "multi_thread")]
async fn replaying_requeueing_and_purging_have_no_cap_and_hold_up_nobody() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let endpoint = app.endpoint("shop").create().await.id;
    app.sql(&format!(
        "insert into postrider.events (instance_id, type, data)
         select id, 'a', '{{}}' from postrider.instances, generate_series(1, {ROWS}) where name = 'shop'"
    ))
    .await;
    let post = async |path: &str, body: serde_json::Value| {
        let answer = api.post(path).bearer(ACCOUNT).json(&body).send().await;
        (answer.status, answer.json())
    };

    let others = others(&app);
    let replayed = post(
        &format!("/v1/endpoints/{endpoint}/replay"),
        json!({"since": "2020-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(replayed.0, 202);
    let queued = replayed.1["queued"].as_i64().unwrap();
    assert!(queued >= ROWS, "{queued}");
    others.assert_unhindered().await;

    // Those of others stay pending.
    let fail = "update postrider.webhook_queue set status = 'failed', last_error = 'HTTP 500' where event_type = 'a'";
    let failed = i64::try_from(app.sql(fail).await).unwrap();
    let others = self::others(&app);
    let requeued = post(
        "/v1/dead-letters/requeue",
        json!({"instance": "shop", "error_like": "%500"}),
    )
    .await;
    assert_eq!(requeued, (202, json!({"requeued": failed})));
    others.assert_unhindered().await;

    app.sql(fail).await;
    let others = self::others(&app);
    let purged = post("/v1/dead-letters/purge", json!({"endpoint": endpoint})).await;
    assert_eq!(purged, (200, json!({"purged": failed})));
    others.assert_unhindered().await;
}

/// What goes on beside a long operation.
struct Others {
    stop: tokio::sync::oneshot::Sender<()>,
    work: JoinSet<u32>,
}

impl Others {
    /// It was never made to wait for a lock, and was not idle.
    async fn assert_unhindered(mut self) {
        drop(self.stop);
        assert!(self.work.join_next().await.unwrap().unwrap() > 0);
    }
}

/// An application that emits, and a worker that claims and completes, neither of which waits for any lock.
fn others(app: &TestApp) -> Others {
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let pool = app.pool().clone();
    let mut work = JoinSet::new();
    work.spawn(async move {
        let mut connection = pool.acquire().await.unwrap();
        let mut rounds = 0;
        while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            for statement in [
                "set lock_timeout = '2s'",
                "select postrider.emit('shop', 'b', '{}')",
                "update postrider.webhook_queue set lease_until = now() + interval '90 s', lease_token = 7
                 where id = any (array(select id from postrider.webhook_queue where status = 'pending' and event_type = 'b' order by id desc limit 50 for update skip locked))",
            ] {
                sqlx::query(statement).execute(&mut *connection).await.unwrap();
            }
            rounds += 1;
        }
        sqlx::query("reset lock_timeout")
            .execute(&mut *connection)
            .await
            .unwrap();
        rounds
    });
    Others { stop, work }
}
