//! Leases that expire, as workers count them.

use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

#[tokio::test]
async fn a_lease_that_expired_is_counted_once_whatever_becomes_of_the_row_and_not_again_after_it_was_given_back()
 {
    let app = TestApp::start().await;
    let shop = app.endpoint("shop").create().await;
    let held = app.endpoint("held").create().await;
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'paused')",
        held.id
    ))
    .await;
    let events = app.emit_many(3).await;
    // Six rows: of each endpoint's three, one was left by a worker that died, one was left and then given back, one is new.
    app.sql(
        "update postrider.webhook_queue queue set crashes = 1
           , lease_token = case when which.number = 1 then 1 end
           , lease_until = case when which.number = 1 then now() - interval '1 second' end
         from (select id, row_number() over (partition by endpoint_id order by id) as number from postrider.webhook_queue) which
         where which.id = queue.id and which.number < 3",
    )
    .await;
    let worker = app.worker().start().await;
    let expired = || worker.metric("postrider_lease_expiries_total");
    app.counted("delivered", 3).await;
    until("what is for the paused endpoint is set aside", PATIENCE, async || {
        app.value::<bool>("select bool_and(next_retry_at > now()) from postrider.webhook_queue where status = 'pending'")
            .await
    })
    .await;
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'enabled')",
        held.id
    ))
    .await;
    app.drained().await;
    app.assert_seen(&shop, &events);
    app.assert_seen(&held, &events);
    assert!((expired() - 2.0).abs() < 0.1, "{}", expired());
    app.finish([worker]).await;
}
