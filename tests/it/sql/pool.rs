//! The pool, when the network fails without a word.

use futures_util::future::join_all;
use postrider::db::{Database, Purpose};
use tokio::time::timeout;

use crate::support::app::TestApp;
use crate::support::proxy::Proxy;
use crate::support::wait::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_were_cut_without_a_word_do_not_fail_who_comes_next() {
    let app = TestApp::start().await;
    let proxy = Proxy::before(app.options()).await;
    let connections = 12;
    let database = Database::open(proxy.options(), Purpose::Realtime, connections);
    let all = timeout(
        PATIENCE,
        join_all((0..connections).map(|_| database.ping())),
    )
    .await;
    for answered in all.expect("the first are answered") {
        answered.unwrap();
    }
    proxy.freeze();
    // What leads there stays dead; only who connects anew gets through.
    proxy.mend_only_new();
    let all = timeout(
        PATIENCE,
        join_all((0..connections).map(|_| database.ping())),
    )
    .await;
    for answered in all.expect("the next are answered") {
        answered.unwrap();
    }
}
