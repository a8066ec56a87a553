//! `postrider token`, and the token that the first start makes.

use super::program::Program;
use crate::support::postgres;

#[tokio::test]
async fn a_token_is_shown_once_listed_without_itself_and_revoked() {
    let database = postgres::database().await;
    let program = Program::with(&database);
    program.run(&["instance", "create", "shop"]).await.ok();
    let made = program
        .run(&["token", "create", "--label", "deploy", "--json"])
        .await
        .json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(token.len(), 64);
    program
        .run(&["token", "create", "--instance", "shop"])
        .await
        .ok();
    let pair = program
        .run(&["token", "create", "--vzaps", "--json"])
        .await
        .json();
    assert!(pair["client_token"].as_str().unwrap().starts_with("vzc_"));
    let listed = program.run(&["token", "list"]).await.ok();
    assert!(
        listed.contains("deploy") && listed.contains("instance shop") && listed.contains("client"),
        "{listed}"
    );
    assert!(!listed.contains(token), "{listed}");
    let id = made["id"].as_str().unwrap();
    program.run(&["token", "revoke", id]).await.ok();
    let again = program.run(&["token", "revoke", id]).await.complaint();
    assert!(again.contains("postrider token list"), "{again}");
    let nobody = program
        .run(&["token", "create", "--instance", "x"])
        .await
        .complaint();
    assert!(
        nobody.contains("account default has no instance x"),
        "{nobody}"
    );
}
