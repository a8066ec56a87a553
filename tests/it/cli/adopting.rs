//! A copy of a served database, and `postrider adopt`.

use sqlx::Connection;

use super::program::{Program, poll};
use crate::support::postgres;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn a_copy_delivers_nothing_until_it_is_adopted() {
    let original = postgres::database().await;
    let receiver = Receiver::start().await;
    let program = Program::with(&original);
    let serving = program.serve().await;
    serving.until_ready().await;
    program.run(&["instance", "create", "shop"]).await.ok();
    program
        .run(&["endpoint", "set", "shop", &receiver.url()])
        .await
        .ok();
    serving.stop().await;
    let mut connection = original.connection().await;
    sqlx::query("select postrider.emit('shop', 'order.paid', '{}')")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    let copy = original.copy().await;
    // As after a dump of a server that was at a later transaction than this one: what it had counted, and what it had not.
    let mut connection = copy.connection().await;
    sqlx::raw_sql(
        "update postrider.queue_depth_snapshot set snap = '900000000:900000000:', forgotten_below = '900000000';
         insert into postrider.queue_changes (xid, channel, status, change) values ('900000001', 'webhook', 'pending', 7);
         select postrider.emit('shop', 'order.paid', '{}')",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let beside = Program::with(&copy);
    let serving = beside.serve().await;
    serving
        .until_readyz_says("this database is a copy of another one; `postrider adopt`")
        .await;
    assert_eq!(receiver.count(), 0);

    // What runs already notices.
    let adopted = beside.run(&["adopt", "--json"]).await.json();
    assert_eq!(adopted["was_a_copy"], true);
    assert_eq!(adopted["pending"], 2);
    let left: i64 =
        sqlx::query_scalar("select count(*) from postrider.queue_changes where xid > '900000000'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(left, 0, "they would be counted some day");
    connection.close().await.unwrap();
    serving.until_ready().await;
    poll("the delivery", async || receiver.count() == 2).await;
    serving.stop().await;
    let serving = beside.serve().await;
    serving.until_ready().await;
    serving.stop().await;
    let again = beside.run(&["adopt"]).await.ok();
    assert_eq!(
        again,
        "nothing to do: this database is the one that delivers\n"
    );
    let untouched = program.run(&["adopt", "--json"]).await.json();
    assert_eq!(untouched["was_a_copy"], false);
}
