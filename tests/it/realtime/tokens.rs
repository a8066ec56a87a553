//! Who may come in, and who may stay.

use super::raw::{END, Head, Request};
use super::sidecar::{Sidecar, sidecar};
use super::{STREAM, emit};
use crate::support::app::TestApp;

/// A token of the account that has the tests' instance, or of another.
async fn token(app: &TestApp, token: &str, account: i64, more: &str) {
    app.sql(&format!(
        "insert into postrider.accounts (id, name) values ({account}, 'a{account}') on conflict do nothing;
         insert into postrider.tokens (account_id, digest, expires_at, revoked_at)
         select {account}, sha256('{token}'), {more}"
    ))
    .await;
}

/// What a request is answered, as a WebSocket and as server-sent events.
async fn answered(sidecar: &Sidecar, request: impl Fn() -> Request) -> u16 {
    let (_, socket): (_, Head) = request().upgrade(sidecar.address).await;
    let (_, sse) = request().get(sidecar.address).await;
    assert_eq!(socket.status, sse.status);
    socket.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_an_expired_one_a_revoked_one_and_none_are_refused_alike() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    token(&app, "good", 1, "null, null").await;
    token(&app, "expired", 1, "now() - interval '1 second', null").await;
    token(&app, "revoked", 1, "null, now()").await;
    for bad in ["wrong", "expired", "revoked", &"x".repeat(5000)] {
        let status = answered(&sidecar, || Request::to(STREAM).token(bad)).await;
        assert_eq!(status, 401, "{bad}");
    }
    let status = answered(&sidecar, || Request::to(STREAM).nobody()).await;
    assert_eq!(status, 401);
    Request::to(STREAM).token("good").socket(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_tenant_is_as_if_it_were_not_there() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    token(&app, "other", 7, "null, null").await;
    app.instance("yard").await;
    app.sql("select postrider.set_instance_token('yard', 'token-of-the-yard')")
        .await;
    for stranger in ["other", "token-of-the-yard"] {
        let status = answered(&sidecar, || Request::to(STREAM).token(stranger)).await;
        assert_eq!(status, 404, "{stranger}");
    }
    let yard = "/v1/instances/yard/stream";
    let mut client = Request::to(yard)
        .token("token-of-the-yard")
        .socket(&sidecar)
        .await;
    client.settled_after_position().await;
    // Nor does it hear of another's events.
    emit(&app, 1).await;
    app.sql("select postrider.emit('yard', 'order.paid', '{\"n\":2}')")
        .await;
    assert_eq!(client.numbers(1).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_from_every_place_it_may_stand_in() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    token(&app, "good", 1, "null, null").await;
    for header in ["token", "apikey", "X-Instance-Token"] {
        let request = || Request::to(STREAM).nobody().header(header, "good");
        request().socket(&sidecar).await;
        assert_eq!(request().get(sidecar.address).await.1.status, 200);
    }
    let path = format!("{STREAM}?token=good");
    Request::to(path).nobody().socket(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_connected_with_a_token_that_is_revoked_or_expires_is_cut_off() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    token(&app, "stays", 1, "null, null").await;
    token(&app, "revoked", 1, "null, null").await;
    token(&app, "expires", 1, "now() + interval '1 hour', null").await;
    let mut stays = Request::to(STREAM).token("stays").socket(&sidecar).await;
    let mut revoked = Request::to(STREAM).token("revoked").socket(&sidecar).await;
    let mut expires = Request::to(STREAM).token("expires").socket(&sidecar).await;
    let (mut sse, _) = Request::to(STREAM)
        .token("revoked")
        .get(sidecar.address)
        .await;
    app.sql("update postrider.tokens set revoked_at = now() where digest = sha256('revoked')")
        .await;
    assert_eq!(revoked.closed().await.0, 4401);
    sse.until(b"event: close").await;
    assert_eq!(sse.sse().await.json()["code"], 4401);
    sse.until(END).await;
    app.sql("update postrider.tokens set expires_at = now() where digest = sha256('expires')")
        .await;
    assert_eq!(expires.closed().await.0, 4401);
    let status = answered(&sidecar, || Request::to(STREAM).token("revoked")).await;
    assert_eq!(status, 401);
    stays.settled_after_position().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_of_an_instance_end_with_its_token_and_with_itself() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    app.sql("select postrider.set_instance_token('shop', 'former')")
        .await;
    let mut former = Request::to(STREAM).token("former").socket(&sidecar).await;
    app.sql("select postrider.set_instance_token('shop', 'latter')")
        .await;
    assert_eq!(former.closed().await.0, 4401);
    let mut latter = Request::to(STREAM).token("latter").socket(&sidecar).await;
    let mut of_account = Request::to(STREAM).socket(&sidecar).await;
    app.sql("select postrider.delete_instance('shop')").await;
    assert_eq!(of_account.closed().await.0, 4404);
    assert_eq!(latter.closed().await.0, 4404);
}
