//! What a receiver is sent.

use std::sync::Arc;

use http::HeaderValue;
use hyper::{Method, Version};
use postrider::channels::egress::GuardedClient;
use postrider::channels::{Channel, Class, Retry, WallClock, Webhook};
use postrider::crypto::SigningSecret;
use postrider::dialect::Dialect;
use postrider::model::{Destination, Endpoint, Header};
use rand::rng;
use secrecy::ExposeSecret;
use time::OffsetDateTime;

use super::{
    PAYLOAD, assert_delivered, direct, endpoint, failure, loopback_allowed, parcel, to, webhook,
};
use crate::support::receiver::{Answer, Receiver};

fn header(name: &'static str, value: &'static str) -> Header {
    Header {
        name: name.parse().unwrap(),
        value: HeaderValue::from_static(value),
    }
}

#[tokio::test]
async fn an_endpoint_is_sent_its_envelope_with_the_headers_of_the_conventions() {
    let receiver = Receiver::start().await;
    let mut parcel = to(endpoint(&format!("{}wh?k=v", receiver.url())));
    parcel.attempt = 3;
    assert_delivered(&webhook().deliver(&parcel).await);
    let sent = receiver.wait_for(1).await.remove(0);
    assert_eq!(
        (sent.method.clone(), sent.path.as_str()),
        (Method::POST, "/wh?k=v")
    );
    assert_eq!(sent.version, Version::HTTP_11);
    assert_eq!(
        sent.header("user-agent"),
        concat!("Postrider/", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(sent.header("content-type"), "application/json");
    assert_eq!(sent.header("webhook-id"), parcel.event_id);
    assert_eq!(sent.header("x-postrider-attempt"), "3");
    let timestamp: i64 = sent.header("webhook-timestamp").parse().unwrap();
    assert!((OffsetDateTime::now_utc().unix_timestamp() - timestamp).abs() <= 30);
    assert!(
        !sent.headers.contains_key("webhook-signature"),
        "it has no signing secret"
    );
    assert!(!sent.headers.contains_key("authorization"));
    let expected = format!(
        r#"{{"id":"{}","type":"message.exchange","instance":"my-instance","timestamp":"2026-04-28T10:30:00.000Z","data":{PAYLOAD}}}"#,
        parcel.event_id
    );
    assert_eq!(sent.body, expected);
}

#[tokio::test]
async fn a_ryze_endpoint_by_events_has_its_suffix_its_token_and_its_data_unchanged() {
    let receiver = Receiver::start().await;
    let ryze = Endpoint {
        dialect: Dialect::Ryze,
        by_events: true,
        ..endpoint(&format!("{}wh/?k=v", receiver.url()))
    };
    assert_delivered(&webhook().deliver(&to(ryze)).await);
    let sent = receiver.wait_for(1).await.remove(0);
    assert_eq!(sent.path, "/wh/message.exchange?k=v");
    assert_eq!(sent.json()["instanceData"]["token"], "t0k");
    assert_eq!(
        sent.json()["instanceData"]["baseUrl"],
        "https://api.example.com"
    );
    assert!(String::from_utf8_lossy(&sent.body).contains(PAYLOAD));
}

#[tokio::test]
async fn a_row_without_an_endpoint_is_sent_as_it_stands_with_its_own_authorization() {
    let receiver = Receiver::start().await;
    let row = parcel(Destination::Direct {
        url: format!("{}direct", receiver.url()),
        authorization: Some(HeaderValue::from_static("Bearer row")),
    });
    assert_delivered(&webhook().deliver(&row).await);
    let sent = receiver.wait_for(1).await.remove(0);
    assert_eq!(sent.path, "/direct");
    assert_eq!(sent.body, PAYLOAD);
    assert_eq!(sent.header("authorization"), "Bearer row");
    assert_eq!(sent.header("webhook-id"), row.event_id);
}

#[tokio::test]
async fn the_standards_own_crate_verifies_the_signature_under_the_new_and_the_old_secret() {
    let receiver = Receiver::start().await;
    let secrets = [
        SigningSecret::generate(&mut rng()),
        SigningSecret::generate(&mut rng()),
    ];
    let signed = Endpoint {
        signing: secrets.to_vec(),
        ..endpoint(&receiver.url())
    };
    assert_delivered(&webhook().deliver(&to(signed)).await);
    let sent = receiver.wait_for(1).await.remove(0);
    for secret in &secrets {
        assert!(sent.is_signed_by(secret.text().expose_secret()));
    }
    let foreign = SigningSecret::generate(&mut rng());
    assert!(!sent.is_signed_by(foreign.text().expose_secret()));
}

#[tokio::test]
async fn the_timestamp_follows_the_databases_clock_where_the_machines_is_wrong() {
    let receiver = Receiver::start().await;
    let clock = Arc::new(WallClock::default());
    let database_now = OffsetDateTime::now_utc() - time::Duration::hours(2);
    clock.set(database_now);
    let client = GuardedClient::new(&loopback_allowed()).unwrap();
    let webhook = Webhook::new(client, clock, "");
    assert_delivered(&webhook.deliver(&direct(receiver.url())).await);
    let sent = receiver.wait_for(1).await.remove(0);
    let timestamp: i64 = sent.header("webhook-timestamp").parse().unwrap();
    assert!((timestamp - database_now.unix_timestamp()).abs() <= 30);
}

#[tokio::test]
async fn custom_headers_go_verbatim_and_may_replace_ours_of_the_same_name() {
    let receiver = Receiver::start().await;
    let custom = Endpoint {
        authorization: Some(HeaderValue::from_static("Bearer endpoint")),
        headers: vec![
            header("x-tenant", "a b"),
            header("x-tenant", "c"),
            header("content-type", "application/vnd.example+json"),
            header("user-agent", "Example/1"),
        ],
        ..endpoint(&receiver.url())
    };
    assert_delivered(&webhook().deliver(&to(custom)).await);
    let sent = receiver.wait_for(1).await.remove(0);
    let tenants: Vec<_> = sent.headers.get_all("x-tenant").iter().collect();
    assert_eq!(tenants, ["a b", "c"]);
    assert_eq!(sent.header("content-type"), "application/vnd.example+json");
    assert_eq!(sent.header("user-agent"), "Example/1");
    assert_eq!(sent.header("authorization"), "Bearer endpoint");
    assert_eq!(sent.headers.get_all("content-type").iter().count(), 1);
}

#[tokio::test]
async fn credentials_in_a_url_become_basic_authorization_and_leave_the_url() {
    let receiver = Receiver::start().await;
    let url = receiver.url().replace("//", "//user:p%40ss@");
    let webhook = webhook();
    assert_delivered(&webhook.deliver(&direct(&url)).await);
    let own = Endpoint {
        authorization: Some(HeaderValue::from_static("Bearer own")),
        ..endpoint(&url)
    };
    assert_delivered(&webhook.deliver(&to(own)).await);
    let sent = receiver.wait_for(2).await;
    assert_eq!(sent[0].header("authorization"), "Basic dXNlcjpwQHNz");
    assert_eq!(sent[1].header("authorization"), "Bearer own");
    assert_eq!(sent[0].header("host"), receiver.address().to_string());
}

#[tokio::test]
async fn what_cannot_be_sent_as_configured_is_a_configuration_failure_that_shows_no_secret() {
    let receiver = Receiver::start().await;
    let webhook = webhook();
    let shut = Endpoint {
        sealed_shut: Some("it is sealed with key 0badc0de".into()),
        ..endpoint(&receiver.url())
    };
    let shut = failure(webhook.deliver(&to(shut)).await);
    assert!(shut.detail.contains("0badc0de"), "{}", shut.detail);
    assert!(
        matches!(
            shut.retry,
            Retry::NotBefore {
                spends_attempt: false,
                ..
            }
        ),
        "{:?}",
        shut.retry
    );
    let reserved = Endpoint {
        headers: vec![header("content-length", "s3cret")],
        ..endpoint(&receiver.url())
    };
    let reserved = failure(webhook.deliver(&to(reserved)).await);
    assert!(
        reserved.detail.contains("content-length"),
        "{}",
        reserved.detail
    );
    let no_url = failure(webhook.deliver(&direct("not a url ?token=s3cret")).await);
    assert_eq!(no_url.retry, Retry::Never);
    let no_http = failure(
        webhook
            .deliver(&direct("ftp://example.com/?token=s3cret"))
            .await,
    );
    assert!(no_http.detail.contains("ftp"), "{}", no_http.detail);
    for failure in [shut, reserved, no_url, no_http] {
        assert_eq!(failure.class, Class::Configuration, "{failure:?}");
        assert!(!failure.detail.contains("s3cret"), "{failure:?}");
    }
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn one_after_the_other_a_hundred_deliveries_share_a_connection() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::ok().body("thanks"));
    let webhook = webhook();
    for _ in 0..100 {
        assert_delivered(&webhook.deliver(&direct(receiver.url())).await);
    }
    assert_eq!((receiver.count(), receiver.connections()), (100, 1));
    assert!(receiver.requests().is_sorted_by_key(|request| request.at));
}
