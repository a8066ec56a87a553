//! HTTPS: who is believed, and HTTP/2.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Version;
use postrider::channels::egress::Egress;
use postrider::channels::{Class, Failure, Verdict, Webhook};

use super::{
    GOAL, assert_delivered, deliver, failure, in_a_child_process, loopback_allowed, webhook,
    webhook_with,
};
use crate::support::authority::Authority;
use crate::support::receiver::{Answer, Receiver};

/// A channel that trusts `authority` beside the system.
fn trusting(authority: &Authority) -> Webhook {
    webhook_with(&Egress {
        ca_file: Some(authority.ca_file().to_owned()),
        ..loopback_allowed()
    })
}

fn assert_tls(failure: &Failure, says: &str, receiver: &Receiver) {
    assert_eq!(
        (failure.class, failure.verdict),
        (Class::Tls, Verdict::None),
        "{failure:?}"
    );
    assert!(failure.detail.contains(says), "{failure:?}");
    assert_eq!(
        receiver.count(),
        0,
        "nothing is sent before the certificate is believed"
    );
}

#[tokio::test]
async fn a_valid_certificate_of_an_authority_in_the_ca_file_is_believed() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.certificate("localhost")).await;
    assert_delivered(&deliver(&trusting(&authority), &receiver.url()).await);
}

#[tokio::test]
async fn an_authority_that_the_system_trusts_is_believed() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.certificate("localhost")).await;
    let system = authority.ca_file().to_str().unwrap().to_owned();
    let environment = vec![("SSL_CERT_FILE", system), (GOAL, receiver.url())];
    in_a_child_process(
        "tls::only_a_child_process_whose_system_trusts_an_authority",
        environment,
    )
    .await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
#[ignore = "run by an_authority_that_the_system_trusts_is_believed"]
async fn only_a_child_process_whose_system_trusts_an_authority() {
    let Ok(goal) = std::env::var(GOAL) else {
        return;
    };
    assert_delivered(&deliver(&webhook(), &goal).await);
}

#[tokio::test]
async fn an_expired_certificate_is_not_believed() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.expired("localhost")).await;
    let failure = failure(deliver(&trusting(&authority), &receiver.url()).await);
    assert_tls(&failure, "expired", &receiver);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.certificate("elsewhere.example")).await;
    let failure = failure(deliver(&trusting(&authority), &receiver.url()).await);
    assert_tls(&failure, "elsewhere.example", &receiver);
}

#[tokio::test]
async fn an_unknown_authority_is_not_believed_and_the_remedy_is_named() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.certificate("localhost")).await;
    for stranger in [webhook(), trusting(&Authority::new())] {
        let failure = failure(deliver(&stranger, &receiver.url()).await);
        assert_tls(&failure, "egress.ca_file", &receiver);
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_asked_for_is_a_tls_or_protocol_failure() {
    let receiver = Receiver::start().await;
    let url = receiver.url().replace("http://", "https://");
    let failure = failure(deliver(&webhook(), &url).await);
    assert!(
        matches!(failure.class, Class::Tls | Class::Protocol | Class::Connect),
        "{failure:?}"
    );
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn over_tls_http2_is_spoken_and_many_deliveries_share_one_connection() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.certificate("localhost")).await;
    receiver.answer(Answer::ok().after(Duration::from_millis(20)));
    let webhook = trusting(&authority);
    let url = receiver.url();
    assert_delivered(&deliver(&webhook, &url).await);
    for outcome in join_all((0..50).map(|_| deliver(&webhook, &url))).await {
        assert_delivered(&outcome);
    }
    let requests = receiver.requests();
    assert_eq!(requests.len(), 51);
    assert!(
        requests
            .iter()
            .all(|request| request.version == Version::HTTP_2)
    );
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn over_http2_a_receiver_that_hangs_up_is_a_protocol_failure_and_the_next_goes_through() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(authority.certificate("localhost")).await;
    receiver.answer_in_turn([Answer::close(), Answer::ok()]);
    let webhook = trusting(&authority);
    assert_eq!(
        failure(deliver(&webhook, &receiver.url()).await).class,
        Class::Protocol
    );
    assert_delivered(&deliver(&webhook, &receiver.url()).await);
}
