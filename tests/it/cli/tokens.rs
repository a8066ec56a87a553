//! `postrider token`, and the token that the first start makes.

use super::program::{Program, poll};
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

#[tokio::test]
async fn a_short_global_key_works_as_it_did_and_is_warned_of_with_the_remedy() {
    let database = postgres::database().await;
    let warned = "api.global_key (AUTHENTICATION_API_KEY) is shorter than 16 characters";
    let short = Program::with(&database).variable("AUTHENTICATION_API_KEY", "hunter2");
    let serving = short.serve().await;
    poll("the warning", async || !serving.logged(warned).is_empty()).await;
    let warning = serving.logged(warned);
    assert_eq!(
        (warning.len(), &warning[0]["level"]),
        (1, &serde_json::json!("WARN"))
    );
    assert!(warning[0].to_string().contains("openssl rand -hex 32"));
    serving.until_ready().await;
    let answer = serving.get("/v1/instances?", "").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let answer = serving.get("/api/instance/list", "hunter2").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(serving.logged("hunter2").is_empty());
    serving.stop().await;

    let long =
        Program::with(&database).variable("AUTHENTICATION_API_KEY", "hunter2-hunter2-hunter2");
    let serving = long.serve().await;
    serving.until_ready().await;
    assert!(serving.logged(warned).is_empty());
}
