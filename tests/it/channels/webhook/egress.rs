//! Where the channel does not go.

use postrider::channels::egress::Egress;
use postrider::channels::{Class, Verdict};

use super::{
    GOAL, assert_delivered, deliver, failure, in_a_child_process, loopback_allowed, webhook_with,
};
use crate::support::receiver::{Answer, Receiver};

#[tokio::test]
async fn no_spelling_of_a_private_address_is_called() {
    let receiver = Receiver::start().await;
    let port = receiver.address().port();
    let webhook = webhook_with(&Egress::default());
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "10.0.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "255.255.255.255",
        "224.0.0.1",
        "localhost",
        "LOCALHOST",
        "user@127.0.0.1",
    ] {
        let url = format!("http://{host}:{port}/?token=s3cret");
        let failure = failure(deliver(&webhook, &url).await);
        assert_eq!(
            (failure.class, failure.verdict),
            (Class::Egress, Verdict::None),
            "{host}: {failure:?}"
        );
        assert!(failure.detail.contains("egress.allow"), "{failure:?}");
        assert!(!failure.detail.contains("s3cret"), "{failure:?}");
    }
    assert_eq!((receiver.count(), receiver.connections()), (0, 0));
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused_by_that_address() {
    let webhook = webhook_with(&Egress::default());
    let failure = failure(deliver(&webhook, "http://localhost:1/").await);
    let names = ["127.0.0.1", "::1"];
    assert!(
        names.iter().any(|name| failure.detail.contains(name)),
        "{failure:?}"
    );
}

#[tokio::test]
async fn what_the_allow_list_names_is_called_by_address_and_by_name_and_nothing_beside_it() {
    let receiver = Receiver::start().await;
    let webhook = webhook_with(&Egress {
        allow: vec!["127.0.0.1/32".parse().unwrap()],
        ..Egress::default()
    });
    let port = receiver.address().port();
    for host in ["127.0.0.1", "localhost", "0x7f.1"] {
        assert_delivered(&deliver(&webhook, &format!("http://{host}:{port}/")).await);
    }
    for host in ["127.0.0.2", "[::1]", "10.0.0.1"] {
        let failure = failure(deliver(&webhook, &format!("http://{host}:{port}/")).await);
        assert_eq!(failure.class, Class::Egress, "{host}");
    }
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_leads_nowhere() {
    let inside = Receiver::start().await;
    let outside = Receiver::start().await;
    outside.answer(Answer::status(307).header("location", &inside.url()));
    let failure = failure(deliver(&webhook_with(&loopback_allowed()), &outside.url()).await);
    assert_eq!(failure.class, Class::Redirect);
    assert_eq!((inside.count(), inside.connections()), (0, 0));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_failure_that_names_it() {
    let webhook = webhook_with(&Egress::default());
    let failure = failure(deliver(&webhook, "http://nowhere.invalid/?token=s3cret").await);
    assert_eq!(failure.class, Class::Dns, "{failure:?}");
    assert!(failure.detail.contains("nowhere.invalid"), "{failure:?}");
    assert!(!failure.detail.contains("s3cret"), "{failure:?}");
}

#[tokio::test]
async fn proxies_in_the_environment_are_ignored() {
    let goal = Receiver::start().await;
    let proxy = Receiver::start().await;
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let mut environment: Vec<_> = proxies.map(|name| (name, proxy.url())).into();
    environment.extend([("NO_PROXY", String::new()), ("no_proxy", String::new())]);
    environment.push((GOAL, goal.url()));
    in_a_child_process(
        "egress::only_a_child_process_with_proxies_in_its_environment",
        environment,
    )
    .await;
    assert_eq!((goal.count(), proxy.connections()), (1, 0));
}

#[tokio::test]
#[ignore = "run by proxies_in_the_environment_are_ignored"]
async fn only_a_child_process_with_proxies_in_its_environment() {
    let Ok(goal) = std::env::var(GOAL) else {
        return;
    };
    assert_delivered(&deliver(&webhook_with(&loopback_allowed()), &goal).await);
}
