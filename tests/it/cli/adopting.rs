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
    let beside = Program::with(&copy);
    let serving = beside.serve().await;
    serving
        .until_readyz_says("this database is a copy of another one; `postrider adopt`")
        .await;
    assert_eq!(receiver.count(), 0);

    // What runs already notices.
    let adopted = beside.run(&["adopt", "--json"]).await.json();
    assert_eq!(adopted["was_a_copy"], true);
    serving.until_ready().await;
    poll("the delivery", async || receiver.count() == 1).await;
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
