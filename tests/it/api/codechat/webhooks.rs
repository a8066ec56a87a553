//! The webhook resource: every documented request, and the whole of every answer.

use reqwest::Method;
use serde_json::{Value, json};

use super::{SWITCHES, WEBHOOKS, create, enabled, instance_uid, start, webhook};
use crate::support::api::{ACCOUNT, TestApi};

/// Ids and times are there and look like what they are.
fn check_ids_and_times(answer: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for time in ["createdAt", "updatedAt"] {
        for at in [&answer[time], &answer["WebhookEvents"][time]] {
            let at = text(at);
            assert!(at.len() == 24 && at.ends_with('Z'), "{answer}");
        }
    }
    let (own, events) = (
        &answer["webhookId"],
        &answer["WebhookEvents"]["webhookEventsId"],
    );
    assert_eq!((text(own).len(), text(events).len()), (36, 36), "{answer}");
    assert_ne!(own, events);
}

async fn patch(api: &TestApi, path: &str, body: &Value) -> Value {
    let path = format!("{path}/events");
    let answer = api
        .call(Method::PATCH, &path)
        .bearer(ACCOUNT)
        .json(body)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_webhook_is_created_found_updated_and_deleted_as_documented() {
    let (app, api) = start().await;
    let uid = instance_uid(&app).await;
    let by_uid = format!("/api/v2/instance/{uid}/webhook");

    let body = json!({"name": "My hook", "url": "https://example.com/hook"});
    let made = api.post(&by_uid).bearer(ACCOUNT).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    check_ids_and_times(&made);
    let expected = json!({"name": "My hook", "url": "https://example.com/hook", "enabled": false});
    assert_eq!(made, webhook(&made, &expected, &uid, &[]));

    let path = format!("{by_uid}/{}", made["webhookId"].as_str().unwrap());
    let found = api.get(&path).bearer(ACCOUNT).send().await;
    assert_eq!((found.status, found.json()), (200, made.clone()));

    let body = json!({"name": "Other", "url": "https://example.com/other?x=1", "enabled": true});
    let updated = api
        .call(Method::PUT, &path)
        .bearer(ACCOUNT)
        .json(&body)
        .send()
        .await;
    assert_eq!(updated.status, 201, "{}", updated.text);
    let updated = updated.json();
    assert_eq!(updated, webhook(&updated, &body, &uid, &[]));
    assert_eq!(updated["webhookId"], made["webhookId"]);
    assert_eq!(updated["createdAt"], made["createdAt"]);

    // Without a url it stays; without enabled it is off, for that is the documented default.
    let body = json!({"name": "Third"});
    let updated = api
        .call(Method::PUT, &path)
        .bearer(ACCOUNT)
        .json(&body)
        .send()
        .await;
    assert_eq!(updated.status, 201, "{}", updated.text);
    let expected =
        json!({"name": "Third", "url": "https://example.com/other?x=1", "enabled": false});
    assert_eq!(
        updated.json(),
        webhook(&updated.json(), &expected, &uid, &[])
    );

    let deleted = api.call(Method::DELETE, &path).bearer(ACCOUNT).send().await;
    assert_eq!((deleted.status, deleted.json()), (200, updated.json()));
    for method in [Method::GET, Method::DELETE] {
        let gone = api.call(method, &path).bearer(ACCOUNT).send().await;
        assert_eq!(gone.status, 404, "{}", gone.text);
        assert_eq!(gone.json()["error"], "Not Found");
    }
}

#[tokio::test]
async fn an_instance_has_several_webhooks_each_with_a_url_of_its_own() {
    let (_app, api) = start().await;
    for url in ["https://example.com/1", "https://example.com/2"] {
        let made = create(&api, &json!({"name": "same name", "url": url})).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let again = create(
        &api,
        &json!({"name": "another", "url": "https://example.com/1"}),
    )
    .await;
    assert_eq!(again.status, 400);
    let expected = json!({"status": 400, "error": "Bad Request", "message": ["another endpoint of this instance has the same url"]});
    assert_eq!(again.json(), expected);

    let list = api.get(WEBHOOKS).bearer(ACCOUNT).send().await;
    assert_eq!(list.status, 200);
    let list = list.json();
    let urls: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|hook| hook["url"].as_str().unwrap())
        .collect();
    assert_eq!(urls, ["https://example.com/1", "https://example.com/2"]);

    let second = format!("{WEBHOOKS}/{}", list[1]["webhookId"].as_str().unwrap());
    let body = json!({"name": "moved", "url": "https://example.com/1"});
    let taken = api
        .call(Method::PUT, &second)
        .bearer(ACCOUNT)
        .json(&body)
        .send()
        .await;
    assert_eq!(taken.status, 400, "{}", taken.text);
    let kept = api.get(&second).bearer(ACCOUNT).send().await;
    assert_eq!(kept.json(), list[1]);
}

#[tokio::test]
async fn switches_are_moved_one_by_one_in_both_spellings() {
    let (app, api) = start().await;
    let uid = instance_uid(&app).await;
    let path = enabled(&api, "https://example.com/hook").await;
    let expected = json!({"name": "hook", "url": "https://example.com/hook", "enabled": true});
    let check = |answer: &Value, off: &[&str]| {
        assert_eq!(*answer, webhook(answer, &expected, &uid, off));
    };
    check(&patch(&api, &path, &json!({})).await, &[]);
    let off = json!({"messagesSet": false, "statusInstance": false});
    check(
        &patch(&api, &path, &off).await,
        &["messagesSet", "stateInstance"],
    );
    let more = json!({"stateInstance": true, "newJwt": false});
    check(&patch(&api, &path, &more).await, &["messagesSet", "newJwt"]);
    let found = api.get(&path).bearer(ACCOUNT).send().await.json();
    check(&found, &["messagesSet", "newJwt"]);

    // The whole object may be sent back as it was answered.
    check(
        &patch(&api, &path, &found["WebhookEvents"]).await,
        &["messagesSet", "newJwt"],
    );
    let all = |on: bool| {
        SWITCHES
            .iter()
            .map(|switch| ((*switch).to_owned(), json!(on)))
            .collect::<Value>()
    };
    check(&patch(&api, &path, &all(false)).await, &SWITCHES);
    check(&patch(&api, &path, &all(true)).await, &[]);
}

#[tokio::test]
async fn switches_moved_at_the_same_time_do_not_undo_one_another() {
    let (app, api) = start().await;
    let uid = instance_uid(&app).await;
    let path = enabled(&api, "https://example.com/hook").await;
    let moves = SWITCHES.map(|switch| json!({switch: false}));
    let moves = moves.iter().map(|body| patch(&api, &path, body));
    futures_util::future::join_all(moves).await;
    let found = api.get(&path).bearer(ACCOUNT).send().await.json();
    let expected = json!({"name": "hook", "url": "https://example.com/hook", "enabled": true});
    assert_eq!(found, webhook(&found, &expected, &uid, &SWITCHES));
}

#[tokio::test]
async fn a_webhook_made_in_sql_is_a_webhook_too_and_others_endpoints_are_not() {
    let (app, api) = start().await;
    app.sql("select postrider.set_endpoint('shop', 'https://example.com/sql', 'crm', '{messagesUpsert}', 'codechat')").await;
    app.sql("select postrider.set_endpoint('shop', 'https://example.com/own', 'own')")
        .await;
    let list = api.get(WEBHOOKS).bearer(ACCOUNT).send().await.json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!(
        (&list[0]["name"], &list[0]["enabled"]),
        (&json!("crm"), &json!(true))
    );
    let events = list[0]["WebhookEvents"].as_object().unwrap();
    let on: Vec<&String> = events
        .iter()
        .filter(|event| *event.1 == json!(true))
        .map(|event| event.0)
        .collect();
    assert_eq!(on, ["messagesUpsert"]);
    let own: String = app
        .value("select uid::text from postrider.endpoints where label = 'own'")
        .await;
    let other = api
        .get(&format!("{WEBHOOKS}/{own}"))
        .bearer(ACCOUNT)
        .send()
        .await;
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn a_name_is_any_text_and_rests_sealed() {
    let app = crate::support::app::TestApp::start().await;
    let key = "'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'";
    let api = app.api().set("encryption.key", key).start().await;
    let name = "Ünï \u{1f40e}'; drop table postrider.endpoints; -- \"${x}\" <script>";
    let made = create(&api, &json!({"name": name, "url": "https://example.com/ü"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["name"], json!(name));
    let rests: String = app.value("select settings from postrider.endpoints").await;
    assert!(rests.starts_with("sealed:"), "{rests}");
}
