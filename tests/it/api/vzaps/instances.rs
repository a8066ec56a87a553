//! Instances and access tokens: every documented request, and the whole of every answer.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENT, SECRET, access, call, credentials, ids, post, start};
use crate::support::api::{Answered, TestApi};

/// An answer about instances has its fields bare and in the envelope, as the documentation shows both.
fn bare(answer: &Answered, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    let mut body = answer.json();
    let fields = body.as_object_mut().unwrap();
    let envelope = ["code", "success", "data"].map(|field| fields.remove(field).unwrap());
    assert_eq!(envelope, [json!(status), json!(true), body.clone()]);
    body
}

async fn create(api: &TestApi, body: &Value) -> Answered {
    call(api, Method::PUT, "/instances/create")
        .json(body)
        .send()
        .await
}

#[tokio::test]
async fn client_credentials_are_exchanged_for_a_token_that_ends_with_them() {
    let (app, api) = start().await;
    let body = json!({"client_token": CLIENT, "client_secret": SECRET});
    let answer = api.post("/token").json(&body).send().await;
    assert_eq!(answer.status, 200);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.json(),
        json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})
    );
    let camel = json!({"clientToken": CLIENT, "clientSecret": SECRET});
    assert_eq!(api.post("/token").json(&camel).send().await.status, 200);
    // Neither half nor the access token is kept in clear.
    let kept: String = app
        .value("select string_agg(t::text, ' ') from postrider.tokens t")
        .await;
    assert!(!kept.contains(SECRET) && !kept.contains(&token), "{kept}");

    let list = || {
        api.post("/instances/list")
            .bearer(&token)
            .json(&json!({}))
            .send()
    };
    assert_eq!(list().await.status, 200);
    app.sql("update postrider.tokens set revoked_at = now() where kind = 'client'")
        .await;
    crate::support::wait::until(
        "the token has ended",
        std::time::Duration::from_secs(5),
        async || list().await.status == 401,
    )
    .await;
    assert_eq!(api.post("/token").json(&body).send().await.status, 401);
}

#[tokio::test]
async fn an_instance_is_made_as_documented_and_found_again() {
    let (app, api) = start().await;
    let made = create(&api, &json!({
        "name": "Minha instancia", "webhook": "https://cliente.exemplo.com/webhooks/vzaps",
        "events_subscribe": ["Message", "Connected", "Disconnected"], "reject_calls": false, "auto_read_messages": true
    })).await;
    let made = bare(&made, 201);
    let (id, token) = ids(&app, "Minha instancia").await;
    assert!(
        id.starts_with("VZ") && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{id}"
    );
    let expected = json!({
        "id": id, "name": "Minha instancia", "token": token, "url": format!("http://{}/instances/{id}", api.address),
        "webhook": "https://cliente.exemplo.com/webhooks/vzaps", "events_subscribe": "Message,Connected,Disconnected",
        "reject_calls": false, "auto_read_messages": true, "connected": null, "connected_at": null,
        "whatsapp_push_name": null, "whatsapp_jid": null, "status": "ACTIVE", "billing_status": "ACTIVE",
        "created_at": made["created_at"], "updated_at": made["updated_at"], "cancel_at": null, "expired_at": null
    });
    assert_eq!(made, expected);
    let found = bare(&post(&api, "/instances/get", &json!({"id": id})).await, 200);
    assert_eq!(found, expected);
    // Its token is good at once, with the client token beside it.
    let own = api
        .get(&format!("/instances/{id}/webhook"))
        .header("x-client-token", CLIENT);
    assert_eq!(
        own.header("x-instance-token", &token).send().await.status,
        200
    );
}

#[tokio::test]
async fn instances_are_listed_in_pages_searched_and_sorted() {
    let (app, api) = start().await;
    for name in ["Support A", "Support B", "Sales"] {
        assert_eq!(create(&api, &json!({"name": name})).await.status, 201);
    }
    app.sql("insert into postrider.accounts (name) values ('another')")
        .await;
    credentials(&app, "another", "vz_other", "another-secret").await;
    let stranger = access(&api, "vz_other", "another-secret").await;
    let hers = api
        .call(Method::PUT, "/instances/create")
        .bearer(&stranger)
        .json(&json!({"name": "Support of others"}));
    assert_eq!(hers.send().await.status, 201);

    let names = |body: Value| {
        let api = &api;
        async move {
            let page = bare(&post(api, "/instances/list", &body).await, 200);
            let content = page["content"].as_array().unwrap().iter();
            let names: Vec<String> = content
                .map(|line| line["name"].as_str().unwrap().to_owned())
                .collect();
            let numbers =
                ["page", "size", "total", "total_pages"].map(|field| page[field].as_i64().unwrap());
            assert_eq!(page["summary"], json!({"total": numbers[2]}));
            (names.join(" "), numbers)
        }
    };
    assert_eq!(
        names(json!({})).await,
        ("Sales Support B Support A shop".to_owned(), [1, 20, 4, 1])
    );
    let documented =
        json!({"page": 1, "size": 20, "filter": {}, "sort": "createdAt", "sortDesc": true});
    assert_eq!(names(documented).await.0, "Sales Support B Support A shop");
    let sorted = json!({"sort": "name", "size": 2, "page": 1});
    assert_eq!(
        names(sorted).await,
        ("Sales Support A".to_owned(), [1, 2, 4, 2])
    );
    let second = json!({"sort": "name", "size": 2, "page": 2, "sort_desc": false});
    assert_eq!(
        names(second).await,
        ("Support B shop".to_owned(), [2, 2, 4, 2])
    );
    assert_eq!(
        names(json!({"sort": "name", "sort_desc": true})).await.0,
        "shop Support B Support A Sales"
    );
    assert_eq!(
        names(json!({"sort": "created_at"})).await.0,
        "shop Support A Support B Sales"
    );
    assert_eq!(
        names(json!({"filter": {"query": " sUPPORT "}})).await,
        ("Support B Support A".to_owned(), [1, 20, 2, 1])
    );
    assert_eq!(
        names(json!({"filter": {"query": "100%_"}})).await.1,
        [1, 20, 0, 0]
    );
    let (id, _) = ids(&app, "Sales").await;
    assert_eq!(names(json!({"filter": {"query": id}})).await.0, "Sales");
    let nothing = call(&api, Method::POST, "/instances/list").send().await;
    assert_eq!(bare(&nothing, 200)["total"], 4);
}

#[tokio::test]
async fn an_instance_whose_webhook_cannot_be_kept_is_not_made_and_its_name_is_free() {
    let (app, api) = start().await;
    let before: i64 = app.value("select count(*) from postrider.instances").await;
    app.sql(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = 'XX000'; end $$;
         create trigger refuse before insert on postrider.endpoints for each row execute function refuse()",
    )
    .await;
    let body = json!({"name": "brittle", "webhook": "https://example.com/in"});
    let failed = create(&api, &body).await;
    assert_eq!(failed.status, 500, "{failed:?}");
    let after: i64 = app.value("select count(*) from postrider.instances").await;
    assert_eq!(after, before);
    app.sql("drop trigger refuse on postrider.endpoints").await;
    bare(&create(&api, &body).await, 201);
}
